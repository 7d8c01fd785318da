variable "project" {
  description = "The prefix of every name."
  type        = string
  nullable    = false
}

variable "service" {
  description = "The service as modules/catalog computed it."
  type = object({
    name            = string
    dashed          = string
    purpose         = string
    when_silent     = string
    kind            = string
    cpu             = number
    memory          = number
    task_definition = string
    parameters      = map(string)
    secrets         = map(string)
    schedule = object({
      name                      = string
      expression                = string
      timezone                  = string
      state                     = string
      retries                   = number
      maximum_event_age_seconds = number
    })
    silence = object({
      expression            = string
      period_seconds        = number
      evaluation_periods    = number
      worst_seconds_to_page = number
    })
    failures = object({
      period_seconds      = number
      evaluation_periods  = number
      datapoints_to_alarm = number
    })
  })
  nullable = false
}

variable "image" {
  description = "Repository address and digest of the service's image; a tag will not do, it can be moved. The digest is null where images.lock.json has none."
  type = object({
    address = string
    digest  = string
  })
  nullable = false

  validation {
    condition     = can(regex("^sha256:[0-9a-f]{64}$", var.image.digest))
    error_message = "services.${var.service.name}: no image digest in the lock file (found '${coalesce(var.image.digest, "nothing")}'); build and push it: make build-images push"
  }
}

variable "account" {
  description = "Account id and region."
  type = object({
    id     = string
    region = string
  })
  nullable = false
}

variable "cluster_arn" {
  description = "ARN of the ECS cluster."
  type        = string
  nullable    = false
}

variable "scheduler_role_arn" {
  description = "ARN of the role that EventBridge Scheduler takes."
  type        = string
  nullable    = false
}

variable "dead_letters_arn" {
  description = "ARN of the queue for invocations that could not be delivered."
  type        = string
  nullable    = false
}

variable "topic_arn" {
  description = "ARN of the topic that alarms speak to."
  type        = string
  nullable    = false
}

variable "keys" {
  description = "ARNs of the KMS keys for operations (logs, queues) and for secrets."
  type = object({
    operations = string
    secrets    = string
  })
  nullable = false
}

variable "parameter_arns" {
  description = "ARN by name of every parameter and secret of the catalogue."
  type        = map(string)
  nullable    = false
}

variable "network" {
  description = "Where tasks run."
  type = object({
    subnet_ids         = list(string)
    security_group_ids = list(string)
    assign_public_ip   = bool
  })
  nullable = false
}

variable "lambda_subnet_ids" {
  description = "Ids of the private, dual-stack subnets in which a Lambda meets the database."
  type        = list(string)
  nullable    = false
}

variable "environment" {
  description = "Further environment variables of the run; never a parameter or a secret."
  type        = map(string)
  default     = {}
  nullable    = false
}

variable "extra_policy_json" {
  description = "What this one service may do on AWS beyond what its catalogue entry says (the healthcheck's reads); null for nothing."
  type        = string
  default     = null
}

variable "initial_database_url" {
  description = "The address that a new environment's database parameter starts with; never in plan or state."
  type        = string
  ephemeral   = true
  sensitive   = true
  nullable    = false
}

variable "log_retention_days" {
  description = "Days that log lines are kept."
  type        = number
  nullable    = false
}

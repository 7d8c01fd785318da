variable "project" {
  description = "The prefix of every name."
  type        = string
  nullable    = false
}

variable "account" {
  description = "Account id and region."
  type = object({
    id     = string
    region = string
  })
  nullable = false
}

variable "services" {
  description = "What the dashboard says of each service, which of them store bars and which watch the others; by name."
  type = map(object({
    name           = string
    purpose        = string
    when_silent    = string
    stores_bars    = bool
    watches        = bool
    period_seconds = number
    expression     = string
  }))
  nullable = false
}

variable "service_alarms" {
  description = "Of each service: the name of its silence alarm and the ARNs of all its alarms."
  type = map(object({
    silent = string
    arns   = list(string)
  }))
  nullable = false
}

variable "subscriptions" {
  description = "Who is told: protocol and address of each subscription to the alarms."
  type = map(object({
    protocol = string
    endpoint = string
  }))
  nullable = false

  validation {
    condition     = length(var.subscriptions) > 0
    error_message = "alert_subscriptions is empty: the alarms would sound for nobody."
  }

  validation {
    condition     = alltrue([for s in var.subscriptions : contains(["email", "email-json", "https", "sms", "sqs", "lambda"], s.protocol)])
    error_message = "alert_subscriptions: ${join(", ", [for name, s in var.subscriptions : "${name} has protocol ${s.protocol}" if !contains(["email", "email-json", "https", "sms", "sqs", "lambda"], s.protocol)])}; known are email, email-json, https, sms, sqs, lambda."
  }
}

variable "cluster_arn" {
  description = "ARN of the ECS cluster whose stopped tasks are kept."
  type        = string
  nullable    = false
}

variable "scheduler_role_arn" {
  description = "ARN of the role that leaves dead letters."
  type        = string
  nullable    = false
}

variable "key_arn" {
  description = "ARN of the KMS key for topic, log and bucket."
  type        = string
  nullable    = false
}

variable "database_identifier" {
  description = "Identifier of the RDS instance to watch; null where there is none."
  type        = string
  default     = null
}

variable "database_limits" {
  description = "When the database is in danger: bytes free, CPU percent, connections."
  type = object({
    free_storage_bytes = number
    cpu_percent        = number
    connections        = number
  })
  nullable = false
}

variable "budget_usd" {
  description = "US dollars a month above which someone is told."
  type        = number
  nullable    = false
}

variable "protected" {
  description = "Whether the bucket refuses to be destroyed while it holds pages and journals."
  type        = bool
  nullable    = false
}

variable "log_retention_days" {
  description = "Days that stopped tasks are kept."
  type        = number
  nullable    = false
}

variable "old_pages_days" {
  description = "Days that old versions of the status page are kept; null for ever."
  type        = number
  default     = null
}

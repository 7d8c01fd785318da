variable "environment" {
  description = "Name of the environment: local, paper or production. One account holds one environment, so names do not repeat it."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,19}$", var.environment))
    error_message = "environment: '${var.environment}' is not 2 to 20 lower-case letters, digits and dashes."
  }
}

variable "region" {
  description = "Region to deploy to, where it is not the catalogue's (a rebuild elsewhere); null for the catalogue's."
  type        = string
  default     = null

  validation {
    condition     = var.region == null ? true : can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "region: '${coalesce(var.region, "-")}' is no name of a region."
  }
}

variable "copy_region" {
  description = "Region that gets copies of backups, where it is not database.copy_region: after a rebuild in that one; null for that one."
  type        = string
  default     = null

  validation {
    condition     = var.copy_region == null ? true : can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.copy_region))
    error_message = "copy_region: '${coalesce(var.copy_region, "-")}' is no name of a region."
  }
}

variable "catalog_file" {
  description = "Path of the catalogue; a relative one starts at this folder."
  type        = string
  default     = "../services.yaml"
  nullable    = false
}

variable "images_lock_file" {
  description = "Path of the lock file that gives each service's image digest; a relative one starts at this folder."
  type        = string
  default     = "../images.lock.json"
  nullable    = false
}

variable "allow_removal" {
  description = "Names of services whose disappearance from the catalogue is meant; any other is refused."
  type        = set(string)
  default     = []
  nullable    = false
}

variable "paused_services" {
  description = "Names of services whose schedule is DISABLED on purpose."
  type        = set(string)
  default     = []
  nullable    = false
}

variable "secret_values" {
  description = "What secrets start with, by parameter name (database_url for every service's, database_url/NAME for one); 'unset' where absent. Written once: later changes are made in the parameter store and are no drift."
  type        = map(string)
  default     = {}
  nullable    = false
  ephemeral   = true
  sensitive   = true
}

variable "task_environment" {
  description = "Further environment variables of every run: endpoints, never a parameter or a secret."
  type        = map(string)
  default     = {}
  nullable    = false
}

variable "lambda_environment" {
  description = "Further environment variables of Lambdas alone: AWS_USE_DUALSTACK_ENDPOINT where they reach AWS by IPv6, DEAD_MANS_SWITCH_URL where somebody else's watch is told of every healthcheck."
  type        = map(string)
  default     = {}
  nullable    = false
}

variable "watch_provider" {
  description = "Whether the healthcheck asks the data provider whether it takes the keys; null for wherever its function reaches the internet by IPv4 (network.private_tasks)."
  type        = bool
  default     = null
}

variable "self_heal" {
  description = "Whether the healthcheck makes schedules again that are missing, and enables those that are disabled and not meant to be: at most one attempt an hour each, each announced."
  type        = bool
  default     = false
  nullable    = false
}

variable "network" {
  description = "The VPC's address range, the letters of its zones, and whether tasks run in private subnets (NAT gateway and interface endpoints, about 90 USD a month) instead of public ones with a public address."
  type = object({
    cidr          = optional(string, "10.20.0.0/16")
    zones         = optional(list(string), ["a", "b"])
    private_tasks = optional(bool, false)
  })
  default  = {}
  nullable = false

  validation {
    condition     = can(cidrsubnet(var.network.cidr, 4, 15))
    error_message = "network.cidr: '${var.network.cidr}' is no IPv4 range that holds 16 subnets."
  }

  validation {
    condition     = length(distinct(var.network.zones)) >= 2 && length(var.network.zones) <= 4 && alltrue([for zone in var.network.zones : can(regex("^[a-f]$", zone))])
    error_message = "network.zones: ${join(", ", var.network.zones)} are not two to four different letters from a to f."
  }
}

variable "database" {
  description = "The RDS instance: version, class, storage, standby, backups (days in RDS, days in AWS Backup, region of a copy). Null for none: DATABASE_URL then leads elsewhere."
  type = object({
    engine_version     = optional(string, "17")
    instance_class     = optional(string, "db.t4g.micro")
    storage_gib        = optional(number, 20)
    storage_max_gib    = optional(number, 100)
    multi_az           = optional(bool, false)
    point_in_time_days = optional(number, 7)
    daily_days         = optional(number, 35)
    copy_region        = optional(string)
    max_connections    = optional(number, 80)
  })
  default = null

  validation {
    condition     = try(var.database.point_in_time_days, 7) >= 7 && try(var.database.point_in_time_days, 7) <= 35
    error_message = "database.point_in_time_days: ${try(var.database.point_in_time_days, 7)} is not between 7 and 35."
  }

  validation {
    condition     = try(var.database.storage_max_gib, 1) >= try(var.database.storage_gib, 0)
    error_message = "database.storage_max_gib: ${try(var.database.storage_max_gib, 0)} is less than storage_gib, ${try(var.database.storage_gib, 0)}."
  }
}

variable "alert_subscriptions" {
  description = "Who is told of alarms: protocol (email, https, sms, …) and address by a name of your choice."
  type = map(object({
    protocol = string
    endpoint = string
  }))
  nullable = false
}

variable "budget_usd" {
  description = "US dollars a month above which someone is told."
  type        = number
  nullable    = false

  validation {
    condition     = var.budget_usd > 0
    error_message = "budget_usd: ${var.budget_usd} is not above 0."
  }
}

variable "github_repository" {
  description = "owner/name of the repository whose workflows may take the CI roles; null for no CI roles."
  type        = string
  default     = null

  validation {
    condition     = var.github_repository == null ? true : can(regex("^[A-Za-z0-9-]+/[A-Za-z0-9._-]+$", var.github_repository))
    error_message = "github_repository: '${coalesce(var.github_repository, "-")}' is not owner/name."
  }
}

variable "protected" {
  description = "Whether database, backups, images and pages refuse to be destroyed; set to false and apply before taking an environment down."
  type        = bool
  default     = true
  nullable    = false
}

variable "log_retention_days" {
  description = "Days that log lines are kept."
  type        = number
  default     = 30
  nullable    = false

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731], var.log_retention_days)
    error_message = "log_retention_days: CloudWatch knows no retention of ${var.log_retention_days} days."
  }
}

variable "old_pages_days" {
  description = "Days that old versions of the status page are kept; null for ever, which spares the provider's minute of waiting for the rule."
  type        = number
  default     = 30

  validation {
    condition     = var.old_pages_days == null ? true : var.old_pages_days >= 1
    error_message = "old_pages_days: ${coalesce(var.old_pages_days, 0)} is less than 1."
  }
}

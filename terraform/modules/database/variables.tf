variable "project" {
  description = "The prefix of every name."
  type        = string
  nullable    = false
}

variable "size" {
  description = "Engine version, instance class, storage, and whether a standby runs in a second zone."
  type = object({
    engine_version  = string
    instance_class  = string
    storage_gib     = number
    storage_max_gib = number
    multi_az        = bool
  })
  nullable = false
}

variable "backup" {
  description = "Days that RDS's own backups (point in time) and AWS Backup's daily ones are kept, and the region that gets a copy of those (null: none)."
  type = object({
    point_in_time_days = number
    daily_days         = number
    copy_region        = optional(string)
  })
  nullable = false

  validation {
    condition     = var.backup.point_in_time_days >= 7 && var.backup.point_in_time_days <= 35
    error_message = "backup.point_in_time_days: ${var.backup.point_in_time_days} is not between 7 and 35."
  }
}

variable "protected" {
  description = "Whether the database and its backups refuse to be destroyed."
  type        = bool
  nullable    = false
}

variable "subnet_ids" {
  description = "Ids of private subnets in two zones or more."
  type        = list(string)
  nullable    = false
}

variable "security_group_ids" {
  description = "Ids of the groups that let tasks in."
  type        = list(string)
  nullable    = false
}

variable "key_arn" {
  description = "ARN of the KMS key for storage, backups and the master password."
  type        = string
  nullable    = false
}

variable "copy_key_policy_json" {
  description = "Policy of the KMS key that the copies' region gets."
  type        = string
  nullable    = false
}

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

variable "image" {
  description = "Address and repository of the image that it runs in, any that carries pipeline and the AWS SDK, and its digest."
  type = object({
    address    = string
    repository = string
    digest     = string
  })
  nullable = false

  validation {
    condition     = can(regex("^sha256:[0-9a-f]{64}$", var.image.digest))
    error_message = "migration: no image digest in the lock file for ${var.image.repository} (found '${coalesce(var.image.digest, "nothing")}'); build and push it: make build-images push"
  }
}

variable "database" {
  description = "The database's endpoint (host:port) and name, and the secret in which RDS keeps its master password."
  type = object({
    endpoint          = string
    name              = string
    master_secret_arn = string
  })
  nullable = false
}

variable "keys" {
  description = "ARNs of the KMS keys: operations (logs), secrets (the addresses that it stores), data (the master secret)."
  type = object({
    operations = string
    secrets    = string
    data       = string
  })
  nullable = false
}

variable "log_retention_days" {
  description = "Days that log lines are kept."
  type        = number
  nullable    = false
}

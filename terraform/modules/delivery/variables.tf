variable "project" {
  description = "The prefix of every name."
  type        = string
  nullable    = false
}

variable "services" {
  description = "Names of the services, each of which has an image of its name."
  type        = set(string)
  nullable    = false
}

variable "function_arns" {
  description = "ARN of the function, by the name of each service that is one."
  type        = map(string)
  nullable    = false
}

variable "key_arn" {
  description = "ARN of the KMS key for the repositories."
  type        = string
  nullable    = false
}

variable "secrets_key_arn" {
  description = "ARN of the KMS key of the secret parameters."
  type        = string
  nullable    = false
}

variable "protected" {
  description = "Whether repositories that hold images refuse to be destroyed."
  type        = bool
  nullable    = false
}

variable "github_repository" {
  description = "owner/name of the repository whose workflows may take the CI roles; null for none."
  type        = string
  default     = null
}

variable "state_bucket_arn" {
  description = "ARN of the bucket that holds Terraform's state."
  type        = string
  nullable    = false
}

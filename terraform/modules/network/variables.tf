variable "project" {
  description = "The prefix of every name."
  type        = string
  nullable    = false
}

variable "cidr" {
  description = "The VPC's address range; a /16 gives subnets of a /20."
  type        = string
  nullable    = false
}

variable "zones" {
  description = "Letters of the availability zones that are used; a database needs two."
  type        = list(string)
  nullable    = false
}

variable "private_tasks" {
  description = "Whether tasks run in private subnets behind a NAT gateway and interface endpoints, instead of public ones with a public address."
  type        = bool
  nullable    = false
}

variable "logs_key_arn" {
  description = "ARN of the KMS key for the flow log."
  type        = string
  nullable    = false
}

variable "log_retention_days" {
  description = "Days that the flow log is kept."
  type        = number
  nullable    = false
}

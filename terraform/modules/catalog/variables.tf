variable "catalog_file" {
  description = "Path of the catalogue, services.yaml."
  type        = string
  nullable    = false

  validation {
    condition     = can(yamldecode(file(var.catalog_file)))
    error_message = "${var.catalog_file}: cannot be read, or is not YAML."
  }
}

variable "schema_file" {
  description = "Path of the catalogue's JSON schema; which keys an entry may and must have is read from it, so that it is said once."
  type        = string
  nullable    = false
}

variable "recorded_services" {
  description = "Names of the services that the last apply deployed; one that is in no catalogue any more is refused unless its removal is allowed."
  type        = set(string)
  default     = []
  nullable    = false
}

variable "allow_removal" {
  description = "Names of services whose removal is meant."
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

output "services" {
  description = "The services by name, every default filled in, every period and alarm computed."
  value       = local.services

  precondition {
    condition     = length(local.problems) == 0
    error_message = "The catalogue is refused:\n  ${join("\n  ", local.problems)}"
  }
}

output "problems" {
  description = "What is wrong with the catalogue, one sentence each; empty if it may be deployed."
  value       = local.problems
}

output "project" {
  description = "The prefix of every name."
  value       = try(local._raw.project, "")
}

output "region" {
  description = "The region that the catalogue names."
  value       = try(local._raw.region, "")
}

output "cluster" {
  description = "Name of the ECS cluster."
  value       = try(local._raw.cluster, "")
}

output "scheduler_role" {
  description = "Name of the role that EventBridge Scheduler takes."
  value       = try(local._raw.scheduler_role, "")
}

output "parameters" {
  description = "The non-secret parameters: purpose and initial value by name."
  value       = { for name, entry in try(local._raw.parameters, {}) : name => { purpose = try(entry.purpose, ""), initial = try(entry.initial, "") } }
}

output "secrets" {
  description = "The secrets: purpose by name; they have no value here."
  value       = { for name, entry in try(local._raw.secrets, {}) : name => { purpose = try(entry.purpose, "") } }
}

output "environment" {
  description = "Name of the environment."
  value       = var.environment
}

output "account_id" {
  description = "The account that was deployed to."
  value       = local.account.id
}

output "region" {
  description = "The region that was deployed to."
  value       = local.region
}

output "cluster_arn" {
  description = "ARN of the ECS cluster."
  value       = aws_ecs_cluster.this.arn
}

output "schedules" {
  description = "ARN of each service's schedule."
  value       = { for name, service in module.service : name => service.schedule_arn }
}

output "targets" {
  description = "ARN of each service's task definition revision, or of its function."
  value       = { for name, service in module.service : name => service.target_arn }
}

output "log_groups" {
  description = "Name of each service's log group."
  value       = { for name, service in module.service : name => service.log_group }
}

output "repositories" {
  description = "Address of each service's image repository."
  value       = module.delivery.repositories
}

output "github_role_arns" {
  description = "ARNs of the CI roles by what they may do."
  value       = module.delivery.github_role_arns
}

output "topic_arn" {
  description = "ARN of the topic that alarms speak to."
  value       = module.observability.topic_arn
}

output "dead_letters_url" {
  description = "Address of the dead-letter queue."
  value       = module.observability.dead_letters_url
}

output "records_bucket" {
  description = "Name of the bucket for the status page and the runbooks' journals."
  value       = module.observability.records_bucket
}

output "network" {
  description = "Where tasks run: subnets, security groups and whether they get a public address."
  value       = module.network.tasks
}

output "database" {
  description = "Where the database is, and in which secret RDS keeps its master password; null without one."
  value       = var.database == null ? null : { identifier = module.database[0].identifier, endpoint = module.database[0].endpoint, master_secret_arn = module.database[0].master_secret_arn }
}

output "migration" {
  description = "The task that migrates the database: its definition and its log group; null without a database."
  value       = var.database == null ? null : { task_definition_arn = module.migration[0].task_definition_arn, log_group = module.migration[0].log_group }
}

output "silence_seconds_to_page" {
  description = "Seconds from a service's last run to the page, at worst."
  value       = { for name, service in local.services : name => service.silence.worst_seconds_to_page }
}

output "task_definition_arn" {
  description = "ARN of the task's definition; scripts/migrate starts it."
  value       = aws_ecs_task_definition.this.arn
}

output "log_group" {
  description = "Name of its log group."
  value       = aws_cloudwatch_log_group.this.name
}

output "start_policy_json" {
  description = "What the role that starts it may do."
  value       = data.aws_iam_policy_document.execution.json
}

output "task_policy_json" {
  description = "What its own role may do."
  value       = data.aws_iam_policy_document.task.json
}

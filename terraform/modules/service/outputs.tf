output "schedule_arn" {
  description = "ARN of the schedule."
  value       = aws_scheduler_schedule.this.arn
}

output "target_arn" {
  description = "ARN of the task definition's revision, or of the function."
  value       = local.is_task ? aws_ecs_task_definition.this[0].arn : aws_lambda_function.this[0].arn
}

output "log_group" {
  description = "Name of the log group."
  value       = aws_cloudwatch_log_group.this.name
}

output "silent_alarm" {
  description = "Name of the alarm that sounds when the service does not run."
  value       = aws_cloudwatch_metric_alarm.silent.alarm_name
}

output "alarms" {
  description = "ARNs of the service's alarms, for the dashboard."
  value = [
    aws_cloudwatch_metric_alarm.silent.arn, aws_cloudwatch_metric_alarm.failing.arn, aws_cloudwatch_metric_alarm.not_started.arn,
  ]
}

output "start_policy_json" {
  description = "What the role that starts the service may do (the function's own for a Lambda)."
  value       = local.is_task ? data.aws_iam_policy_document.execution.json : data.aws_iam_policy_document.function.json
}

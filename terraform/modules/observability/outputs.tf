output "topic_arn" {
  description = "ARN of the topic that alarms speak to."
  value       = aws_sns_topic.alarms.arn
}

output "dead_letters_arn" {
  description = "ARN of the dead-letter queue."
  value       = aws_sqs_queue.dead_letters.arn
}

output "dead_letters_url" {
  description = "Address of the dead-letter queue."
  value       = aws_sqs_queue.dead_letters.url
}

output "records_bucket" {
  description = "Name of the bucket for the status page and the journals."
  value       = aws_s3_bucket.records.bucket
}

output "stopped_tasks_log_group" {
  description = "Name of the log group that keeps why tasks stopped."
  value       = aws_cloudwatch_log_group.stopped_tasks.name
}

output "down_alarm" {
  description = "Name of the composite alarm."
  value       = aws_cloudwatch_composite_alarm.down.alarm_name
}

# Who is told when it does not run, fails, or cannot be started. Every description says what to do.
locals {
  ask = "Run: scripts/diagnose --service ${var.service.name}"
}

resource "aws_cloudwatch_metric_alarm" "silent" {
  alarm_name          = "${var.project}-${var.service.dashed}-silent"
  alarm_description   = "${var.service.when_silent} No run of ${var.service.name} was completed for ${var.service.silence.period_seconds * var.service.silence.evaluation_periods / 60} minutes. ${local.ask}"
  comparison_operator = "LessThanThreshold"
  threshold           = 1
  evaluation_periods  = var.service.silence.evaluation_periods
  datapoints_to_alarm = var.service.silence.evaluation_periods
  # For the service that never ran at all: FILL has nothing to fill there.
  treat_missing_data = "breaching"

  metric_query {
    id          = "beats"
    label       = "Completed runs of ${var.service.name}"
    expression  = var.service.silence.expression
    return_data = true
  }

  metric_query {
    id = "runs"

    metric {
      namespace   = "OpsPipeline"
      metric_name = "RunsCompleted"
      dimensions  = { Service = var.service.name }
      stat        = "Sum"
      period      = var.service.silence.period_seconds
    }
  }

  alarm_actions             = [var.topic_arn]
  ok_actions                = [var.topic_arn]
  insufficient_data_actions = []

  tags = { Service = var.service.name }
}

resource "aws_cloudwatch_metric_alarm" "failing" {
  alarm_name          = "${var.project}-${var.service.dashed}-failing"
  alarm_description   = "Runs of ${var.service.name} fail: ${var.service.failures.datapoints_to_alarm} of the last ${var.service.failures.evaluation_periods} periods. ${local.ask}"
  namespace           = "OpsPipeline"
  metric_name         = "RunsFailed"
  dimensions          = { Service = var.service.name }
  statistic           = "Sum"
  period              = var.service.failures.period_seconds
  evaluation_periods  = var.service.failures.evaluation_periods
  datapoints_to_alarm = var.service.failures.datapoints_to_alarm
  comparison_operator = "GreaterThanOrEqualToThreshold"
  threshold           = 1
  treat_missing_data  = "notBreaching"

  alarm_actions = [var.topic_arn]
  ok_actions    = [var.topic_arn]

  tags = { Service = var.service.name }
}

resource "aws_cloudwatch_metric_alarm" "not_started" {
  alarm_name          = "${var.project}-${var.service.dashed}-not-started"
  alarm_description   = "EventBridge Scheduler cannot start ${var.service.name}: its target, role or network is wrong. ${local.ask}"
  namespace           = "AWS/Scheduler"
  metric_name         = "TargetErrorCount"
  dimensions          = { ScheduleGroup = aws_scheduler_schedule_group.this.name }
  statistic           = "Sum"
  period              = var.service.failures.period_seconds
  evaluation_periods  = var.service.failures.evaluation_periods
  datapoints_to_alarm = var.service.failures.datapoints_to_alarm
  comparison_operator = "GreaterThanOrEqualToThreshold"
  threshold           = 1
  treat_missing_data  = "notBreaching"

  alarm_actions = [var.topic_arn]
  ok_actions    = [var.topic_arn]

  tags = { Service = var.service.name }
}

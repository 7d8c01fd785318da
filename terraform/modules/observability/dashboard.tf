# One row a service, in the order of their names, and above them what concerns all. CloudWatch takes 500 widgets a dashboard.
locals {
  names = sort(keys(var.services))
  pages = { for index, names in chunklist(local.names, 80) : index == 0 ? var.project : "${var.project}-${index + 1}" => names }

  widget = { region = var.account.region, period = 60, view = "timeSeries", stacked = false }

  shared_row = [
    { type = "alarm", x = 0, y = 0, width = 8, height = 5, properties = {
      title  = "Pipeline down, dead letters, bars, blindness"
      alarms = local.shared_alarm_arns
    } },
    { type = "metric", x = 8, y = 0, width = 8, height = 5, properties = merge(local.widget, {
      title       = "Session minutes since the newest bar (0 while closed)"
      stat        = "Maximum"
      metrics     = [for name in sort(keys(local.bar_stores)) : ["OpsPipeline", "SessionMinutesSinceLastBar", "Service", name]]
      annotations = { horizontal = [{ label = "alarm: run scripts/diagnose", value = 5 }] }
    }) },
    { type = "metric", x = 16, y = 0, width = 8, height = 5, properties = merge(local.widget, {
      title       = "Dead letters: each names its schedule and error; run scripts/diagnose"
      stat        = "Maximum"
      metrics     = [["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", aws_sqs_queue.dead_letters.name]]
      annotations = { horizontal = [{ label = "alarm", value = 1 }] }
    }) },
  ]

  shared_alarm_arns = concat(
    [aws_cloudwatch_composite_alarm.down.arn, aws_cloudwatch_metric_alarm.dead_letters.arn],
    [for name in sort(keys(local.bar_stores)) : aws_cloudwatch_metric_alarm.no_bars[name].arn],
    [for name in sort(keys(local.watchers)) : aws_cloudwatch_metric_alarm.blind[name].arn],
    [for name in sort(keys(local.database_alarms)) : aws_cloudwatch_metric_alarm.database[name].arn],
  )

  service_rows = { for page, names in local.pages : page => flatten([for index, name in names : [
    { type = "text", x = 0, y = 5 + index * 5, width = 4, height = 5, properties = {
      markdown = "### ${name}\n${var.services[name].purpose}\n\n**Silent?** ${var.services[name].when_silent}\n\n`scripts/diagnose --service ${name}`"
    } },
    { type = "metric", x = 4, y = 5 + index * 5, width = 6, height = 5, properties = merge(local.widget, {
      title  = "Runs by outcome"
      stat   = "Sum"
      period = max(60, min(86400, var.services[name].period_seconds))
      metrics = [
        ["OpsPipeline", "RunsCompleted", "Service", name, { color = "#2ca02c" }],
        [".", "RunsFailed", ".", ".", { color = "#d62728" }],
        [".", "RunsOverlapped", ".", ".", { color = "#ff7f0e" }],
      ]
      annotations = { horizontal = [{ label = "a run a period", value = 1 }] }
    }) },
    { type = "metric", x = 10, y = 5 + index * 5, width = 5, height = 5, properties = merge(local.widget, {
      title   = "Rows in and out"
      stat    = "Sum"
      metrics = [["OpsPipeline", "RowsIn", "Service", name], [".", "RowsOut", ".", "."]]
    }) },
    { type = "metric", x = 15, y = 5 + index * 5, width = 5, height = 5, properties = merge(local.widget, {
      title = "Scheduler: started, refused, dead"
      stat  = "Sum"
      metrics = [
        ["AWS/Scheduler", "InvocationAttemptCount", "ScheduleGroup", name],
        [".", "TargetErrorCount", ".", ".", { color = "#ff7f0e" }],
        [".", "InvocationsSentToDeadLetterCount", ".", ".", { color = "#d62728" }],
      ]
    }) },
    { type = "alarm", x = 20, y = 5 + index * 5, width = 4, height = 5, properties = {
      title  = "Alarms"
      alarms = var.service_alarms[name].arns
    } },
  ]]) }
}

resource "aws_cloudwatch_dashboard" "this" {
  for_each = local.pages

  dashboard_name = each.key
  dashboard_body = jsonencode({ widgets = concat(local.shared_row, local.service_rows[each.key]) })
}

# Alarms that belong to no single service. Every description says what to do.
locals {
  bar_stores = { for name, service in var.services : name => service if service.stores_bars }
  watchers   = { for name, service in var.services : name => service if service.watches }

  database_alarms = var.database_identifier == null ? {} : {
    storage = {
      metric = "FreeStorageSpace", statistic = "Minimum", operator = "LessThanThreshold", threshold = var.database_limits.free_storage_bytes
      says   = "The database runs out of storage; writes will fail. Run: scripts/status, then raise database.storage_max_gib and run: make plan apply"
    }
    cpu = {
      metric = "CPUUtilization", statistic = "Average", operator = "GreaterThanThreshold", threshold = var.database_limits.cpu_percent
      says   = "The database is busy; runs will miss their deadlines. Run: scripts/diagnose"
    }
    connections = {
      metric = "DatabaseConnections", statistic = "Maximum", operator = "GreaterThanThreshold", threshold = var.database_limits.connections
      says   = "The database has nearly all of its connections taken; runs will be refused. Run: scripts/diagnose"
    }
  }
}

# "No data in the last five minutes", in session minutes: a closed market reads 0, an ingestor that is silent reads nothing, which is breaching.
resource "aws_cloudwatch_metric_alarm" "no_bars" {
  for_each = local.bar_stores

  alarm_name          = "${var.project}-no-bars${length(local.bar_stores) == 1 ? "" : "-${replace(each.key, "_", "-")}"}"
  alarm_description   = "No new bar of any symbol for more than 5 minutes of an open session. Run: scripts/diagnose, then scripts/backfill"
  comparison_operator = "GreaterThanThreshold"
  threshold           = 5
  evaluation_periods  = 2
  datapoints_to_alarm = 2
  namespace           = "OpsPipeline"
  metric_name         = "SessionMinutesSinceLastBar"
  dimensions          = { Service = each.key }
  statistic           = "Maximum"
  period              = max(60, min(86400, each.value.period_seconds))
  # The silence alarm speaks for a service that rests outside market hours; here a rest is no breach.
  treat_missing_data = each.value.expression == "FILL(runs, 0)" ? "breaching" : "notBreaching"

  alarm_actions = [aws_sns_topic.alarms.arn]
  ok_actions    = [aws_sns_topic.alarms.arn]
}

# What cannot be read is neither well nor ill. A watcher that is refused reports "unknown" and finds nothing else.
resource "aws_cloudwatch_metric_alarm" "blind" {
  for_each = local.watchers

  alarm_name          = "${var.project}-blind${length(local.watchers) == 1 ? "" : "-${replace(each.key, "_", "-")}"}"
  alarm_description   = "The watcher cannot read a part of what it watches; nothing of that part is known. Run: scripts/status, which names the part and what refused it"
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  # Twice in a row: one reading that fails heals by itself.
  evaluation_periods  = 2
  datapoints_to_alarm = 2
  namespace           = "OpsPipeline"
  metric_name         = "FindingsUnknown"
  dimensions          = { Service = each.key }
  statistic           = "Maximum"
  period              = max(60, min(43200, each.value.period_seconds))
  # A watcher that does not run at all is the silence alarm's.
  treat_missing_data = "notBreaching"

  alarm_actions = [aws_sns_topic.alarms.arn]
  ok_actions    = [aws_sns_topic.alarms.arn]
}

resource "aws_cloudwatch_metric_alarm" "dead_letters" {
  alarm_name          = "${var.project}-dead-letters"
  alarm_description   = "Invocations could not be delivered and lie in ${var.project}-dead-letters; each message names its schedule and the error. Run: scripts/diagnose"
  namespace           = "AWS/SQS"
  metric_name         = "ApproximateNumberOfMessagesVisible"
  dimensions          = { QueueName = aws_sqs_queue.dead_letters.name }
  statistic           = "Maximum"
  period              = 60
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  # A queue that nobody touches stops counting after six hours: that is an empty one.
  treat_missing_data = "notBreaching"

  alarm_actions = [aws_sns_topic.alarms.arn]
  ok_actions    = [aws_sns_topic.alarms.arn]
}

resource "aws_cloudwatch_metric_alarm" "database" {
  for_each = local.database_alarms

  alarm_name          = "${var.project}-database-${each.key}"
  alarm_description   = each.value.says
  namespace           = "AWS/RDS"
  metric_name         = each.value.metric
  dimensions          = { DBInstanceIdentifier = var.database_identifier }
  statistic           = each.value.statistic
  period              = 60
  evaluation_periods  = 5
  datapoints_to_alarm = 5
  comparison_operator = each.value.operator
  threshold           = each.value.threshold
  treat_missing_data  = "breaching"

  alarm_actions = [aws_sns_topic.alarms.arn]
  ok_actions    = [aws_sns_topic.alarms.arn]
}

# A composite alarm takes 100 children at most: above that it asks groups of 90.
locals {
  down_children = concat(
    [for name in sort(keys(var.service_alarms)) : var.service_alarms[name].silent],
    [for name in sort(keys(local.bar_stores)) : aws_cloudwatch_metric_alarm.no_bars[name].alarm_name],
  )
  down_count  = length(var.service_alarms) + length(local.bar_stores)
  down_groups = local.down_count <= 100 ? {} : { for index in range(ceil(local.down_count / 90)) : format("%02d", index + 1) => index * 90 }
}

resource "aws_cloudwatch_composite_alarm" "down_group" {
  for_each = local.down_groups

  alarm_name        = "${var.project}-down-${each.key}"
  alarm_description = "Part of ${var.project}-down."
  alarm_rule = join(" OR ", [
    for name in slice(local.down_children, each.value, min(each.value + 90, local.down_count)) : "ALARM(\"${name}\")"
  ])
}

resource "aws_cloudwatch_composite_alarm" "down" {
  alarm_name        = "${var.project}-down"
  alarm_description = "PIPELINE DOWN: a stage is silent or no bars come in; everything after it starves. Run: scripts/diagnose, then the repair that it names"
  alarm_rule = join(" OR ", [
    for name in(length(local.down_groups) == 0 ? local.down_children : [for group in aws_cloudwatch_composite_alarm.down_group : group.alarm_name]) : "ALARM(\"${name}\")"
  ])

  alarm_actions = [aws_sns_topic.alarms.arn]
  ok_actions    = [aws_sns_topic.alarms.arn]
}

# Over the whole account: a filter by tag counts nothing until someone activates the tag for billing.
resource "aws_budgets_budget" "monthly" {
  name         = "${var.project}-monthly"
  budget_type  = "COST"
  limit_amount = format("%.1f", var.budget_usd)
  limit_unit   = "USD"
  time_unit    = "MONTHLY"

  notification {
    comparison_operator       = "GREATER_THAN"
    threshold                 = 80
    threshold_type            = "PERCENTAGE"
    notification_type         = "FORECASTED"
    subscriber_sns_topic_arns = [aws_sns_topic.alarms.arn]
  }

  notification {
    comparison_operator       = "GREATER_THAN"
    threshold                 = 100
    threshold_type            = "PERCENTAGE"
    notification_type         = "ACTUAL"
    subscriber_sns_topic_arns = [aws_sns_topic.alarms.arn]
  }
}

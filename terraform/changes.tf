# Who changes a trigger wakes the watcher: it looks at once, not within five minutes. CloudTrail hands changes to EventBridge in
# the region where they were made, and only in an account that has a trail (docs/decisions/0014); the schedule is what is relied on.
locals {
  watchers = { for name, service in local.services : name => service if service.watches && service.kind == "lambda" }

  # Of Scheduler and of rules every change; of ECS and IAM what can stop a start. IAM's events come in us-east-1 alone.
  waking_changes = [
    "CreateSchedule", "UpdateSchedule", "DeleteSchedule", "DeleteScheduleGroup",
    "PutRule", "PutTargets", "EnableRule",
    "DeregisterTaskDefinition", "DeleteCluster",
    "UpdateAssumeRolePolicy", "PutRolePolicy", "DeleteRolePolicy", "AttachRolePolicy", "DetachRolePolicy", "PutRolePermissionsBoundary", "DeleteRole",
  ]
}

resource "aws_cloudwatch_event_rule" "changes" {
  count = length(local.watchers) == 0 ? 0 : 1

  name        = "${local.project}-changes"
  description = "Wakes the watcher when somebody changes what starts or permits a job."
  event_pattern = jsonencode({
    source      = ["aws.scheduler", "aws.events", "aws.ecs", "aws.iam"]
    detail-type = ["AWS API Call via CloudTrail"]
    detail      = { eventName = local.waking_changes, errorCode = [{ exists = false }] }
  })
}

resource "aws_cloudwatch_event_target" "changes" {
  for_each = local.watchers

  rule      = aws_cloudwatch_event_rule.changes[0].name
  target_id = each.key
  arn       = module.service[each.key].target_arn
}

resource "aws_lambda_permission" "changes" {
  for_each = local.watchers

  statement_id   = "WakeOnChanges"
  action         = "lambda:InvokeFunction"
  function_name  = each.value.task_definition
  principal      = "events.amazonaws.com"
  source_arn     = aws_cloudwatch_event_rule.changes[0].arn
  source_account = local.account.id

  depends_on = [module.service]
}

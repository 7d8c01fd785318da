# Why tasks stopped. ECS forgets a stopped task after an hour; the event is kept here. The rule starts nothing.
resource "aws_cloudwatch_log_group" "stopped_tasks" {
  #checkov:skip=CKV_AWS_338:the retention is the environment's choice
  # EventBridge writes to groups under /aws/events alone.
  name              = "/aws/events/${var.project}/stopped-tasks"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.key_arn
}

data "aws_iam_policy_document" "stopped_tasks" {
  statement {
    sid       = "KeepStoppedTasks"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["arn:aws:logs:${var.account.region}:${var.account.id}:log-group:/aws/events/${var.project}/*:*"]

    principals {
      type        = "Service"
      identifiers = ["events.amazonaws.com", "delivery.logs.amazonaws.com"]
    }
  }
}

resource "aws_cloudwatch_log_resource_policy" "stopped_tasks" {
  policy_name     = "${var.project}-stopped-tasks"
  policy_document = data.aws_iam_policy_document.stopped_tasks.json
}

resource "aws_cloudwatch_event_rule" "stopped_tasks" {
  name        = "${var.project}-stopped-tasks"
  description = "Keeps the reason for which each task stopped."
  event_pattern = jsonencode({
    source      = ["aws.ecs"]
    detail-type = ["ECS Task State Change"]
    detail      = { clusterArn = [var.cluster_arn], lastStatus = ["STOPPED"] }
  })
}

resource "aws_cloudwatch_event_target" "stopped_tasks" {
  rule      = aws_cloudwatch_event_rule.stopped_tasks.name
  target_id = "log"
  arn       = aws_cloudwatch_log_group.stopped_tasks.arn
}

# Where alarms go, and through whom.
locals {
  # Known before they exist, so that their policies can be given at birth: one call and one wait less each.
  topic_arn = "arn:aws:sns:${var.account.region}:${var.account.id}:${var.project}-alarms"
  queue_arn = "arn:aws:sqs:${var.account.region}:${var.account.id}:${var.project}-dead-letters"
}

data "aws_iam_policy_document" "topic" {
  statement {
    sid       = "OwnAlarmsAndBudgets"
    actions   = ["sns:Publish"]
    resources = [local.topic_arn]

    principals {
      type        = "Service"
      identifiers = ["cloudwatch.amazonaws.com", "budgets.amazonaws.com", "events.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [var.account.id]
    }
  }

  statement {
    sid       = "OnlyByTls"
    effect    = "Deny"
    actions   = ["sns:Publish"]
    resources = [local.topic_arn]

    principals {
      type        = "*"
      identifiers = ["*"]
    }

    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"
      values   = ["false"]
    }
  }
}

resource "aws_sns_topic" "alarms" {
  name              = "${var.project}-alarms"
  kms_master_key_id = var.key_arn
  policy            = data.aws_iam_policy_document.topic.json
}

resource "aws_sns_topic_subscription" "this" {
  for_each = var.subscriptions

  topic_arn = aws_sns_topic.alarms.arn
  protocol  = each.value.protocol
  endpoint  = each.value.endpoint
}

data "aws_iam_policy_document" "dead_letters" {
  statement {
    sid       = "OwnScheduler"
    actions   = ["sqs:SendMessage"]
    resources = [local.queue_arn]

    principals {
      type        = "AWS"
      identifiers = [var.scheduler_role_arn]
    }
  }

  statement {
    sid       = "OnlyByTls"
    effect    = "Deny"
    actions   = ["sqs:*"]
    resources = [local.queue_arn]

    principals {
      type        = "*"
      identifiers = ["*"]
    }

    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"
      values   = ["false"]
    }
  }
}

# One queue for all: a message says whose it is, and which service's schedule failed is counted by schedule group.
resource "aws_sqs_queue" "dead_letters" {
  name                      = "${var.project}-dead-letters"
  message_retention_seconds = 1209600 # two weeks, the most there is
  sqs_managed_sse_enabled   = true
  policy                    = data.aws_iam_policy_document.dead_letters.json
}

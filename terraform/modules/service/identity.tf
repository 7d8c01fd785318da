# Who the service is. Two roles: ECS takes the execution role to start it (image, parameters, log), its code has the task role.
#
# What a service reads and writes are tables, and those are granted by PostgreSQL to its database role. On AWS it needs nothing
# else: parameters come in by its environment, metrics go out as log lines. So a task's own role holds no permission at all.
locals {
  is_task = var.service.kind == "task"

  parameter_arns = concat(
    [aws_ssm_parameter.database_url.arn],
    [for name in values(merge(var.service.parameters, var.service.secrets)) : var.parameter_arns[name]],
  )
  function_arn = "arn:aws:lambda:${var.account.region}:${var.account.id}:function:${var.service.task_definition}"
}

data "aws_iam_policy_document" "trust" {
  statement {
    sid     = local.is_task ? "EcsTasks" : "Lambda"
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = [local.is_task ? "ecs-tasks.amazonaws.com" : "lambda.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [var.account.id]
    }
  }
}

data "aws_iam_policy_document" "parameters" {
  statement {
    sid       = "ReadOwnParameters"
    actions   = ["ssm:GetParameters"]
    resources = local.parameter_arns
  }

  statement {
    sid       = "DecryptOwnSecrets"
    actions   = ["kms:Decrypt"]
    resources = [var.keys.secrets]

    condition {
      test     = "StringEquals"
      variable = "kms:EncryptionContext:PARAMETER_ARN"
      values   = local.parameter_arns
    }
  }

  statement {
    sid       = "WriteOwnLog"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${aws_cloudwatch_log_group.this.arn}:*"]
  }
}

data "aws_iam_policy_document" "execution" {
  source_policy_documents = [data.aws_iam_policy_document.parameters.json]

  statement {
    sid       = "PullOwnImage"
    actions   = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
    resources = ["arn:aws:ecr:${var.account.region}:${var.account.id}:repository/${var.project}/${var.service.name}"]
  }

  statement {
    # The token is the account's, not a repository's: AWS knows no narrower resource.
    sid       = "LogInToRegistry"
    actions   = ["ecr:GetAuthorizationToken"]
    resources = ["*"]
  }
}

resource "aws_iam_role" "execution" {
  count = local.is_task ? 1 : 0

  name               = "${var.project}-${var.service.dashed}-execution"
  description        = "ECS starts ${var.service.name} with it"
  assume_role_policy = data.aws_iam_policy_document.trust.json

  tags = { Service = var.service.name }
}

resource "aws_iam_role_policy" "execution" {
  count = local.is_task ? 1 : 0

  name   = "start"
  role   = aws_iam_role.execution[0].name
  policy = data.aws_iam_policy_document.execution.json
}

resource "aws_iam_role" "task" {
  name               = "${var.project}-${var.service.dashed}-task"
  description        = "The code of ${var.service.name} has it"
  assume_role_policy = data.aws_iam_policy_document.trust.json

  tags = { Service = var.service.name }
}

# A Lambda has one role for start and code.
data "aws_iam_policy_document" "function" {
  source_policy_documents = compact([data.aws_iam_policy_document.parameters.json, var.extra_policy_json])

  statement {
    # AWS knows no narrower resource for the network interfaces of a function; EC2 refuses the function itself by SourceFunctionArn.
    sid = "AttachToNetwork"
    actions = [
      "ec2:CreateNetworkInterface", "ec2:DeleteNetworkInterface", "ec2:DescribeNetworkInterfaces",
      "ec2:DescribeSubnets", "ec2:AssignPrivateIpAddresses", "ec2:UnassignPrivateIpAddresses",
    ]
    resources = ["*"]
  }

  statement {
    sid       = "NeverFromTheCode"
    effect    = "Deny"
    actions   = ["ec2:CreateNetworkInterface", "ec2:DeleteNetworkInterface", "ec2:AssignPrivateIpAddresses", "ec2:UnassignPrivateIpAddresses"]
    resources = ["*"]

    condition {
      test     = "ArnEquals"
      variable = "lambda:SourceFunctionArn"
      values   = [local.function_arn]
    }
  }

  statement {
    sid       = "LeaveDeadLetters"
    actions   = ["sqs:SendMessage"]
    resources = [var.dead_letters_arn]
  }
}

resource "aws_iam_role_policy" "function" {
  count = local.is_task ? 0 : 1

  name   = "run"
  role   = aws_iam_role.task.name
  policy = data.aws_iam_policy_document.function.json
}

# What someone attaches by hand is taken off again.
resource "aws_iam_role_policies_exclusive" "execution" {
  count = local.is_task ? 1 : 0

  role_name    = aws_iam_role.execution[0].name
  policy_names = [aws_iam_role_policy.execution[0].name]
}

resource "aws_iam_role_policy_attachments_exclusive" "execution" {
  count = local.is_task ? 1 : 0

  role_name   = aws_iam_role.execution[0].name
  policy_arns = []
}

resource "aws_iam_role_policies_exclusive" "task" {
  role_name    = aws_iam_role.task.name
  policy_names = aws_iam_role_policy.function[*].name
}

resource "aws_iam_role_policy_attachments_exclusive" "task" {
  role_name   = aws_iam_role.task.name
  policy_arns = []
}

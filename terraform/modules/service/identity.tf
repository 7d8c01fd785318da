# Who the service is. Two roles: ECS takes the execution role to start it (image, parameters, log), its code has the task role.
#
# What a service reads and writes are tables, and those are granted by PostgreSQL to its database role. On AWS it needs nothing
# else: parameters come in by its environment, metrics go out as log lines. So a task's own role holds no permission at all.
locals {
  is_task = var.service.kind == "task"

  # By name and not from the resources, so that a plan shows whole policies to whoever reviews it.
  place            = "${var.account.region}:${var.account.id}"
  function_arn     = "arn:aws:lambda:${local.place}:function:${var.service.task_definition}"
  database_url     = "/${var.project}/database_url/${var.service.name}"
  log_group        = "/ecs/${var.project}/${var.service.name}"
  database_url_arn = "arn:aws:ssm:${local.place}:parameter${local.database_url}"
  parameter_arns = concat(
    [local.database_url_arn],
    [for name in values(merge(var.service.parameters, var.service.secrets)) : var.parameter_arns[name]],
  )
}

data "aws_iam_policy_document" "trust" {
  statement {
    sid     = local.is_task ? "EcsTasks" : "Lambda"
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = [local.is_task ? "ecs-tasks.amazonaws.com" : "lambda.amazonaws.com"]
    }

    # ECS says for which account it asks; Lambda does not.
    dynamic "condition" {
      for_each = local.is_task ? [var.account.id] : []

      content {
        test     = "StringEquals"
        variable = "aws:SourceAccount"
        values   = [condition.value]
      }
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
    resources = ["arn:aws:logs:${local.place}:log-group:${local.log_group}:*"]
  }
}

data "aws_iam_policy_document" "execution" {
  source_policy_documents = [data.aws_iam_policy_document.parameters.json]

  statement {
    sid       = "PullOwnImage"
    actions   = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
    resources = ["arn:aws:ecr:${local.place}:repository/${var.project}/${var.service.name}"]
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
  #checkov:skip=CKV_AWS_111:Lambda's network interfaces have no name before they exist; NeverFromTheCode keeps the code away from them
  #checkov:skip=CKV_AWS_356:as above
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
    sid       = "EncryptPageAndNotice"
    actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
    resources = [var.keys.operations]
  }

  statement {
    sid       = "LeaveDeadLetters"
    actions   = ["sqs:SendMessage"]
    resources = ["arn:aws:sqs:${local.place}:${var.project}-dead-letters"]
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

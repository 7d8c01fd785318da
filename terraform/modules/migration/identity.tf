# Two roles. ECS starts the task with the execution role, which alone may read the master password; the task's own role may write
# the addresses of the services' logins, and nothing else on AWS.
locals {
  place         = "${var.account.region}:${var.account.id}"
  log_group     = "/ecs/${var.project}/${local.name}"
  addresses_arn = "arn:aws:ssm:${local.place}:parameter/${var.project}/database_url/*"
}

data "aws_iam_policy_document" "trust" {
  statement {
    sid     = "EcsTasks"
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["ecs-tasks.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [var.account.id]
    }
  }
}

data "aws_iam_policy_document" "execution" {
  statement {
    sid       = "ReadTheMasterPassword"
    actions   = ["secretsmanager:GetSecretValue"]
    resources = [var.database.master_secret_arn]
  }

  statement {
    sid       = "DecryptTheMasterPassword"
    actions   = ["kms:Decrypt"]
    resources = [var.keys.data]

    condition {
      test     = "StringEquals"
      variable = "kms:EncryptionContext:SecretARN"
      values   = [var.database.master_secret_arn]
    }

    condition {
      test     = "StringEquals"
      variable = "kms:ViaService"
      values   = ["secretsmanager.${var.account.region}.amazonaws.com"]
    }
  }

  statement {
    sid       = "WriteOwnLog"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["arn:aws:logs:${local.place}:log-group:${local.log_group}:*"]
  }

  statement {
    sid       = "PullItsImage"
    actions   = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
    resources = ["arn:aws:ecr:${local.place}:repository/${var.image.repository}"]
  }

  statement {
    # The token is the account's, not a repository's: AWS knows no narrower resource.
    sid       = "LogInToRegistry"
    actions   = ["ecr:GetAuthorizationToken"]
    resources = ["*"]
  }
}

data "aws_iam_policy_document" "task" {
  statement {
    sid       = "ReadAndWriteTheServicesAddresses"
    actions   = ["ssm:GetParameters", "ssm:PutParameter"]
    resources = [local.addresses_arn]
  }

  statement {
    sid       = "EncryptAndDecryptThem"
    actions   = ["kms:Decrypt", "kms:Encrypt"]
    resources = [var.keys.secrets]

    condition {
      test     = "StringLike"
      variable = "kms:EncryptionContext:PARAMETER_ARN"
      values   = [local.addresses_arn]
    }
  }
}

resource "aws_iam_role" "execution" {
  name               = "${var.project}-${local.name}-execution"
  description        = "ECS starts the migration with it"
  assume_role_policy = data.aws_iam_policy_document.trust.json
}

resource "aws_iam_role_policy" "execution" {
  name   = "start"
  role   = aws_iam_role.execution.name
  policy = data.aws_iam_policy_document.execution.json
}

resource "aws_iam_role" "task" {
  name               = "${var.project}-${local.name}-task"
  description        = "The code of the migration has it"
  assume_role_policy = data.aws_iam_policy_document.trust.json
}

resource "aws_iam_role_policy" "task" {
  name   = "store-addresses"
  role   = aws_iam_role.task.name
  policy = data.aws_iam_policy_document.task.json
}

# What someone attaches by hand is taken off again.
resource "aws_iam_role_policies_exclusive" "this" {
  for_each = { (aws_iam_role.execution.name) = aws_iam_role_policy.execution.name, (aws_iam_role.task.name) = aws_iam_role_policy.task.name }

  role_name    = each.key
  policy_names = [each.value]
}

resource "aws_iam_role_policy_attachments_exclusive" "this" {
  for_each = toset([aws_iam_role.execution.name, aws_iam_role.task.name])

  role_name   = each.key
  policy_arns = []
}

# What GitHub's workflows may do, without any key. `plan` compares code with state for pull requests, `drift` compares state with
# reality for main, `push` stores images for main. No role applies; a person does.
locals {
  main = ["repo:${coalesce(var.github_repository, "-")}:ref:refs/heads/main"]
  github = var.github_repository == null ? {} : {
    plan  = ["repo:${var.github_repository}:pull_request"]
    drift = local.main
    push  = local.main
  }
  policies = {
    plan  = data.aws_iam_policy_document.plan.json
    drift = data.aws_iam_policy_document.drift.json
    push  = data.aws_iam_policy_document.push.json
  }
}

resource "aws_iam_openid_connect_provider" "github" {
  count = var.github_repository == null ? 0 : 1

  url            = "https://token.actions.githubusercontent.com"
  client_id_list = ["sts.amazonaws.com"]
  # AWS has its own trust store for this issuer and ignores the thumbprint, but some regions' interface still wants one.
  thumbprint_list = ["6938fd4d98bab03faadb97b34396831e3780aea1"]
}

data "aws_iam_policy_document" "trust" {
  for_each = local.github

  statement {
    sid     = "GitHubActions"
    actions = ["sts:AssumeRoleWithWebIdentity"]

    principals {
      type        = "Federated"
      identifiers = [aws_iam_openid_connect_provider.github[0].arn]
    }

    condition {
      test     = "StringEquals"
      variable = "token.actions.githubusercontent.com:aud"
      values   = ["sts.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "token.actions.githubusercontent.com:sub"
      values   = each.value
    }
  }
}

data "aws_iam_policy_document" "plan" {
  #checkov:skip=CKV_AWS_356:a plan reads what exists, whatever it is called; every action here reads
  statement {
    # Listing and describing know no narrower resource; what they show are settings, never a secret's value.
    sid = "ReadSettings"
    actions = [
      "application-autoscaling:Describe*", "backup:Describe*", "backup:Get*", "backup:List*", "budgets:Describe*", "budgets:List*", "budgets:ViewBudget",
      "cloudtrail:LookupEvents", "cloudwatch:Describe*", "cloudwatch:GetDashboard", "cloudwatch:List*",
      "ec2:Describe*", "ecr:Describe*", "ecr:GetLifecyclePolicy", "ecr:GetRepositoryPolicy", "ecr:List*", "ecs:Describe*", "ecs:List*",
      "events:Describe*", "events:List*", "iam:Get*", "iam:List*", "kms:Describe*", "kms:GetKeyPolicy", "kms:GetKeyRotationStatus", "kms:List*",
      "lambda:GetFunction", "lambda:GetFunctionConfiguration", "lambda:GetFunctionEventInvokeConfig", "lambda:GetFunctionCodeSigningConfig",
      "lambda:GetPolicy", "lambda:List*",
      "logs:Describe*", "logs:List*", "rds:Describe*", "rds:List*", "s3:ListAllMyBuckets", "scheduler:Get*", "scheduler:List*",
      "secretsmanager:DescribeSecret", "secretsmanager:ListSecrets",
      "sns:Get*", "sns:List*", "sqs:GetQueueAttributes", "sqs:GetQueueUrl", "sqs:List*", "ssm:Describe*", "ssm:List*", "tag:Get*",
    ]
    resources = ["*"]
  }

  statement {
    sid       = "ReadParametersThatAreNoSecret"
    actions   = ["ssm:GetParameter", "ssm:GetParameters", "ssm:GetParametersByPath"]
    resources = ["arn:aws:ssm:*:*:parameter/${var.project}/*", "arn:aws:ssm:*:*:parameter/${var.project}-deployed/*", "arn:aws:ssm:*:*:parameter/${var.project}-deployed"]
  }

  statement {
    # The key is bootstrap's, known here by its alias alone.
    sid       = "DecryptState"
    actions   = ["kms:Decrypt"]
    resources = ["arn:aws:kms:*:*:key/*"]

    condition {
      test     = "ForAnyValue:StringEquals"
      variable = "kms:ResourceAliases"
      values   = ["alias/${var.project}-state"]
    }
  }

  statement {
    sid       = "ReadState"
    actions   = ["s3:GetObject", "s3:ListBucket"]
    resources = [var.state_bucket_arn, "${var.state_bucket_arn}/*"]
  }

  statement {
    # Without ListBucket a bucket answers 403 to whether it exists, and the provider plans to make it again.
    sid = "ReadOwnBuckets"
    actions = [
      "s3:GetAccelerateConfiguration", "s3:GetBucket*", "s3:GetEncryptionConfiguration", "s3:GetLifecycleConfiguration",
      "s3:GetReplicationConfiguration", "s3:ListBucket",
    ]
    resources = ["arn:aws:s3:::${var.project}-*"]
  }
}

# A refresh decrypts every SecureString only to throw the value away: the provider asks no other way. So what refreshes can read
# secrets, and that is code on main; a pull request, whose code nobody has read yet, plans with -refresh=false.
data "aws_iam_policy_document" "drift" {
  source_policy_documents = [data.aws_iam_policy_document.plan.json]

  statement {
    sid       = "RefreshSecrets"
    actions   = ["kms:Decrypt"]
    resources = [var.secrets_key_arn]

    condition {
      test     = "StringLike"
      variable = "kms:ViaService"
      values   = ["ssm.*.amazonaws.com"]
    }
  }
}

data "aws_iam_policy_document" "push" {
  statement {
    # The token is the account's, not a repository's: AWS knows no narrower resource.
    sid       = "LogInToRegistry"
    actions   = ["ecr:GetAuthorizationToken"]
    resources = ["*"]
  }

  statement {
    sid = "PushImages"
    actions = [
      "ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:CompleteLayerUpload", "ecr:DescribeImages",
      "ecr:GetDownloadUrlForLayer", "ecr:InitiateLayerUpload", "ecr:PutImage", "ecr:UploadLayerPart",
    ]
    resources = [for repository in aws_ecr_repository.this : repository.arn]
  }
}

resource "aws_iam_role" "github" {
  for_each = local.github

  name                 = "${var.project}-github-${each.key}"
  description          = "GitHub's workflows take it to ${each.key}"
  assume_role_policy   = data.aws_iam_policy_document.trust[each.key].json
  max_session_duration = 3600
}

resource "aws_iam_role_policy" "github" {
  for_each = local.github

  name   = each.key
  role   = aws_iam_role.github[each.key].name
  policy = local.policies[each.key]
}

resource "aws_iam_role_policies_exclusive" "github" {
  for_each = local.github

  role_name    = aws_iam_role.github[each.key].name
  policy_names = [aws_iam_role_policy.github[each.key].name]
}

resource "aws_iam_role_policy_attachments_exclusive" "github" {
  for_each = local.github

  role_name   = aws_iam_role.github[each.key].name
  policy_arns = []
}

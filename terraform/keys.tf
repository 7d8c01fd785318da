# The keys: for operations (logs, topic, pages, images), for secrets, and where there is a database for what it stores.
locals {
  key_policies = {
    operations = data.aws_iam_policy_document.operations_key.json
    secrets    = data.aws_iam_policy_document.account_key.json
    data       = data.aws_iam_policy_document.account_key.json
  }
  keys = toset(concat(["operations", "secrets"], var.database == null ? [] : ["data"]))
}

data "aws_iam_policy_document" "account_key" {
  #checkov:skip=CKV_AWS_109:a key's policy names itself by *; without the account's root a key can become unmanageable
  #checkov:skip=CKV_AWS_111:as above
  #checkov:skip=CKV_AWS_356:as above
  statement {
    sid       = "TheAccountsIamDecides"
    actions   = ["kms:*"]
    resources = ["*"]

    principals {
      type        = "AWS"
      identifiers = ["arn:aws:iam::${local.account.id}:root"]
    }
  }
}

data "aws_iam_policy_document" "operations_key" {
  #checkov:skip=CKV_AWS_109:a key's policy names itself by *
  #checkov:skip=CKV_AWS_111:as above
  #checkov:skip=CKV_AWS_356:as above
  source_policy_documents = [data.aws_iam_policy_document.account_key.json]

  statement {
    sid       = "AlarmsAndBudgetsReachTheTopic"
    actions   = ["kms:Decrypt", "kms:GenerateDataKey*"]
    resources = ["*"]

    principals {
      type        = "Service"
      identifiers = ["cloudwatch.amazonaws.com", "budgets.amazonaws.com", "events.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.account.id]
    }
  }

  statement {
    sid       = "LogsOfThisAccount"
    actions   = ["kms:Encrypt*", "kms:Decrypt*", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:Describe*"]
    resources = ["*"]

    principals {
      type        = "Service"
      identifiers = ["logs.${local.region}.amazonaws.com"]
    }

    condition {
      test     = "ArnLike"
      variable = "kms:EncryptionContext:aws:logs:arn"
      values   = ["arn:aws:logs:${local.region}:${local.account.id}:log-group:*"]
    }
  }
}

resource "aws_kms_key" "this" {
  for_each = local.keys

  description             = "${module.catalog.project}: ${each.key}"
  enable_key_rotation     = true
  deletion_window_in_days = var.protected ? 30 : 7
  policy                  = local.key_policies[each.key]
}

resource "aws_kms_alias" "this" {
  for_each = aws_kms_key.this

  name          = "alias/${module.catalog.project}-${each.key}"
  target_key_id = each.value.key_id
}

# AWS Backup's daily copies, in a vault of their own, and once more in another region where the environment names one.
locals {
  copies = var.backup.copy_region == null ? toset([]) : toset([var.backup.copy_region])
}

resource "aws_backup_vault" "this" {
  name          = var.project
  kms_key_arn   = var.key_arn
  force_destroy = !var.protected
}

resource "aws_kms_key" "copy" {
  for_each = local.copies
  provider = aws.copy

  description             = "${var.project}: copies of backups"
  enable_key_rotation     = true
  deletion_window_in_days = 30
  policy                  = var.copy_key_policy_json
}

resource "aws_backup_vault" "copy" {
  for_each = local.copies
  provider = aws.copy

  name          = "${var.project}-copy"
  kms_key_arn   = aws_kms_key.copy[each.key].arn
  force_destroy = !var.protected
}

resource "aws_backup_plan" "daily" {
  name = var.project

  rule {
    rule_name         = "daily"
    target_vault_name = aws_backup_vault.this.name
    schedule          = "cron(0 5 * * ? *)"
    start_window      = 60
    completion_window = 180

    lifecycle {
      delete_after = var.backup.daily_days
    }

    dynamic "copy_action" {
      for_each = aws_backup_vault.copy

      content {
        destination_vault_arn = copy_action.value.arn

        lifecycle {
          delete_after = var.backup.daily_days
        }
      }
    }
  }
}

data "aws_iam_policy_document" "backup_trust" {
  statement {
    sid     = "Backup"
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["backup.amazonaws.com"]
    }
  }
}

resource "aws_iam_role" "backup" {
  name               = "${var.project}-backup"
  assume_role_policy = data.aws_iam_policy_document.backup_trust.json
}

resource "aws_iam_role_policy_attachment" "backup" {
  for_each = toset(["AWSBackupServiceRolePolicyForBackup", "AWSBackupServiceRolePolicyForRestores"])

  role       = aws_iam_role.backup.name
  policy_arn = "arn:aws:iam::aws:policy/service-role/${each.value}"
}

resource "aws_backup_selection" "database" {
  name         = "${var.project}-database"
  plan_id      = aws_backup_plan.daily.id
  iam_role_arn = aws_iam_role.backup.arn
  resources    = [aws_db_instance.this.arn]
}

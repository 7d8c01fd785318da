# The bucket that holds Terraform's state, applied once an account. S3 locks by itself (use_lockfile), no table is needed.
variable "region" {
  description = "Region of the bucket, where it is not the catalogue's (a rebuild elsewhere); null for the catalogue's."
  type        = string
  default     = null
}

locals {
  catalog = yamldecode(file("${path.root}/../../services.yaml"))
  region  = coalesce(var.region, local.catalog.region)
  # Names of buckets are one for all regions (scripts/ops/state_bucket.py).
  suffix = local.region == local.catalog.region ? "" : "-${local.region}"
}

data "aws_caller_identity" "current" {}

data "aws_iam_policy_document" "key" {
  #checkov:skip=CKV_AWS_109:a key's policy names itself by *; without the account's root a key can become unmanageable
  #checkov:skip=CKV_AWS_111:as above
  #checkov:skip=CKV_AWS_356:as above
  statement {
    sid       = "TheAccountsIamDecides"
    actions   = ["kms:*"]
    resources = ["*"]

    principals {
      type        = "AWS"
      identifiers = ["arn:aws:iam::${data.aws_caller_identity.current.account_id}:root"]
    }
  }
}

resource "aws_kms_key" "state" {
  description             = "${local.catalog.project}: Terraform's state"
  enable_key_rotation     = true
  deletion_window_in_days = 30
  policy                  = data.aws_iam_policy_document.key.json
}

# modules/delivery lets CI decrypt the state by this name.
resource "aws_kms_alias" "state" {
  name          = "alias/${local.catalog.project}-state"
  target_key_id = aws_kms_key.state.key_id
}

resource "aws_s3_bucket" "state" {
  #checkov:skip=CKV_AWS_18:CloudTrail sees who reads the state
  #checkov:skip=CKV_AWS_144:the state is no backup; what it describes can be imported again
  #checkov:skip=CKV2_AWS_62:nothing reacts to a new state
  bucket = "${local.catalog.project}-state-${data.aws_caller_identity.current.account_id}${local.suffix}"

  lifecycle {
    prevent_destroy = true
  }
}

resource "aws_s3_bucket_public_access_block" "state" {
  bucket = aws_s3_bucket.state.id

  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_versioning" "state" {
  bucket = aws_s3_bucket.state.id

  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "state" {
  bucket = aws_s3_bucket.state.id

  rule {
    bucket_key_enabled = true

    apply_server_side_encryption_by_default {
      sse_algorithm     = "aws:kms"
      kms_master_key_id = aws_kms_key.state.arn
    }
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "state" {
  bucket = aws_s3_bucket.state.id

  rule {
    id     = "old-states"
    status = "Enabled"

    filter {}

    noncurrent_version_expiration {
      noncurrent_days = 365
    }

    abort_incomplete_multipart_upload {
      days_after_initiation = 7
    }
  }
}

data "aws_iam_policy_document" "state" {
  statement {
    sid       = "OnlyByTls"
    effect    = "Deny"
    actions   = ["s3:*"]
    resources = [aws_s3_bucket.state.arn, "${aws_s3_bucket.state.arn}/*"]

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

resource "aws_s3_bucket_policy" "state" {
  bucket = aws_s3_bucket.state.id
  policy = data.aws_iam_policy_document.state.json

  depends_on = [aws_s3_bucket_public_access_block.state]
}

output "bucket" {
  description = "Give it to the root: terraform init -backend-config=environments/<environment>.backend.hcl -backend-config=bucket=<this>."
  value       = aws_s3_bucket.state.bucket
}

output "key_arn" {
  description = "ARN of the key that encrypts the state."
  value       = aws_kms_key.state.arn
}

# The status page and the runbooks' journals.
resource "aws_s3_bucket" "records" {
  #checkov:skip=CKV_AWS_18:nobody but the healthcheck and the operators comes here, and CloudTrail sees them
  #checkov:skip=CKV_AWS_144:pages are made anew every five minutes; journals are also on the operator's disk
  #checkov:skip=CKV2_AWS_62:nothing reacts to a new page
  bucket        = "${var.project}-records-${var.account.id}-${var.account.region}"
  force_destroy = !var.protected
}

resource "aws_s3_bucket_public_access_block" "records" {
  bucket = aws_s3_bucket.records.id

  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_versioning" "records" {
  bucket = aws_s3_bucket.records.id

  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "records" {
  bucket = aws_s3_bucket.records.id

  rule {
    bucket_key_enabled = true

    apply_server_side_encryption_by_default {
      sse_algorithm     = "aws:kms"
      kms_master_key_id = var.key_arn
    }
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "records" {
  count = var.old_pages_days == null ? 0 : 1

  bucket = aws_s3_bucket.records.id

  # A page every five minutes is 105,000 old versions a year.
  rule {
    id     = "old-versions"
    status = "Enabled"

    filter {}

    noncurrent_version_expiration {
      noncurrent_days = var.old_pages_days
    }

    abort_incomplete_multipart_upload {
      days_after_initiation = 7
    }
  }
}

data "aws_iam_policy_document" "records" {
  statement {
    sid       = "OnlyByTls"
    effect    = "Deny"
    actions   = ["s3:*"]
    resources = [aws_s3_bucket.records.arn, "${aws_s3_bucket.records.arn}/*"]

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

resource "aws_s3_bucket_policy" "records" {
  bucket = aws_s3_bucket.records.id
  policy = data.aws_iam_policy_document.records.json

  depends_on = [aws_s3_bucket_public_access_block.records]
}

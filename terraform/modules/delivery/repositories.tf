# Where images are pushed: one repository a service, tags that never move.
resource "aws_ecr_repository" "this" {
  for_each = var.services

  name                 = "${var.project}/${each.key}"
  image_tag_mutability = "IMMUTABLE"
  force_delete         = !var.protected

  image_scanning_configuration {
    scan_on_push = true
  }

  encryption_configuration {
    encryption_type = "KMS"
    kms_key         = var.key_arn
  }

  tags = { Service = each.key }
}

resource "aws_ecr_lifecycle_policy" "this" {
  for_each = aws_ecr_repository.this

  repository = each.value.name
  policy = jsonencode({ rules = [
    {
      rulePriority = 1
      description  = "Layers that lost their tag go after a week"
      selection    = { tagStatus = "untagged", countType = "sinceImagePushed", countUnit = "days", countNumber = 7 }
      action       = { type = "expire" }
    },
    {
      rulePriority = 2
      description  = "The last 50 images stay, for rollback"
      selection    = { tagStatus = "any", countType = "imageCountMoreThan", countNumber = 50 }
      action       = { type = "expire" }
    },
  ] })
}

# ECS pulls with the execution role; Lambda pulls by itself, and would write this policy by itself if it were not here.
data "aws_iam_policy_document" "function" {
  for_each = var.function_arns

  statement {
    sid     = "OwnFunction"
    actions = ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]

    principals {
      type        = "Service"
      identifiers = ["lambda.amazonaws.com"]
    }

    condition {
      test     = "ArnLike"
      variable = "aws:SourceArn"
      values   = [each.value]
    }
  }
}

resource "aws_ecr_repository_policy" "function" {
  for_each = var.function_arns

  repository = aws_ecr_repository.this[each.key].name
  policy     = data.aws_iam_policy_document.function[each.key].json
}

# A task without a schedule: it brings the database to the image's schema and gives each service its login. A person starts it.
locals {
  name = "migrate"
}

resource "aws_cloudwatch_log_group" "this" {
  #checkov:skip=CKV_AWS_338:what a migration did stands in the database (schema_migrations), for ever
  name              = local.log_group
  retention_in_days = var.log_retention_days
  kms_key_id        = var.keys.operations
}

resource "aws_ecs_task_definition" "this" {
  family                   = "${var.project}-${local.name}"
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = 256
  memory                   = 512
  execution_role_arn       = aws_iam_role.execution.arn
  task_role_arn            = aws_iam_role.task.arn

  runtime_platform {
    operating_system_family = "LINUX"
    cpu_architecture        = "X86_64"
  }

  container_definitions = jsonencode([{
    name                   = local.name
    image                  = "${var.image.address}@${var.image.digest}"
    entryPoint             = ["python", "-m"] # whatever the image's own is
    command                = ["pipeline.migrate"]
    essential              = true
    user                   = "10001" # images/base/Dockerfile makes it
    readonlyRootFilesystem = true
    stopTimeout            = 30
    linuxParameters        = { initProcessEnabled = true, capabilities = { drop = ["ALL"] } }
    environment = [
      { name = "AWS_REGION", value = var.account.region },
      { name = "DATABASE_ADDRESS", value = "postgresql://${var.database.endpoint}/${var.database.name}?sslmode=verify-full" },
      { name = "SECRETS_KEY", value = var.keys.secrets },
    ]
    # One key of the secret's JSON each; RDS rotates it, and ECS reads it anew at every start.
    secrets = [
      { name = "MASTER_PASSWORD", valueFrom = "${var.database.master_secret_arn}:password::" },
      { name = "MASTER_USERNAME", valueFrom = "${var.database.master_secret_arn}:username::" },
    ]
    logConfiguration = {
      logDriver = "awslogs"
      options = {
        "awslogs-group"         = aws_cloudwatch_log_group.this.name
        "awslogs-region"        = var.account.region
        "awslogs-stream-prefix" = local.name
      }
    }
  }])

  # A deployment that fails half-way must not leave an account without the definition that mends it.
  lifecycle {
    create_before_destroy = true
  }
}

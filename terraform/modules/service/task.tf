# What runs: an ECS task, or a Lambda, from the image that the lock file names.
locals {
  image = "${var.image.address}@${var.image.digest}"

  environment = merge(var.environment, { IMAGE_DIGEST = var.image.digest })

  # Names in the order of the environment, so that a plan is empty when nothing changed.
  environment_list = [for key in sort(keys(local.environment)) : { name = key, value = local.environment[key] }]
  secrets = merge(
    { for key, name in merge(var.service.parameters, var.service.secrets) : key => var.parameter_arns[name] },
    { DATABASE_URL = local.database_url_arn },
  )
}

# Each service connects with a login of its own. The value is set once and rotated outside (docs/decisions/0003); a version that
# never changes means that Terraform never writes it again, and a write-only value is in no plan and no state.
resource "aws_ssm_parameter" "database_url" {
  name             = local.database_url
  description      = "Where ${var.service.name} finds the database, with its own login."
  type             = "SecureString"
  key_id           = var.keys.secrets
  value_wo         = var.initial_database_url
  value_wo_version = 1

  tags = { Service = var.service.name }
}

resource "aws_cloudwatch_log_group" "this" {
  #checkov:skip=CKV_AWS_338:the run ledger is kept for ever in the database; log lines as long as the environment says
  name              = local.log_group
  retention_in_days = var.log_retention_days
  kms_key_id        = var.keys.operations

  tags = { Service = var.service.name }
}

resource "aws_ecs_task_definition" "this" {
  count = local.is_task ? 1 : 0

  family                   = var.service.task_definition
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = var.service.cpu
  memory                   = var.service.memory
  execution_role_arn       = aws_iam_role.execution[0].arn
  task_role_arn            = aws_iam_role.task.arn

  runtime_platform {
    operating_system_family = "LINUX"
    cpu_architecture        = "X86_64"
  }

  container_definitions = jsonencode([{
    name                   = var.service.name
    image                  = local.image
    essential              = true
    user                   = "10001" # images/base/Dockerfile makes it
    readonlyRootFilesystem = true
    stopTimeout            = 30 # the harness ends by itself 20 s after SIGTERM
    linuxParameters        = { initProcessEnabled = true, capabilities = { drop = ["ALL"] } }
    environment            = local.environment_list
    secrets                = [for key in sort(keys(local.secrets)) : { name = key, valueFrom = local.secrets[key] }]
    logConfiguration = {
      logDriver = "awslogs"
      options = {
        "awslogs-group"         = aws_cloudwatch_log_group.this.name
        "awslogs-region"        = var.account.region
        "awslogs-stream-prefix" = var.service.name
      }
    }
  }])

  tags = { Service = var.service.name }

  # The schedule must point at the new revision before the old one goes.
  lifecycle {
    create_before_destroy = true
  }
}

# ECS hands a task its parameters; Lambda knows no such thing, so the function is told their names and fetches them at its start.
resource "aws_lambda_function" "this" {
  #checkov:skip=CKV_AWS_272:code signing is for zip archives; an image is pinned by its digest
  #checkov:skip=CKV_AWS_115:the harness's lock keeps two runs apart, and a fresh account has ten concurrent executions, of which none can be reserved
  #checkov:skip=CKV_AWS_50:one function that calls nothing of ours has nothing to trace
  count = local.is_task ? 0 : 1

  function_name = var.service.task_definition
  description   = var.service.purpose
  package_type  = "Image"
  image_uri     = local.image
  architectures = ["x86_64"]
  role          = aws_iam_role.task.arn
  memory_size   = var.service.memory
  timeout       = 60
  kms_key_arn   = var.keys.operations

  environment {
    variables = merge(local.environment, {
      PARAMETERS = jsonencode(merge(
        { for key, name in merge(var.service.parameters, var.service.secrets) : key => "/${var.project}/${name}" },
        { DATABASE_URL = aws_ssm_parameter.database_url.name },
      ))
    })
  }

  vpc_config {
    subnet_ids                  = var.lambda_subnet_ids
    security_group_ids          = var.network.security_group_ids
    ipv6_allowed_for_dual_stack = true
  }

  logging_config {
    log_format = "Text" # the harness writes JSON lines itself
    log_group  = aws_cloudwatch_log_group.this.name
  }

  dead_letter_config {
    target_arn = var.dead_letters_arn
  }

  tags = { Service = var.service.name }

  # AWS tries the role when the function is made.
  depends_on = [aws_iam_role_policy.function]
}

# A run that failed is not repeated: the next one is five minutes away and sees more.
resource "aws_lambda_function_event_invoke_config" "this" {
  count = local.is_task ? 0 : 1

  function_name                = aws_lambda_function.this[0].function_name
  maximum_event_age_in_seconds = var.service.schedule.maximum_event_age_seconds
  maximum_retry_attempts       = 0
}

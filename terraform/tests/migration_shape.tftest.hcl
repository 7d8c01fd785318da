# The migration's container, with a provider that only pretends.
mock_provider "aws" {
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{\"Version\":\"2012-10-17\",\"Statement\":[]}" }
  }

  override_resource {
    target = aws_iam_role.execution
    values = { arn = "arn:aws:iam::123456789012:role/ops-pipeline-migrate-execution" }
  }

  override_resource {
    target = aws_iam_role.task
    values = { arn = "arn:aws:iam::123456789012:role/ops-pipeline-migrate-task" }
  }
}

variables {
  project = "ops-pipeline"
  account = { id = "123456789012", region = "us-west-2" }
  image = {
    address    = "123456789012.dkr.ecr.us-west-2.amazonaws.com/ops-pipeline/some_service"
    repository = "ops-pipeline/some_service"
    digest     = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
  }
  database = {
    endpoint          = "ops-pipeline.abc.us-west-2.rds.amazonaws.com:5432"
    name              = "pipeline"
    master_secret_arn = "arn:aws:secretsmanager:us-west-2:123456789012:secret:rds!db-1-AbCdEf"
  }
  keys = {
    operations = "arn:aws:kms:us-west-2:123456789012:key/operations"
    secrets    = "arn:aws:kms:us-west-2:123456789012:key/secrets"
    data       = "arn:aws:kms:us-west-2:123456789012:key/data"
  }
  log_retention_days = 7
}

run "the_container_is_pinned_read_only_and_nobody" {
  command = apply

  module {
    source = "./modules/migration"
  }

  assert {
    condition     = aws_ecs_task_definition.this.family == "ops-pipeline-migrate" && aws_ecs_task_definition.this.execution_role_arn != aws_ecs_task_definition.this.task_role_arn
    error_message = "Another family, or the code would have the rights of its start."
  }

  assert {
    condition = alltrue([for container in jsondecode(aws_ecs_task_definition.this.container_definitions) :
      container.image == "${var.image.address}@${var.image.digest}" && container.readonlyRootFilesystem && container.user == "10001"
    ])
    error_message = aws_ecs_task_definition.this.container_definitions
  }

  assert {
    condition = alltrue([for container in jsondecode(aws_ecs_task_definition.this.container_definitions) :
      concat(container.entryPoint, container.command) == ["python", "-m", "pipeline.migrate"]
    ])
    error_message = "It would run the service whose image it takes."
  }
}

run "the_master_password_comes_as_a_secret_and_the_address_without_a_login" {
  command = apply

  module {
    source = "./modules/migration"
  }

  assert {
    condition = { for secret in jsondecode(aws_ecs_task_definition.this.container_definitions)[0].secrets : secret.name => secret.valueFrom } == {
      MASTER_PASSWORD = "${var.database.master_secret_arn}:password::"
      MASTER_USERNAME = "${var.database.master_secret_arn}:username::"
    }
    error_message = aws_ecs_task_definition.this.container_definitions
  }

  assert {
    condition = { for pair in jsondecode(aws_ecs_task_definition.this.container_definitions)[0].environment : pair.name => pair.value } == {
      AWS_REGION       = "us-west-2"
      DATABASE_ADDRESS = "postgresql://ops-pipeline.abc.us-west-2.rds.amazonaws.com:5432/pipeline?sslmode=verify-full"
      SECRETS_KEY      = var.keys.secrets
    }
    error_message = aws_ecs_task_definition.this.container_definitions
  }
}

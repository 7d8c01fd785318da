# The task that migrates: what it is, and how little it may do. The provider is the real one, since it writes the policies, but it
# never asks AWS.
provider "aws" {
  region                      = "us-west-2"
  access_key                  = "none"
  secret_key                  = "none"
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  skip_region_validation      = true
  skip_requesting_account_id  = true
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

run "the_task_may_write_the_services_addresses_and_nothing_else" {
  command = plan

  module {
    source = "./modules/migration"
  }

  assert {
    condition     = toset(flatten([for statement in jsondecode(output.task_policy_json).Statement : statement.Action])) == toset(["ssm:GetParameters", "ssm:PutParameter", "kms:Decrypt", "kms:Encrypt"])
    error_message = output.task_policy_json
  }

  assert {
    condition = alltrue([for statement in jsondecode(output.task_policy_json).Statement :
      startswith(flatten([statement.Action])[0], "kms:") ? (
        statement.Resource == var.keys.secrets && statement.Condition.StringLike["kms:EncryptionContext:PARAMETER_ARN"] == "arn:aws:ssm:us-west-2:123456789012:parameter/ops-pipeline/database_url/*"
      ) : statement.Resource == "arn:aws:ssm:us-west-2:123456789012:parameter/ops-pipeline/database_url/*"
    ])
    error_message = output.task_policy_json
  }
}

run "only_its_start_reads_the_master_password" {
  command = plan

  module {
    source = "./modules/migration"
  }

  assert {
    condition = alltrue([for statement in jsondecode(output.start_policy_json).Statement :
      statement.Sid == "LogInToRegistry" || !contains(flatten([statement.Resource]), "*")
    ])
    error_message = "A wildcard beside the registry's token: ${output.start_policy_json}"
  }

  assert {
    condition = [for statement in jsondecode(output.start_policy_json).Statement : statement.Resource
    if contains(flatten([statement.Action]), "secretsmanager:GetSecretValue")] == [var.database.master_secret_arn]
    error_message = output.start_policy_json
  }

  assert {
    condition = [for statement in jsondecode(output.start_policy_json).Statement : statement.Condition.StringEquals
      if contains(flatten([statement.Action]), "kms:Decrypt")] == [{
        "kms:EncryptionContext:SecretARN" = var.database.master_secret_arn
        "kms:ViaService"                  = "secretsmanager.us-west-2.amazonaws.com"
    }]
    error_message = output.start_policy_json
  }
}

run "an_image_without_a_digest_is_refused" {
  command = plan

  module {
    source = "./modules/migration"
  }

  variables {
    image = { address = "123456789012.dkr.ecr.us-west-2.amazonaws.com/ops-pipeline/some_service", repository = "ops-pipeline/some_service", digest = null }
  }

  expect_failures = [var.image]
}

# What each role may do, read from a plan of the whole root. The provider is the real one, since it writes the policies, but
# it never asks AWS: nothing exists yet, and the few things that a plan reads are given here.
provider "aws" {
  region                      = "us-west-2"
  access_key                  = "none"
  secret_key                  = "none"
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  skip_region_validation      = true
  skip_requesting_account_id  = true
}

provider "aws" {
  alias                       = "copy"
  region                      = "us-west-2"
  access_key                  = "none"
  secret_key                  = "none"
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  skip_region_validation      = true
  skip_requesting_account_id  = true
}

override_data {
  target = data.aws_caller_identity.current
  values = { account_id = "123456789012" }
}

override_data {
  target = data.aws_ssm_parameters_by_path.deployed
  values = { values = [] }
}

override_resource {
  target          = aws_kms_key.this
  override_during = plan
  values          = { arn = "arn:aws:kms:us-west-2:123456789012:key/some-key", key_id = "some-key" }
}

variables {
  environment         = "test"
  budget_usd          = 1
  images_lock_file    = "tests/fixtures/images.lock.json"
  alert_subscriptions = { someone = { protocol = "email", endpoint = "someone@example.com" } }
}

run "the_scheduler_passes_no_role_but_ours" {
  command = plan

  assert {
    condition = alltrue(flatten([for statement in jsondecode(aws_iam_role_policy.scheduler.policy).Statement : [
      for resource in flatten([statement.Resource]) : resource != "*" && (!contains(flatten([statement.Action]), "iam:PassRole") || !strcontains(resource, "*"))
    ]]))
    error_message = aws_iam_role_policy.scheduler.policy
  }

  assert {
    condition = length(flatten([for statement in jsondecode(aws_iam_role_policy.scheduler.policy).Statement :
      statement.Resource if statement.Sid == "PassOwnRoles"
    ])) == 2 * length([for service in module.catalog.services : service if service.kind == "task"])
    error_message = "Each task has two roles to be passed: ${aws_iam_role_policy.scheduler.policy}"
  }

  assert {
    condition = toset(flatten([for statement in jsondecode(aws_iam_role_policy.scheduler.policy).Statement :
      statement.Resource if statement.Sid == "RunOwnTasks"
    ])) == toset([for service in module.catalog.services : "arn:aws:ecs:us-west-2:123456789012:task-definition/${service.task_definition}:*" if service.kind == "task"])
    error_message = "A family is missing from the role, or a foreign one is in it."
  }
}

run "each_service_reads_the_parameters_of_its_entry_and_no_other" {
  command = plan

  assert {
    condition = alltrue([for name, service in module.catalog.services :
      toset(flatten([for statement in jsondecode(module.service[name].start_policy_json).Statement : statement.Resource if statement.Sid == "ReadOwnParameters"])) ==
      toset([for parameter in concat(values(service.parameters), values(service.secrets), ["database_url/${name}"]) : "arn:aws:ssm:us-west-2:123456789012:parameter/ops-pipeline/${parameter}"])
    ])
    error_message = jsonencode({ for name, service in module.service : name => service.start_policy_json })
  }
}

run "more_services_than_one_policy_holds_are_started_too" {
  command = plan

  variables {
    catalog_file     = "tests/fixtures/forty.yaml"
    images_lock_file = "tests/fixtures/forty.lock.json"
  }

  assert {
    condition     = length(module.catalog.services) == 40 && length(aws_iam_policy.scheduler) == 1 && length(aws_iam_role_policy.scheduler.policy) < 10240
    error_message = "${length(aws_iam_role_policy.scheduler.policy)} characters, ${length(aws_iam_policy.scheduler)} further policies"
  }

  assert {
    condition = toset([for resource in flatten([
      for policy in concat([aws_iam_role_policy.scheduler.policy], aws_iam_policy.scheduler[*].policy) :
      [for statement in jsondecode(policy).Statement : statement.Resource if statement.Sid == "RunOwnTasks"]
    ]) : regex("task-definition/(.*):", resource)[0]]) == toset([for service in module.catalog.services : service.task_definition])
    error_message = "A service is in no policy."
  }
}

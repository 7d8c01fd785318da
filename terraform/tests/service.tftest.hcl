# The shape of one service, with a provider that only pretends.
mock_provider "aws" {
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{\"Version\":\"2012-10-17\",\"Statement\":[]}" }
  }

  mock_resource "aws_ecs_task_definition" {
    defaults = { arn = "arn:aws:ecs:us-west-2:123456789012:task-definition/some-family:1" }
  }

  mock_resource "aws_cloudwatch_metric_alarm" {
    defaults = { arn = "arn:aws:cloudwatch:us-west-2:123456789012:alarm:some-alarm" }
  }

  override_resource {
    target = aws_iam_role.execution
    values = { arn = "arn:aws:iam::123456789012:role/ops-pipeline-some-service-execution" }
  }

  override_resource {
    target = aws_iam_role.task
    values = { arn = "arn:aws:iam::123456789012:role/ops-pipeline-some-service-task" }
  }
}

variables {
  project = "ops-pipeline"
  service = {
    name            = "some_service"
    dashed          = "some-service"
    purpose         = "Does something."
    when_silent     = "Something is not done."
    kind            = "task"
    cpu             = 256
    memory          = 512
    task_definition = "some-family"
    parameters      = { TICKERS = "tickers" }
    secrets         = { SOME_KEY = "some_key" }
    schedule = {
      name                      = "ops-pipeline-some-service-1m"
      expression                = "rate(1 minute)"
      timezone                  = "UTC"
      state                     = "ENABLED"
      retries                   = 0
      maximum_event_age_seconds = 60
    }
    silence  = { expression = "FILL(runs, 0)", period_seconds = 60, evaluation_periods = 3, worst_seconds_to_page = 300 }
    failures = { period_seconds = 60, evaluation_periods = 3, datapoints_to_alarm = 2 }
  }
  image = {
    address = "123456789012.dkr.ecr.us-west-2.amazonaws.com/ops-pipeline/some_service"
    digest  = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
  }
  account              = { id = "123456789012", region = "us-west-2" }
  cluster_arn          = "arn:aws:ecs:us-west-2:123456789012:cluster/ops-pipeline-cluster"
  scheduler_role_arn   = "arn:aws:iam::123456789012:role/ops-pipeline-eventbridge-ecs-role"
  dead_letters_arn     = "arn:aws:sqs:us-west-2:123456789012:ops-pipeline-dead-letters"
  topic_arn            = "arn:aws:sns:us-west-2:123456789012:ops-pipeline-alarms"
  keys                 = { operations = "arn:aws:kms:us-west-2:123456789012:key/operations", secrets = "arn:aws:kms:us-west-2:123456789012:key/secrets" }
  parameter_arns       = { tickers = "arn:aws:ssm:us-west-2:123456789012:parameter/ops-pipeline/tickers", some_key = "arn:aws:ssm:us-west-2:123456789012:parameter/ops-pipeline/some_key" }
  network              = { subnet_ids = ["subnet-1", "subnet-2"], security_group_ids = ["sg-1"], assign_public_ip = true }
  lambda_subnet_ids    = ["subnet-3", "subnet-4"]
  initial_database_url = "planted-secret"
  log_retention_days   = 7
}

run "a_task_has_one_silence_alarm_that_breaches_on_missing_data" {
  command = apply

  module {
    source = "./modules/service"
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.silent.treat_missing_data == "breaching" && aws_cloudwatch_metric_alarm.silent.alarm_actions == toset([var.topic_arn])
    error_message = "A service that never ran would be silent about it."
  }

  assert {
    condition     = one([for query in aws_cloudwatch_metric_alarm.silent.metric_query : one(query.metric).metric_name if length(query.metric) == 1]) == "RunsCompleted"
    error_message = "The silence alarm does not look at RunsCompleted."
  }

  assert {
    condition = alltrue([for alarm in [aws_cloudwatch_metric_alarm.silent, aws_cloudwatch_metric_alarm.failing, aws_cloudwatch_metric_alarm.not_started] :
      strcontains(alarm.alarm_description, "Run: scripts/") && length(alarm.alarm_actions) == 1 && alarm.treat_missing_data != "missing"
    ])
    error_message = "An alarm tells nobody, or not what to run."
  }
}

run "a_schedule_is_written_whole" {
  command = apply

  module {
    source = "./modules/service"
  }

  assert {
    condition     = aws_scheduler_schedule.this.name == "ops-pipeline-some-service-1m" && aws_scheduler_schedule.this.group_name == "some_service"
    error_message = "Another name than the catalogue's."
  }

  assert {
    condition     = one(aws_scheduler_schedule.this.flexible_time_window).mode == "OFF" && aws_scheduler_schedule.this.state == "ENABLED"
    error_message = "The window is not off, or the state is left to AWS."
  }

  assert {
    condition     = one(one(aws_scheduler_schedule.this.target).retry_policy).maximum_retry_attempts == 0 && one(one(aws_scheduler_schedule.this.target).retry_policy).maximum_event_age_in_seconds == 60
    error_message = "AWS's default is 185 retries over 24 hours."
  }

  assert {
    condition     = one(one(aws_scheduler_schedule.this.target).dead_letter_config).arn == var.dead_letters_arn
    error_message = "What cannot be delivered is lost."
  }

  assert {
    condition     = { for pair in jsondecode(one(aws_scheduler_schedule.this.target).input).containerOverrides[0].environment : pair.name => pair.value } == { EXECUTION_ID = "<aws.scheduler.execution-id>", SCHEDULED_TIME = "<aws.scheduler.scheduled-time>", SCHEDULE_ARN = "<aws.scheduler.schedule-arn>" }
    error_message = one(aws_scheduler_schedule.this.target).input
  }

  assert {
    condition     = strcontains(one(aws_scheduler_schedule.this.target).input, "<aws.scheduler.execution-id>")
    error_message = "jsonencode's \\u003c is no keyword of the scheduler: ${one(aws_scheduler_schedule.this.target).input}"
  }
}

run "a_container_is_pinned_read_only_and_nobody" {
  command = apply

  module {
    source = "./modules/service"
  }

  assert {
    condition     = jsondecode(aws_ecs_task_definition.this[0].container_definitions)[0].image == "${var.image.address}@${var.image.digest}"
    error_message = "The image is not pinned by its digest."
  }

  assert {
    condition     = jsondecode(aws_ecs_task_definition.this[0].container_definitions)[0].readonlyRootFilesystem && jsondecode(aws_ecs_task_definition.this[0].container_definitions)[0].user == "10001"
    error_message = "The root file system is writable, or the user is root."
  }

  assert {
    condition     = toset([for secret in jsondecode(aws_ecs_task_definition.this[0].container_definitions)[0].secrets : secret.name]) == toset(["DATABASE_URL", "SOME_KEY", "TICKERS"])
    error_message = "The task gets other parameters than the catalogue gives it."
  }

  assert {
    condition     = aws_ecs_task_definition.this[0].execution_role_arn != aws_ecs_task_definition.this[0].task_role_arn
    error_message = "The code would have the rights of its start."
  }

  assert {
    condition     = aws_ssm_parameter.database_url.value_wo_version == 1 && aws_ssm_parameter.database_url.value_wo == null
    error_message = "The secret's value would be in the state."
  }
}

run "a_task_itself_may_do_nothing_on_aws" {
  command = apply

  module {
    source = "./modules/service"
  }

  assert {
    condition     = length(aws_iam_role_policy.function) == 0 && length(aws_iam_role_policies_exclusive.task.policy_names) == 0 && length(aws_iam_role_policy_attachments_exclusive.task.policy_arns) == 0
    error_message = "A task's role has a policy; what it reads and writes are tables."
  }
}

run "an_image_without_a_digest_is_refused" {
  command = plan

  module {
    source = "./modules/service"
  }

  variables {
    image = { address = "123456789012.dkr.ecr.us-west-2.amazonaws.com/ops-pipeline/some_service", digest = null }
  }

  expect_failures = [var.image]
}

run "a_tag_is_no_digest" {
  command = plan

  module {
    source = "./modules/service"
  }

  variables {
    image = { address = "123456789012.dkr.ecr.us-west-2.amazonaws.com/ops-pipeline/some_service", digest = "latest" }
  }

  expect_failures = [var.image]
}

# When it runs. A group per service, since CloudWatch counts the scheduler's errors by group and not by schedule.
locals {
  # What the scheduler puts in tells the run which minute it stands for and which invocation it is (the ledger's key).
  context = {
    EXECUTION_ID   = "<aws.scheduler.execution-id>"
    SCHEDULED_TIME = "<aws.scheduler.scheduled-time>"
    SCHEDULE_ARN   = "<aws.scheduler.schedule-arn>"
  }
  overrides = { containerOverrides = [{
    name        = var.service.name
    environment = [for key in sort(keys(local.context)) : { name = key, value = local.context[key] }]
  }] }
  input = local.is_task ? jsonencode(local.overrides) : jsonencode(local.context)
}

resource "aws_scheduler_schedule_group" "this" {
  name = var.service.name

  tags = { Service = var.service.name }
}

resource "aws_scheduler_schedule" "this" {
  #checkov:skip=CKV_AWS_297:a schedule holds no secret, and a key of our own is one more thing that can stop all jobs at once
  name                         = var.service.schedule.name
  group_name                   = aws_scheduler_schedule_group.this.name
  description                  = var.service.purpose
  schedule_expression          = var.service.schedule.expression
  schedule_expression_timezone = var.service.schedule.timezone
  state                        = var.service.schedule.state

  flexible_time_window {
    mode = "OFF"
  }

  target {
    arn      = local.is_task ? var.cluster_arn : aws_lambda_function.this[0].arn
    role_arn = var.scheduler_role_arn
    # jsonencode writes < and > as \u003c and \u003e, which the scheduler would not take for its keywords.
    input = replace(replace(local.input, "\\u003c", "<"), "\\u003e", ">")

    dynamic "ecs_parameters" {
      for_each = aws_ecs_task_definition.this

      content {
        task_definition_arn     = ecs_parameters.value.arn
        launch_type             = "FARGATE"
        platform_version        = "LATEST"
        task_count              = 1
        enable_ecs_managed_tags = true
        propagate_tags          = "TASK_DEFINITION"

        network_configuration {
          subnets          = var.network.subnet_ids
          security_groups  = var.network.security_group_ids
          assign_public_ip = var.network.assign_public_ip
        }
      }
    }

    retry_policy {
      maximum_retry_attempts       = var.service.schedule.retries
      maximum_event_age_in_seconds = var.service.schedule.maximum_event_age_seconds
    }

    dead_letter_config {
      arn = var.dead_letters_arn
    }
  }
}

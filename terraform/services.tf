# Every service, and what starts them all: the cluster and the scheduler's role.
locals {
  images = try(jsondecode(file(local.files.images)).images, {})
}

resource "aws_ecs_cluster" "this" {
  #checkov:skip=CKV_AWS_65:Container Insights bills every task as custom metrics, more than the tasks themselves; runs report on themselves
  name = module.catalog.cluster

  setting {
    name  = "containerInsights"
    value = "disabled"
  }
}

module "service" {
  source   = "./modules/service"
  for_each = local.services

  project = local.project
  service = each.value
  image = {
    address = "${local.account.id}.dkr.ecr.${local.region}.amazonaws.com/${local.project}/${each.key}"
    digest  = try(local.images[each.key].digest, null)
  }
  account            = local.account
  cluster_arn        = aws_ecs_cluster.this.arn
  scheduler_role_arn = aws_iam_role.scheduler.arn
  dead_letters_arn   = module.observability.dead_letters_arn
  topic_arn          = module.observability.topic_arn
  keys               = { operations = aws_kms_key.this["operations"].arn, secrets = aws_kms_key.this["secrets"].arn }
  parameter_arns     = local.parameter_arns
  network            = module.network.tasks
  lambda_subnet_ids  = module.network.private_subnet_ids
  environment = merge(
    var.task_environment,
    each.value.kind == "lambda" ? var.lambda_environment : {},
    each.value.watches ? { DEPLOYMENT = local.intent_arn } : {},
    each.value.watches && var.self_heal ? { SELF_HEAL = "true" } : {},
  )
  extra_policy_json    = each.value.watches ? data.aws_iam_policy_document.watcher.json : null
  initial_database_url = lookup(var.secret_values, "database_url/${each.key}", lookup(var.secret_values, "database_url", "unset"))
  log_retention_days   = var.log_retention_days
}

# One role starts everything and can start nothing else.
data "aws_iam_policy_document" "scheduler_trust" {
  statement {
    sid     = "OwnSchedules"
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["scheduler.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.account.id]
    }
  }
}

resource "aws_iam_role" "scheduler" {
  name               = module.catalog.scheduler_role
  description        = "EventBridge Scheduler starts every service with it"
  assume_role_policy = data.aws_iam_policy_document.scheduler_trust.json
}

# An inline policy holds 10,240 characters, a managed one 6,144, and ten of those can be attached: 30 services in the first, 20 in each other.
locals {
  started = { for name in sort(keys(local.services)) : name => local.services[name] }
  started_groups = concat(
    [slice(keys(local.started), 0, min(30, length(local.started)))],
    length(local.started) <= 30 ? [] : chunklist(slice(keys(local.started), 30, length(local.started)), 20),
  )
}

data "aws_iam_policy_document" "scheduler" {
  count = length(local.started_groups)

  dynamic "statement" {
    for_each = length([for name in local.started_groups[count.index] : name if local.started[name].kind == "task"]) > 0 ? [1] : []

    content {
      sid     = "RunOwnTasks"
      actions = ["ecs:RunTask"]
      resources = [
        for name in local.started_groups[count.index] :
        "arn:aws:ecs:${local.region}:${local.account.id}:task-definition/${local.started[name].task_definition}:*" if local.started[name].kind == "task"
      ]

      condition {
        test     = "ArnEquals"
        variable = "ecs:cluster"
        values   = ["arn:aws:ecs:${local.region}:${local.account.id}:cluster/${module.catalog.cluster}"]
      }
    }
  }

  dynamic "statement" {
    for_each = length([for name in local.started_groups[count.index] : name if local.started[name].kind == "task"]) > 0 ? [1] : []

    content {
      sid     = "PassOwnRoles"
      actions = ["iam:PassRole"]
      resources = flatten([
        for name in local.started_groups[count.index] : [
          for use in ["execution", "task"] : "arn:aws:iam::${local.account.id}:role/${local.project}-${local.started[name].dashed}-${use}"
        ] if local.started[name].kind == "task"
      ])

      condition {
        test     = "StringEquals"
        variable = "iam:PassedToService"
        values   = ["ecs-tasks.amazonaws.com"]
      }
    }
  }

  dynamic "statement" {
    for_each = length([for name in local.started_groups[count.index] : name if local.started[name].kind == "lambda"]) > 0 ? [1] : []

    content {
      sid     = "InvokeOwnFunctions"
      actions = ["lambda:InvokeFunction"]
      resources = [
        for name in local.started_groups[count.index] :
        "arn:aws:lambda:${local.region}:${local.account.id}:function:${local.started[name].task_definition}" if local.started[name].kind == "lambda"
      ]
    }
  }

  dynamic "statement" {
    for_each = count.index == 0 ? [1] : []

    content {
      sid       = "LeaveDeadLetters"
      actions   = ["sqs:SendMessage"]
      resources = ["arn:aws:sqs:${local.region}:${local.account.id}:${local.project}-dead-letters"]
    }
  }

  dynamic "statement" {
    for_each = count.index == 0 ? [1] : []

    content {
      # A task has no name before it runs; the condition keeps it to tasks that RunTask makes in this cluster.
      sid       = "TagTasksAsTheirDefinition"
      actions   = ["ecs:TagResource"]
      resources = ["arn:aws:ecs:${local.region}:${local.account.id}:task/${module.catalog.cluster}/*"]

      condition {
        test     = "StringEquals"
        variable = "ecs:CreateAction"
        values   = ["RunTask"]
      }
    }
  }
}

resource "aws_iam_role_policy" "scheduler" {
  name   = "start-services"
  role   = aws_iam_role.scheduler.name
  policy = data.aws_iam_policy_document.scheduler[0].json
}

resource "aws_iam_policy" "scheduler" {
  count = length(local.started_groups) - 1

  name        = "${local.project}-start-services-${count.index + 2}"
  description = "More services than one inline policy holds"
  policy      = data.aws_iam_policy_document.scheduler[count.index + 1].json
}

resource "aws_iam_role_policy_attachment" "scheduler" {
  count = length(local.started_groups) - 1

  role       = aws_iam_role.scheduler.name
  policy_arn = aws_iam_policy.scheduler[count.index].arn
}

resource "aws_iam_role_policies_exclusive" "scheduler" {
  role_name    = aws_iam_role.scheduler.name
  policy_names = [aws_iam_role_policy.scheduler.name]
}

resource "aws_iam_role_policy_attachments_exclusive" "scheduler" {
  role_name   = aws_iam_role.scheduler.name
  policy_arns = aws_iam_policy.scheduler[*].arn
}

# What the watcher sees beyond its tables: everything that could be missing. It changes nothing but its page, and schedules of
# ours where it is to heal them.
data "aws_iam_policy_document" "watcher" {
  #checkov:skip=CKV_AWS_356:listing and describing know no narrower resource; every action on * reads settings, none a secret
  statement {
    # A thing that is missing has no name to permit: what could be absent must be listed.
    sid = "SeeWhatExists"
    actions = [
      "cloudtrail:LookupEvents", "cloudwatch:DescribeAlarms", "cloudwatch:GetMetricData",
      "ec2:DescribeInternetGateways", "ec2:DescribeNatGateways", "ec2:DescribeRouteTables", "ec2:DescribeSecurityGroups",
      "ec2:DescribeSubnets", "ec2:DescribeVpcEndpoints",
      "ecr:DescribeImages", "ecr:DescribeRepositories",
      "ecs:DescribeClusters", "ecs:DescribeTaskDefinition", "ecs:DescribeTasks", "ecs:ListClusters", "ecs:ListTaskDefinitions",
      "ecs:ListTasks", "events:ListEventBuses", "events:ListRules", "events:ListTargetsByRule",
      "iam:GetAccountAuthorizationDetails",
      "lambda:ListFunctions",
      "logs:DescribeLogGroups", "rds:DescribeDBInstances",
      "scheduler:GetSchedule", "scheduler:ListScheduleGroups", "scheduler:ListSchedules",
      "sns:ListSubscriptionsByTopic", "sns:ListTopics", "ssm:DescribeParameters",
    ]
    resources = ["*"]
  }

  statement {
    # Roles come with their own policies from the one list; what AWS itself wrote is asked for by name.
    sid       = "SeePoliciesOfAws"
    actions   = ["iam:GetPolicy", "iam:GetPolicyVersion"]
    resources = ["arn:aws:iam::aws:policy/*"]
  }

  statement {
    # The list of functions tells neither their state nor their image.
    sid       = "SeeOwnFunctions"
    actions   = ["lambda:GetFunction"]
    resources = [for name, service in local.services : "arn:aws:lambda:${local.region}:${local.account.id}:function:${service.task_definition}" if service.kind == "lambda"]
  }

  statement {
    # Whether a key works, and for whom: not what it encrypts.
    sid       = "SeeKeys"
    actions   = ["kms:DescribeKey", "kms:GetKeyPolicy"]
    resources = ["arn:aws:kms:${local.region}:${local.account.id}:key/*"]
  }

  statement {
    # Whether a service that does not run could use what it would be given; secrets are not among them.
    sid       = "ReadSettings"
    actions   = ["ssm:GetParameters"]
    resources = [for name in sort(keys(module.catalog.parameters)) : "arn:aws:ssm:${local.region}:${local.account.id}:parameter/${local.project}/${name}"]
  }

  statement {
    sid       = "ReadTheIntent"
    actions   = ["ssm:GetParameter"]
    resources = [local.intent_arn]
  }

  statement {
    sid       = "ReadOwnLogs"
    actions   = ["logs:FilterLogEvents", "logs:GetLogEvents"]
    resources = ["arn:aws:logs:${local.region}:${local.account.id}:log-group:/ecs/${local.project}/*", "arn:aws:logs:${local.region}:${local.account.id}:log-group:/aws/events/${local.project}/*"]
  }

  statement {
    sid       = "ReadDeadLetters"
    actions   = ["sqs:GetQueueAttributes", "sqs:GetQueueUrl", "sqs:ReceiveMessage"]
    resources = ["arn:aws:sqs:${local.region}:${local.account.id}:${local.project}-dead-letters"]
  }

  statement {
    sid       = "WriteThePage"
    actions   = ["s3:PutObject"]
    resources = ["arn:aws:s3:::${local.project}-records-${local.account.id}-${local.region}/*"]
  }

  statement {
    sid       = "TellPeople"
    actions   = ["sns:Publish"]
    resources = ["arn:aws:sns:${local.region}:${local.account.id}:${local.project}-alarms"]
  }

  dynamic "statement" {
    for_each = var.self_heal ? [1] : []

    content {
      sid     = "MakeSchedulesAgain"
      actions = ["scheduler:CreateSchedule", "scheduler:UpdateSchedule"]
      resources = [
        for name, service in local.services : "arn:aws:scheduler:${local.region}:${local.account.id}:schedule/${name}/${service.schedule.name}"
      ]
    }
  }

  dynamic "statement" {
    for_each = var.self_heal ? [1] : []

    content {
      sid       = "MakeScheduleGroupsAgain"
      actions   = ["scheduler:CreateScheduleGroup", "scheduler:TagResource"]
      resources = [for name in keys(local.services) : "arn:aws:scheduler:${local.region}:${local.account.id}:schedule-group/${name}"]
    }
  }

  dynamic "statement" {
    for_each = var.self_heal ? [1] : []

    content {
      sid       = "GiveSchedulesTheirRole"
      actions   = ["iam:PassRole"]
      resources = ["arn:aws:iam::${local.account.id}:role/${module.catalog.scheduler_role}"]

      condition {
        test     = "StringEquals"
        variable = "iam:PassedToService"
        values   = ["scheduler.amazonaws.com"]
      }
    }
  }
}

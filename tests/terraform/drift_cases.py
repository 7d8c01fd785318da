"""Every drift that is injected through the API, and what must be told of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

ACCOUNT, REGION = "123456789012", "us-west-2"
PLACE = f"{REGION}:{ACCOUNT}"
SCHEDULER_ROLE = "ops-pipeline-eventbridge-ecs-role"
CLUSTER = f"arn:aws:ecs:{PLACE}:cluster/ops-pipeline-cluster"
FUNCTION = f"arn:aws:lambda:{PLACE}:function:ops-pipeline-healthcheck"
TOPIC = f"arn:aws:sns:{PLACE}:ops-pipeline-alarms"
Aws = Callable[[str], Any]  # a client by its service's name


@dataclass(frozen=True, kw_only=True)
class Case:
    """One drift: how it is made, where it must be found, and (undeclared ones) how it is removed."""

    name: str
    inject: Callable[[Aws], Any]
    kind: str
    address: str
    attribute: str
    actual: Any = None
    remove: Callable[[Aws], Any] | None = None

    def found_in(self, findings: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The findings about it; an id that AWS makes up is left out of the address and attribute."""
        return [
            each
            for each in findings
            if each["kind"] == self.kind
            and each["address"].startswith(self.address)
            and each["attribute"].startswith(self.attribute)
        ]


def of(service: str, resource: str) -> str:
    """The address of one service's resource."""
    return f'module.service["{service}"].{resource}'


def schedule(aws: Aws, service: str, name: str, change: Callable[[dict[str, Any]], Any]) -> None:
    """Changes a schedule as an operator would: read whole, changed, written whole."""
    whole = aws("scheduler").get_schedule(GroupName=service, Name=name)
    kept = ("Name", "GroupName", "Description", "ScheduleExpression", "ScheduleExpressionTimezone", "State", "Target")
    given = {key: whole[key] for key in kept if key in whole} | {"FlexibleTimeWindow": whole["FlexibleTimeWindow"]}
    change(given)
    aws("scheduler").update_schedule(**given)


def _role_policy(aws: Aws, change: Callable[[dict[str, Any]], Any]) -> None:
    iam = aws("iam")
    document = iam.get_role_policy(RoleName=SCHEDULER_ROLE, PolicyName="start-services")["PolicyDocument"]
    change(document)
    iam.put_role_policy(RoleName=SCHEDULER_ROLE, PolicyName="start-services", PolicyDocument=json.dumps(document))


def _trust(aws: Aws) -> None:
    document = aws("iam").get_role(RoleName=SCHEDULER_ROLE)["Role"]["AssumeRolePolicyDocument"]
    document["Statement"][0]["Principal"] = {"Service": "events.amazonaws.com"}
    aws("iam").update_assume_role_policy(RoleName=SCHEDULER_ROLE, PolicyDocument=json.dumps(document))


def _alarm(aws: Aws, name: str, **changed: Any) -> None:
    whole = aws("cloudwatch").describe_alarms(AlarmNames=[name])["MetricAlarms"][0]
    kept = [
        "AlarmName",
        "AlarmDescription",
        "ActionsEnabled",
        "OKActions",
        "AlarmActions",
        "MetricName",
        "Namespace",
        "Statistic",
        "Dimensions",
        "Period",
        "EvaluationPeriods",
        "DatapointsToAlarm",
        "Threshold",
        "ComparisonOperator",
        "TreatMissingData",
    ]
    aws("cloudwatch").put_metric_alarm(**{key: whole[key] for key in kept if key in whole} | changed)


def _key_policy(aws: Aws) -> None:
    kms = aws("kms")
    aliases = kms.list_aliases()["Aliases"]
    key = next(each["TargetKeyId"] for each in aliases if each["AliasName"] == "alias/ops-pipeline-secrets")
    document = json.loads(kms.get_key_policy(KeyId=key, PolicyName="default")["Policy"])
    document["Statement"].append(
        {"Sid": "Stranger", "Effect": "Allow", "Action": "kms:Decrypt", "Resource": "*", "Principal": {"AWS": "*"}}
    )
    kms.put_key_policy(KeyId=key, PolicyName="default", Policy=json.dumps(document))


def _group(aws: Aws, name: str) -> str:
    filters = [{"Name": "group-name", "Values": [name]}]
    return str(aws("ec2").describe_security_groups(Filters=filters)["SecurityGroups"][0]["GroupId"])


RULE = [{"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]


def _family(aws: Aws, family: str) -> dict[str, Any]:
    found: dict[str, Any] = aws("ecs").describe_task_definition(taskDefinition=family)["taskDefinition"]
    return found


def _new_revision(aws: Aws, family: str) -> None:
    found = _family(aws, family)
    kept = [
        "family",
        "taskRoleArn",
        "executionRoleArn",
        "networkMode",
        "containerDefinitions",
        "requiresCompatibilities",
        "cpu",
        "memory",
        "runtimePlatform",
    ]
    aws("ecs").register_task_definition(**{key: found[key] for key in kept if key in found})


def _rule(aws: Aws, name: str, target: dict[str, Any], **when: str) -> None:
    aws("events").put_rule(Name=name, **(when or {"ScheduleExpression": "rate(1 minute)"}))
    aws("events").put_targets(Rule=name, Targets=[{"Id": "extra", **target}])


def _drop_rule(aws: Aws, name: str) -> None:
    aws("events").remove_targets(Rule=name, Ids=["extra"])
    aws("events").delete_rule(Name=name)


def _ecs_target(aws: Aws, family: str) -> dict[str, Any]:
    return {
        "Arn": CLUSTER,
        "RoleArn": f"arn:aws:iam::{ACCOUNT}:role/{SCHEDULER_ROLE}",
        "EcsParameters": {"TaskDefinitionArn": _family(aws, family)["taskDefinitionArn"]},
    }


def _extra_schedule(aws: Aws, group: str, name: str, target: dict[str, Any]) -> None:
    aws("scheduler").create_schedule(
        GroupName=group,
        Name=name,
        ScheduleExpression="rate(1 minute)",
        FlexibleTimeWindow={"Mode": "OFF"},
        Target=target,
    )


def _unsubscribe(aws: Aws, who: str = "operator@example.com") -> None:
    """A list hides the ARN of one that is pending; who subscribes once more is told it."""
    again = {"TopicArn": TOPIC, "Protocol": "email", "Endpoint": who, "ReturnSubscriptionArn": True}
    aws("sns").unsubscribe(SubscriptionArn=aws("sns").subscribe(**again)["SubscriptionArn"])


def _default_route(aws: Aws) -> None:
    tables = aws("ec2").describe_route_tables(Filters=[{"Name": "tag:Name", "Values": ["ops-pipeline-public"]}])
    aws("ec2").delete_route(RouteTableId=tables["RouteTables"][0]["RouteTableId"], DestinationCidrBlock="0.0.0.0/0")


def _queue(aws: Aws) -> str:
    return str(aws("sqs").get_queue_url(QueueName="ops-pipeline-dead-letters")["QueueUrl"])


def _acl_entry(aws: Aws) -> dict[str, Any]:
    vpc = aws("ec2").describe_vpcs(Filters=[{"Name": "tag:Name", "Values": ["ops-pipeline"]}])["Vpcs"][0]["VpcId"]
    own = [{"Name": "vpc-id", "Values": [vpc]}, {"Name": "default", "Values": ["true"]}]
    found = aws("ec2").describe_network_acls(Filters=own)["NetworkAcls"][0]["NetworkAclId"]
    return {
        "NetworkAclId": found,
        "RuleNumber": 50,
        "Egress": False,
        "CidrBlock": "0.0.0.0/0",
        "PortRange": {"From": 5432, "To": 5432},
    }


def _bucket(aws: Aws) -> str:
    return f"ops-pipeline-records-{ACCOUNT}-{REGION}"


SCHEDULE = "aws_scheduler_schedule.this"
READ_ONLY = "arn:aws:iam::aws:policy/ReadOnlyAccess"

CASES = (
    # Schedules: each service's suffers something else.
    Case(
        name="a schedule is deleted",
        inject=lambda aws: aws("scheduler").delete_schedule(
            GroupName="signal_engine", Name="ops-pipeline-signal-engine-1m"
        ),
        kind="changed",
        address=of("signal_engine", SCHEDULE),
        attribute="exists",
        actual=False,
    ),
    Case(
        name="a schedule is disabled",
        inject=lambda aws: schedule(
            aws, "classifier", "ops-pipeline-classifier", lambda it: it.update(State="DISABLED")
        ),
        kind="changed",
        address=of("classifier", SCHEDULE),
        attribute="state",
        actual="DISABLED",
    ),
    Case(
        name="a schedule has another rate",
        inject=lambda aws: schedule(
            aws,
            "feature_computer",
            "ops-pipeline-feature-computer-1m",
            lambda it: it.update(ScheduleExpression="rate(5 minutes)"),
        ),
        kind="changed",
        address=of("feature_computer", SCHEDULE),
        attribute="schedule_expression",
        actual="rate(5 minutes)",
    ),
    Case(
        name="a schedule starts in another cluster",
        inject=lambda aws: schedule(
            aws,
            "rss_ingest",
            "ops-pipeline-rss-ingest",
            lambda it: it["Target"].update(Arn=f"arn:aws:ecs:{PLACE}:cluster/ops-pipeline"),
        ),
        kind="changed",
        address=of("rss_ingest", SCHEDULE),
        attribute="target.arn",
        actual=f"arn:aws:ecs:{PLACE}:cluster/ops-pipeline",
    ),
    Case(
        name="a schedule has another role",
        inject=lambda aws: schedule(
            aws,
            "watchlist_engine",
            "ops-pipeline-watchlist-engine-5m",
            lambda it: it["Target"].update(RoleArn=f"arn:aws:iam::{ACCOUNT}:role/nobody"),
        ),
        kind="changed",
        address=of("watchlist_engine", SCHEDULE),
        attribute="target.role_arn",
        actual=f"arn:aws:iam::{ACCOUNT}:role/nobody",
    ),
    Case(
        name="a schedule starts another revision",
        inject=lambda aws: schedule(
            aws,
            "telemetry_ingestor",
            "ops-pipeline-telemetry-ingestor-1m",
            lambda it: it["Target"]["EcsParameters"].update(
                TaskDefinitionArn=f"arn:aws:ecs:{PLACE}:task-definition/telemetry-ingestor-1m:77"
            ),
        ),
        kind="changed",
        address=of("telemetry_ingestor", SCHEDULE),
        attribute="target.ecs_parameters.task_definition_arn",
        actual=f"arn:aws:ecs:{PLACE}:task-definition/telemetry-ingestor-1m:77",
    ),
    Case(
        name="a schedule starts in another network",
        inject=lambda aws: schedule(
            aws,
            "dispatcher",
            "ops-pipeline-dispatcher",
            lambda it: it["Target"]["EcsParameters"]["NetworkConfiguration"]["awsvpcConfiguration"].update(
                Subnets=["subnet-0123456789abcdef0"]
            ),
        ),
        kind="changed",
        address=of("dispatcher", SCHEDULE),
        attribute="target.ecs_parameters.network_configuration.subnets",
        actual=["subnet-0123456789abcdef0"],
    ),
    Case(
        name="a schedule retries otherwise",
        inject=lambda aws: schedule(
            aws,
            "healthcheck",
            "ops-pipeline-healthcheck-5m",
            lambda it: it["Target"]["RetryPolicy"].update(MaximumRetryAttempts=185),
        ),
        kind="changed",
        address=of("healthcheck", SCHEDULE),
        attribute="target.retry_policy.maximum_retry_attempts",
        actual=185,
    ),
    # Roles and policies.
    Case(
        name="a statement of a policy is removed",
        inject=lambda aws: _role_policy(
            aws, lambda it: it.update(Statement=[s for s in it["Statement"] if s["Sid"] != "PassOwnRoles"])
        ),
        kind="changed",
        address="aws_iam_role_policy.scheduler",
        attribute="policy.Statement[PassOwnRoles]",
    ),
    Case(
        name="a trust policy names another service",
        inject=_trust,
        kind="changed",
        address="aws_iam_role.scheduler",
        attribute="assume_role_policy.Statement[OwnSchedules].Principal.Service",
        actual=["events.amazonaws.com"],
    ),
    Case(
        name="a task's role gets another inline policy",
        inject=lambda aws: aws("iam").put_role_policy(
            RoleName="ops-pipeline-dispatcher-task",
            PolicyName="rogue",
            PolicyDocument=json.dumps(
                {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
            ),
        ),
        kind="changed",
        address=of("dispatcher", "aws_iam_role_policies_exclusive.task"),
        attribute="policy_names",
        actual=["rogue"],
    ),
    Case(
        name="a task's role gets a managed policy",
        inject=lambda aws: aws("iam").attach_role_policy(RoleName="ops-pipeline-classifier-task", PolicyArn=READ_ONLY),
        kind="changed",
        address=of("classifier", "aws_iam_role_policy_attachments_exclusive.task"),
        attribute="policy_arns",
        actual=[READ_ONLY],
    ),
    Case(
        name="a role that no exclusive list watches gets a managed policy",
        inject=lambda aws: aws("iam").attach_role_policy(RoleName="ops-pipeline-flow-log", PolicyArn=READ_ONLY),
        kind="undeclared",
        address=f"arn:aws:iam::{ACCOUNT}:role/ops-pipeline-flow-log",
        attribute=f"managed_policy_arns[{READ_ONLY}]",
        actual=READ_ONLY,
        remove=lambda aws: aws("iam").detach_role_policy(RoleName="ops-pipeline-flow-log", PolicyArn=READ_ONLY),
    ),
    # Alarms and who hears them.
    Case(
        name="an alarm is deleted",
        inject=lambda aws: aws("cloudwatch").delete_alarms(AlarmNames=["ops-pipeline-dispatcher-silent"]),
        kind="changed",
        address=of("dispatcher", "aws_cloudwatch_metric_alarm.silent"),
        attribute="exists",
        actual=False,
    ),
    Case(
        name="an alarm's actions are removed",
        inject=lambda aws: _alarm(aws, "ops-pipeline-classifier-failing", AlarmActions=[]),
        kind="changed",
        address=of("classifier", "aws_cloudwatch_metric_alarm.failing"),
        attribute="alarm_actions",
    ),
    Case(
        name="an alarm's actions are switched off",
        inject=lambda aws: aws("cloudwatch").disable_alarm_actions(AlarmNames=["ops-pipeline-rss-ingest-failing"]),
        kind="changed",
        address=of("rss_ingest", "aws_cloudwatch_metric_alarm.failing"),
        attribute="actions_enabled",
        actual=False,
    ),
    Case(
        name="the operator is unsubscribed",
        inject=_unsubscribe,
        kind="changed",
        address='module.observability.aws_sns_topic_subscription.this["operator"]',
        attribute="exists",
        actual=False,
    ),
    Case(
        name="a stranger subscribes to the alarms",
        inject=lambda aws: aws("sns").subscribe(TopicArn=TOPIC, Protocol="email", Endpoint="stranger@example.com"),
        kind="undeclared",
        address=TOPIC,
        attribute="subscriptions[email stranger@example.com]",
        remove=lambda aws: _unsubscribe(aws, "stranger@example.com"),
    ),
    # What tasks run with.
    Case(
        name="a parameter is deleted",
        inject=lambda aws: aws("ssm").delete_parameter(Name="/ops-pipeline/tickers"),
        kind="changed",
        address='aws_ssm_parameter.parameter["tickers"]',
        attribute="exists",
        actual=False,
    ),
    Case(
        name="a service's database address is deleted",
        inject=lambda aws: aws("ssm").delete_parameter(Name="/ops-pipeline/database_url/signal_engine"),
        kind="changed",
        address=of("signal_engine", "aws_ssm_parameter.database_url"),
        attribute="exists",
        actual=False,
    ),
    Case(
        name="a parameter is stored under a misspelt name",
        inject=lambda aws: aws("ssm").put_parameter(
            Name="/ops-pipeline/alpaca_api_key", Value="planted-secret", Type="SecureString"
        ),
        kind="undeclared",
        address=f"arn:aws:ssm:{PLACE}:parameter/ops-pipeline/alpaca_api_key",
        attribute="exists",
        actual="SecureString",
        remove=lambda aws: aws("ssm").delete_parameter(Name="/ops-pipeline/alpaca_api_key"),
    ),
    Case(
        name="a task definition is deregistered",
        inject=lambda aws: aws("ecs").deregister_task_definition(
            taskDefinition=_family(aws, "watchlist-engine-5m")["taskDefinitionArn"]
        ),
        kind="changed",
        address=of("watchlist_engine", "aws_ecs_task_definition.this[0]"),
        attribute="exists",
        actual=False,
    ),
    Case(
        name="a revision is registered by hand",
        inject=lambda aws: _new_revision(aws, "rss-ingest-task"),
        kind="undeclared",
        address=f"arn:aws:ecs:{PLACE}:task-definition/rss-ingest-task:2",
        attribute="exists",
        remove=lambda aws: aws("ecs").deregister_task_definition(taskDefinition="rss-ingest-task:2"),
    ),
    Case(
        name="the function gets less memory",
        inject=lambda aws: aws("lambda").update_function_configuration(
            FunctionName="ops-pipeline-healthcheck", MemorySize=128
        ),
        kind="changed",
        address=of("healthcheck", "aws_lambda_function.this[0]"),
        attribute="memory_size",
        actual=128,
    ),
    Case(
        name="a log group keeps its lines for another time",
        inject=lambda aws: aws("logs").put_retention_policy(
            logGroupName="/ecs/ops-pipeline/dispatcher", retentionInDays=1
        ),
        kind="changed",
        address=of("dispatcher", "aws_cloudwatch_log_group.this"),
        attribute="retention_in_days",
        actual=1,
    ),
    Case(
        name="image tags become movable",
        inject=lambda aws: aws("ecr").put_image_tag_mutability(
            repositoryName="ops-pipeline/dispatcher", imageTagMutability="MUTABLE"
        ),
        kind="changed",
        address='module.delivery.aws_ecr_repository.this["dispatcher"]',
        attribute="image_tag_mutability",
        actual="MUTABLE",
    ),
    # What all share.
    Case(
        name="dead letters are kept for a minute",
        inject=lambda aws: aws("sqs").set_queue_attributes(
            QueueUrl=_queue(aws), Attributes={"MessageRetentionPeriod": "60"}
        ),
        kind="changed",
        address="module.observability.aws_sqs_queue.dead_letters",
        attribute="message_retention_seconds",
        actual=60,
    ),
    Case(
        name="a default tag is changed",
        inject=lambda aws: aws("sns").tag_resource(ResourceArn=TOPIC, Tags=[{"Key": "Environment", "Value": "mine"}]),
        kind="changed",
        address="module.observability.aws_sns_topic.alarms",
        attribute="tags.Environment",
        actual="mine",
    ),
    Case(
        name="a key lets a stranger in",
        inject=_key_policy,
        kind="changed",
        address='aws_kms_key.this["secrets"]',
        attribute="policy.Statement[Stranger]",
    ),
    Case(
        name="the bucket no longer keeps versions",
        inject=lambda aws: aws("s3").put_bucket_versioning(
            Bucket=_bucket(aws), VersioningConfiguration={"Status": "Suspended"}
        ),
        kind="changed",
        address="module.observability.aws_s3_bucket_versioning.records",
        attribute="versioning_configuration.status",
        actual="Suspended",
    ),
    Case(
        name="the way to the internet is gone",
        inject=_default_route,
        kind="changed",
        address="module.network.aws_route.public_internet",
        attribute="exists",
        actual=False,
    ),
    Case(
        name="a security group lets the world in",
        inject=lambda aws: aws("ec2").authorize_security_group_ingress(
            GroupId=_group(aws, "ops-pipeline-tasks"), IpPermissions=RULE
        ),
        kind="undeclared",
        address=f"arn:aws:ec2:{PLACE}:security-group/sg-",
        attribute="ingress[sgr-",
        actual={"protocol": "tcp", "ports": [22, 22], "peer": "0.0.0.0/0"},
        remove=lambda aws: aws("ec2").revoke_security_group_ingress(
            GroupId=_group(aws, "ops-pipeline-tasks"), IpPermissions=RULE
        ),
    ),
    # Triggers that nobody declared.
    Case(
        name="a second schedule starts a task",
        inject=lambda aws: _extra_schedule(aws, "default", "nightly-run", _ecs_target(aws, "dispatcher")),
        kind="undeclared",
        address=f"arn:aws:scheduler:{PLACE}:schedule/default/nightly-run",
        attribute="exists",
        remove=lambda aws: aws("scheduler").delete_schedule(GroupName="default", Name="nightly-run"),
    ),
    Case(
        name="a schedule under our prefix starts something else",
        inject=lambda aws: _extra_schedule(
            aws,
            "default",
            "ops-pipeline-extra",
            {"Arn": f"arn:aws:lambda:{PLACE}:function:other", "RoleArn": f"arn:aws:iam::{ACCOUNT}:role/other"},
        ),
        kind="undeclared",
        address=f"arn:aws:scheduler:{PLACE}:schedule/default/ops-pipeline-extra",
        attribute="exists",
        remove=lambda aws: aws("scheduler").delete_schedule(GroupName="default", Name="ops-pipeline-extra"),
    ),
    Case(
        name="an EventBridge rule starts a task",
        inject=lambda aws: _rule(aws, "old-cron", _ecs_target(aws, "dispatcher")),
        kind="undeclared",
        address=f"arn:aws:events:{PLACE}:rule/old-cron",
        attribute="exists",
        remove=lambda aws: _drop_rule(aws, "old-cron"),
    ),
    Case(
        name="an EventBridge rule starts the healthcheck",
        inject=lambda aws: _rule(aws, "old-check", {"Arn": f"{FUNCTION}:live"}),
        kind="undeclared",
        address=f"arn:aws:events:{PLACE}:rule/old-check",
        attribute="exists",
        remove=lambda aws: _drop_rule(aws, "old-check"),
    ),
    Case(
        name="our own rule gets another target",
        inject=lambda aws: aws("events").put_targets(
            Rule="ops-pipeline-stopped-tasks", Targets=[{"Id": "extra", "Arn": FUNCTION}]
        ),
        kind="undeclared",
        address=f"arn:aws:events:{PLACE}:rule/ops-pipeline-stopped-tasks",
        attribute="targets[extra]",
        actual=FUNCTION,
        remove=lambda aws: aws("events").remove_targets(Rule="ops-pipeline-stopped-tasks", Ids=["extra"]),
    ),
    Case(
        name="someone else may invoke the healthcheck",
        inject=lambda aws: aws("lambda").add_permission(
            FunctionName="ops-pipeline-healthcheck",
            StatementId="stranger",
            Action="lambda:InvokeFunction",
            Principal="events.amazonaws.com",
        ),
        kind="undeclared",
        address=FUNCTION,
        attribute="policy.Statement[stranger]",
        remove=lambda aws: aws("lambda").remove_permission(
            FunctionName="ops-pipeline-healthcheck", StatementId="stranger"
        ),
    ),
    # Other things under our prefix.
    Case(
        name="an alarm of nobody's",
        inject=lambda aws: aws("cloudwatch").put_metric_alarm(
            AlarmName="ops-pipeline-mine",
            MetricName="RunsCompleted",
            Namespace="OpsPipeline",
            Statistic="Sum",
            Period=60,
            EvaluationPeriods=1,
            Threshold=1,
            ComparisonOperator="LessThanThreshold",
        ),
        kind="undeclared",
        address=f"arn:aws:cloudwatch:{PLACE}:alarm:ops-pipeline-mine",
        attribute="exists",
        remove=lambda aws: aws("cloudwatch").delete_alarms(AlarmNames=["ops-pipeline-mine"]),
    ),
    Case(
        name="a log group of nobody's",
        inject=lambda aws: aws("logs").create_log_group(logGroupName="/ecs/ops-pipeline/old"),
        kind="undeclared",
        address=f"arn:aws:logs:{PLACE}:log-group:/ecs/ops-pipeline/old",
        attribute="exists",
        remove=lambda aws: aws("logs").delete_log_group(logGroupName="/ecs/ops-pipeline/old"),
    ),
    Case(
        name="someone counts our log lines as our metric",
        inject=lambda aws: aws("logs").put_metric_filter(
            logGroupName="/ecs/ops-pipeline/classifier",
            filterName="fake-beat",
            filterPattern="",
            metricTransformations=[
                {"metricName": "RunsCompleted", "metricNamespace": "OpsPipeline", "metricValue": "1"}
            ],
        ),
        kind="undeclared",
        address=f"arn:aws:logs:{PLACE}:log-group:/ecs/ops-pipeline/classifier",
        attribute="metric_filters[fake-beat]",
        remove=lambda aws: aws("logs").delete_metric_filter(
            logGroupName="/ecs/ops-pipeline/classifier", filterName="fake-beat"
        ),
    ),
    Case(
        name="an access list refuses the database's port",
        inject=lambda aws: aws("ec2").create_network_acl_entry(**_acl_entry(aws), Protocol="6", RuleAction="deny"),
        kind="undeclared",
        address=f"arn:aws:ec2:{PLACE}:network-acl/acl-",
        attribute="ingress[50]",
        actual={"action": "deny", "peer": "0.0.0.0/0"},
        remove=lambda aws: aws("ec2").delete_network_acl_entry(
            **{key: value for key, value in _acl_entry(aws).items() if key not in ("CidrBlock", "PortRange")}
        ),
    ),
    Case(
        name="a queue that only its tag calls ours",
        inject=lambda aws: aws("sqs").create_queue(QueueName="spare", tags={"Project": "ops-pipeline"}),
        kind="undeclared",
        address=f"arn:aws:sqs:{PLACE}:spare",
        attribute="exists",
        remove=lambda aws: aws("sqs").delete_queue(QueueUrl=aws("sqs").get_queue_url(QueueName="spare")["QueueUrl"]),
    ),
)

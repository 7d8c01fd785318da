"""Schedules and rules of the local AWS."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
from botocore.exceptions import ClientError

from ops.local.aws import LocalAws
from ops.local.aws.environment import ACCOUNT


def schedule(name: str, **changes: Any) -> dict[str, Any]:
    """The arguments of CreateSchedule."""
    target = {
        "Arn": f"arn:aws:sqs:us-west-2:{ACCOUNT}:queue",
        "RoleArn": f"arn:aws:iam::{ACCOUNT}:role/scheduler",
    }
    window = {"Mode": "OFF"}
    return {
        "Name": name,
        "ScheduleExpression": "rate(1 minute)",
        "FlexibleTimeWindow": window,
        "Target": target,
        **changes,
    }


def test_an_update_without_a_state_enables_the_schedule(aws: LocalAws) -> None:
    scheduler, name = aws.client("scheduler"), f"s-{uuid.uuid4()}"
    scheduler.create_schedule(**schedule(name, State="DISABLED"))
    scheduler.update_schedule(**schedule(name, ScheduleExpression="rate(5 minutes)"))
    assert scheduler.get_schedule(Name=name)["State"] == "ENABLED"


@pytest.mark.parametrize(
    "expression", ["rate(1 minutes)", "rate(5 minute)", "rate(0 minutes)", "cron(* * * * *)", "every minute"]
)
def test_an_expression_that_aws_would_refuse_is_refused(aws: LocalAws, expression: str) -> None:
    with pytest.raises(ClientError, match="ValidationException"):
        aws.client("scheduler").create_schedule(**schedule(f"s-{uuid.uuid4()}", ScheduleExpression=expression))


@pytest.mark.parametrize(
    "expression", ["rate(1 minute)", "rate(12 hours)", "cron(0/5 9-16 ? * MON-FRI *)", "at(2026-01-26T10:12:00)"]
)
def test_an_expression_that_aws_takes_is_taken(mended_aws: LocalAws, expression: str) -> None:
    mended_aws.client("scheduler").create_schedule(**schedule(f"s-{uuid.uuid4()}", ScheduleExpression=expression))


def test_a_schedule_in_a_group_that_is_not_there_is_refused(aws: LocalAws) -> None:
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        aws.client("scheduler").create_schedule(**schedule("s", GroupName="no-such-group"))


def test_deleting_a_group_that_is_not_there_is_refused(aws: LocalAws) -> None:
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        aws.client("scheduler").delete_schedule_group(Name="no-such-group")


def test_a_rule_speaks_to_a_topic(aws: LocalAws) -> None:
    name = f"rule-{uuid.uuid4()}"
    sns, sqs, events = aws.client("sns"), aws.client("sqs"), aws.client("events")
    topic = sns.create_topic(Name=name)["TopicArn"]
    queue = sqs.create_queue(QueueName=name)["QueueUrl"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=f"arn:aws:sqs:us-west-2:{ACCOUNT}:{name}")
    events.put_rule(Name=name, EventPattern=json.dumps({"source": [name]}))
    events.put_targets(Rule=name, Targets=[{"Id": "topic", "Arn": topic}])
    events.put_events(Entries=[{"Source": name, "DetailType": "probe", "Detail": json.dumps({"minute": 42})}])
    (message,) = sqs.receive_message(QueueUrl=queue)["Messages"]
    assert json.loads(json.loads(message["Body"])["Message"])["detail"] == {"minute": 42}


def rule(aws: LocalAws, *targets: dict[str, Any], **options: Any) -> tuple[str, str]:
    """A rule on a source of its own name with targets; its name and ARN."""
    name = f"rule-{uuid.uuid4()}"
    pattern = {} if options else {"EventPattern": json.dumps({"source": [name]})}
    arn = aws.client("events").put_rule(Name=name, **pattern, **options)["RuleArn"]
    aws.client("events").put_targets(Rule=name, Targets=list(targets))
    return name, str(arn)


def tell(aws: LocalAws, source: str) -> None:
    """PutEvents of one."""
    events = aws.client("events")
    events.put_events(Entries=[{"Source": source, "DetailType": "probe", "Detail": json.dumps({"minute": 42})}])


def test_what_a_rule_has_for_functions_and_tasks_waits_for_the_plane(aws: LocalAws) -> None:
    started = {
        "Id": "task",
        "Arn": f"arn:aws:ecs:us-west-2:{ACCOUNT}:cluster/c",
        "RoleArn": f"arn:aws:iam::{ACCOUNT}:role/events",
        "EcsParameters": {"TaskDefinitionArn": f"arn:aws:ecs:us-west-2:{ACCOUNT}:task-definition/t:1", "TaskCount": 1},
    }
    invoked = {"Id": "function", "Arn": f"arn:aws:lambda:us-west-2:{ACCOUNT}:function:f", "Input": '{"a": 1}'}
    name, arn = rule(aws, started, invoked)
    aws.deliveries()
    tell(aws, name)
    waiting = aws.deliveries()
    assert [(each["rule_arn"], each["target"]) for each in waiting] == [(arn, started), (arn, invoked)]
    event = waiting[0]["event"]
    assert (event["source"], event["detail"], event["account"]) == (name, {"minute": 42}, ACCOUNT)
    assert event["time"].endswith("Z")
    assert aws.deliveries() == []


def test_a_target_that_is_gone_harms_no_other(aws: LocalAws) -> None:
    sqs = aws.client("sqs")
    queue = f"q-{uuid.uuid4()}"
    url = sqs.create_queue(QueueName=queue)["QueueUrl"]
    gone = {"Id": "gone", "Arn": f"arn:aws:logs:us-west-2:{ACCOUNT}:log-group:/gone"}
    name, _ = rule(aws, gone, {"Id": "queue", "Arn": f"arn:aws:sqs:us-west-2:{ACCOUNT}:{queue}"})
    tell(aws, name)
    (message,) = sqs.receive_message(QueueUrl=url)["Messages"]
    assert json.loads(message["Body"])["account"] == ACCOUNT


@pytest.mark.parametrize("options", [{"State": "DISABLED"}, {"ScheduleExpression": "rate(1 day)"}])
def test_a_rule_that_is_disabled_or_has_a_schedule_alone_hears_nothing(aws: LocalAws, options: dict[str, Any]) -> None:
    sqs = aws.client("sqs")
    queue = f"q-{uuid.uuid4()}"
    url = sqs.create_queue(QueueName=queue)["QueueUrl"]
    if "State" in options:
        options = {**options, "EventPattern": json.dumps({"source": ["anybody"]})}
    rule(aws, {"Id": "queue", "Arn": f"arn:aws:sqs:us-west-2:{ACCOUNT}:{queue}"}, **options)
    tell(aws, "anybody")
    assert "Messages" not in sqs.receive_message(QueueUrl=url)

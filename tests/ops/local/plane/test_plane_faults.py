"""Rows 4, 6 to 13 and 26 of the fault list under the plane: what fires, what AWS answers, what is left in the queue,
which metric moves, why a task stopped."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from fault_cases import distrusted, narrowed
from pipeline import catalog
from plane_world import MORNING, PROJECT, World

SERVICE = "dispatcher"
ROLE = f"{PROJECT}-eventbridge-ecs-role"
AS_ROLE = f"User: arn:aws:sts::123456789012:assumed-role/{ROLE}/scheduler is not authorized to perform: "
NOWHERE = {"Subnets": ["subnet-0aaaaaaaaaaaaaaaa"], "SecurityGroups": ["sg-0bbbbbbbbbbbbbbbb"]}
# What a dead letter says of itself; EXHAUSTED_RETRY_CONDITION only where there were retries to exhaust.
ATTRIBUTES = {
    *("ERROR_CODE", "ERROR_MESSAGE", "EXECUTION_ID", "IS_PAYLOAD_TRUNCATED", "RETRY_ATTEMPTS"),
    *("SCHEDULED_TIME", "SCHEDULE_ARN", "TARGET_ARN"),
}


@dataclass(frozen=True, kw_only=True)
class Refused:
    """A start that AWS refuses: how it comes about, the error's code, the beginning of its message, and whether the
    scheduler can still leave a letter (it does so in the name of the same role)."""

    made: Callable[[World], Any]
    code: str
    says: str
    letter: bool = True


def cluster(world: World) -> None:
    world.change(SERVICE, Target={"Arn": f"arn:aws:ecs:us-west-2:123456789012:cluster/{PROJECT}"})
    # The role is bound to our cluster and would be refused first.
    role = world.client("iam").list_role_policies(RoleName=ROLE)["PolicyNames"]
    free = {"Effect": "Allow", "Action": ["ecs:RunTask", "ecs:TagResource", "iam:PassRole"], "Resource": "*"}
    world.write_policy(ROLE, role[0], {"Version": "2012-10-17", "Statement": [free, _letters()]})


def _letters() -> dict[str, Any]:
    return {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": "*"}


def network(world: World) -> None:
    ecs = {"NetworkConfiguration": {"awsvpcConfiguration": NOWHERE}}
    world.change(SERVICE, Target={"EcsParameters": ecs})


def no_role(world: World) -> None:
    world.change(SERVICE, Target={"RoleArn": "arn:aws:iam::123456789012:role/nobody"})


def revision_gone(world: World) -> None:
    arn = world.definition(SERVICE)["taskDefinitionArn"]
    world.client("ecs").deregister_task_definition(taskDefinition=arn)


REFUSED = {
    "4 another cluster, which the role is not for": Refused(
        made=lambda world: world.change(
            SERVICE, Target={"Arn": f"arn:aws:ecs:us-west-2:123456789012:cluster/{PROJECT}"}
        ),
        code="AccessDeniedException",
        says=f"{AS_ROLE}ecs:RunTask",
    ),
    "4 a cluster that does not exist": Refused(made=cluster, code="ClusterNotFoundException", says="Cluster not found"),
    "6 unknown subnet": Refused(
        made=network, code="InvalidParameterException", says="Error retrieving subnet information"
    ),
    "7 the role is gone": Refused(made=no_role, code="AccessDeniedException", says="The role ", letter=False),
    "8 the trust policy names another service": Refused(
        made=distrusted, code="AccessDeniedException", says="scheduler.amazonaws.com is not", letter=False
    ),
    "9 it may not run tasks": Refused(
        made=narrowed("ecs:RunTask"), code="AccessDeniedException", says=f"{AS_ROLE}ecs:RunTask"
    ),
    "9 it may not pass the task's roles": Refused(
        made=narrowed("iam:PassRole"), code="AccessDeniedException", says=f"{AS_ROLE}iam:PassRole"
    ),
    "11 the revision is deregistered": Refused(
        made=revision_gone, code="ClientException", says="TaskDefinition is inactive"
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_refused_start_runs_nothing_and_leaves_what_aws_leaves(world: World, name: str) -> None:
    refused = REFUSED[name]
    world.keep(SERVICE)
    refused.made(world)
    minutes = world.minutes(2)
    invocations = [each for minute in minutes for each in minute.invocations]
    assert [each.result for each in invocations] == ["dead_letter" if refused.letter else "dropped"] * 2
    assert {each.error_code for each in invocations} == {refused.code}, invocations[0].error_message
    assert all(each.error_message.startswith(refused.says) for each in invocations), invocations[0].error_message
    assert world.ended == []
    assert world.runs(SERVICE) == []
    left = world.letters()
    assert len(left) == (2 if refused.letter else 0)
    for _, attributes in left:
        assert set(attributes) == ATTRIBUTES
        assert attributes["ERROR_CODE"] == refused.code
        assert attributes["SCHEDULE_ARN"].endswith(f"schedule/{SERVICE}/{catalog.load()[SERVICE].schedule}")
        assert attributes["RETRY_ATTEMPTS"] == "0"
    counts = {name: scheduled(world, name) for name in ("InvocationAttemptCount", "TargetErrorCount")}
    assert counts == {"InvocationAttemptCount": 2, "TargetErrorCount": 2}
    assert scheduled(world, "InvocationsSentToDeadLetterCount") == len(left)
    assert scheduled(world, "InvocationsFailedToBeSentToDeadLetterCount") == 2 - len(left)


def scheduled(world: World, metric: str) -> float:
    return world.total("AWS/Scheduler", metric, ScheduleGroup=SERVICE)


def test_a_forgotten_rule_starts_the_task_a_second_time_and_one_of_them_stands_back(world: World) -> None:
    """Row 10. The rule's role must be trusted by events, else it starts nothing."""
    world.keep(SERVICE)
    trusting = {"Effect": "Allow", "Action": "sts:AssumeRole",
                "Principal": {"Service": ["events.amazonaws.com", "scheduler.amazonaws.com"]}}  # fmt: skip
    document = {"Version": "2012-10-17", "Statement": [trusting]}
    world.write_trust(ROLE, document)
    target = world.schedule(SERVICE)["Target"]
    events = world.client("events")
    events.put_rule(Name="forgotten", ScheduleExpression="rate(1 minute)")
    ecs = {"TaskDefinitionArn": target["EcsParameters"]["TaskDefinitionArn"], "TaskCount": 1, "LaunchType": "FARGATE",
           "NetworkConfiguration": _lower(target["EcsParameters"]["NetworkConfiguration"])}  # fmt: skip
    events.put_targets(Rule="forgotten", Targets=[{"Id": "old", "Arn": target["Arn"], "RoleArn": target["RoleArn"],
                                                   "EcsParameters": ecs}])  # fmt: skip
    world.minutes(2)
    started = [each.name for each in world.invocations if each.result == "started"]
    assert started.count("forgotten") >= 1
    assert started.count(catalog.load()[SERVICE].schedule) == 2
    assert len(world.ended) == len(started)
    assert len({run["trigger_arn"] for run in world.runs(SERVICE)}) == 2


def _lower(configuration: dict[str, Any]) -> dict[str, Any]:
    """Scheduler writes AwsvpcConfiguration as ECS does, events the same with capitals inside."""
    return {"awsvpcConfiguration": dict(next(iter(configuration.values())))}


def test_a_revision_that_exits_at_once_stops_as_ecs_says_and_leaves_no_letter(world: World) -> None:
    """Row 12: the scheduler's part succeeds, and only the task tells."""
    world.keep(SERVICE)
    world.redefine(SERVICE, container={"entryPoint": ["python", "-c", "import os; os._exit(1)"]})
    minute = world.minute()
    (task,) = minute.ended
    assert (task.stop_code, task.stopped_reason, task.exit_code) == (
        *("EssentialContainerExited", "Essential container in task exited"),
        1,
    )
    described = world.task(task.task_arn)
    assert described["lastStatus"] == "STOPPED"
    assert described["containers"][0]["exitCode"] == 1
    assert world.letters() == []
    assert scheduled(world, "TargetErrorCount") == 0


def test_a_revoked_key_fails_every_run_for_its_own_reason(world: World) -> None:
    """Row 13: not exit 0 on 0 of N."""
    world.keep("telemetry_ingestor")
    world.exchange.keys.revoke()
    world.minutes(2)
    assert [task.exit_code for task in world.ended] == [1, 1]
    assert {run["error_code"] for run in world.runs("telemetry_ingestor")} == {"key_rejected"}
    assert world.total("OpsPipeline", "RunsFailed", Service="telemetry_ingestor") == 2
    assert world.total("OpsPipeline", "RunsCompleted", Service="telemetry_ingestor") == 0


def test_an_alarm_whose_actions_are_off_goes_to_alarm_and_tells_nobody(world: World) -> None:
    """Row 26, beside one that still tells."""
    world.keep()
    alarms = [f"{PROJECT}-{SERVICE}-silent", f"{PROJECT}-down"]
    world.client("cloudwatch").disable_alarm_actions(AlarmNames=alarms)
    world.minutes(8)
    assert {"dispatcher-silent", "signal-engine-silent"} <= world.in_alarm()
    assert world.state("down") == "ALARM"
    told = " ".join(world.mail())
    assert "signal-engine-silent" in told
    assert "dispatcher-silent" not in told
    assert f"{PROJECT}-down" not in told


def test_secrets_that_may_not_be_read_stop_the_task_before_it_starts(world: World) -> None:
    world.keep(SERVICE)
    role = f"{PROJECT}-dispatcher-execution"
    for name in world.client("iam").list_role_policies(RoleName=role)["PolicyNames"]:
        world.client("iam").delete_role_policy(RoleName=role, PolicyName=name)
    (task,) = world.minute().ended
    assert task.stop_code == "TaskFailedToStart"
    assert task.stopped_reason.startswith("ResourceInitializationError")
    assert task.exit_code is None
    assert world.runs(SERVICE) == []


def test_the_minute_of_the_morning_is_that_of_the_metrics(world: World) -> None:
    world.keep(SERVICE)
    world.minute()
    points = world.client("cloudwatch").get_metric_statistics(
        Namespace="AWS/Scheduler", MetricName="InvocationAttemptCount", Period=60, Statistics=["Sum"],
        Dimensions=[{"Name": "ScheduleGroup", "Value": SERVICE}], StartTime=MORNING, EndTime=world.at,
    )["Datapoints"]  # fmt: skip
    assert [(each["Timestamp"], each["Sum"]) for each in points] == [(MORNING, 1.0)]

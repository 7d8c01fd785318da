"""The life of a task in the local AWS: started, reported, told, listed, forgotten."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from ops.local.aws import LocalAws, LocalAwsFailed
from ops.local.aws.environment import ACCOUNT

DIGEST = f"sha256:{'1' * 64}"
IMAGE = f"{ACCOUNT}.dkr.ecr.us-west-2.amazonaws.com/ops-pipeline/probe@{DIGEST}"
MORNING = datetime(2026, 1, 26, 14, 30, tzinfo=UTC)


class Bench:
    """A cluster, a definition and a network, and what happens to its tasks."""

    def __init__(self, aws: LocalAws) -> None:
        self.aws, self.ecs, self.cluster = aws, aws.client("ecs"), f"cluster-{uuid.uuid4()}"
        self.cluster_arn = self.ecs.create_cluster(clusterName=self.cluster)["cluster"]["clusterArn"]
        self.family = f"probe-{uuid.uuid4()}"
        made = self.ecs.register_task_definition(
            family=self.family,
            networkMode="awsvpc",
            requiresCompatibilities=["FARGATE"],
            cpu="256",
            memory="512",
            containerDefinitions=[{"name": "probe", "image": IMAGE}, {"name": "beside", "image": "busybox"}],
        )
        self.definition = made["taskDefinition"]["taskDefinitionArn"]
        ec2 = aws.client("ec2")
        vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        self.subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.1.0/24")["Subnet"]["SubnetId"]
        self.group = ec2.create_security_group(GroupName="tasks", Description="tasks", VpcId=vpc)["GroupId"]

    def run(self, *, subnet: str = "", group: str = "", **options: Any) -> dict[str, Any]:
        """RunTask; the task."""
        network = {"subnets": [subnet or self.subnet], "securityGroups": [group or self.group]}
        asked = {"cluster": self.cluster, "taskDefinition": self.definition, "launchType": "FARGATE", **options}
        answer = self.ecs.run_task(networkConfiguration={"awsvpcConfiguration": network}, **asked)
        task: dict[str, Any] = answer["tasks"][0]
        return task

    def look(self, task: str) -> dict[str, Any]:
        """DescribeTasks of one."""
        (found,) = self.ecs.describe_tasks(cluster=self.cluster, tasks=[task])["tasks"]
        return dict(found)

    def listed(self, **options: Any) -> list[str]:
        """ListTasks."""
        return list(self.ecs.list_tasks(cluster=self.cluster, **options)["taskArns"])


@pytest.fixture
def bench(mended_aws: LocalAws) -> Bench:
    """On the mended AWS, in the morning."""
    mended_aws.set_now(MORNING)
    return Bench(mended_aws)


def test_a_definition_tells_when_it_was_registered(bench: Bench) -> None:
    bench.aws.set_now(MORNING)
    bench.ecs.register_task_definition(
        family=bench.family, containerDefinitions=[{"name": "probe", "image": IMAGE, "memory": 64}]
    )
    newest = bench.ecs.describe_task_definition(taskDefinition=bench.family)["taskDefinition"]
    assert abs(newest["registeredAt"] - MORNING) < timedelta(minutes=1)


def test_a_task_waits_for_its_runner_however_often_it_is_looked_at(aws: LocalAws) -> None:
    bench = Bench(aws)
    task = bench.run(startedBy="scheduler")
    assert task["lastStatus"] == "PROVISIONING"
    looks = [bench.look(task["taskArn"]) for _ in range(5)]
    assert {(look["lastStatus"], look["desiredStatus"]) for look in looks} == {("PROVISIONING", "RUNNING")}
    assert "startedAt" not in looks[-1]


def test_a_task_has_each_container_of_its_definition(aws: LocalAws) -> None:
    task = Bench(aws).run()
    assert [each["name"] for each in task["containers"]] == ["probe", "beside"]
    assert (task["containers"][0]["imageDigest"], task["cpu"], task["memory"]) == (DIGEST, "256", "512")


def test_a_task_is_led_through_its_life_by_the_virtual_clock(bench: Bench) -> None:
    task = bench.run()["taskArn"]
    for minutes, status in enumerate(("PENDING", "RUNNING", "DEPROVISIONING", "STOPPED"), start=1):
        bench.aws.set_now(MORNING + timedelta(minutes=minutes))
        ended = [{"name": "probe", "exitCode": 137, "reason": "OutOfMemoryError"}] if status == "STOPPED" else []
        bench.aws.report_task(bench.cluster, task, status, containers=ended)
        assert bench.look(task)["lastStatus"] == status
    found = bench.look(task)
    times = ("createdAt", "pullStartedAt", "startedAt", "stoppingAt", "stoppedAt")
    assert [round((found[name] - MORNING).total_seconds() / 60) for name in times] == [0, 1, 2, 3, 4]
    assert (found["stopCode"], found["desiredStatus"]) == ("EssentialContainerExited", "STOPPED")
    assert (found["containers"][0]["exitCode"], found["containers"][0]["reason"]) == (137, "OutOfMemoryError")


def test_a_task_that_never_started_says_why_and_has_no_start(bench: Bench) -> None:
    task = bench.run()["taskArn"]
    reason = "ResourceInitializationError: unable to pull secrets or registry auth"
    bench.aws.report_task(bench.cluster_arn, task, "STOPPED", stop_code="TaskFailedToStart", stopped_reason=reason)
    found = bench.look(task)
    assert (found["stopCode"], found["stoppedReason"]) == ("TaskFailedToStart", reason)
    assert not {"startedAt", "executionStoppedAt"} & found.keys()


def test_each_state_is_told_with_all_that_aws_documents(bench: Bench) -> None:
    queue = events_queue(bench.aws, bench.cluster_arn)
    task = bench.run(startedBy="scheduler")["taskArn"]
    bench.aws.report_task(bench.cluster, task, "RUNNING")
    bench.aws.report_task(bench.cluster, task, "STOPPED", containers=[{"name": "probe", "exitCode": 3}])
    told = [json.loads(each["Body"]) for each in receive(bench.aws, queue)]
    assert [each["detail"]["lastStatus"] for each in told] == ["PROVISIONING", "RUNNING", "STOPPED"]
    last = told[-1]
    assert (last["account"], last["resources"], last["time"][:16]) == (ACCOUNT, [task], "2026-01-26T14:30")
    detail = last["detail"]
    expected = {"clusterArn": bench.cluster_arn, "taskDefinitionArn": bench.definition, "startedBy": "scheduler"}
    assert expected.items() <= detail.items()
    assert (detail["group"], detail["launchType"]) == (f"family:{bench.family}", "FARGATE")
    assert detail["containers"][0]["imageDigest"] == DIGEST
    assert detail["containers"][0]["exitCode"] == 3
    assert {"createdAt", "startedAt", "stoppedAt", "updatedAt", "version"} <= detail.keys()


def test_the_reason_of_a_stopped_task_is_logged_by_a_rule(bench: Bench) -> None:
    group, name = f"/stopped/{uuid.uuid4()}", f"rule-{uuid.uuid4()}"
    logs, events = bench.aws.client("logs"), bench.aws.client("events")
    logs.create_log_group(logGroupName=group)
    events.put_rule(Name=name, EventPattern=json.dumps({"source": ["aws.ecs"], "detail": {"lastStatus": ["STOPPED"]}}))
    events.put_targets(Rule=name, Targets=[{"Id": "log", "Arn": f"arn:aws:logs:us-west-2:{ACCOUNT}:log-group:{group}"}])
    task = bench.run()["taskArn"]
    bench.aws.report_task(bench.cluster, task, "STOPPED", stopped_reason="gone")
    (line,) = logs.filter_log_events(logGroupName=group)["events"]
    assert json.loads(line["message"])["detail"]["stoppedReason"] == "gone"
    assert datetime.fromtimestamp(line["timestamp"] / 1000, UTC).date() == MORNING.date()
    events.remove_targets(Rule=name, Ids=["log"])


def test_a_user_asks_a_task_to_stop_and_its_runner_ends_it(aws: LocalAws) -> None:
    bench = Bench(aws)
    task = bench.run()["taskArn"]
    bench.ecs.stop_task(cluster=bench.cluster, task=task, reason="enough")
    asked = bench.look(task)
    assert (asked["lastStatus"], asked["desiredStatus"], asked["stopCode"]) == (
        "PROVISIONING",
        "STOPPED",
        "UserInitiated",
    )
    aws.report_task(bench.cluster, task, "STOPPED", stop_code="EssentialContainerExited", stopped_reason="exit 143")
    ended = bench.look(task)
    assert (ended["lastStatus"], ended["stopCode"], ended["stoppedReason"]) == ("STOPPED", "UserInitiated", "enough")


def test_what_runs_is_listed_and_what_stopped_only_when_asked_for(aws: LocalAws) -> None:
    bench = Bench(aws)
    runs, stopped = bench.run()["taskArn"], bench.run()["taskArn"]
    bench.ecs.stop_task(cluster=bench.cluster, task=stopped)
    assert bench.listed() == [runs]
    assert bench.listed(desiredStatus="STOPPED") == [stopped]
    assert bench.listed(family="another") == bench.listed(serviceName="none") == []


def test_tasks_are_listed_by_family_when_their_revision_is_gone_too(aws: LocalAws) -> None:
    bench = Bench(aws)
    task = bench.run()["taskArn"]
    bench.ecs.deregister_task_definition(taskDefinition=bench.definition)
    assert bench.listed(family=bench.family) == [task]


def test_a_stopped_task_is_forgotten_after_an_hour_and_gives_its_interface_back_at_once(bench: Bench) -> None:
    task = bench.run()["taskArn"]
    mine = [{"Name": "subnet-id", "Values": [bench.subnet]}]
    ec2 = bench.aws.client("ec2")
    assert len(ec2.describe_network_interfaces(Filters=mine)["NetworkInterfaces"]) == 1
    bench.aws.report_task(bench.cluster, task, "STOPPED")
    assert ec2.describe_network_interfaces(Filters=mine)["NetworkInterfaces"] == []
    bench.aws.set_now(MORNING + timedelta(minutes=59))
    assert bench.look(task)["lastStatus"] == "STOPPED"
    bench.aws.set_now(MORNING + timedelta(minutes=61))
    answer = bench.ecs.describe_tasks(cluster=bench.cluster, tasks=[task])
    assert (answer["tasks"], answer["failures"]) == ([], [{"arn": task, "reason": "MISSING"}])
    assert bench.listed(desiredStatus="STOPPED") == []


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"cluster": "nowhere"}, "ClusterNotFoundException.*Cluster not found"),
        ({"taskDefinition": "nothing:7"}, "Unable to describe task definition"),
        ({"subnet": "subnet-0123"}, "The subnet ID 'subnet-0123' does not exist .ErrorCode: InvalidSubnetID.NotFound."),
        ({"group": "sg-0123"}, "The security group 'sg-0123' does not exist .ErrorCode: InvalidGroup.NotFound."),
        ({"count": 11}, "Count should be between 1 and 10"),
        ({"launchType": "EC2"}, "No Container Instances were found in your cluster"),
    ],
)
def test_an_impossible_start_is_refused_in_the_words_of_aws(bench: Bench, asked: dict[str, Any], told: str) -> None:
    with pytest.raises(ClientError, match=told):
        bench.run(**asked)
    assert bench.listed() == []


def test_a_group_that_is_not_there_is_refused_and_not_made(aws: LocalAws) -> None:
    with pytest.raises(ClientError, match=r"does not exist .ErrorCode: InvalidGroup.NotFound."):
        Bench(aws).run(group="sg-0123")


def test_a_report_that_makes_no_sense_is_refused_with_its_reason(bench: Bench) -> None:
    with pytest.raises(LocalAwsFailed, match="The referenced task was not found"):
        bench.aws.report_task(bench.cluster, "nobody", "STOPPED")
    with pytest.raises(LocalAwsFailed, match="Status ASLEEP is none of"):
        bench.aws.report_task(bench.cluster, bench.run()["taskArn"], "ASLEEP")


def events_queue(aws: LocalAws, cluster_arn: str) -> str:
    """A queue with the events of one cluster's tasks."""
    name = f"tasks-{uuid.uuid4()}"
    queue = aws.client("sqs").create_queue(QueueName=name)["QueueUrl"]
    events = aws.client("events")
    events.put_rule(
        Name=name, EventPattern=json.dumps({"source": ["aws.ecs"], "detail": {"clusterArn": [cluster_arn]}})
    )
    events.put_targets(Rule=name, Targets=[{"Id": "queue", "Arn": f"arn:aws:sqs:us-west-2:{ACCOUNT}:{name}"}])
    return str(queue)


def receive(aws: LocalAws, queue: str) -> Iterator[dict[str, Any]]:
    """All that wait there."""
    while found := aws.client("sqs").receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages"):
        yield from found

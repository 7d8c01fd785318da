"""Tasks, functions and their network in the local AWS."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from ops.local.aws import LocalAws
from ops.local.aws.environment import ACCOUNT

IMAGE = f"{ACCOUNT}.dkr.ecr.us-west-2.amazonaws.com/ops-pipeline/probe@sha256:{'1' * 64}"


def task_definition(aws: LocalAws) -> str:
    """A Fargate task definition whose memory stands at the task, as ours do; its ARN."""
    made = aws.client("ecs").register_task_definition(
        family=f"probe-{uuid.uuid4()}",
        networkMode="awsvpc",
        requiresCompatibilities=["FARGATE"],
        cpu="256",
        memory="512",
        containerDefinitions=[{"name": "probe", "image": IMAGE, "essential": True}],
    )
    return str(made["taskDefinition"]["taskDefinitionArn"])


def network(aws: LocalAws) -> dict[str, Any]:
    """Where a task may run."""
    ec2 = aws.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.1.0/24")["Subnet"]["SubnetId"]
    group = ec2.create_security_group(GroupName=f"g-{uuid.uuid4()}", Description="tasks", VpcId=vpc)["GroupId"]
    return {"awsvpcConfiguration": {"subnets": [subnet], "securityGroups": [group], "assignPublicIp": "ENABLED"}}


def run_task(aws: LocalAws, cluster: str, definition: str) -> dict[str, Any]:
    """RunTask as EventBridge Scheduler calls it."""
    answer: dict[str, Any] = aws.client("ecs").run_task(
        cluster=cluster,
        taskDefinition=definition,
        launchType="FARGATE",
        networkConfiguration=network(aws),
        startedBy="scheduler",
    )
    return answer


def cluster(aws: LocalAws) -> str:
    """A new cluster's name."""
    name = f"cluster-{uuid.uuid4()}"
    aws.client("ecs").create_cluster(clusterName=name)
    return name


def test_a_task_starts_with_memory_at_the_task_alone(aws: LocalAws) -> None:
    answer = run_task(aws, cluster(aws), task_definition(aws))
    assert (len(answer["tasks"]), answer["failures"]) == (1, [])


def test_an_inactive_revision_is_refused(aws: LocalAws) -> None:
    definition = task_definition(aws)
    aws.client("ecs").deregister_task_definition(taskDefinition=definition)
    with pytest.raises(ClientError, match="TaskDefinition is inactive"):
        run_task(aws, cluster(aws), definition)


def test_a_runner_reports_the_end_of_a_task_and_the_event_says_so(aws: LocalAws) -> None:
    ecs, where = aws.client("ecs"), cluster(aws)
    queue = stopped_tasks_queue(aws)
    task = run_task(aws, where, task_definition(aws))["tasks"][0]["taskArn"]
    ended = [{"containerName": "probe", "exitCode": 3, "status": "STOPPED"}]
    ecs.submit_task_state_change(cluster=where, task=task, status="STOPPED", reason="done", containers=ended)
    (found,) = ecs.describe_tasks(cluster=where, tasks=[task])["tasks"]
    assert (found["lastStatus"], found["stoppedReason"], found["containers"][0]["exitCode"]) == ("STOPPED", "done", 3)
    (message,) = aws.client("sqs").receive_message(QueueUrl=queue)["Messages"]
    detail = json.loads(message["Body"])["detail"]
    assert (detail["taskArn"], detail["containers"][0]["exitCode"]) == (task, 3)


def stopped_tasks_queue(aws: LocalAws) -> str:
    """A queue with the events of stopped tasks."""
    name = f"stopped-{uuid.uuid4()}"
    queue = aws.client("sqs").create_queue(QueueName=name)["QueueUrl"]
    events = aws.client("events")
    pattern = {"source": ["aws.ecs"], "detail-type": ["ECS Task State Change"], "detail": {"lastStatus": ["STOPPED"]}}
    events.put_rule(Name=name, EventPattern=json.dumps(pattern))
    events.put_targets(Rule=name, Targets=[{"Id": "queue", "Arn": f"arn:aws:sqs:us-west-2:{ACCOUNT}:{name}"}])
    return str(queue)


def function(aws: LocalAws, **options: Any) -> str:
    """A function from an image; its name."""
    name, role = f"probe-{uuid.uuid4()}", f"role-{uuid.uuid4()}"
    trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    arn = aws.client("iam").create_role(RoleName=role, AssumeRolePolicyDocument=document)["Role"]["Arn"]
    aws.client("lambda").create_function(
        FunctionName=name, Role=arn, PackageType="Image", Code={"ImageUri": IMAGE}, **options
    )
    return name


def test_a_function_reports_dead_letters_and_logging(aws: LocalAws) -> None:
    queue = f"arn:aws:sqs:us-west-2:{ACCOUNT}:dead-letters"
    logging = {"LogFormat": "JSON", "LogGroup": "/ecs/ops-pipeline/probe"}
    name = function(aws, DeadLetterConfig={"TargetArn": queue}, LoggingConfig=logging)
    found = aws.client("lambda").get_function_configuration(FunctionName=name)
    assert (found["DeadLetterConfig"]["TargetArn"], found["LoggingConfig"]) == (queue, logging)


def test_a_function_reports_a_later_change_of_tracing(aws: LocalAws) -> None:
    name = function(aws)
    aws.client("lambda").update_function_configuration(FunctionName=name, TracingConfig={"Mode": "Active"})
    found = aws.client("lambda").get_function_configuration(FunctionName=name)
    assert found["TracingConfig"] == {"Mode": "Active"}


def test_an_image_without_overrides_has_no_image_settings(aws: LocalAws) -> None:
    found = aws.client("lambda").get_function_configuration(FunctionName=function(aws))
    assert "ImageConfigResponse" not in found


def test_an_image_named_by_digest_resolves_to_it(aws: LocalAws) -> None:
    found = aws.client("lambda").get_function(FunctionName=function(aws))
    assert found["Code"]["ResolvedImageUri"] == IMAGE


def test_a_change_of_a_function_has_its_time_and_its_image_a_digest(aws: LocalAws) -> None:
    morning, client = datetime(2026, 1, 26, 14, 30, tzinfo=UTC), aws.client("lambda")
    aws.set_now(morning)
    name = function(aws, Timeout=60)

    def look() -> tuple[int, str, int]:
        found = client.get_function_configuration(FunctionName=name)
        at = datetime.strptime(found["LastModified"], "%Y-%m-%dT%H:%M:%S.%f%z")
        return round((at - morning).total_seconds() / 60), found["CodeSha256"][:3], found["Timeout"]

    assert look() == (0, "111", 60)
    aws.set_now(morning + timedelta(minutes=5))
    client.update_function_configuration(FunctionName=name, Timeout=30)
    assert look() == (5, "111", 30)
    aws.set_now(morning + timedelta(minutes=9))
    client.update_function_code(FunctionName=name, ImageUri=IMAGE.replace("1" * 64, "2" * 64))
    assert look() == (9, "222", 30)


def test_a_function_that_may_not_run_at_all_says_so(aws: LocalAws) -> None:
    name = function(aws)
    aws.client("lambda").put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    found = aws.client("lambda").get_function(FunctionName=name)
    assert found["Concurrency"] == {"ReservedConcurrentExecutions": 0}


def test_a_rule_between_groups_keeps_its_description(aws: LocalAws) -> None:
    ec2 = aws.client("ec2")
    group = network(aws)["awsvpcConfiguration"]["securityGroups"][0]
    pair = [{"GroupId": group, "Description": "Postgres from tasks"}]
    rule = {"IpProtocol": "tcp", "FromPort": 5432, "ToPort": 5432, "UserIdGroupPairs": pair}
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[rule])
    rules = ec2.describe_security_group_rules(Filters=[{"Name": "group-id", "Values": [group]}])["SecurityGroupRules"]
    assert [each.get("Description") for each in rules if not each["IsEgress"]] == ["Postgres from tasks"]


def test_a_subnet_is_found_by_its_associated_ipv6_range(aws: LocalAws) -> None:
    ec2 = aws.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16", AmazonProvidedIpv6CidrBlock=True)["Vpc"]["VpcId"]
    (range_,) = ec2.describe_vpcs(VpcIds=[vpc])["Vpcs"][0]["Ipv6CidrBlockAssociationSet"]
    prefix = range_["Ipv6CidrBlock"].replace("/56", "/64")
    made = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.1.0/24", Ipv6CidrBlock=prefix)["Subnet"]
    (association,) = made["Ipv6CidrBlockAssociationSet"]
    by_id = {"Name": "ipv6-cidr-block-association.association-id", "Values": [association["AssociationId"]]}
    (found,) = ec2.describe_subnets(Filters=[by_id])["Subnets"]
    assert found["SubnetId"] == made["SubnetId"]
    assert found["Ipv6CidrBlockAssociationSet"][0]["Ipv6CidrBlockState"]["State"] == "associated"

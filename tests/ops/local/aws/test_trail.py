"""What the local AWS counts as a change, and keeps as CloudTrail's event history."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from ops.drift_finding import Finding
from ops.drift_since import with_since
from ops.local.aws import LocalAws
from ops.local.aws.changes import is_change
from ops.local.aws.environment import ACCOUNT

MORNING = datetime(2026, 1, 26, 14, 30, tzinfo=UTC)


def schedule(aws: LocalAws, name: str, **changes: Any) -> None:
    """CreateSchedule."""
    target = {"Arn": f"arn:aws:sqs:us-west-2:{ACCOUNT}:q", "RoleArn": f"arn:aws:iam::{ACCOUNT}:role/scheduler"}
    asked = {"ScheduleExpression": "rate(1 minute)", "FlexibleTimeWindow": {"Mode": "OFF"}, "Target": target}
    aws.client("scheduler").create_schedule(Name=name, **{**asked, **changes})


def lookup(aws: LocalAws, name: str = "", region: str = "us-west-2", **options: Any) -> list[dict[str, Any]]:
    """The events on a resource."""
    wanted = [{"AttributeKey": "ResourceName", "AttributeValue": name}]
    asked = {**({"LookupAttributes": wanted} if name else {}), **options}
    return list(aws.client("cloudtrail", region).lookup_events(**asked)["Events"])


def test_each_service_counts_what_changes_it_and_nothing_else(mended_aws: LocalAws) -> None:
    name = f"s-{uuid.uuid4()}"
    before = mended_aws.changes()
    schedule(mended_aws, name)
    with pytest.raises(ClientError):
        schedule(mended_aws, name)  # refused, but somebody tried
    mended_aws.client("scheduler").get_schedule(Name=name)
    sqs = mended_aws.client("sqs")
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody="data")
    sqs.receive_message(QueueUrl=url)
    mended_aws.client("cloudwatch").put_metric_data(Namespace="n", MetricData=[{"MetricName": "m", "Value": 1}])
    s3 = mended_aws.client("s3")
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
    s3.put_object(Bucket=name, Key="page", Body=b"html")
    after = mended_aws.changes()
    counted = {service: count - before.get(service, 0) for service, count in after.items()}
    assert {service: count for service, count in counted.items() if count} == {"scheduler": 2, "sqs": 1, "s3": 1}


def test_what_the_plane_does_is_nobodys_change(mended_aws: LocalAws) -> None:
    name, before = f"q-{uuid.uuid4()}", mended_aws.changes()
    mended_aws.client("sqs", plane=True).create_queue(QueueName=name)
    assert mended_aws.changes() == before
    assert lookup(mended_aws, name) == []


@pytest.mark.parametrize(
    ("service", "action", "counts"),
    [
        ("ssm", "PutParameter", True),
        ("ssm", "GetParametersByPath", False),
        ("ecr", "BatchGetImage", False),
        ("ecr", "BatchDeleteImage", True),
        ("logs", "PutLogEvents", False),
        ("logs", "CreateLogStream", True),
        ("logs", "FilterLogEvents", False),
        ("cloudwatch", "SetAlarmState", True),
        ("sts", "AssumeRole", False),
        ("kms", "Decrypt", False),
        ("ecs", "RunTask", True),
    ],
)
def test_reads_and_data_do_not_count(service: str, action: str, counts: bool) -> None:
    assert is_change(service, action, "Boto3/1.44") is counts
    assert is_change(service, action, "Boto3/1.44 ops-plane") is False


def test_a_change_is_told_with_its_time_its_author_and_what_was_asked(aws: LocalAws) -> None:
    name = f"s-{uuid.uuid4()}"
    aws.set_now(MORNING)
    schedule(aws, name)
    (event,) = lookup(aws, name)
    assert (event["EventName"], event["EventSource"], event["ReadOnly"]) == (
        "CreateSchedule",
        "scheduler.amazonaws.com",
        "false",
    )
    assert timedelta() <= event["EventTime"] - MORNING < timedelta(minutes=1)
    assert event["Resources"] == [{"ResourceType": "AWS::Scheduler::Schedule", "ResourceName": name}]
    record = json.loads(event["CloudTrailEvent"])
    assert record["requestParameters"]["scheduleExpression"] == "rate(1 minute)"
    assert record["userIdentity"]["userName"] == event["Username"] == "local"
    assert (record["awsRegion"], record["eventID"]) == ("us-west-2", event["EventId"])
    assert (record["sourceIPAddress"], "errorCode" in record) == ("127.0.0.1", False)
    assert "Boto3" in record["userAgent"]


def test_a_user_and_a_roles_session_are_named(mended_aws: LocalAws) -> None:
    name = f"u-{uuid.uuid4()}"
    iam = mended_aws.client("iam")
    iam.create_user(UserName=name)
    key = iam.create_access_key(UserName=name)["AccessKey"]["AccessKeyId"]
    trust = json.dumps({"Version": "2012-10-17", "Statement": []})
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    session = mended_aws.client("sts").assume_role(RoleArn=role, RoleSessionName="deploy-7")["Credentials"]
    for as_key, who in ((key, name), (session["AccessKeyId"], "deploy-7")):
        queue = f"q-{uuid.uuid4()}"
        theirs = boto3.session.Session(aws_access_key_id=as_key, aws_secret_access_key="theirs")
        client = theirs.client("sqs", region_name="us-west-2", endpoint_url=mended_aws.url)
        client.create_queue(QueueName=queue)
        (event,) = lookup(mended_aws, queue)
        assert (event["Username"], event["AccessKeyId"]) == (who, as_key)


def test_a_refusal_is_told_with_its_code(mended_aws: LocalAws) -> None:
    name = f"s-{uuid.uuid4()}"
    with pytest.raises(ClientError):
        schedule(mended_aws, name, ScheduleExpression="rate(1 minutes)")
    with pytest.raises(ClientError):
        mended_aws.client("iam").delete_role(RoleName=name)
    (event,) = lookup(mended_aws, name)
    record = json.loads(event["CloudTrailEvent"])
    assert record["errorCode"] == "ValidationException"
    assert record["errorMessage"] == "Invalid Schedule Expression rate(1 minutes)."
    (event,) = lookup(mended_aws, name, "us-east-1")
    assert json.loads(event["CloudTrailEvent"])["errorCode"] == "NoSuchEntity"


def test_secrets_do_not_stand_in_the_history(mended_aws: LocalAws) -> None:
    name = f"db-{uuid.uuid4()}"
    mended_aws.client("ssm").put_parameter(Name=name, Value="hush-hush", Type="SecureString")
    mended_aws.client("rds").create_db_instance(
        DBInstanceIdentifier=name,
        DBInstanceClass="db.t4g.micro",
        Engine="postgres",
        AllocatedStorage=20,
        MasterUsername="owner",
        MasterUserPassword="hush-hush",
    )
    database, parameter = (json.loads(each["CloudTrailEvent"]) for each in lookup(mended_aws, name))
    assert parameter["requestParameters"]["value"] == "HIDDEN_DUE_TO_SECURITY_REASONS"
    assert database["requestParameters"]["masterUserPassword"] == "HIDDEN_DUE_TO_SECURITY_REASONS"
    assert "hush-hush" not in json.dumps([database, parameter])


def test_lookups_are_narrowed_by_one_attribute_and_by_time_and_answered_in_pages(mended_aws: LocalAws) -> None:
    name = f"/p/{uuid.uuid4()}"
    ssm = mended_aws.client("ssm")
    for minute in range(5):
        mended_aws.set_now(MORNING + timedelta(minutes=minute))
        ssm.put_parameter(Name=name, Value=str(minute), Type="String", Overwrite=True)
    times = [event["EventTime"].minute for event in lookup(mended_aws, name)]
    assert times == [34, 33, 32, 31, 30]
    span = {"StartTime": MORNING + timedelta(minutes=1), "EndTime": MORNING + timedelta(minutes=3)}
    assert [event["EventTime"].minute for event in lookup(mended_aws, name, **span)] == [33, 32, 31]
    wanted = [{"AttributeKey": "ResourceName", "AttributeValue": name}]
    pages = (
        mended_aws.client("cloudtrail")
        .get_paginator("lookup_events")
        .paginate(LookupAttributes=wanted, PaginationConfig={"PageSize": 2})
    )
    assert [len(page["Events"]) for page in pages] == [2, 2, 1]
    by_name = [{"AttributeKey": "EventName", "AttributeValue": "PutParameter"}]
    found = lookup(mended_aws, LookupAttributes=by_name)
    assert {event["EventName"] for event in found} == {"PutParameter"}
    with pytest.raises(ClientError, match="InvalidLookupAttributesException"):
        lookup(mended_aws, LookupAttributes=wanted + by_name)
    with pytest.raises(ClientError, match="InvalidMaxResultsException"):
        lookup(mended_aws, MaxResults=51)


def test_a_service_without_a_region_is_told_in_the_first_region_alone(mended_aws: LocalAws) -> None:
    name = f"u-{uuid.uuid4()}"
    mended_aws.client("iam").create_user(UserName=name)
    assert [event["EventName"] for event in lookup(mended_aws, name, "us-east-1")] == ["CreateUser"]
    assert lookup(mended_aws, name) == []


def test_the_history_outlives_the_emulator_in_its_snapshot(tmp_path: Path) -> None:
    aws = LocalAws(tmp_path)
    with aws:
        schedule(aws, "kept")
        aws.save()
    with aws:
        assert [event["EventName"] for event in lookup(aws, "kept")] == ["CreateSchedule"]
        assert aws.changes() == {}


def test_drift_names_who_changed_a_resource_and_when(mended_aws: LocalAws) -> None:
    name, role = f"s-{uuid.uuid4()}", f"r-{uuid.uuid4()}"
    mended_aws.set_now(MORNING)
    schedule(mended_aws, name)
    mended_aws.client("iam").create_role(RoleName=role, AssumeRolePolicyDocument="{}")
    arns = [f"arn:aws:scheduler:us-west-2:{ACCOUNT}:schedule/default/{name}", f"arn:aws:iam::{ACCOUNT}:role/{role}"]
    findings = [
        Finding(
            kind="changed", address=arn, attribute="x", expected=1, actual=2, severity="info", repair="", resource=arn
        )
        for arn in arns
    ]
    found, reason = with_since(findings, mended_aws.client("cloudtrail"), mended_aws.client("cloudtrail", "us-east-1"))
    assert reason is None
    assert {each.by for each in found} == {"local"}
    assert {str(each.since)[:16] for each in found} == {"2026-01-26T14:30"}


def test_a_rule_hears_of_a_change(aws: LocalAws) -> None:
    name = f"r-{uuid.uuid4()}"
    sqs, events = aws.client("sqs"), aws.client("events")
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    pattern = {
        "source": ["aws.scheduler"],
        "detail-type": ["AWS API Call via CloudTrail"],
        "detail": {"eventName": ["CreateSchedule"], "requestParameters": {"name": [name]}},
    }
    events.put_rule(Name=name, EventPattern=json.dumps(pattern))
    events.put_targets(Rule=name, Targets=[{"Id": "queue", "Arn": f"arn:aws:sqs:us-west-2:{ACCOUNT}:{name}"}])
    schedule(aws, name)
    (message,) = sqs.receive_message(QueueUrl=url)["Messages"]
    assert json.loads(message["Body"])["detail"]["requestParameters"]["name"] == name

"""Queues of the local AWS."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ops.local.aws import LocalAws


def test_a_queue_keeps_its_policy_when_something_else_changes(aws: LocalAws) -> None:
    sqs = aws.client("sqs")
    statement = {"Sid": "Own", "Effect": "Allow", "Principal": "*", "Action": "sqs:SendMessage", "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    url = sqs.create_queue(QueueName=f"q-{uuid.uuid4()}", Attributes={"Policy": policy})["QueueUrl"]
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"MessageRetentionPeriod": "60"})
    kept = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert kept["MessageRetentionPeriod"] == "60"
    assert json.loads(kept["Policy"])["Statement"] == [statement]


def test_a_queues_policy_can_be_taken_away(mended_aws: LocalAws) -> None:
    sqs = mended_aws.client("sqs")
    policy = json.dumps({"Version": "2012-10-17", "Statement": [{"Sid": "Own", "Effect": "Deny"}]})
    url = sqs.create_queue(QueueName=f"q-{uuid.uuid4()}", Attributes={"Policy": policy})["QueueUrl"]
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": ""})
    assert "Policy" not in sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]


MORNING = datetime(2026, 1, 26, 14, 30, tzinfo=UTC)


def count(aws: LocalAws, url: str) -> tuple[int, int]:
    """How many messages can be received, and how many are with somebody."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    found = aws.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    return int(found[names[0]]), int(found[names[1]])


def test_a_message_that_was_not_deleted_comes_back_in_virtual_time(mended_aws: LocalAws) -> None:
    sqs = mended_aws.client("sqs")
    mended_aws.set_now(MORNING)
    url = sqs.create_queue(QueueName=f"q-{uuid.uuid4()}", Attributes={"VisibilityTimeout": "60"})["QueueUrl"]
    told = {"ERROR_CODE": {"DataType": "String", "StringValue": "AccessDenied"}}
    sqs.send_message(QueueUrl=url, MessageBody="{}", MessageAttributes=told)
    assert count(mended_aws, url) == (1, 0)
    asked = {"QueueUrl": url, "MessageAttributeNames": ["All"], "AttributeNames": ["All"]}
    (message,) = sqs.receive_message(**asked)["Messages"]
    assert message["MessageAttributes"] == told
    assert int(message["Attributes"]["SentTimestamp"]) // 60_000 == MORNING.timestamp() // 60
    assert count(mended_aws, url) == (0, 1)
    mended_aws.set_now(MORNING + timedelta(minutes=2))
    assert count(mended_aws, url) == (1, 0)
    (again,) = sqs.receive_message(**asked)["Messages"]
    assert again["Attributes"]["ApproximateReceiveCount"] == "2"


def test_a_message_older_than_its_queue_keeps_them_is_gone(aws: LocalAws) -> None:
    sqs = aws.client("sqs")
    aws.set_now(MORNING)
    kept = {"MessageRetentionPeriod": "3600"}
    url = sqs.create_queue(QueueName=f"q-{uuid.uuid4()}", Attributes=kept)["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody="{}")
    aws.set_now(MORNING + timedelta(minutes=59))
    sqs.send_message(QueueUrl=url, MessageBody="{}")
    assert count(aws, url) == (2, 0)
    aws.set_now(MORNING + timedelta(minutes=61))
    assert count(aws, url) == (1, 0)


def test_a_queue_of_a_snapshot_takes_messages(tmp_path: Path) -> None:
    """moto's queues hold a condition, whose lock must come back as one."""
    with LocalAws(tmp_path) as aws:
        url = aws.client("sqs").create_queue(QueueName="kept")["QueueUrl"]
        aws.save()
    with LocalAws(tmp_path) as aws:
        url = aws.client("sqs").get_queue_url(QueueName="kept")["QueueUrl"]
        aws.client("sqs").send_message(QueueUrl=url, MessageBody="late")
        found = aws.client("sqs").receive_message(QueueUrl=url)["Messages"]
    assert [message["Body"] for message in found] == ["late"]

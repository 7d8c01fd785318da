"""Queues of the local AWS."""

from __future__ import annotations

import json
import uuid

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

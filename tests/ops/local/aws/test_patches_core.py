"""What every service of the local AWS does as AWS does."""

from __future__ import annotations

import json
import uuid

import pytest
from botocore.exceptions import ClientError

from ops.local.aws import LocalAws


def test_an_action_that_moto_lacks_is_501_and_named(aws: LocalAws) -> None:
    with pytest.raises(ClientError) as raised:
        aws.client("logs").list_anomalies()
    assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == 501
    assert "list_anomalies" in str(raised.value)


def test_a_fault_inside_moto_is_501_and_told_in_the_protocol_of_the_service(aws: LocalAws) -> None:
    with pytest.raises(ClientError) as raised:
        aws.client("ec2").describe_subnets(Filters=[{"Name": "outpost-arn", "Values": ["x"]}])
    assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == 501
    assert "outpost-arn" in str(raised.value)


def test_a_bucket_that_asks_for_tls_can_still_be_used(aws: LocalAws) -> None:
    s3 = aws.client("s3")
    bucket = f"tls-{uuid.uuid4()}"
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
    statement = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    s3.put_object(Bucket=bucket, Key="state", Body=b"{}")
    assert s3.get_object(Bucket=bucket, Key="state")["Body"].read() == b"{}"

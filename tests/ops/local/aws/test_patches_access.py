"""A call with a role's session may what the role's policies say."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from ops.local.aws import LocalAws, roles

ROLE = "arn:aws:iam::123456789012:role/reader"
TRUST = {"Version": "2012-10-17", "Statement": []}


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAws]:
    with LocalAws(Path(tmp_path_factory.mktemp("aws"))) as found:
        found.client("iam").create_role(RoleName="reader", AssumeRolePolicyDocument=json.dumps(TRUST))
        yield found


def allow(aws: LocalAws, *statements: dict[str, Any]) -> None:
    document = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
    aws.client("iam").put_role_policy(RoleName="reader", PolicyName="all", PolicyDocument=document)


def client(aws: LocalAws, service: str) -> Any:
    """As the role."""
    variables = roles.session(aws.url, ROLE)
    return boto3.client(
        service,
        endpoint_url=aws.url,
        region_name="us-west-2",
        aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
        aws_session_token=variables["AWS_SESSION_TOKEN"],
    )


def code(call: Any) -> str:
    with pytest.raises(ClientError) as refused:
        call()
    return str(refused.value.response["Error"]["Code"])


def test_what_no_statement_allows_is_refused_by_every_protocol(aws: LocalAws) -> None:
    allow(aws, {"Effect": "Allow", "Action": "ecs:ListTasks", "Resource": "*"})
    assert code(client(aws, "scheduler").list_schedules) == "AccessDeniedException"
    assert code(client(aws, "ecs").list_clusters) == "AccessDeniedException"
    assert code(client(aws, "cloudwatch").describe_alarms) == "AccessDenied"
    assert code(client(aws, "iam").list_roles) == "AccessDenied"
    assert code(client(aws, "ec2").describe_subnets) == "UnauthorizedOperation"
    assert code(client(aws, "sqs").list_queues) == "AccessDenied"


def test_what_is_allowed_on_anything_goes_through(aws: LocalAws) -> None:
    own = {"Effect": "Allow", "Action": ["ssm:Get*"], "Resource": "arn:aws:ssm:us-west-2:123456789012:parameter/a"}
    allow(aws, own, {"Effect": "Allow", "Action": "scheduler:List*", "Resource": "*"})
    assert client(aws, "scheduler").list_schedules()["Schedules"] == []
    assert client(aws, "ssm").get_parameters(Names=["a"])["InvalidParameters"] == ["a"]


def test_a_denial_of_everything_beats_an_allowance(aws: LocalAws) -> None:
    every = {"Action": "scheduler:*", "Resource": "*"}
    allow(aws, {"Effect": "Allow", **every}, {"Effect": "Deny", **every})
    assert code(client(aws, "scheduler").list_schedules) == "AccessDeniedException"


def test_who_has_no_role_may_everything_as_before(aws: LocalAws) -> None:
    assert aws.client("scheduler").list_schedules()["Schedules"] == []


def test_a_bucket_is_held_to_whole_policies(aws: LocalAws) -> None:
    s3 = aws.client("s3")
    for name in ("pages", "others"):
        s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
        s3.put_object(Bucket=name, Key="a/b", Body=b"1")
    allow(
        aws,
        {"Effect": "Allow", "Action": "s3:GetEncryptionConfiguration", "Resource": "arn:aws:s3:::pages"},
        {"Effect": "Allow", "Action": "s3:PutObject", "Resource": "arn:aws:s3:::pages/a/*"},
    )
    mine = client(aws, "s3")
    mine.put_object(Bucket="pages", Key="a/b", Body=b"2")
    assert code(lambda: mine.get_bucket_encryption(Bucket="pages")) == "ServerSideEncryptionConfigurationNotFoundError"
    assert s3.get_object(Bucket="pages", Key="a/b")["Body"].read() == b"2"
    assert code(lambda: mine.put_object(Bucket="others", Key="a/b", Body=b"2")) == "AccessDenied"
    assert code(lambda: mine.put_object(Bucket="pages", Key="b", Body=b"2")) == "AccessDenied"
    assert code(lambda: mine.get_bucket_tagging(Bucket="pages")) == "AccessDenied"
    assert code(lambda: mine.head_bucket(Bucket="pages")) == "403"
    assert code(lambda: mine.delete_objects(Bucket="pages", Delete={"Objects": [{"Key": "a/b"}]})) == "AccessDenied"

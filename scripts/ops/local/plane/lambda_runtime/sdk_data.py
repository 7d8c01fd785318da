"""The descriptions of AWS's services that the SDK reads for each client: read once for all runs forked afterwards."""

from __future__ import annotations

from functools import cache
from typing import Any

# What the watcher has clients of. Another service's description is read by the run that asks for it, as ever.
SERVICES = (
    "cloudtrail",
    "cloudwatch",
    "ec2",
    "ecr",
    "ecs",
    "events",
    "iam",
    "kms",
    "lambda",
    "logs",
    "scheduler",
    "sns",
    "sqs",
    "ssm",
)
REGION = "us-east-1"  # any: what is kept is the same for all


def keep() -> None:
    """Half a second of a run's processor time, 14 clients being made. botocore hands out the same parsed description
    again and again within a session; here it does so across sessions, each process having a copy of its own."""
    import boto3
    from botocore.loaders import JSONFileLoader

    read = JSONFileLoader.load_file

    @cache
    def read_once(path: str) -> Any:
        return read(JSONFileLoader(), path)

    JSONFileLoader.load_file = lambda _, path: read_once(path)
    session = boto3.session.Session(region_name=REGION)
    for service in SERVICES:
        session.client(service, aws_access_key_id="none", aws_secret_access_key="none")

"""The descriptions of AWS's services that the SDK reads for each client: read once for all runs forked afterwards."""

from __future__ import annotations

from functools import cache

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
    """Half a second of a run's processor time, for 14 clients. botocore keeps what it has parsed of a description
    for as long as a session lives; here all sessions share one keeper, each process having a copy of its own."""
    import boto3
    from botocore import session as sessions

    sessions.create_loader = cache(sessions.create_loader)
    session = boto3.session.Session(region_name=REGION)
    for service in SERVICES:
        client = session.client(service, aws_access_key_id="none", aws_secret_access_key="none")
        client.can_paginate(next(iter(client.meta.method_to_api_mapping)))  # reads what there is of pages, once for all

"""The life of an applied environment on the local AWS, from nothing to nothing: for its test and its benchmark."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from ops.terraform_plan import Record
from ops.terraform_workspace import Workspace

PROJECT = "ops-pipeline"
Value = TypeVar("Value")


@dataclass(frozen=True, kw_only=True)
class Timed:
    """What was done, and the wall seconds that it took."""

    value: Any
    seconds: float


def timed(action: Callable[[], Value]) -> Timed:
    began = time.monotonic()
    return Timed(value=action(), seconds=time.monotonic() - began)


@dataclass(frozen=True, kw_only=True)
class Life:
    """One environment's, from nothing to nothing."""

    planned: Record
    applied: Timed
    again: Timed
    restored: Timed


@dataclass(frozen=True, kw_only=True)
class Left:
    """What is there after everything was destroyed: live, by kind, and in Terraform's state."""

    live: dict[str, list[str]]
    state: dict[str, Any]


def live(found: Workspace) -> Life:
    """Applies, plans again, restarts from the snapshot and destroys."""
    aws = found.aws
    assert aws
    with aws:
        planned = found.plan()
        applied_ = timed(found.apply)
        again = timed(found.plan)
    restored = timed(lambda: aws.up(detached=False))
    with aws:
        destroy(found)
    return Life(planned=planned, applied=applied_, again=again, restored=restored)


def destroy(found: Workspace) -> Left:
    """Lifts the protection of an environment that is applied, and destroys all of it."""
    assert found.aws
    if found.environment != "local":
        found.variables = {**found.variables, "protected": False}
        found.plan()
        found.apply()
    found.plan(destroy=True)
    found.apply_file()
    return Left(live=everything_of_ours(found.aws.client), state=found.state())


def everything_of_ours(client: Callable[[str], Any]) -> dict[str, list[str]]:
    """Names of what is live under our prefix, by kind; the bucket of the state is bootstrap's."""

    def names(service: str, operation: str, key: str, name: str, **options: Any) -> list[str]:
        found = getattr(client(service), operation)(**options).get(key) or []
        texts = [each if isinstance(each, str) else each[name] for each in found]
        return [text for text in texts if PROJECT in text]

    alarms = client("cloudwatch").describe_alarms(AlarmTypes=["MetricAlarm", "CompositeAlarm"])
    return {
        "schedules": names("scheduler", "list_schedules", "Schedules", "Name"),
        "schedule groups": [
            each["Name"]
            for each in client("scheduler").list_schedule_groups()["ScheduleGroups"]
            if each["Name"] != "default"
        ],
        "alarms": [each["AlarmName"] for kind in ("MetricAlarms", "CompositeAlarms") for each in alarms[kind]],
        "dashboards": names("cloudwatch", "list_dashboards", "DashboardEntries", "DashboardName"),
        "log groups": names("logs", "describe_log_groups", "logGroups", "logGroupName"),
        "rules": names("events", "list_rules", "Rules", "Name"),
        "roles": names("iam", "list_roles", "Roles", "RoleName", MaxItems=1000),
        "parameters": names("ssm", "describe_parameters", "Parameters", "Name"),
        "repositories": names("ecr", "describe_repositories", "repositories", "repositoryName"),
        "queues": names("sqs", "list_queues", "QueueUrls", ""),
        "topics": names("sns", "list_topics", "Topics", "TopicArn"),
        "functions": names("lambda", "list_functions", "Functions", "FunctionName"),
        "databases": names("rds", "describe_db_instances", "DBInstances", "DBInstanceIdentifier"),
        "key aliases": names("kms", "list_aliases", "Aliases", "AliasName"),
        "buckets": [each for each in names("s3", "list_buckets", "Buckets", "Name") if "-state-" not in each],
        "backup plans": names("backup", "list_backup_plans", "BackupPlansList", "BackupPlanName"),
        "backup vaults": names("backup", "list_backup_vaults", "BackupVaultList", "BackupVaultName"),
        "networks": [each["VpcId"] for each in client("ec2").describe_vpcs()["Vpcs"] if not each["IsDefault"]],
    }

"""Each environment in full on the local AWS: applied, planned empty, there again from its snapshot, destroyed whole."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest

from applied_stack import applied, workspace
from ops.terraform_plan import Record
from ops.terraform_workspace import Workspace

pytestmark = pytest.mark.slow
PROJECT = "ops-pipeline"
APPLY_SECONDS = {"local": 75, "production": 200}
RESTORE_SECONDS = 10
EMPTY_PLAN_SECONDS = 15
Value = TypeVar("Value")


@dataclass(frozen=True, kw_only=True)
class Timed:
    """What was done and the seconds that it took, in units of a machine that does nothing else."""

    value: Any
    seconds: float


def timed(action: Callable[[], Value]) -> Timed:
    """Runs it. Wall time on a machine where n times as many run as it has cores counts n-fold less."""
    began, crowd = time.monotonic(), os.getloadavg()[0]
    value = action()
    share = max(1.0, max(crowd, os.getloadavg()[0]) / (os.cpu_count() or 1))
    return Timed(value=value, seconds=(time.monotonic() - began) / share)


@dataclass(frozen=True, kw_only=True)
class Life:
    """One environment's, from nothing to nothing."""

    planned: Record
    applied: Timed
    again: Timed
    restored: Timed
    after_restore: Record
    left: dict[str, list[str]]
    state_left: dict[str, Any]


def live(found: Workspace) -> Life:
    """Applies, plans again, restarts from the snapshot, plans again, lifts the protection and destroys."""
    aws = found.aws
    assert aws
    with aws:
        planned = found.plan()
        applied_ = timed(found.apply)
        again = timed(found.plan)
    restored = timed(lambda: aws.up(detached=False))
    with aws:
        after_restore = found.plan()
        if found.environment != "local":
            found.variables = {**found.variables, "protected": False}
            found.plan()
            found.apply()
        found.plan(destroy=True)
        found.apply_file()
        return Life(
            planned=planned,
            applied=applied_,
            again=again,
            restored=restored,
            after_restore=after_restore,
            left=everything_of_ours(aws.client),
            state_left=found.state(),
        )


@pytest.mark.parametrize("environment", ["local", "production"])
def test_an_environment_is_applied_planned_empty_restored_and_destroyed_whole(environment: str, tmp_path: Path) -> None:
    """One test an environment and not four, so that parallel workers do not each apply it."""
    life = live(workspace(environment, tmp_path))
    assert life.planned.counts["create"] > 150
    assert not life.again.value.applyable, f"the second plan is not empty: {life.again.value.counts}"
    assert life.restored.value.restored.startswith("restored the state of ")
    assert not life.after_restore.applyable, f"the plan after a restore is not empty: {life.after_restore.counts}"
    assert {kind: names for kind, names in life.left.items() if names} == {}
    assert "root_module" not in life.state_left.get("values", {})
    assert life.applied.seconds <= APPLY_SECONDS[environment]
    assert life.restored.seconds <= RESTORE_SECONDS
    assert life.again.seconds <= EMPTY_PLAN_SECONDS


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    with applied("local", tmp_path_factory.mktemp("stack")) as found:
        yield found


def test_a_kept_stack_of_the_tests_plans_empty_too(stack: Workspace) -> None:
    assert not stack.plan().applyable


def test_no_secret_is_in_plan_or_state(stack: Workspace) -> None:
    """The value reaches the parameter store, and no file that Terraform writes."""
    assert stack.aws
    planted = "planted-9f3a1c"
    stack.environ = {
        **stack.environ,
        "TF_VAR_secret_values": f'{{"alpaca_key_id": "{planted}", "database_url": "{planted}"}}',
    }
    ssm = stack.aws.client("ssm")
    ssm.delete_parameters(Names=[f"/{PROJECT}/alpaca_key_id"])
    stack.plan()
    assert planted not in stack.files.json.read_text()
    assert planted.encode() not in stack.files.plan.read_bytes()
    stack.apply()
    assert ssm.get_parameter(Name=f"/{PROJECT}/alpaca_key_id", WithDecryption=True)["Parameter"]["Value"] == planted
    s3 = stack.aws.client("s3")
    state = s3.get_object(Bucket=stack.state_bucket, Key="local/terraform.tfstate")["Body"].read()
    assert b"alpaca_key_id" in state
    assert planted.encode() not in state
    assert planted not in stack.aws.log_path.read_text()


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

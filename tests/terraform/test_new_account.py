"""A new account begins on the local AWS: the bucket of the state, then what images are pushed to, then all at rest."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from applied_stack import workspace
from many_services import undeployed
from ops.terraform_bootstrap import bootstrap
from pipeline import catalog

pytestmark = pytest.mark.slow


def test_a_new_account_begins_with_bucket_repositories_and_schedules_at_rest(tmp_path: Path) -> None:
    """One account for all of it: each step stands on the one before."""
    account = workspace("paper", tmp_path)
    assert account.aws
    with account.aws:
        assert bootstrap(account), "the first time makes the bucket"
        s3 = account.aws.client("s3")
        assert s3.get_bucket_versioning(Bucket=account.state_bucket)["Status"] == "Enabled"
        assert not bootstrap(account), "the second leaves it as it is"

        assert account.plan(first=True).first
        account.apply()
        services = {service.name for service in catalog.load()}
        repositories = account.aws.client("ecr").describe_repositories()["repositories"]
        assert {each["repositoryName"].rpartition("/")[2] for each in repositories} == services
        assert account.aws.client("scheduler").list_schedules()["Schedules"] == []

        account.variables = {"paused_services": sorted(services)}
        account.plan()
        planned = json.loads(account.files.json.read_text(encoding="utf-8"))["resource_changes"]
        states = [each["change"]["after"]["state"] for each in planned if each["type"] == "aws_scheduler_schedule"]
        assert states == ["DISABLED"] * len(services)


def test_two_hundred_services_take_a_catalogue_alone(tmp_path: Path) -> None:
    """What the two hundredth adds is no more than what the twelfth did."""
    creates = {}
    for count in (12, 200):
        (folder := tmp_path / str(count)).mkdir()
        account = undeployed(count, folder)
        assert account.aws
        with account.aws:
            creates[count] = account.plan().counts["create"]
            planned = json.loads(account.files.json.read_text(encoding="utf-8"))["resource_changes"]
        names = {each["change"]["after"]["name"] for each in planned if each["type"] == "aws_scheduler_schedule"}
        assert len(names) == count
    assert creates[200] < creates[12] * 200 / 12

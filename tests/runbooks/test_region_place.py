"""Whether the region that is left still starts anything, by what its Scheduler says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ops.local.aws import LocalAws
from ops.runbook import region_place
from ops.runbook.errors import Refused
from ops.runbook.reading import Look
from pipeline import catalog

SERVICES = [service.name for service in catalog.load()]


@pytest.fixture
def aws(tmp_path: Path) -> Iterator[LocalAws]:
    with LocalAws(tmp_path / "aws") as aws:
        yield aws


def look(aws: LocalAws, **options: Any) -> Look:
    return Look(environment="production", environ=aws.environment({}), options={"planned": False, **options})


def schedule(aws: LocalAws, group: str) -> None:
    """An enabled one in a group of its own."""
    scheduler = aws.client("scheduler")
    scheduler.create_schedule_group(Name=group)
    scheduler.create_schedule(
        Name=f"{group}-schedule",
        GroupName=group,
        ScheduleExpression="rate(1 minute)",
        FlexibleTimeWindow={"Mode": "OFF"},
        Target={"Arn": "arn:aws:sqs:us-east-1:123456789012:none", "RoleArn": "arn:aws:iam::123456789012:role/none"},
    )


def test_a_region_from_which_every_group_is_gone_starts_nothing(aws: LocalAws) -> None:
    found = region_place.starts_nothing(look(aws))
    assert (found.holds, found.saw) == (True, f"{catalog.load().region} answers, and none of its schedules is enabled")


def test_groups_that_are_gone_hide_none_that_is_there(aws: LocalAws) -> None:
    schedule(aws, SERVICES[-1])
    with pytest.raises(Refused, match="1 of its schedules are enabled"):
        region_place.starts_nothing(look(aws))
    assert not region_place.starts_nothing(look(aws, planned=True)).holds


def test_a_region_that_nobody_reaches_is_taken_for_gone(aws: LocalAws) -> None:
    asked = look(aws)
    asked.environ = {**asked.environ, "AWS_ENDPOINT_URL": "http://127.0.0.1:9"}
    assert "does not answer" in region_place.starts_nothing(asked).saw


def test_a_login_that_is_none_says_nothing_of_the_region(aws: LocalAws) -> None:
    asked = look(aws)
    asked.environ = {**asked.environ, "AWS_PROFILE": "nobody"}
    with pytest.raises(Refused, match=r"could not be asked .* mend the login"):
        region_place.starts_nothing(asked)

"""Drift injected into the applied stack is found, named and healed; all at once, since each has its own resource."""

from __future__ import annotations

import fcntl
import json
import os
import pickle
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

from applied_stack import applied
from ops import drift, drift_live
from ops.drift_finding import Report
from ops.terraform_workspace import Workspace
from terraform.drift_cases import CASES, REGION, Case

pytestmark = pytest.mark.slow
NOW = datetime(2026, 1, 26, 15, 0, tzinfo=UTC)
SECRET = "planted-secret"


@dataclass(frozen=True, kw_only=True)
class Story:
    """What drift said of the stack: applied, injected, healed, and cleaned of what nobody declared."""

    applied: Report
    injected: Report
    healed: Report
    cleaned: Report
    plan_when_healed: dict[str, int]
    secret: str


def look(workspace: Workspace) -> Report:
    return drift.check(workspace, drift.clients_of(workspace), NOW)


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    with applied("local", tmp_path_factory.mktemp("stack")) as workspace:
        yield workspace


@pytest.fixture(scope="session")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    """Lived once, by the first worker that asks; the others read it."""
    own = tmp_path_factory.getbasetemp()
    shared = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    with (shared / "drift-story.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        file = shared / "drift-story.pickle"
        if not file.exists():
            with applied("local", tmp_path_factory.mktemp("drift")) as workspace:
                file.write_bytes(pickle.dumps(live(workspace)))
        told: Story = pickle.loads(file.read_bytes())
    return told


def live(stack: Workspace) -> Story:
    clients = drift.clients_of(stack)
    after_apply = look(stack)
    for case in CASES:
        case.inject(clients)
    ssm, secret = clients("ssm"), "/ops-pipeline/alpaca_key_id"
    ssm.put_parameter(Name=secret, Value=SECRET, Type="SecureString", Overwrite=True)
    injected = look(stack)
    stack.plan()
    stack.apply()
    healed, counts = look(stack), stack.plan().counts
    for case in CASES:
        if case.remove:
            case.remove(clients)
    return Story(
        applied=after_apply,
        injected=injected,
        healed=healed,
        cleaned=look(stack),
        plan_when_healed=counts,
        secret=ssm.get_parameter(Name=secret, WithDecryption=True)["Parameter"]["Value"],
    )


def as_json(report: Report) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = report.as_json()["findings"]
    return found


def names(case: Case) -> str:
    return case.name


def test_nothing_is_reported_right_after_the_first_apply(story: Story) -> None:
    assert (as_json(story.applied), story.applied.unchecked) == ([], [])
    assert drift.exit_code(story.applied) == drift.NONE


@pytest.mark.parametrize("case", CASES, ids=names)
def test_a_drift_is_found_with_its_address_and_attribute(story: Story, case: Case) -> None:
    found = case.found_in(as_json(story.injected))
    assert len(found) == 1, [(each["address"], each["attribute"]) for each in as_json(story.injected)]
    if case.actual is not None:
        assert found[0]["actual"] == case.actual
    assert found[0]["repair"]


def test_nothing_else_is_reported_than_what_was_injected(story: Story) -> None:
    explained = [each for case in CASES for each in case.found_in(as_json(story.injected))]
    others = [(f["kind"], f["address"], f["attribute"]) for f in as_json(story.injected) if f not in explained]
    assert others == []
    assert drift.exit_code(story.injected) == drift.FOUND


def test_a_changed_secret_value_is_no_drift_is_kept_and_is_never_shown(story: Story) -> None:
    assert story.secret == SECRET
    for report in (story.injected, story.healed, story.cleaned):
        told = json.dumps(report.as_json())
        assert SECRET not in told
        assert "alpaca_key_id" not in told


def test_the_worst_comes_first_and_cosmetics_are_no_alarm(story: Story) -> None:
    severities = [each["severity"] for each in as_json(story.injected)]
    assert severities == sorted(severities, key=["critical", "warning", "info"].index)
    assert {f["severity"] for f in as_json(story.injected) if "aws_scheduler_schedule" in f["address"]} == {"critical"}
    assert {f["severity"] for f in as_json(story.injected) if f["attribute"].startswith("tags.")} == {"info"}


@pytest.mark.parametrize("case", [case for case in CASES if case.kind == "changed"], ids=names)
def test_what_was_changed_is_healed_by_plan_and_apply(story: Story, case: Case) -> None:
    assert case.found_in(as_json(story.healed)) == []


def test_the_plan_after_healing_is_empty(story: Story) -> None:
    assert story.plan_when_healed == {}
    assert {finding.kind for finding in story.healed.findings} == {"undeclared"}


@pytest.mark.parametrize("case", [case for case in CASES if case.kind == "undeclared"], ids=names)
def test_what_nobody_declared_is_told_until_it_is_removed(story: Story, case: Case) -> None:
    assert len(case.found_in(as_json(story.healed))) == 1
    assert case.found_in(as_json(story.cleaned)) == []


def test_nothing_is_left_at_the_end(story: Story) -> None:
    assert as_json(story.cleaned) == []
    assert drift.exit_code(story.cleaned) == drift.NONE


def test_code_that_was_not_applied_is_pending(stack: Workspace) -> None:
    stack.variables = {**stack.variables, "log_retention_days": 14, "paused_services": ["classifier"]}
    try:
        found = {(f.kind, f.address, f.attribute, str(f.expected)) for f in look(stack).findings}
    finally:
        stack.variables = {"images_lock_file": stack.variables["images_lock_file"]}
    assert ("pending", 'module.service["classifier"].aws_scheduler_schedule.this', "state", "DISABLED") in found
    assert {each for each in found if each[0] != "pending"} == set()
    assert len([address for _, address, attribute, _ in found if attribute == "retention_in_days"]) >= 8


def test_a_part_that_cannot_be_listed_is_said_and_is_no_all_clear(stack: Workspace) -> None:
    clients = drift.clients_of(stack)

    def refusing(*asked: str) -> Any:
        client = clients(*asked)
        if asked == ("scheduler",):

            def list_schedules(**_: Any) -> Any:
                error = {"Error": {"Code": "AccessDeniedException", "Message": "no"}}
                raise ClientError(error, "ListSchedules")  # type: ignore[arg-type]

            client.get_paginator = lambda _: type("Refusing", (), {"paginate": staticmethod(list_schedules)})
        return client

    report = drift.check(stack, drift_live.Clients(make=refusing), NOW)
    assert [part.part for part in report.unchecked] == ["schedules", "schedule groups"]
    assert "AccessDenied" in report.unchecked[0].reason
    assert (list(report.findings), drift.exit_code(report)) == ([], drift.UNABLE)


def test_a_plan_that_fails_is_said_and_live_things_are_still_compared(stack: Workspace) -> None:
    stack.variables = {**stack.variables, "log_retention_days": 8}
    clients = drift.clients_of(stack)
    clients("logs").create_log_group(logGroupName="/ecs/ops-pipeline/late")
    try:
        report = look(stack)
    finally:
        stack.variables = {"images_lock_file": stack.variables["images_lock_file"]}
        clients("logs").delete_log_group(logGroupName="/ecs/ops-pipeline/late")
    assert "no retention of 8 days" in report.unchecked[0].reason
    assert [f.address for f in report.findings] == [
        f"arn:aws:logs:{REGION}:123456789012:log-group:/ecs/ops-pipeline/late"
    ]
    assert drift.exit_code(report) == drift.FOUND

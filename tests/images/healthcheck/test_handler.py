"""The entry that Lambda calls, in this process: parameters, the event's fields, and failure as an exception."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from healthcheck import handler
from ops.local.aws import LocalAws
from ops.local.postgres import Database

NOW = "2026-01-26T17:00:00+00:00"


@pytest.fixture(scope="module")
def aws() -> Iterator[LocalAws]:
    with LocalAws(None) as started:
        yield started


@pytest.fixture
def function(monkeypatch: pytest.MonkeyPatch, database: Database) -> pytest.MonkeyPatch:
    """The environment that the function has all its life."""
    for name, value in {
        "DATABASE_URL": database.url,
        "TICKERS": "AAPL,MSFT",
        "ENVIRONMENT": "local",
        "VIRTUAL_NOW": NOW,
    }.items():
        monkeypatch.setenv(name, value)
    for name in (*handler.EVENT_FIELDS, handler.PARAMETERS):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def runs(database: Database) -> dict[str, Any]:
    with database.connect() as connection:
        rows = connection.execute("select execution_id, outcome, trigger_arn, scheduled_for from task_runs").fetchall()
    return {row[0]: row[1:] for row in rows}


@pytest.mark.usefixtures("function")
def test_the_schedules_fields_reach_the_run_record(database: Database) -> None:
    event = {"EXECUTION_ID": "fired-1", "SCHEDULED_TIME": NOW, "SCHEDULE_ARN": "arn:of:schedule", "PATH": "ignored"}
    assert handler.handle(event) == {"outcome": "OK"}
    outcome, trigger, scheduled = runs(database)["fired-1"]
    assert (outcome, trigger, scheduled.isoformat()) == ("OK", "arn:of:schedule", NOW)


@pytest.mark.usefixtures("function")
def test_a_call_by_hand_is_recorded_under_lambdas_own_request(database: Database) -> None:
    handler.handle({}, SimpleNamespace(aws_request_id="request-7"))
    assert list(runs(database)) == ["request-7"]


@pytest.mark.usefixtures("function")
def test_a_failed_run_raises_so_that_lambda_counts_an_error(database: Database) -> None:
    with database.connect() as connection:
        connection.execute("drop table findings")
    with pytest.raises(handler.RunFailed, match="run fired-2 failed"):
        handler.handle({"EXECUTION_ID": "fired-2"})


@pytest.mark.usefixtures("function")
def test_the_same_event_delivered_twice_does_its_work_once(database: Database) -> None:
    assert handler.handle({"EXECUTION_ID": "fired-3"}) == {"outcome": "OK"}
    assert handler.handle({"EXECUTION_ID": "fired-3"}) == {"outcome": "SKIPPED"}


@pytest.mark.usefixtures("function")
def test_a_run_leaves_no_thread_behind_that_could_end_the_next_one() -> None:
    before = set(threading.enumerate())
    handler.handle({})
    assert set(threading.enumerate()) == before


def test_parameters_are_fetched_by_name_more_than_ten_at_once(aws: LocalAws, function: pytest.MonkeyPatch) -> None:
    ssm = aws.client("ssm")
    names = {f"VARIABLE_{i}": f"/ops-pipeline/parameter_{i}" for i in range(12)}
    for variable, name in names.items():
        ssm.put_parameter(Name=name, Value=f"value of {variable}", Type="SecureString")
    lead_there(function, aws)
    found = handler.parameters({"PARAMETERS": json.dumps(names)})
    assert found == {variable: f"value of {variable}" for variable in names}


def test_a_parameter_that_the_store_lacks_stops_no_check(
    aws: LocalAws, function: pytest.MonkeyPatch, database: Database
) -> None:
    lead_there(function, aws)
    function.delenv("TICKERS")
    function.setenv("PARAMETERS", json.dumps({"TICKERS": "/ops-pipeline/no_such_name"}))
    assert handler.handle({"EXECUTION_ID": "fired-4"}) == {"outcome": "DEGRADED"}
    with database.connect() as connection:
        told = connection.execute("select summary from findings where severity = 'unknown'").fetchall()
    assert any("the parameter tickers is missing" in summary for (summary,) in told)


def lead_there(function: pytest.MonkeyPatch, aws: LocalAws) -> None:
    for name, value in aws.environment({}).items():
        function.setenv(name, value)

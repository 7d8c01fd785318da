"""Runs a service once, as its schedule would, at an instant of the test's choosing."""

from __future__ import annotations

import itertools
import os
from datetime import datetime
from typing import Any

from pipeline import task
from pipeline.ledger import Outcome

_numbers = itertools.count(1)


def run_at(
    now: datetime,
    job: task.Job,
    service: str,
    database: Any,
    demands: task.Demands = task.Demands(),  # noqa: B008 (frozen)
    **environment: str,
) -> Outcome:
    """One run through the harness: its own database role, record, grants and outcome."""
    given = {
        "PATH": os.environ["PATH"],
        "DATABASE_URL": database.url,
        "ENVIRONMENT": "local",
        "VIRTUAL_NOW": now.isoformat(),
        "EXECUTION_ID": f"test-{next(_numbers)}",
    }
    return task.run_once(job, service, given | environment, demands)


def last_counts(database: Any, service: str) -> dict[str, int]:
    """The counts of the service's run that was recorded last."""
    return dict(_last(database, service, "counts"))


def last_error(database: Any, service: str) -> str | None:
    """The error of the service's run that was recorded last."""
    error: str | None = _last(database, service, "error")
    return error


def _last(database: Any, service: str, column: str) -> Any:
    with database.connect() as connection:
        row = connection.execute(
            "select to_jsonb(task_runs) -> %s from task_runs where service = %s"
            " order by (regexp_match(execution_id, '[0-9]+$'))[1]::integer desc limit 1",
            (column, service),
        ).fetchone()
    assert row is not None, service
    return row[0]

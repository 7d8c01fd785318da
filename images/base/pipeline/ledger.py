"""The run ledger `task_runs`: what ran, when, with which parameters, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from psycopg.types.json import Json

from pipeline.store import Connection, sql


class Outcome(StrEnum):
    """How a run ended; `exit_code` is what ECS and the operator see."""

    OK = "OK"
    SKIPPED = "SKIPPED"  # the market is closed, or nothing was due
    NO_INPUT = "NO_INPUT"  # upstream is empty
    DEGRADED = "DEGRADED"  # part failed, the rest was stored
    FAILED = "FAILED"

    @property
    def exit_code(self) -> int:
        return {Outcome.FAILED: 1, Outcome.DEGRADED: 3}.get(self, 0)


@dataclass(frozen=True, kw_only=True)
class Run:
    """Who a run is: one execution of one service, as its trigger named it."""

    service: str
    execution_id: str
    scheduled_for: datetime | None
    started_at: datetime
    trigger_arn: str | None
    image_digest: str | None
    git_sha: str | None


@dataclass(frozen=True, kw_only=True)
class Result:
    """What a job hands back: `counts` explain it (rows by reason), `metrics` go to CloudWatch (None: unknown)."""

    outcome: Outcome
    rows_in: int = 0
    rows_out: int = 0
    counts: Mapping[str, int] = field(default_factory=dict)
    metrics: Mapping[str, float | None] = field(default_factory=dict)
    error: str | None = None
    error_code: str | None = None


def begin(connection: Connection, run: Run) -> bool:
    """Opens the run's record; False when this very execution has completed before (a doubled delivery)."""
    return connection.execute(sql("ledger/begin"), vars(run)).fetchone() is not None


def finish(
    connection: Connection, run: Run, result: Result, *, finished_at: datetime, parameter_versions: Mapping[str, str]
) -> None:
    """Closes the run's record."""
    connection.execute(
        sql("ledger/finish"),
        {
            "service": run.service,
            "execution_id": run.execution_id,
            "finished_at": finished_at,
            "outcome": result.outcome,
            "rows_in": result.rows_in,
            "rows_out": result.rows_out,
            "counts": Json(dict(result.counts)),
            "parameter_versions": Json(dict(parameter_versions)),
            "error": result.error,
            "error_code": result.error_code,
        },
    )


def record_overlap(connection: Connection, run: Run, reason: str) -> None:
    """Records a run that stood back for one still going."""
    connection.execute(sql("ledger/overlap"), {**vars(run), "error": reason})


def last_completed(connection: Connection, service: str, now: datetime) -> datetime | None:
    """When the service last did its work, as known at `now`; None if it never did."""
    row = connection.execute(sql("ledger/last_completed"), {"service": service, "now": now}).fetchone()
    return row[0] if row else None

"""Wiring: a snapshot of the database in, findings opened, kept and cleared, metrics out."""

from __future__ import annotations

import json
from collections import Counter
from datetime import datetime
from typing import Any

from psycopg.rows import class_row
from psycopg.types.json import Json

from healthcheck import checks, finding, measures, snapshot
from healthcheck.checks import Report
from healthcheck.finding import Change, Finding, Open, Severity
from healthcheck.snapshot import Scope
from pipeline import catalog, task
from pipeline.store import Connection, sql
from pipeline.task import Outcome, Result


def run(context: task.Context) -> Result:
    """Judges every check. A row in is a check, a row out one that could be judged; findings are no failure of ours."""
    scope = Scope(
        now=context.now,
        catalog=catalog.load(),
        tickers=context.values.symbols("tickers"),
        service=context.service.name,
        execution_id=context.run.execution_id,
    )
    if _checked_since(context.connection, scope):
        # a second run at this instant, or a replay of the past: time only moves forward
        return Result(outcome=Outcome.SKIPPED, counts={"already_checked": 1})
    taken = snapshot.read(context.connection, scope)
    report = checks.evaluate(taken)
    change = _store(context.connection, report, scope.now)
    for found in change.opened:
        context.log.warning("finding opened", code=found.code, subject=found.subject, summary=found.summary)
    for row in change.cleared:
        context.log.info("finding cleared", code=row.code, subject=row.subject)
    return _result(report, change, measures.metrics(taken, change))


def _checked_since(connection: Connection, scope: Scope) -> bool:
    values = {"service": scope.service, "execution_id": scope.execution_id, "now": scope.now}
    return connection.execute(sql("healthcheck/checked_since"), values).fetchone() is not None


def _store(connection: Connection, report: Report, now: datetime) -> Change:
    """Reconciles the table with the report, in one transaction."""
    with connection.transaction(), connection.cursor(row_factory=class_row(Open)) as cursor:
        rows = cursor.execute(sql("healthcheck/open_findings")).fetchall()
        change = finding.reconcile(rows, report.findings, report.unjudged_codes, now)
        cursor.executemany(sql("healthcheck/open_finding"), [_values(found, now) for found in change.opened])
        cursor.executemany(
            sql("healthcheck/keep_finding"), [{**_values(found, now), "id": row.id} for row, found in change.kept]
        )
        cursor.executemany(sql("healthcheck/miss_finding"), [{"id": row.id} for row in change.missed])
        cursor.executemany(sql("healthcheck/clear_finding"), [{"id": row.id, "now": now} for row in change.cleared])
    return change


def _values(found: Finding, now: datetime) -> dict[str, Any]:
    return {**vars(found), "evidence": Json(found.evidence, dumps=_dumps), "now": now}


def _dumps(value: Any) -> str:
    return json.dumps(value, default=str)


def _result(report: Report, change: Change, metrics: dict[str, float | None]) -> Result:
    unjudged = ", ".join(check.name for check in report.unjudged)
    open_now = Counter(f"open_{severity}" for severity in change.severities())
    return Result(
        outcome=Outcome.DEGRADED if report.unjudged else Outcome.OK,
        rows_in=len(report.judged) + len(report.unjudged),
        rows_out=len(report.judged),
        counts={
            "opened": len(change.opened),
            "kept": len(change.kept),
            "missed": len(change.missed),
            "cleared": len(change.cleared),
            **{f"open_{severity}": 0 for severity in Severity},
            **open_now,
        },
        metrics=metrics,
        error=f"{len(report.unjudged)} checks could not be judged: {unjudged}" if report.unjudged else None,
    )


if __name__ == "__main__":
    # a schema that differs is what it is there to find
    task.main(run, __package__, require_schema=False)

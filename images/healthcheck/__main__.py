"""Wiring: a snapshot in; findings opened, kept and cleared; people told, metrics out."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import class_row
from psycopg.types.json import Json

from healthcheck import census, checks, explain, finding, heal, measures, notice, outside, page, reading
from healthcheck.aws import Trail
from healthcheck.checks import Report
from healthcheck.diagnosis.diagnose import diagnose
from healthcheck.finding import Change, Finding, Open, Severity
from healthcheck.heal import Attempt
from healthcheck.notice import Told
from healthcheck.reading import Account
from healthcheck.snapshot import Scope, Snapshot
from pipeline import catalog, task
from pipeline.logs import Log
from pipeline.store import Connection, sql
from pipeline.task import Outcome, Result


def run(context: task.Context) -> Result:
    """Judges every check. A row in is a check, a row out one that could be judged; findings are no failure of ours."""
    scope = _scope(context)
    if _checked_since(context.connection, scope):
        # a second run at this instant, or a replay of the past: time only moves forward
        return Result(outcome=Outcome.SKIPPED, counts={"already_checked": 1})
    where = reading.account(scope, context.environment)
    taken = reading.read(scope, context.environment, context.values, where, context.connection)
    report = checks.evaluate(taken)
    history = outside.history(where, scope.now, explain.wanted(report.findings))
    report = _dated(report, history)
    change = _store(context.connection, report, scope.now)
    for found in change.opened:
        context.log.warning("finding opened", code=found.code, subject=found.subject, summary=found.summary)
    for row in change.cleared:
        context.log.info("finding cleared", code=row.code, subject=row.subject)
    attempts = _heal(context, where, report, taken)
    counted: dict[str, int] = {}
    _tell(context.connection, where, scope, attempts, context.log)
    if where is not None:
        _show(where, taken, page.read(context.connection, scope), report, history, context.log)
        counted = _count(context.connection, where, scope, context.log)
    outside.ping(context.environment, context.log)
    result = _result(report, change, measures.metrics(taken, change))
    return replace(result, counts={**result.counts, **counted})


def run_blind(blind: task.Blind) -> Result:
    """Without a database: what the account and the provider show is judged and told all the same, each time anew.

    Raises what kept it from the database where there is no account either: then nothing at all can be judged."""
    scope = _scope(blind)
    where = reading.account(scope, blind.environment)
    if where is None:
        raise blind.unreachable
    taken = reading.read(scope, blind.environment, blind.values, where, blind.unreachable)
    report = checks.evaluate(taken)
    change = finding.reconcile((), report.findings, report.unjudged_codes, scope.now)
    told = [Told.of(found, scope.now) for found in change.opened]
    outside.publish(where, scope, notice.notice(told, scope.now, remembered=False), blind.log)
    _show(where, taken, {}, report, None, blind.log)
    return _result(report, change, measures.metrics(taken, change))


def _scope(context: task.Context | task.Blind) -> Scope:
    declared = catalog.load()
    return Scope(
        now=context.now,
        catalog=declared,
        tickers=reading.followed(context.values),
        service=context.service.name,
        execution_id=context.run.execution_id,
        place=reading.place(declared, context.environment),
    )


def _show(
    where: Account,
    taken: Snapshot,
    beside: Mapping[type, object],
    report: Report,
    history: Trail | None,
    log: Log,
) -> None:
    """The page of what was seen, where people look for it."""
    seen = replace(taken, parts={**taken.parts, **beside})
    shown = page.render(page.build(seen, report, diagnose(seen, report, history)))
    outside.show(where, taken.scope, shown, log)


def _count(connection: Connection, where: Account, scope: Scope, log: Log) -> dict[str, int]:
    """Takes the census of the days before, once a day; what the ledger is told of it says that it is done."""
    rows, days = 0, census.due(connection, scope.service, scope.now)
    for day in days:
        try:
            counted = census.take(connection, day, scope.now)
        except psycopg.Error as error:
            log.error("the census could not be taken", day=day.isoformat(), error=str(error))
            return {}
        if not outside.keep(where, scope, counted, log):
            return {}
        rows += counted.rows
    return {"census_rows": rows} if days else {}


def _dated(report: Report, history: Trail | None) -> Report:
    """The findings with the change that each goes back to, where CloudTrail tells."""
    return replace(report, findings=explain.explained(report.findings, history)) if history else report


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


def _heal(context: task.Context, where: Account | None, report: Report, taken: Snapshot) -> list[Attempt]:
    """What was tried, where this environment is to heal itself. Each attempt is noted before it is made: one that kills
    the run must not be made again by the next."""
    if where is None or not heal.switched_on(context.environment):
        return []
    attempts = []
    for found in heal.curable(report.findings):
        values = {"now": taken.now, "codes": list(heal.CODES), "pause": heal.PAUSE}
        values |= {"code": found.code, "subject": found.subject}
        if context.connection.execute(sql("healthcheck/heal_attempted"), values).fetchone():
            attempts.append(heal.heal(found, taken, where.clients))
            context.log.warning("tried to heal", **vars(attempts[-1]))
    return attempts


def _tell(connection: Connection, where: Account | None, scope: Scope, attempts: Sequence[Attempt], log: Log) -> None:
    """Tells people what they have not been told; what could not be sent is sent next time. Better twice than never:
    it counts as told only once it has been sent."""
    if where is None:
        return
    with connection.transaction(), connection.cursor(row_factory=class_row(Told)) as cursor:
        told = cursor.execute(sql("healthcheck/untold_findings")).fetchall()
        if outside.publish(where, scope, notice.notice(told, scope.now, attempts=attempts), log):
            cursor.execute(sql("healthcheck/told_findings"), {"now": scope.now, "ids": [each.id for each in told]})


def _values(found: Finding, now: datetime) -> dict[str, Any]:
    return {**vars(found), "evidence": Json(found.evidence, dumps=_dumps), "now": now}


def _dumps(value: Any) -> str:
    return json.dumps(value, default=str)


def _result(report: Report, change: Change, metrics: Mapping[str, float | None]) -> Result:
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


# A schema that differs and a parameter that is missing are what it is there to find.
DEMANDS = task.Demands(schema=False, parameters=False, without_database=run_blind)

if __name__ == "__main__":
    task.main(run, __package__, DEMANDS)

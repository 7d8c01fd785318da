"""Wiring: unclassified news in, batch by batch, one sentiment an item out."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime

from psycopg.rows import class_row

from classifier import model as models
from classifier.judging import Unclassified, judge
from pipeline import task
from pipeline.rows import Sentiment
from pipeline.store import Connection, sql
from pipeline.task import Outcome, Result

BATCH = 500
# Of the run's 240 s; a backlog that takes longer is the next run's.
WORK_SECONDS = 200


def run(context: task.Context) -> Result:
    """Classifies the news that waits, freshest first; each batch is claimed, judged and stored in one transaction."""
    symbols = context.values.symbols("tickers")
    model = models.load()
    failures: dict[int, str] = {}
    stored = 0
    stop_at = time.monotonic() + WORK_SECONDS
    while time.monotonic() < stop_at:
        with context.connection.transaction():
            news = _claim(context.connection, context.now, list(failures))
            sentiments, failed = judge(model, news, symbols) if news else ([], {})
            stored += _store(context.connection, sentiments, model.version, context.now)
        failures |= failed
        if len(news) < BATCH:
            break
    for news_id, reason in failures.items():
        context.log.warning("news not classified; the next run tries again", news_id=news_id, reason=reason)
    return _result(stored, failures, _waiting(context.connection, context.now))


def _claim(connection: Connection, now: datetime, without: Sequence[int]) -> list[Unclassified]:
    with connection.cursor(row_factory=class_row(Unclassified)) as cursor:
        asked = {"now": now, "without": list(without), "limit": BATCH}
        return cursor.execute(sql("classifier/claim"), asked).fetchall()


def _store(connection: Connection, sentiments: Sequence[Sentiment], version: str, now: datetime) -> int:
    if not sentiments:
        return 0
    stamp = {"model_version": version, "classified_at": now}
    rows = [{**vars(row), "tickers": list(row.tickers), **stamp} for row in sentiments]
    with connection.cursor() as cursor:
        cursor.executemany(sql("classifier/insert"), rows)
        return cursor.rowcount


def _waiting(connection: Connection, now: datetime) -> int:
    row = connection.execute(sql("classifier/waiting"), {"now": now}).fetchone()
    return int(row[0]) if row else 0


def _result(stored: int, failures: dict[int, str], waiting: int) -> Result:
    if not stored and not waiting:
        return Result(outcome=Outcome.NO_INPUT, metrics={"NewsUnclassified": 0})
    first = next(iter(failures.items()), None)
    return Result(
        outcome=Outcome.DEGRADED if failures else Outcome.OK,
        rows_in=stored + len(failures),
        rows_out=stored,
        counts={"unclassifiable": len(failures), "waiting": waiting},
        metrics={"NewsUnclassified": waiting},
        error=f"{len(failures)} news items could not be classified, first {first[0]}: {first[1]}" if first else None,
    )


if __name__ == "__main__":
    task.main(run, __package__)

"""Wiring: the watchlist with its features and news in, signals out; every hold is counted by its rule."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from psycopg.rows import class_row
from psycopg.types.json import Json

from pipeline import market, task
from pipeline.rows import Signal, WatchlistEntry
from pipeline.store import Connection, sql
from pipeline.task import Outcome, Result
from signal_engine import signals
from signal_engine.signals import Evidence


def run(context: task.Context) -> Result:
    """Judges every symbol of the watchlist. A row in is a symbol, a row out its verdict: a signal or a counted hold."""
    now, connection = context.now, context.connection
    if not market.open_or_closing(now):
        return Result(outcome=Outcome.SKIPPED, counts={"market_closed": 1})
    evidence = _gather(connection, now)
    if not evidence:
        return Result(outcome=Outcome.NO_INPUT, counts={"watchlist_empty": 1})
    verdicts = [signals.judge(item, now) for item in evidence]
    raised = [verdict for verdict in verdicts if isinstance(verdict, Signal)]
    stored = _store(connection, raised, now)
    holds = Counter(f"hold_{verdict}" for verdict in verdicts if not isinstance(verdict, Signal))
    return Result(
        outcome=Outcome.OK,
        rows_in=len(evidence),
        rows_out=len(verdicts),
        counts={"signals": stored, "signals_known": len(raised) - stored, **holds},
        metrics={"SignalsRaised": stored, "SymbolsHeld": holds.total()},
    )


def _gather(connection: Connection, now: datetime) -> list[Evidence]:
    with connection.cursor(row_factory=class_row(WatchlistEntry)) as cursor:
        entries = cursor.execute(sql("signal_engine/watched"), {"now": now}).fetchall()
    symbols = [entry.symbol for entry in entries]
    features = market.newest_features(connection, symbols, now)
    sentiments = market.recent_sentiment(connection, symbols, now, signals.NEWS_WINDOW)
    rows = connection.execute(sql("signal_engine/last_signals"), {"symbols": symbols, "now": now}).fetchall()
    last: dict[str, datetime] = dict(rows)
    return [
        Evidence(
            entry=entry,
            features=features.get(entry.symbol),
            sentiments=sentiments[entry.symbol],
            last_signal_at=last.get(entry.symbol),
        )
        for entry in entries
    ]


def _store(connection: Connection, raised: Sequence[Signal], now: datetime) -> int:
    """Inserts the signals, each once; how many were new."""
    with connection.transaction(), connection.cursor() as cursor:
        cursor.executemany(
            sql("signal_engine/insert"),
            [{**vars(signal), "reason": Json(signal.reason), "created_at": now} for signal in raised],
        )
        return cursor.rowcount if raised else 0


if __name__ == "__main__":
    task.main(run, __package__)

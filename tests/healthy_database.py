"""A database in which all is well, for the healthcheck's tests to spoil."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from market_rows import MINUTE, NOW, entry, features, insert_entries, insert_features, insert_sentiment, sentiment
from pipeline import catalog

SERVICE = "healthcheck"
SYMBOLS = ("AAPL", "MSFT")


def open_findings(database: Any) -> dict[tuple[str, str], str]:
    with database.connect() as connection:
        rows = connection.execute("select code, subject, severity from findings where cleared_at is null").fetchall()
        return {(code, subject): severity for code, subject, severity in rows}


def insert_bars(connection: Any, symbol: str, first: datetime, last: datetime) -> None:
    connection.execute(
        "insert into bars select %s, ts, 10, 11, 9, 10, 100, 5, 10, 'iex', ts + interval '1 minute'"
        " from generate_series(%s::timestamptz, %s::timestamptz, '1 minute') ts",
        (symbol, first, last),
    )


def insert_runs(connection: Any, now: datetime, *, without: str = "") -> None:
    for service in catalog.load():
        if service.name not in (without, SERVICE):
            for i in range(1, 4):
                at = now - i * service.period
                connection.execute(
                    "insert into task_runs (service, execution_id, started_at, finished_at, outcome)"
                    " values (%s, %s, %s, %s, 'OK') on conflict do nothing",
                    (service.name, at.isoformat(), at, at),
                )


def make_healthy(connection: Any, now: datetime = NOW) -> None:
    """Bars and features up to the minute before, news classified, feeds read, watchlist ranked, all services run."""
    for symbol in SYMBOLS:
        insert_bars(connection, symbol, now - 60 * MINUTE, now - MINUTE)
        insert_features(connection, features(symbol, ts=now - MINUTE))
    connection.execute("delete from bars_changed")
    insert_sentiment(connection, sentiment(0.5, published_at=now - 5 * MINUTE))
    state = b"insert into feed_state (feed_url, last_ok_at, checked_at) values ('https://a.example/rss', %s, %s)"
    connection.execute(state, (now, now))
    insert_entries(connection, [entry(symbol, computed_at=now - 5 * MINUTE) for symbol in SYMBOLS])
    insert_runs(connection, now)

"""One whole-market minute, 8,000 symbols, from stored bars to stored features, by the real service."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from ops.local import exchange
from ops.local.exchange import synthetic
from ops.local.postgres import Postgres
from ops.local.runtime import ForkRuntime
from pipeline import catalog, sessions
from pipeline.store import Connection, migrations

SYMBOLS = 8_000
HISTORY_BARS = 120
MINUTE = timedelta(minutes=1)
DAY = datetime(2026, 1, 26, tzinfo=UTC).date()
SERVICE = "feature_computer"


def run() -> dict[str, Any]:
    """Seconds of the run that computes and stores one minute for every symbol, its history stored already."""
    session = sessions.find(DAY)
    assert session is not None
    market = synthetic.market(_names(), DAY, seed=1, events=0)
    history_end = session.open + HISTORY_BARS * MINUTE
    with Postgres(durable=False) as server, ForkRuntime([SERVICE]) as runtime:
        runtime.wait_ready()
        database = server.create_database("market")
        with database.connect() as connection:
            migrations.migrate(connection, catalog.load())
            _store(connection, market, session.open, history_end - MINUTE)
            backlog_seconds, backlog_runs = _work_off(connection, runtime, database.url, history_end - MINUTE)
            connection.execute("vacuum analyze")
            _store(connection, market, history_end - MINUTE, history_end)
            seconds, peak = _run(runtime, database.url, history_end)
            row = connection.execute("select count(*) from features where ts = %s", (history_end - MINUTE,)).fetchone()
    return {
        "what": f"features of one minute, {SYMBOLS:,} symbols with {HISTORY_BARS} bars each, store to store",
        "target": "≤ 2 s",
        "seconds": round(seconds, 2),
        "features_stored": row[0] if row else 0,
        "peak_rss_mb": round(peak, 1),
        "backlog_seconds": round(backlog_seconds, 1),
        "backlog_runs": backlog_runs,
        "backlog_features": (HISTORY_BARS - 1) * SYMBOLS,
    }


def _names() -> list[str]:
    letters = "ABCDEFGHIJKLMNOPQRST"
    return [f"{a}{b}{c}" for a in letters for b in letters for c in letters][:SYMBOLS]


def _store(connection: Connection, market: exchange.Market, start: datetime, end: datetime) -> None:
    owner = np.repeat(np.arange(len(market.symbols)), np.diff(market.starts))
    wanted = np.flatnonzero((market.ts >= start.timestamp()) & (market.ts < end.timestamp()))
    wanted = wanted[np.argsort(market.ts[wanted], kind="stable")]  # as they would come in: minute by minute
    columns = "symbol, ts, open, high, low, close, volume, feed, ingested_at"
    with (
        connection.transaction(),
        connection.cursor() as cursor,
        cursor.copy(f"copy bars ({columns}) from stdin") as copy,
    ):
        for i in wanted.tolist():
            ts = datetime.fromtimestamp(int(market.ts[i]), UTC)
            prices = (market.open[i], market.high[i], market.low[i], market.close[i])
            copy.write_row(
                (market.symbols[owner[i]], ts, *map(float, prices), int(market.volume[i]), "iex", ts + MINUTE)
            )


def _work_off(connection: Connection, runtime: ForkRuntime, url: str, now: datetime) -> tuple[float, int]:
    """Runs the service until nothing waits; seconds and runs that it took."""
    total, runs = 0.0, 0
    while connection.execute("select exists (select from bars_changed)").fetchone() == (True,):
        seconds, _ = _run(runtime, url, now)
        total, runs = total + seconds, runs + 1
    return total, runs


def _run(runtime: ForkRuntime, url: str, now: datetime) -> tuple[float, float]:
    environment = {"ENVIRONMENT": "local", "DATABASE_URL": url, "VIRTUAL_NOW": now.isoformat()}
    began = time.monotonic()
    going = runtime.start(SERVICE, environment)
    if going.wait(timeout=300) != 0:
        raise RuntimeError(going.output)
    return time.monotonic() - began, going.peak_rss_mb or 0.0

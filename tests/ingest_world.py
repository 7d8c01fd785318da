"""What the ingestor's tests run in: an exchange of known bars at a virtual instant, and the service run for real."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import count
from typing import Any

import numpy as np

from ops.local.exchange import Exchange, Fault, Market
from ops.local.postgres import Database
from pipeline import sessions, task
from pipeline.store import Connection
from telemetry_ingestor.__main__ import run

MINUTE = timedelta(minutes=1)
DAY = date(2026, 1, 26)  # a Monday
OPEN = datetime(2026, 1, 26, 14, 30, tzinfo=UTC)
CLOSE = datetime(2026, 1, 26, 21, 0, tzinfo=UTC)
SYMBOLS = ("AAPL", "MSFT", "BRK.B")
SERVICE = "telemetry_ingestor"
_executions = count(1)


def at(minutes: float) -> datetime:
    """So many minutes after the open of DAY."""
    return OPEN + minutes * MINUTE


def bar_times(start: datetime, end: datetime) -> list[datetime]:
    return sessions.minutes(start, end)


def market(bars: dict[str, Iterable[datetime]], *, seed: int = 1) -> Market:
    """A market with a plain bar at each of these times, its prices a function of symbol and time alone."""
    symbols = tuple(bars)
    times = [(i, int(ts.timestamp())) for i, symbol in enumerate(symbols) for ts in bars[symbol]]
    owner = np.array([i for i, _ in times], dtype=np.int64)
    ts = np.array([t for _, t in times], dtype=np.int64)
    middle = np.asarray(np.round(100 + owner + np.sin(ts / 6000), 2), dtype=np.float64)
    prices = [np.asarray(middle + step, dtype=np.float64) for step in (0.0, 0.5, -0.5, 0.1)]
    return Market.of_columns(symbols, owner, ts, prices, np.asarray(1000 + ts % 977, dtype=np.float64))


def session_market(symbols: Sequence[str] = SYMBOLS, days: Sequence[date] = (DAY,)) -> Market:
    """Every session minute of these days for every symbol."""
    found = [s for s in map(sessions.find, days) if s]
    times = [ts for s in found for ts in bar_times(s.open, s.close)]
    return market(dict.fromkeys(symbols, times))


@dataclass(kw_only=True)
class World:
    """An exchange and a database; `ingest(now)` runs the service at that instant and gives its ledger row."""

    database: Database
    exchange: Exchange
    symbols: tuple[str, ...] = SYMBOLS
    changes: dict[str, str] = field(default_factory=dict)
    _connection: Connection | None = None

    @property
    def connection(self) -> Connection:
        if self._connection is None:
            self._connection = self.database.connect()
        return self._connection

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()

    def environment(self, now: datetime, **more: str) -> dict[str, str]:
        return {
            "DATABASE_URL": self.database.url,
            "ENVIRONMENT": "local",
            "VIRTUAL_NOW": now.isoformat(),
            "EXECUTION_ID": f"run-{next(_executions)}",
            "ALPACA_DATA_URL": self.exchange.url,
            "ALPACA_KEY_ID": self.exchange.key_id,
            "ALPACA_SECRET_KEY": self.exchange.secret_key,
            "ALPACA_DATA_FEED": "iex",
            "TICKERS": ",".join(self.symbols),
            **self.changes,
            **more,
        }

    def ingest(self, now: datetime, **more: str) -> dict[str, Any]:
        """One run; its row of task_runs."""
        self.exchange.set_now(now)
        self._wait_until_alone()
        environment = self.environment(now, **more)
        outcome = task.run_once(run, SERVICE, environment)
        row = self.run_record(environment["EXECUTION_ID"])
        assert row["outcome"] == outcome
        return row

    def _wait_until_alone(self) -> None:
        """PostgreSQL frees an ended run's lock a moment after its connection is closed; runs are a minute apart."""
        while self.rows("select 1 from pg_stat_activity where application_name = %s and datname = %s", *self._service):
            time.sleep(0.001)

    @property
    def _service(self) -> tuple[str, str]:
        return SERVICE, self.database.name

    def run_record(self, execution_id: str) -> dict[str, Any]:
        found = self.rows(
            "select outcome, rows_in, rows_out, counts, error, error_code from task_runs where execution_id = %s",
            execution_id,
        )
        names = ("outcome", "rows_in", "rows_out", "counts", "error", "error_code")
        return dict(zip(names, found[0], strict=True))

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        return self.connection.execute(query.encode(), values).fetchall()

    def value(self, query: str, *values: object) -> Any:
        return self.rows(query, *values)[0][0]

    def bar_count(self) -> int:
        return int(self.value("select count(*) from bars"))

    def gaps(self) -> list[tuple[str, float, float, str, float | None]]:
        """Symbol, first and last minute and backfilled_at as minutes after the open of DAY, class; in order."""
        found = self.rows("select symbol, first_minute, last_minute, class, backfilled_at from gaps order by 1, 2")
        return [(s, since_open(a), since_open(b), kind, since_open(c)) for s, a, b, kind, c in found]  # type: ignore[misc]

    def fault(self, fault: Fault) -> Fault:
        return self.exchange.faults.add(fault)


def since_open(ts: datetime | None) -> float | None:
    return None if ts is None else (ts - OPEN) / MINUTE

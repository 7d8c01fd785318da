"""A market in a real database for the dispatcher to trade in: bars, features and signals with sensible values."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import numpy as np
from psycopg.rows import dict_row
from psycopg.types.json import Json

from dispatcher import __main__ as service
from dispatcher import gates, queue
from dispatcher.paper import Desk
from ops.local.exchange import Exchange, Market
from ops.local.postgres import Database
from pipeline import catalog, sessions, settings
from pipeline.ledger import Result
from pipeline.settings import Values
from pipeline.store import Connection

NOW = datetime(2026, 1, 26, 15, 30, tzinfo=UTC)  # a Monday, 10:30 in New York
OPEN = datetime(2026, 1, 26, 14, 30, tzinfo=UTC)
CLOSE = datetime(2026, 1, 26, 21, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
SESSION = next(sessions.between(OPEN, CLOSE))
LIMITS: Mapping[str, Any] = {
    "mode": "SIMULATED",
    "sides": ["BUY", "SELL"],
    "confidence_min": 0.70,
    "bar_age_max_seconds": 120,
    "features_age_max_seconds": 300,
    "trades_per_symbol_max": 2,
    "daily_loss_max": 2000,
}
ROLE = "dispatcher"


def values(changes: Mapping[str, Any] | None = None, *, text: str | None = None, **secrets: str) -> Values:
    """The service's parameters: LIMITS with changes, or any text in their place."""
    environment = {
        "DISPATCH_LIMITS": text if text is not None else json.dumps({**LIMITS, **(changes or {})}),
        "ALPACA_KEY_ID": secrets.get("key_id", "unused"),
        "ALPACA_SECRET_KEY": secrets.get("secret_key", "unused"),
    }
    return settings.read(environment, catalog.load()[ROLE])


def market() -> Market:
    """All trade at 100 until two minutes after NOW: then AAPL rises through any target, MSFT falls through any stop."""
    symbols, minutes = ("AAPL", "MSFT", "TSLA"), 390
    owner, i = np.repeat(np.arange(3), minutes), np.tile(np.arange(minutes), 3)
    close = np.full(3 * minutes, 100.0)
    moved = i >= (NOW - OPEN) / MINUTE + 2
    close[moved & (owner == 0)] = 110.0
    close[moved & (owner == 1)] = 90.0
    ts = int(OPEN.timestamp()) + 60 * i
    return Market.of_columns(symbols, owner, ts, (close, close + 0.02, close - 0.02, close), np.full(len(ts), 500.0))


@dataclass(kw_only=True)
class World:
    """`connection` is the dispatcher's own; what producers write goes over the superuser's."""

    database: Database
    connection: Connection = field(init=False)
    admin: Connection = field(init=False)
    _numbers: Any = field(default_factory=lambda: count(1))

    def __post_init__(self) -> None:
        self.connection = self.database.connect(ROLE)
        self.admin = self.database.connect()

    def close(self) -> None:
        self.connection.close()
        self.admin.close()

    def bar(self, symbol: str = "AAPL", ts: datetime = NOW - MINUTE, close: float = 100.0, **changes: float) -> None:
        bar = {"open": close, "high": close, "low": close, **changes}
        self.admin.execute(
            "insert into bars (symbol, ts, open, high, low, close, volume, feed, ingested_at) values"
            " (%s, %s, %s, %s, %s, %s, 100, 'iex', %s) on conflict (symbol, ts) do nothing",
            (symbol, ts, bar["open"], bar["high"], bar["low"], close, ts + MINUTE),
        )

    def features(self, symbol: str = "AAPL", ts: datetime = NOW - MINUTE, atr: float | None = 0.5) -> None:
        self.admin.execute(
            "insert into features (symbol, ts, session, atr14, gap_minutes, bars_used, window_start, computed_at)"
            " values (%s, %s, %s, %s, 0, 300, %s, %s) on conflict (symbol, ts) do nothing",
            (symbol, ts, ts.date(), atr, ts - 300 * MINUTE, ts + MINUTE),
        )

    def signal(
        self,
        symbol: str = "AAPL",
        *,
        side: str = "BUY",
        confidence: float = 0.9,
        created_at: datetime = NOW,
        rule: str | None = None,
    ) -> int:
        row = self.admin.execute(
            "insert into signals (symbol, ts, rule, side, confidence, volume_multiplier, reason, created_at)"
            " values (%s, %s, %s, %s, %s, 1, %s, %s) returning id",
            (
                symbol,
                created_at - MINUTE,
                rule or f"rule-{next(self._numbers)}",
                side,
                confidence,
                Json({}),
                created_at,
            ),
        ).fetchone()
        assert row
        return int(row[0])

    def tradable(
        self, symbol: str = "AAPL", now: datetime = NOW, close: float = 100.0, atr: float | None = 0.5
    ) -> None:
        """A fresh bar and fresh features."""
        self.bar(symbol, now - MINUTE, close)
        self.features(symbol, now - MINUTE, atr)

    def run(
        self,
        now: datetime = NOW,
        *,
        limits: Mapping[str, Any] | None = None,
        connection: Connection | None = None,
        execution_id: str | None = None,
        exchange: Exchange | None = None,
    ) -> Result:
        """The service's job without the harness (and so without its lock), as another execution each time."""
        keys = {"key_id": exchange.key_id, "secret_key": exchange.secret_key} if exchange else {}
        given = values(limits, **keys)
        environment = {"ALPACA_TRADING_URL": exchange.url} if exchange else {}
        own = connection or self.connection
        with Desk(values=given, environment=environment) as desk:
            name = execution_id or f"execution-{next(self._numbers)}"
            tally = service.work(own, gates.limits(given), desk, now, name)
        return service.report(tally, queue.oldest_waiting(own, now), now)

    def dispatches(self) -> list[dict[str, Any]]:
        with self.admin.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(
                "select d.*, s.symbol, s.side from dispatches d"
                " join signals s on s.id = d.signal_id order by d.signal_id"
            ).fetchall()

    def only(self) -> dict[str, Any]:
        (row,) = self.dispatches()
        return row

    def states(self) -> list[str]:
        return [row["state"] for row in self.dispatches()]

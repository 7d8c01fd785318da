"""What the exchange's tests share: one small market, and a client that sends the keys."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import requests

from ops.local.exchange import Exchange, Market

OPEN = datetime(2026, 1, 26, 14, 30, tzinfo=UTC)
NOON = datetime(2026, 1, 26, 17, 0, tzinfo=UTC)
CLOSE = datetime(2026, 1, 26, 21, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def small_market(symbols: tuple[str, ...] = ("AAA", "BBB", "CCC"), minutes: int = 390) -> Market:
    """Every symbol has a bar each minute from the open; minute i of symbol s closes at 100 · (s + 1) + i / 100."""
    owner = np.repeat(np.arange(len(symbols)), minutes)
    i = np.tile(np.arange(minutes), len(symbols))
    close = 100.0 * (owner + 1) + i / 100
    ts = int(OPEN.timestamp()) + 60 * i
    ohlc = (np.round(close - 0.01, 2), np.round(close + 0.02, 2), np.round(close - 0.03, 2), np.round(close, 2))
    return Market.of_columns(symbols, owner, ts, ohlc, np.full(len(ts), 500.0))


class Client:
    """Raw HTTP with the exchange's keys, so that answers are seen as they are sent."""

    def __init__(self, exchange: Exchange, **headers: str) -> None:
        self.url = exchange.url
        self.session = requests.Session()
        self.session.headers.update(exchange.headers | headers)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.session.close()

    def get(self, path: str, timeout: float = 5.0, **query: Any) -> requests.Response:
        return self.session.get(self.url + path, params=query, timeout=timeout)

    def bars(
        self, symbols: str = "AAA", start: datetime | str = OPEN, timeout: float = 5.0, **query: Any
    ) -> requests.Response:
        defaults = {"timeframe": "1Min", "feed": "iex", "start": start if isinstance(start, str) else start.isoformat()}
        return self.get("/v2/stocks/bars", timeout=timeout, **(defaults | {"symbols": symbols} | query))

    def closes(self, symbols: str = "AAA", **query: Any) -> dict[str, list[float]]:
        """Closes by symbol from one page."""
        page = self.bars(symbols, **query).json()
        return {symbol: [bar["c"] for bar in bars] for symbol, bars in page["bars"].items()}

"""The rows that cross service boundaries, in the order in which one becomes the next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Bar:
    """One traded minute of one symbol. Producer: telemetry_ingestor. Key: (symbol, ts), ts the start of the minute."""

    symbol: str
    ts: datetime
    open: float
    high: float
    low: float
    close: float
    volume: int
    trade_count: int | None = None
    vwap: float | None = None


@dataclass(frozen=True, kw_only=True)
class Features:
    """What the bars up to and including `ts` say. Producer: feature_computer. Key: (symbol, ts).

    Only what later services read stands here; the table has all columns (SPEC §4.2)."""

    symbol: str
    ts: datetime
    session: date
    distance_sma20: float | None
    vol_ratio: float | None
    trend_state: int | None
    atr14: float | None
    volume_ratio: float | None


class Label(StrEnum):
    """What a headline says of the companies in it."""

    NEGATIVE = "negative"
    NEUTRAL = "neutral"
    POSITIVE = "positive"


@dataclass(frozen=True, kw_only=True)
class News:
    """One item of news. Producer: rss_ingest. Key: uid."""

    uid: str
    feed: str
    title: str
    summary: str
    link: str | None
    published_at: datetime
    date_marked: str | None
    fetched_at: datetime


@dataclass(frozen=True, kw_only=True)
class Sentiment:
    """What the model makes of a news item. Producer: classifier. Key: news_id.

    score: direction × confidence, −1 … 1; a neutral item scores 0."""

    news_id: int
    published_at: datetime
    label: Label
    score: float
    tickers: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class WatchlistEntry:
    """Where a symbol stands. Producer: watchlist_engine. Key: symbol. Score and components are 0 … 1."""

    symbol: str
    score: float
    rank: int
    sentiment_pressure: float
    setup_quality: float
    volatility: float
    trend_alignment: float
    in_watchlist: bool
    entered_at: datetime | None
    below_since: datetime | None
    computed_at: datetime


class Side(StrEnum):
    """What a signal asks for: the one vocabulary of the engine that emits it and the dispatcher that acts on it."""

    BUY = "BUY"
    SELL = "SELL"

    @property
    def direction(self) -> int:
        return 1 if self is Side.BUY else -1


@dataclass(frozen=True, kw_only=True)
class Signal:
    """A reason to trade. Producer: signal_engine. Key: (symbol, ts, rule), ts the event time of its features."""

    symbol: str
    ts: datetime
    rule: str
    side: Side
    confidence: float
    volume_multiplier: float
    reason: Mapping[str, Any]


class DispatchState(StrEnum):
    """The states of a dispatch; the transitions are enforced in the database (migration 0006)."""

    PENDING = "PENDING"
    CLAIMED = "CLAIMED"
    SIMULATED = "SIMULATED"
    EXECUTED = "EXECUTED"
    SKIPPED = "SKIPPED"
    FAILED = "FAILED"
    EXPIRED = "EXPIRED"


class Mode(StrEnum):
    """Where a dispatch goes: a simulated fill, or an order at Alpaca's paper account."""

    SIMULATED = "SIMULATED"
    ALPACA_PAPER = "ALPACA_PAPER"


@dataclass(frozen=True, kw_only=True)
class Dispatch:
    """What became of a signal. Producer: dispatcher. Key: signal_id."""

    signal_id: int
    state: DispatchState
    mode: Mode
    gates: Mapping[str, Any]
    client_order_id: str | None
    quantity: float | None
    fill_price: float | None
    filled_at: datetime | None
    stop_price: float | None
    target_price: float | None
    error: str | None

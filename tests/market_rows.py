"""Features, sentiment and watchlist rows with sensible values, for tests to vary."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from pipeline.rows import Features, Label, Sentiment, WatchlistEntry

NOW = datetime(2026, 1, 26, 15, 30, tzinfo=UTC)  # a Monday, 10:30 in New York
MINUTE = timedelta(minutes=1)


def features(symbol: str = "AAPL", **changes: Any) -> Features:
    """Features of the newest whole minute before NOW: rising, half a percent above the mean, lively, well traded."""
    values: dict[str, Any] = {
        "symbol": symbol,
        "ts": NOW - MINUTE,
        "session": NOW.date(),
        "distance_sma20": 0.002,
        "vol_ratio": 1.5,
        "trend_state": 1,
        "atr14": 0.4,
        "volume_ratio": 1.7,
    }
    return Features(**values | changes)


def sentiment(score: float = 0.8, *, minutes_old: float = 5, news_id: int = 1, **changes: Any) -> Sentiment:
    """An item on AAPL with the label that its score implies."""
    values: dict[str, Any] = {
        "news_id": news_id,
        "published_at": NOW - minutes_old * MINUTE,
        "label": Label.POSITIVE if score > 0 else Label.NEGATIVE if score < 0 else Label.NEUTRAL,
        "score": score,
        "tickers": ("AAPL",),
    }
    return Sentiment(**values | changes)


def entry(symbol: str = "AAPL", **changes: Any) -> WatchlistEntry:
    """A member since ten minutes ago, computed three minutes ago."""
    values: dict[str, Any] = {
        "symbol": symbol,
        "score": 0.7,
        "rank": 1,
        "sentiment_pressure": 0.8,
        "setup_quality": 0.8,
        "volatility": 0.5,
        "trend_alignment": 0.5,
        "in_watchlist": True,
        "entered_at": NOW - 10 * MINUTE,
        "below_since": None,
        "computed_at": NOW - 3 * MINUTE,
    }
    return WatchlistEntry(**values | changes)

"""Features, sentiment and watchlist rows with sensible values, for tests to vary."""

from __future__ import annotations

from collections.abc import Iterable
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


def insert_features(connection: Any, *rows: Features, computed_at: datetime | None = None) -> None:
    """Stores features as their computer would, a minute after their bar unless said otherwise."""
    for row in rows:
        connection.execute(
            "insert into features (symbol, ts, session, distance_sma20, vol_ratio, trend_state, atr14, volume_ratio,"
            " gap_minutes, bars_used, window_start, computed_at) values (%(symbol)s, %(ts)s, %(session)s,"
            " %(distance_sma20)s, %(vol_ratio)s, %(trend_state)s, %(atr14)s, %(volume_ratio)s, 0, 50, %(ts)s, %(at)s)",
            {**vars(row), "at": computed_at or row.ts + MINUTE},
        )


def insert_sentiment(connection: Any, *rows: Sentiment, classified_at: datetime | None = None) -> None:
    """Stores news and its sentiment, classified when it was published unless said otherwise."""
    for row in rows:
        at = classified_at or row.published_at
        news_id = connection.execute(
            "insert into news (uid, feed, title, summary, published_at, fetched_at)"
            " values (%s, 'feed', 'title', '', %s, %s) returning id",
            (f"{row.news_id}-{row.published_at.isoformat()}", row.published_at, row.published_at),
        ).fetchone()[0]
        connection.execute(
            "insert into sentiment values (%s, %s, %s, %s, %s, 'test', %s)",
            (news_id, row.published_at, row.label, row.score, list(row.tickers), at),
        )


def insert_entries(connection: Any, rows: Iterable[WatchlistEntry]) -> None:
    """Stores watchlist rows as they are."""
    for row in rows:
        connection.execute(
            "insert into watchlist values (%(symbol)s, %(score)s, %(rank)s, %(sentiment_pressure)s, %(setup_quality)s,"
            " %(volatility)s, %(trend_alignment)s, %(in_watchlist)s, %(entered_at)s, %(below_since)s, %(computed_at)s)",
            vars(row),
        )

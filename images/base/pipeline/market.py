"""What was known of symbols at an instant: their newest features and recent sentiment, as both engines read them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from psycopg.rows import class_row

from pipeline import sessions
from pipeline.rows import Features, Label, Sentiment
from pipeline.store import Connection, sql

_INSTANT = timedelta(microseconds=1)


def open_or_closing(now: datetime) -> bool:
    """Whether the market is open, or closes at this very instant: the last minute's bar is known only then."""
    return sessions.at(now) is not None or sessions.at(now - _INSTANT) is not None


def newest_features(connection: Connection, symbols: Sequence[str], now: datetime) -> dict[str, Features]:
    """Symbol → its newest features computed by `now`; a symbol without any is left out."""
    with connection.cursor(row_factory=class_row(Features)) as cursor:
        cursor.execute(sql("market/newest_features"), {"symbols": list(symbols), "now": now})
        return {features.symbol: features for features in cursor}


def recent_sentiment(
    connection: Connection, symbols: Sequence[str], now: datetime, window: timedelta
) -> dict[str, list[Sentiment]]:
    """Symbol → the sentiments naming it, published within (now − window, now] and classified by `now`."""
    values = {"symbols": list(symbols), "since": now - window, "now": now}
    rows = connection.execute(sql("market/recent_sentiment"), values).fetchall()
    return by_symbol((_sentiment(*row) for row in rows), symbols)


def by_symbol(sentiments: Iterable[Sentiment], symbols: Iterable[str]) -> dict[str, list[Sentiment]]:
    """Symbol → the sentiments that name it, in the order given; every symbol is there."""
    found: dict[str, list[Sentiment]] = {symbol: [] for symbol in symbols}
    for sentiment in sentiments:
        for symbol in sentiment.tickers:
            if symbol in found:
                found[symbol].append(sentiment)
    return found


def _sentiment(news_id: int, published_at: datetime, label: str, score: float, tickers: list[str]) -> Sentiment:
    return Sentiment(
        news_id=news_id, published_at=published_at, label=Label(label), score=score, tickers=tuple(tickers)
    )

"""The signal engine over a real database: what it sees, what it writes, and that it never says a thing twice."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from in_process import last_counts, run_at
from market_rows import MINUTE, NOW, entry, features, insert_entries, insert_features, insert_sentiment, sentiment
from pipeline.ledger import Outcome
from signal_engine.__main__ import run

SERVICE = "signal_engine"


def work(database: Any, now: datetime = NOW) -> Outcome:
    return run_at(now, run, SERVICE, database)


def raised(database: Any) -> list[tuple[Any, ...]]:
    with database.connect() as connection:
        return connection.execute(
            "select symbol, ts, rule, side, created_at, reason from signals order by created_at, symbol"
        ).fetchall()


def scene(database: Any, *, classified_at: datetime | None = None, computed_at: datetime | None = None) -> None:
    """A watched symbol with fresh features and good news."""
    with database.connect() as connection:
        insert_entries(connection, [entry("AAPL"), entry("MSFT", rank=2)])
        insert_features(connection, features("AAPL"), features("MSFT"), computed_at=computed_at)
        insert_sentiment(connection, sentiment(0.8), classified_at=classified_at)


def test_the_symbol_in_the_news_raises_a_signal_and_the_other_says_why_not(database: Any) -> None:
    scene(database)
    assert work(database) is Outcome.OK
    ((symbol, ts, rule, side, created_at, reason),) = raised(database)
    assert (symbol, ts, rule, side, created_at) == ("AAPL", NOW - MINUTE, "sentiment_trend", "BUY", NOW)
    assert reason["sentiment"]["directional"] == 1
    counts = last_counts(database, SERVICE)
    assert (counts["signals"], counts["hold_no_news"]) == (1, 1)


def test_a_second_run_at_the_same_instant_adds_nothing(database: Any) -> None:
    scene(database)
    work(database)
    before = raised(database)
    assert work(database) is Outcome.OK
    assert raised(database) == before
    assert last_counts(database, SERVICE)["hold_cooldown"] == 1


def test_the_same_features_are_never_said_twice_even_after_the_cooldown(database: Any) -> None:
    scene(database)
    work(database)
    with database.connect() as connection:
        connection.execute("update signals set created_at = created_at - interval '1 hour'")
    assert work(database) is Outcome.OK
    assert len(raised(database)) == 1
    assert last_counts(database, SERVICE)["signals_known"] == 1


@pytest.mark.parametrize(
    ("future", "rule"),
    [
        ({"classified_at": NOW + timedelta(seconds=1)}, "hold_no_news"),
        ({"computed_at": NOW + timedelta(seconds=1)}, "hold_features_missing"),
    ],
)
def test_what_is_known_only_later_is_not_seen(database: Any, future: dict[str, datetime], rule: str) -> None:
    scene(database, **future)
    assert work(database) is Outcome.OK
    assert raised(database) == []
    assert last_counts(database, SERVICE)[rule] >= 1


def test_news_and_features_of_the_future_are_not_seen(database: Any) -> None:
    with database.connect() as connection:
        insert_entries(connection, [entry("AAPL")])
        insert_features(connection, features("AAPL", trend_state=-1), features("AAPL", ts=NOW))
        insert_sentiment(connection, sentiment(0.8), sentiment(-1.0, news_id=2, minutes_old=-1))
        insert_sentiment(connection, sentiment(-1.0, news_id=3, minutes_old=30))
    assert work(database) is Outcome.OK
    assert last_counts(database, SERVICE)["hold_trend_disagrees"] == 1


def test_a_watchlist_of_the_future_is_empty(database: Any) -> None:
    scene(database)
    with database.connect() as connection:
        connection.execute("update watchlist set computed_at = %s", (NOW + MINUTE,))
    assert work(database) is Outcome.NO_INPUT


def test_bars_that_end_on_friday_raise_nothing_on_monday_though_computed_just_now(database: Any) -> None:
    friday = datetime(2026, 1, 23, 20, 59, tzinfo=UTC)
    with database.connect() as connection:
        insert_entries(connection, [entry("AAPL")])
        insert_features(connection, features("AAPL", ts=friday), computed_at=NOW - timedelta(seconds=40))
        insert_sentiment(connection, sentiment(0.8))
    assert work(database) is Outcome.OK
    assert raised(database) == []
    assert last_counts(database, SERVICE)["hold_features_stale"] == 1


def test_an_empty_watchlist_is_no_input(database: Any) -> None:
    with database.connect() as connection:
        insert_entries(connection, [entry("AAPL", in_watchlist=False, entered_at=None)])
    assert work(database) is Outcome.NO_INPUT


def test_a_closed_market_is_skipped(database: Any) -> None:
    scene(database)
    assert work(database, now=datetime(2026, 2, 16, 16, 0, tzinfo=UTC)) is Outcome.SKIPPED
    assert raised(database) == []


def test_the_tick_at_the_close_still_counts(database: Any) -> None:
    close = datetime(2026, 1, 26, 21, 0, tzinfo=UTC)
    with database.connect() as connection:
        insert_entries(connection, [entry("AAPL", computed_at=close)])
        insert_features(connection, features("AAPL", ts=close - MINUTE))
        insert_sentiment(connection, sentiment(0.8, published_at=close - MINUTE))
    assert work(database, now=close) is Outcome.OK
    assert len(raised(database)) == 1

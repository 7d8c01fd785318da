"""The watchlist engine over a real database: what it sees, what it writes, and that time only moves forward."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from in_process import last_counts, run_at
from market_rows import MINUTE, NOW, entry, features, insert_entries, insert_features, insert_sentiment, sentiment
from pipeline.ledger import Outcome
from watchlist_engine.__main__ import run

SERVICE = "watchlist_engine"


def work(database: Any, now: datetime = NOW, tickers: str = "AAPL,MSFT") -> Outcome:
    return run_at(now, run, SERVICE, database, TICKERS=tickers)


def table(database: Any) -> dict[str, tuple[Any, ...]]:
    with database.connect() as connection:
        rows = connection.execute(
            "select symbol, score, rank, in_watchlist, entered_at, below_since, computed_at from watchlist"
        )
        return {row[0]: row[1:] for row in rows}


def good_news(connection: Any, at: datetime = NOW) -> None:
    insert_sentiment(connection, *[sentiment(0.9, news_id=i, published_at=at - i * MINUTE) for i in range(1, 6)])


def test_a_row_for_each_followed_symbol_and_the_good_one_watched(database: Any) -> None:
    with database.connect() as connection:
        insert_features(connection, features("AAPL"), features("MSFT"), features("TSLA"))
        good_news(connection)
    assert work(database) is Outcome.OK
    rows = table(database)
    assert rows.keys() == {"AAPL", "MSFT"}
    assert rows["AAPL"][1:4] == (1, True, NOW)
    assert rows["MSFT"][1:4] == (2, False, None)
    assert rows["AAPL"][0] == pytest.approx(0.35 * (0.45 + 0.3 + 0.2 * 59 / 60) + 0.25 * 0.8 + 0.2 + 0.2)


def test_a_symbol_that_is_no_longer_followed_leaves_the_table(database: Any) -> None:
    with database.connect() as connection:
        insert_features(connection, features("AAPL"))
        insert_entries(connection, [entry("GOOG"), entry("AAPL")])
    assert work(database, tickers="AAPL") is Outcome.OK
    assert table(database).keys() == {"AAPL"}
    assert last_counts(database, SERVICE)["removed"] == 1


def test_nothing_of_the_future_is_seen(database: Any) -> None:
    with database.connect() as connection:
        unknown = {"trend_state": None, "distance_sma20": None, "vol_ratio": None}
        insert_features(connection, features("AAPL", ts=NOW - 3 * MINUTE, **unknown))
        insert_features(connection, features("AAPL", ts=NOW - 2 * MINUTE), computed_at=NOW + MINUTE)
        insert_features(connection, features("AAPL", ts=NOW))
        good_news(connection, at=NOW + 30 * MINUTE)
        insert_sentiment(connection, sentiment(0.9, news_id=99), classified_at=NOW + timedelta(seconds=1))
        insert_sentiment(connection, sentiment(0.9, news_id=98, minutes_old=60))
    assert work(database, tickers="AAPL") is Outcome.OK
    assert table(database)["AAPL"][0] == pytest.approx(0.2 * 0.5)  # an unknown trend is neutral, all else is 0


def test_a_second_run_at_the_same_instant_changes_nothing(database: Any) -> None:
    with database.connect() as connection:
        insert_features(connection, features("AAPL"), features("MSFT"))
        good_news(connection)
    work(database)
    before = table(database)
    with database.connect() as connection:
        connection.execute("delete from sentiment")
    assert work(database) is Outcome.SKIPPED
    assert work(database, now=NOW - 5 * MINUTE) is Outcome.SKIPPED
    assert table(database) == before


def test_old_features_are_absent_and_counted(database: Any) -> None:
    with database.connect() as connection:
        insert_features(connection, features("AAPL", ts=NOW - 17 * MINUTE))
        good_news(connection)
    assert work(database) is Outcome.OK
    counts = last_counts(database, SERVICE)
    assert (counts["features_stale"], counts["features_missing"], counts["members"]) == (1, 1, 0)


def test_no_features_at_all_is_no_input(database: Any) -> None:
    with database.connect() as connection:
        good_news(connection)
    assert work(database) is Outcome.NO_INPUT
    assert table(database) == {}


@pytest.mark.parametrize(
    ("now", "outcome"),
    [
        (datetime(2026, 1, 26, 14, 29, tzinfo=UTC), Outcome.SKIPPED),
        (datetime(2026, 1, 26, 14, 30, tzinfo=UTC), Outcome.OK),
        (datetime(2026, 1, 26, 21, 0, tzinfo=UTC), Outcome.OK),
        (datetime(2026, 1, 26, 21, 1, tzinfo=UTC), Outcome.SKIPPED),
        (datetime(2026, 2, 16, 16, 0, tzinfo=UTC), Outcome.SKIPPED),  # Presidents' Day
        (datetime(2026, 11, 27, 18, 1, tzinfo=UTC), Outcome.SKIPPED),  # half-day
    ],
)
def test_it_works_from_the_opening_to_the_closing_tick(database: Any, now: datetime, outcome: Outcome) -> None:
    with database.connect() as connection:
        insert_features(connection, replace(features("AAPL"), ts=now - 2 * MINUTE))
    assert work(database, now=now) is outcome


def test_a_member_stays_through_a_weak_spell_and_leaves_after_a_long_one(database: Any) -> None:
    weak = {"distance_sma20": 0.02, "vol_ratio": 0.5, "trend_state": 0}
    with database.connect() as connection:
        insert_entries(connection, [entry("AAPL", entered_at=NOW - 30 * MINUTE)])
        for minutes in range(0, 20, 5):
            insert_features(connection, features("AAPL", ts=NOW + (minutes - 1) * MINUTE, **weak))
    kept = []
    for minutes in range(0, 20, 5):
        work(database, now=NOW + minutes * MINUTE, tickers="AAPL")
        kept.append(table(database)["AAPL"][2])
    assert kept == [True, True, True, False]

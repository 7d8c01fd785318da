"""Whole runs of the service against the local feed server and a real database."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ops.local.feeds import FeedServer, NewsItem
from service_runs import Finished, run_service

NOW = datetime(2026, 1, 26, 15, 0, tzinfo=UTC)
SUBJECTS = ("Apple", "Tesla", "Nvidia", "Intel", "Boeing", "Ford", "Pfizer", "Chevron", "Disney", "Oracle")
HEADLINES = [f"{subject} reports quarterly figures" for subject in SUBJECTS]
ITEMS = [
    NewsItem(
        published_at=NOW - timedelta(minutes=10 * number),
        title=title,
        summary="<p>More &amp; more</p>",
        link=f"https://news.example/{number}",
    )
    for number, title in enumerate(HEADLINES)
]


@pytest.fixture
def server() -> Iterator[FeedServer]:
    with FeedServer(ITEMS, clock=lambda: NOW) as running:
        running.add([item("Fed holds rates", minutes_ago=5, feeds=("macro",))])
        yield running


def item(title: str, *, minutes_ago: float, feeds: tuple[str, ...] = ("news",)) -> NewsItem:
    return NewsItem(published_at=NOW - timedelta(minutes=minutes_ago), title=title, summary="text", feeds=feeds)


def ingest(database: Any, *urls: str, now: datetime = NOW) -> Finished:
    return run_service("rss_ingest", database, now=now.isoformat(), RSS_FEEDS=json.dumps(urls))


def rows(database: Any, query: str) -> list[tuple[Any, ...]]:
    with database.connect() as connection:
        found: list[tuple[Any, ...]] = connection.execute(query.encode()).fetchall()
        return found


def outcome(run: Finished) -> tuple[str | None, int, int, int]:
    assert run.record, run.output
    assert "Traceback" not in run.output
    return run.record.outcome, run.exit_code, run.record.rows_in, run.record.rows_out


def test_a_run_stores_each_item_once_with_plain_text_and_its_time(database: Any, server: FeedServer) -> None:
    assert outcome(ingest(database, server.url("news"), server.url("macro", "atom"))) == ("OK", 0, 11, 11)
    stored = rows(database, "select title, summary, link, published_at, date_marked, fetched_at from news order by id")
    newest = ("Apple reports quarterly figures", "More & more", "https://news.example/0", NOW, None, NOW)
    assert stored[-1] == newest
    assert len({row[0] for row in stored}) == 11
    assert rows(database, "select distinct feed from news order by 1") == sorted(
        [(server.url("news"),), (server.url("macro", "atom"),)]
    )


def test_the_next_run_asks_conditionally_and_stores_only_what_is_new(database: Any, server: FeedServer) -> None:
    ingest(database, server.url())
    assert outcome(ingest(database, server.url(), now=NOW + timedelta(minutes=5))) == ("OK", 0, 0, 0)
    assert server.requests[-1].headers["if-none-match"]
    server.add([item("Shell raises dividend", minutes_ago=0.5)])
    assert outcome(ingest(database, server.url(), now=NOW + timedelta(minutes=10))) == ("OK", 0, 1, 1)
    assert rows(database, "select count(*) from news") == [(11,)]


def test_a_second_run_over_the_same_feeds_adds_and_changes_nothing(database: Any, server: FeedServer) -> None:
    ingest(database, server.url(), now=NOW + timedelta(minutes=10))
    before = rows(database, "select * from news order by id"), rows(database, "select * from feed_state")
    server.set_now(NOW - timedelta(hours=1))  # a replay of the past: another document under other validators
    outcome(ingest(database, server.url(), now=NOW - timedelta(hours=1)))
    assert before == (rows(database, "select * from news order by id"), rows(database, "select * from feed_state"))


def test_one_broken_feed_degrades_the_run_and_the_others_are_stored(database: Any, server: FeedServer) -> None:
    server.fault("macro", "status", status=503)
    run = ingest(database, server.url("macro"), server.url("news"))
    assert outcome(run) == ("DEGRADED", 3, 10, 10)
    assert run.record is not None
    assert "HTTP 503" in str(run.record.error)
    assert run.record.counts["feeds_failed"] == 1
    state = rows(database, "select consecutive_failures, last_error is null from feed_state order by 1")
    assert state == [(0, True), (1, False)]


def test_no_readable_feed_at_all_is_a_failure(database: Any, server: FeedServer) -> None:
    server.fault("*", "html")
    for failures in (1, 2):
        run = ingest(database, server.url(), now=NOW + failures * timedelta(minutes=5))
        assert outcome(run) == ("FAILED", 1, 0, 0)
        assert run.record is not None
        assert run.record.error_code == "feed_broken"
        assert rows(database, "select consecutive_failures from feed_state") == [(failures,)]
    server.clear_faults()
    later = NOW + timedelta(minutes=15)
    assert outcome(ingest(database, server.url(), now=later)) == ("OK", 0, 10, 10)
    assert rows(database, "select consecutive_failures, last_error, last_ok_at from feed_state") == [(0, None, later)]


def test_empty_feeds_are_no_input(database: Any) -> None:
    with FeedServer(clock=lambda: NOW) as server:
        assert outcome(ingest(database, server.url())) == ("NO_INPUT", 0, 0, 0)


def test_what_a_truncated_feed_lacked_comes_with_the_next_run(database: Any, server: FeedServer) -> None:
    server.fault("news", "truncated", times=1)
    first = ingest(database, server.url())
    assert first.record is not None
    assert (first.record.outcome, first.record.counts["feeds_flawed"]) == ("OK", 1)
    assert rows(database, "select etag, left(last_error, 17) from feed_state") == [(None, "SAXParseException")]
    ingest(database, server.url(), now=NOW + timedelta(minutes=5))
    assert rows(database, "select count(*), count(distinct title) from news") == [(10, 10)]


def test_the_same_news_from_two_feeds_is_stored_once(database: Any, server: FeedServer) -> None:
    server.add([item("UPDATE 1-Fed holds the rates - Reuters", minutes_ago=2, feeds=("other",))])
    run = ingest(database, server.url("macro"), server.url("other"))
    assert run.record is not None
    assert (run.record.rows_out, run.record.counts["near_duplicates"]) == (1, 1)
    again = ingest(database, server.url("macro", "atom"), server.url("other", "atom"), now=NOW + timedelta(minutes=5))
    assert again.record is not None
    assert (again.record.rows_out, again.record.counts["near_duplicates"]) == (0, 1)
    assert rows(database, "select title from news") == [("Fed holds rates",)]


def forget_validators(database: Any) -> None:
    """Makes the next run read the documents again."""
    with database.connect() as connection:
        connection.execute(b"update feed_state set etag = null, last_modified = null")


def test_items_of_two_feeds_under_one_id_are_both_stored_and_only_once(database: Any, server: FeedServer) -> None:
    for title, feed in (("Ford recalls trucks", "a"), ("Shell finds oil", "b")):
        server.add([replace(item(title, minutes_ago=3, feeds=(feed,)), link=f"https://{feed}.example/1")])
        server.fault(feed, "numbered_ids")
    for minutes, expected in ((0, 2), (5, 0)):
        run = ingest(database, server.url("a"), server.url("b"), now=NOW + timedelta(minutes=minutes))
        assert outcome(run) == ("OK", 0, expected, expected)
        forget_validators(database)
    assert rows(database, "select title from news order by 1") == [("Ford recalls trucks",), ("Shell finds oil",)]


def test_a_missing_date_becomes_the_time_of_the_first_fetch_and_stays(database: Any, server: FeedServer) -> None:
    server.fault("macro", "date_missing")
    for minutes in (0, 5, 2_000):
        run = ingest(database, server.url("macro"), now=NOW + timedelta(minutes=minutes))
        assert run.record is not None
        assert run.record.counts["entries_undated"] == 1
        forget_validators(database)
    assert rows(database, "select published_at, date_marked from news") == [(NOW, "missing")]


def test_characters_that_postgres_refuses_do_not_stop_the_run(database: Any, server: FeedServer) -> None:
    server.fault("news", "control_characters")
    assert outcome(ingest(database, server.url())) == ("OK", 0, 10, 10)


def test_a_feed_taken_off_the_list_leaves_no_state_behind(database: Any, server: FeedServer) -> None:
    ingest(database, server.url("news"), server.url("macro"))
    ingest(database, server.url("news"), now=NOW + timedelta(minutes=5))
    assert rows(database, "select feed_url from feed_state") == [(server.url("news"),)]


@pytest.mark.parametrize("urls", ['["http://a.example/",]', "[]", '["ftp://a.example/"]', "{}", "", '["x"]', "null"])
def test_a_wrong_list_of_feeds_refuses_to_start(database: Any, urls: str) -> None:
    run = run_service("rss_ingest", database, now=NOW.isoformat(), RSS_FEEDS=urls)
    assert run.record is not None
    assert (run.exit_code, run.record.outcome, run.record.error_code) == (1, "FAILED", "config_invalid")
    assert "rss_feeds" in str(run.record.error)

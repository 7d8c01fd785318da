"""News of a replay: feeds small enough to be read whole, and what counts as lost."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from ops.local.news_file import NewsItem
from ops.replay_news import due, lost, spread
from ops.replay_plan import Window
from pipeline import sessions

NINE = datetime(2026, 1, 26, 14, 0, tzinfo=UTC)


def item(minute: int, title: str = "", **fields: object) -> NewsItem:
    return NewsItem(published_at=NINE + timedelta(minutes=minute), title=title or f"Item {minute}", **fields)  # type: ignore[arg-type]


def test_a_feed_of_too_many_items_becomes_several_with_every_item_in_one_of_them() -> None:
    items = [item(minute) for minute in reversed(range(7))]
    placed = spread(items, most=3)
    assert [placed_item.title for placed_item in placed] == [f"Item {minute}" for minute in range(7)]
    assert [placed_item.feeds for placed_item in placed] == [("news",)] * 3 + [("news-2",)] * 3 + [("news-3",)]


def test_an_item_of_two_feeds_is_counted_in_each() -> None:
    placed = spread([item(0, feeds=("a",)), item(1, feeds=("a", "b"))], most=1)
    assert [placed_item.feeds for placed_item in placed] == [("a",), ("a-2", "b")]


def test_only_what_the_last_run_was_shown_is_due() -> None:
    session = sessions.find(NINE.date())
    assert session
    window = Window(session=session, start=NINE, end=NINE + timedelta(minutes=9))
    found = due([item(0), item(5), item(6), item(9)], [window], timedelta(minutes=5))
    assert [each.title for each in found] == ["Item 0", "Item 5"]


def test_an_item_is_lost_when_neither_its_link_nor_its_title_is_stored() -> None:
    gone = item(1, "Apple sues a maker of screens", link="https://example.com/1")
    kept = item(2, "Tesla opens a plant in Texas", link="https://example.com/2")
    assert lost([gone, kept], [("Another title altogether", "https://example.com/2")]) == [gone]


def test_an_item_told_by_another_headline_or_written_in_mark_up_is_not_lost() -> None:
    stored = [("Tesla opens a new plant in Texas", ""), ("AT&T cuts costs", "")]
    expected = [item(1, "Tesla opens a plant in Texas"), item(2, "<b>AT&amp;T</b> cuts <i>costs</i>")]
    assert lost(expected, stored) == []


def test_an_item_that_says_nothing_is_not_missed() -> None:
    assert lost([NewsItem(published_at=NINE, title="<p></p>", summary="")], []) == []

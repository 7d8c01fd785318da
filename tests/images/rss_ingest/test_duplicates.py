"""When two headlines are the same news, and when they only look so."""

from __future__ import annotations

import csv
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.rows import News
from rss_ingest.duplicates import Headline, drop_near_duplicates, same_news, window_of, words

NOW = datetime(2026, 1, 26, 15, 0, tzinfo=UTC)


def news(title: str, hours_ago: float = 0, marked: str | None = None, number: int = 0) -> News:
    return News(
        uid=f"{number:03}{title}",
        feed="https://a.example/feed",
        title=title,
        summary="",
        link=None,
        published_at=NOW - timedelta(hours=hours_ago),
        date_marked=marked,
        fetched_at=NOW,
    )


def stored(title: str, hours_ago: float = 1) -> Headline:
    return Headline(title=title, published_at=NOW - timedelta(hours=hours_ago))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Apple beats estimates", "APPLE BEATS ESTIMATES!"),
        ("Apple beats estimates", "Apple beats the estimates - Reuters"),
        ("UPDATE 2-Apple beats estimates", "Apple beats estimates"),
        ("Apple’s revenue beats estimates", "Apple's revenue beats estimates | CNBC"),
        ("$AAPL - Apple beats estimates https://t.co/abc", "$AAPL - Apple beats estimates https://t.co/xyz"),
        (
            "Fed holds rates at 5.25%, signals two cuts this year",
            "Fed holds rates at 5.25%; signals two cuts this year",
        ),
        ("Revenue of 1,000 million", "Revenue of 1000 million"),
        ("Microsoft to buy studio in largest gaming deal", "Microsoft to buy studio in largest ever gaming deal"),
        ("„Börse“ schließt fester", "Börse schliesst fester"),
    ],
)
def test_the_same_news_in_other_dress_is_dropped(one: str, other: str) -> None:
    assert drop_near_duplicates([news(other)], [stored(one)])[0] == []
    assert drop_near_duplicates([news(one)], [stored(other)])[0] == []


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Apple beats", "Apple misses"),
        (
            "Apple beats Wall Street estimates for quarterly revenue on strong demand for phones in China and India",
            "Apple misses Wall Street estimates for quarterly revenue on strong demand for phones in China and India",
        ),
        (
            "$AAPL Morgan Stanley raises its price target for shares on cloud growth next year",
            "$MSFT Morgan Stanley raises its price target for shares on cloud growth next year",
        ),
        (
            "Morgan Stanley raises price target for Tesla shares to 250 dollars on strong demand",
            "Morgan Stanley raises price target for Tesla shares to 300 dollars on strong demand",
        ),
        ("Stock futures up 1% before the Fed decision today", "Stock futures up 2% before the Fed decision today"),
        ("Stock futures +1% before the Fed decision", "Stock futures -1% before the Fed decision"),
        ("Apple sues Samsung", "Samsung sues Apple"),
        ("Goldman cuts Tesla to sell from hold", "Goldman cuts Tesla to hold from sell"),
        (
            "Boeing will cut its dividend this year, says chief",
            "Boeing will not cut its dividend this year, says chief",
        ),
        ("Boeing to pay a dividend this year", "Boeing to pay a dividend this year after all, chief says"),
        (
            "US economy grows faster than it was expected in March",
            "IT economy grows faster than it was expected in March",
        ),
        ("Company ABC to delist its shares from Nasdaq", "Company ABD to delist its shares from Nasdaq"),
        ("$CAR shares rise", "$CARS shares rise"),
        ("Fed statement", "Fed statement: rates stay"),
    ],
)
def test_other_news_in_the_same_dress_is_kept(one: str, other: str) -> None:
    assert len(drop_near_duplicates([news(other)], [stored(one)])[0]) == 1
    assert len(drop_near_duplicates([news(one)], [stored(other)])[0]) == 1


def test_the_first_published_of_a_batch_is_the_one_that_stays() -> None:
    late, early = news("Apple beats estimates", 1), news("APPLE BEATS ESTIMATES", 2)
    assert drop_near_duplicates([late, early], []) == ([early], [late])


@pytest.mark.parametrize(("hours", "kept"), [(23.9, 0), (24.1, 1)])
def test_the_same_headline_is_news_again_after_a_day(hours: float, kept: int) -> None:
    assert len(drop_near_duplicates([news("Stocks close mixed")], [stored("Stocks close mixed", hours)])[0]) == kept


def test_an_undated_copy_does_not_become_news_after_a_day() -> None:
    """Its date is the time of fetching, so that it moves away from the original's with every run."""
    copy = news("Stocks close mixed", marked="missing")
    assert drop_near_duplicates([copy], [stored("Stocks close mixed", 30)])[0] == []
    assert window_of([copy]) == (NOW - timedelta(days=7), NOW + timedelta(hours=24))


@pytest.mark.parametrize("title", ["", "!!!", "https://t.co/x", "the"])
def test_titles_without_words_are_never_duplicates(title: str) -> None:
    assert len(drop_near_duplicates([news(title, number=1), news(title, number=2)], [stored(title)])[0]) == 2


@settings(max_examples=80, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            ["Apple", "Tesla", "beats", "misses", "the", "on", "5%", "6%", "$AAPL", "strong", "weak", "not"]
        ),
        max_size=9,
    ),
    st.data(),
)
def test_sameness_is_symmetric_and_holds_for_oneself(chosen: list[str], data: st.DataObject) -> None:
    one = words(" ".join(chosen))
    other = words(" ".join(data.draw(st.permutations(chosen))))
    assert same_news(one, other) == same_news(other, one)
    assert same_news(one, one) == bool(one)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_the_index_finds_what_comparing_all_pairs_finds(data: st.DataObject) -> None:
    vocabulary = [f"word{chr(97 + n)}" for n in range(8)]
    titles = data.draw(
        st.lists(st.lists(st.sampled_from(vocabulary), min_size=1, max_size=9).map(" ".join), max_size=12)
    )
    entries = [news(title, hours_ago=1 - n / 100, number=n) for n, title in enumerate(titles)]
    expected: list[News] = []
    for entry in entries:
        if not any(same_news(words(entry.title), words(kept.title)) for kept in expected):
            expected.append(entry)
    assert drop_near_duplicates(entries, [])[0] == expected


def headlines(shared_data: Path, name: str) -> list[str]:
    with (shared_data / "news" / name).open(encoding="utf-8", newline="") as file:
        return [row["text"] for row in csv.DictReader(file)]


def test_of_real_headlines_only_repeated_ones_are_dropped(shared_data: Path) -> None:
    titles = dict.fromkeys(headlines(shared_data, "train.csv"))
    entries = [news(title, number=number % 1000) for number, title in enumerate(titles)]
    kept, dropped = drop_near_duplicates(entries, [])
    assert 100 < len(dropped) < 250  # 161 when written, each of them read and found a repetition
    kept_words = {frozenset(words(entry.title)) for entry in kept}
    for mine in (frozenset(words(entry.title)) for entry in dropped[::10]):
        assert max(len(mine & other) / len(mine | other) for other in kept_words if other) >= 0.8


def test_a_hundred_entries_among_five_thousand_headlines_are_compared_by_index(shared_data: Path) -> None:
    titles = headlines(shared_data, "train.csv")
    recent = [stored(title) for title in titles[:5_000]]
    words.cache_clear()
    started = time.monotonic()
    drop_near_duplicates([news(title, number=n) for n, title in enumerate(titles[5_000:5_100])], recent)
    assert time.monotonic() - started < 20  # each with each, it takes minutes

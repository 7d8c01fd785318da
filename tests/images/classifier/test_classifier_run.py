"""Whole runs of the service on news in a real database."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from service_runs import Finished, run_service, service_environment

NOW = datetime(2026, 1, 26, 15, 0, tzinfo=UTC)
INSERT = b"""insert into news (uid, feed, title, summary, published_at, fetched_at)
    select 'uid ' || number || title, 'https://a.example/feed', title, '', %(published_at)s, %(fetched_at)s
    from unnest(%(titles)s::text[]) with ordinality as item (title, number)"""


def add(database: Any, *titles: str, minutes_ago: float = 10, fetched_minutes_ago: float = 5) -> None:
    times = {
        "published_at": NOW - timedelta(minutes=minutes_ago),
        "fetched_at": NOW - timedelta(minutes=fetched_minutes_ago),
    }
    with database.connect() as connection:
        connection.execute(INSERT, {"titles": list(titles), **times})


def classify(database: Any, now: datetime = NOW, **more: str) -> Finished:
    return run_service("classifier", database, now=now.isoformat(), **more)


def rows(database: Any, query: str) -> list[tuple[Any, ...]]:
    with database.connect() as connection:
        found: list[tuple[Any, ...]] = connection.execute(query.encode()).fetchall()
        return found


def outcome(run: Finished) -> tuple[str | None, int, int, int]:
    assert run.record, run.output
    return run.record.outcome, run.exit_code, run.record.rows_in, run.record.rows_out


def test_news_gets_its_sentiment_with_tickers_model_and_time(database: Any) -> None:
    add(
        database, "$AAPL - Apple upgraded to Buy, shares surge on strong outlook", "Tesla shares plunge after downgrade"
    )
    assert outcome(classify(database)) == ("OK", 0, 2, 2)
    stored = rows(
        database, "select label, sign(score), tickers, published_at, classified_at from sentiment order by news_id"
    )
    published = NOW - timedelta(minutes=10)
    assert stored == [("positive", 1, ["AAPL"], published, NOW), ("negative", -1, ["TSLA"], published, NOW)]
    assert rows(database, "select distinct model_version like '%%-%%' from sentiment") == [(True,)]


def test_a_second_run_finds_nothing_and_changes_nothing(database: Any) -> None:
    add(database, "Apple shares surge")
    classify(database)
    before = rows(database, "select * from sentiment")
    assert outcome(classify(database, NOW + timedelta(minutes=5))) == ("NO_INPUT", 0, 0, 0)
    assert rows(database, "select * from sentiment") == before


def test_news_that_was_not_known_at_now_waits(database: Any) -> None:
    add(database, "published later", minutes_ago=-1)
    add(database, "fetched later", fetched_minutes_ago=-1)
    assert outcome(classify(database)) == ("NO_INPUT", 0, 0, 0)
    assert outcome(classify(database, NOW + timedelta(minutes=5))) == ("OK", 0, 2, 2)


def test_a_backlog_of_many_batches_is_worked_off_in_one_run(database: Any) -> None:
    add(database, *[f"Company {number} beats estimates" for number in range(1_234)])
    assert outcome(classify(database)) == ("OK", 0, 1_234, 1_234)


def test_rows_that_another_has_claimed_are_left_to_it(database: Any) -> None:
    add(database, "Apple shares surge", "Tesla shares fall")
    with database.connect() as other, other.transaction():
        other.execute(b"select from news where title like 'Tesla%%' for update")
        run = classify(database)
        assert outcome(run) == ("OK", 0, 1, 1)
        assert run.record is not None
        assert run.record.counts["waiting"] == 1
    assert outcome(classify(database, NOW + timedelta(minutes=5))) == ("OK", 0, 1, 1)


def test_only_the_configured_symbols_are_found(database: Any) -> None:
    add(database, "$AAPL and $MSFT rise")
    classify(database, TICKERS="MSFT")
    assert rows(database, "select tickers from sentiment") == [(["MSFT"],)]


def test_a_broken_opinion_is_retried_and_never_stored_as_neutral(database: Any) -> None:
    """The model is made to fail on one title, in the process that runs the service."""
    add(database, "Apple shares surge", "poison")
    broken = (
        "import runpy, classifier.model as m; classify = m.Model.classify\n"
        "def fails(self, texts):\n"
        "    if 'poison' in texts: raise ValueError('poison')\n"
        "    return classify(self, texts)\n"
        "m.Model.classify = fails\n"
        "runpy.run_module('classifier', run_name='__main__', alter_sys=True)"
    )
    environment = service_environment("classifier", database, now=NOW.isoformat())
    ended = subprocess.run([sys.executable, "-c", broken], env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 3, ended.stdout + ended.stderr
    assert "news not classified" in ended.stdout
    assert rows(database, "select title from news join sentiment on news.id = news_id") == [("Apple shares surge",)]
    assert outcome(classify(database, NOW + timedelta(minutes=5))) == ("OK", 0, 1, 1)


@pytest.mark.parametrize(
    ("tickers", "code"),
    [("AAPL,", "ticker_config"), ("aapl", "ticker_config"), ("AAPL,AAPL", "ticker_config"), ("", "ticker_config")],
)
def test_a_wrong_list_of_symbols_refuses_to_start(database: Any, tickers: str, code: str) -> None:
    add(database, "Apple shares surge")
    run = classify(database, TICKERS=tickers)
    assert run.record is not None
    assert (run.exit_code, run.record.error_code) == (1, code)
    assert rows(database, "select count(*) from sentiment") == [(0,)]

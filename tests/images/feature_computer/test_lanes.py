"""Parts of a run shared by two connections: each done once, whole or not at all, and stopped together."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import product
from string import ascii_uppercase
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest

from feature_computer.__main__ import SYMBOLS_AT_ONCE
from feature_computer.__main__ import run as compute
from feature_computer.lanes import side_by_side
from in_process import run_at
from pipeline.errors import Terminated
from pipeline.ledger import Outcome
from pipeline.store import Connection

OPEN = datetime(2026, 1, 26, 14, 30, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
MEETING_SECONDS = 20


@pytest.fixture
def mine(database: Any) -> Iterator[Connection]:
    with database.connect() as connection:
        yield connection


@pytest.fixture
def helper(database: Any) -> Iterator[Connection]:
    with database.connect() as connection:
        yield connection


def test_two_connections_work_at_once_and_do_each_part_once(mine: Connection, helper: Connection) -> None:
    meeting = threading.Barrier(2)

    def work(connection: Connection, part: int) -> tuple[int, Connection]:
        if part < 2:
            meeting.wait(MEETING_SECONDS)  # breaks unless the other one is at its part meanwhile
        return part, connection

    done = side_by_side(list(range(50)), work, mine, helper)
    assert sorted(part for part, _ in done) == list(range(50))
    assert {connection for part, connection in done if part < 2} == {mine, helper}


def test_without_a_helper_one_connection_does_all(mine: Connection) -> None:
    assert side_by_side([1, 2, 3], lambda connection, part: (connection, part), mine, None) == [
        (mine, 1),
        (mine, 2),
        (mine, 3),
    ]


def test_a_part_that_fails_beside_is_told_when_the_others_are_done(mine: Connection, helper: Connection) -> None:
    meeting, done = threading.Barrier(2), []

    def work(connection: Connection, part: int) -> None:
        if part < 2:
            meeting.wait(MEETING_SECONDS)
        if connection is helper:
            connection.execute("select 1 / 0")
        done.append(part)

    with pytest.raises(psycopg.errors.DivisionByZero):
        side_by_side(list(range(9)), work, mine, helper)
    assert len(done) == 8


def test_what_stops_the_run_stops_the_other_connection_in_mid_statement(mine: Connection, helper: Connection) -> None:
    meeting, seen = threading.Barrier(2), []

    def work(connection: Connection, part: int) -> None:
        seen.append(part)
        meeting.wait(MEETING_SECONDS)
        if connection is mine:
            raise Terminated("stopped")
        with connection.transaction():
            connection.execute("create table half_done ()")
            connection.execute("select pg_sleep(3600)")

    with pytest.raises(Terminated):
        side_by_side([1, 2, 3, 4], work, mine, helper)
    assert sorted(seen) == [1, 2]
    assert mine.execute("select to_regclass('half_done')").fetchone() == (None,)


def many_bars(database: Any) -> int:
    """Stores one bar of each of more symbols than one part holds; returns how many."""
    symbols = ["".join(letters) for letters in product(ascii_uppercase, repeat=2)]
    assert len(symbols) > SYMBOLS_AT_ONCE
    with database.connect() as connection:
        connection.execute(
            "insert into bars select symbol, %s, 10, 11, 9, 10, 100, 1, 10, 'iex', %s from unnest(%s::text[]) symbol",
            (OPEN, OPEN + MINUTE, symbols),
        )
    return len(symbols)


def assert_all_computed(database: Any, symbols: int) -> None:
    with database.connect() as connection:
        found = connection.execute("select count(*), count(distinct symbol), min(bars_used) from features").fetchone()
        assert found == (symbols, symbols, 1)
        assert connection.execute("select count(*) from bars_changed").fetchone() == (0,)


def test_a_run_of_more_symbols_than_a_part_holds_computes_all(database: Any) -> None:
    symbols = many_bars(database)
    assert run_at(OPEN + MINUTE, compute, "feature_computer", database) is Outcome.OK
    assert_all_computed(database, symbols)


def test_a_server_with_one_connection_left_gets_it_all_computed_by_one(
    database: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    symbols = many_bars(database)
    with database.connect() as connection:
        connection.execute("create role lonely login connection limit 1 in role feature_computer")
    try:
        address = urlsplit(database.url)
        lonely = urlunsplit(address._replace(netloc=f"lonely@{address.hostname}:{address.port}"))
        outcome = run_at(OPEN + MINUTE, compute, "feature_computer", database, DATABASE_URL=lonely)
    finally:
        with database.connect() as connection:
            connection.execute("drop role lonely")
    assert outcome is Outcome.OK
    assert "one connection has to do" in capsys.readouterr().out
    assert_all_computed(database, symbols)

"""A database that restarts, runs out of connections or loses its disk while a replay is at work over it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime

import pytest

from ops import replay
from ops.local.postgres import Database, Postgres
from ops.replay_engine import Replay, Tally
from ops.replay_plan import Window
from pipeline import store
from replay_world import DAY, SERVICES, eventful_market, replayed

CONNECTIONS = 5


@pytest.fixture
def small_server() -> Iterator[Postgres]:
    """A durable server with few connections, of this test's own."""
    few = {"max_connections": str(CONNECTIONS), "superuser_reserved_connections": "0", "max_wal_senders": "0"}
    with Postgres(durable=True, settings=few) as server:
        yield server


def test_a_server_killed_and_started_again_costs_nothing(small_server: Postgres) -> None:
    database = small_server.create_database("replayed")
    back: list[threading.Timer] = []

    def crash_at_the_third_minute(window: Window, at: datetime, tally: Tally) -> None:
        if at.minute == 33:
            small_server.kill()
            back.append(threading.Timer(1.0, small_server.start))
            back[0].start()

    market = eventful_market()
    session = next(s for s in replay.sessions_of(market) if s.date == DAY)
    report = Replay(replay.plan_for(market, [session], end="09:37"), database.url).run(crash_at_the_third_minute)
    back[0].join()
    assert report.faults == {}
    assert report.session_bars_stored == 2 * 7


def test_no_connection_left_for_the_services_is_told_and_not_clean(small_server: Postgres) -> None:
    database = small_server.create_database("replayed")
    with ExitStack() as held:
        for _ in range(CONNECTIONS - 2):  # the replay's own two are left
            held.enter_context(database.connect())
        report = replayed(database.url, eventful_market(), end="09:31")
    assert report.bars_lost == 2
    assert report.unfinished == [f"{DAY} {service}" for service in SERVICES]
    assert "too many" in report.failures[0] or "remaining connection slots" in report.failures[0]
    assert replayed(database.url, eventful_market(), end="09:31").faults == {}


def test_a_table_that_cannot_grow_loses_bars_and_says_which(database: Database) -> None:
    """What a full disk is to a service: every write of a table fails."""
    with store.connect(database.url) as connection:
        connection.execute(
            "create function full_disk() returns trigger language plpgsql as"
            " $$ begin raise exception using errcode = 'disk_full', message = 'No space left on device'; end $$"
        )
        connection.execute("create trigger full_disk before insert on bars execute function full_disk()")
    report = replayed(database.url, eventful_market(), end="09:33")
    assert report.bars_lost == report.session_bars_in_file == 6
    assert f"{DAY} {SERVICES[0]}" in report.unfinished
    assert "No space left on device" in report.failures[0]
    with store.connect(database.url) as connection:
        connection.execute("drop trigger full_disk on bars")
    assert replayed(database.url, eventful_market(), end="09:33").faults == {}

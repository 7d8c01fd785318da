"""Runs as real processes that are killed, stopped, locked out or without a database."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from ingest_world import SERVICE, SYMBOLS, World, at
from ops.local.exchange import faults
from pipeline.ledger import Outcome

REPOSITORY = Path(__file__).resolve().parents[3]
PATHS = os.pathsep.join(str(REPOSITORY / part) for part in ("images", "images/base"))


@contextmanager
def started(world: World, minute: float, **more: str) -> Iterator[subprocess.Popen[str]]:
    """The service as a process of its own at that minute."""
    world.exchange.set_now(at(minute))
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": PATHS, **world.environment(at(minute), **more)}
    process = subprocess.Popen(
        [sys.executable, "-m", SERVICE], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_for(world: World, query: str) -> None:
    """Until the query gives something; at most ten seconds."""
    ends = time.monotonic() + 10
    while not world.rows(query):
        assert time.monotonic() < ends, f"nothing came of: {query}"
        time.sleep(0.01)


WAITING = "select 1 from pg_stat_activity where wait_event_type = 'Lock' and application_name = 'telemetry_ingestor'"
NOBODY = "select 1 where not exists (select from pg_stat_activity where application_name = 'telemetry_ingestor')"


def test_a_run_killed_in_mid_write_leaves_nothing_half_stored_and_the_next_does_it_all(world: World) -> None:
    world.ingest(at(10))
    with world.database.connect() as other, other.transaction(), started(world, 20) as process:
        # the bars are copied, the ledger of gaps is not: its lock is held here
        other.execute("lock table gaps in exclusive mode")
        wait_for(world, WAITING)
        process.send_signal(signal.SIGKILL)
        process.wait()
    wait_for(world, NOBODY)
    assert world.bar_count() == 10 * len(SYMBOLS)
    assert world.ingest(at(21))["outcome"] == Outcome.OK
    assert world.bar_count() == 21 * len(SYMBOLS)
    assert world.value("select count(*) from task_runs where outcome is null") == 1


def test_a_run_that_is_stopped_says_so_and_stores_nothing_half(world: World) -> None:
    world.ingest(at(5))
    with world.database.connect() as other, other.transaction(), started(world, 20) as process:
        other.execute("lock table gaps in exclusive mode")
        wait_for(world, WAITING)
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=20)
    assert process.returncode == 1
    assert "stopped by SIGTERM" in output
    assert "Traceback" not in output
    assert world.bar_count() == 5 * len(SYMBOLS)


def test_a_run_that_waits_for_several_answers_is_stopped_at_once(world: World) -> None:
    world.symbols = tuple(f"T{letter}" for letter in "ABCDEFGHIJ")
    world.fault(faults.hang(30))
    with started(world, 300) as process:
        ends = time.monotonic() + 10
        while not world.exchange.faults.all()[0].applied:
            assert time.monotonic() < ends
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=5)
    assert process.returncode == 1
    assert "stopped by SIGTERM" in output
    assert "Traceback" not in output


def test_two_runs_at_once_store_every_bar_once(world: World) -> None:
    with started(world, 20) as one, started(world, 20) as other:
        codes = {one.wait(20), other.wait(20)}
    assert codes == {0}
    assert world.bar_count() == 20 * len(SYMBOLS)


def test_without_a_database_it_fails_with_one_clear_line(world: World) -> None:
    with started(world, 20, DATABASE_URL="postgresql://ops@127.0.0.1:1/ops") as process:
        output, _ = process.communicate(timeout=20)
    assert process.returncode == 1
    assert "db_unreachable" in output
    assert "Traceback" not in output


def test_a_database_that_goes_away_in_mid_run_fails_the_run_and_the_next_one_heals(world: World) -> None:
    world.ingest(at(5))
    with world.database.connect() as other, other.transaction(), started(world, 20) as process:
        other.execute("lock table gaps in exclusive mode")
        wait_for(world, WAITING)
        world.rows("select pg_terminate_backend(pid) from pg_stat_activity where application_name = %s", SERVICE)
        output, _ = process.communicate(timeout=20)
    assert process.returncode == 1
    assert "Traceback" not in output
    assert world.bar_count() == 5 * len(SYMBOLS)
    assert world.ingest(at(21))["outcome"] == Outcome.OK
    assert world.bar_count() == 21 * len(SYMBOLS)


def test_the_service_s_role_may_not_touch_other_tables(world: World) -> None:
    with world.database.connect(SERVICE) as connection:
        for table in ("features", "news", "signals", "dispatches"):
            try:
                connection.execute(f"insert into {table} default values".encode())
            except psycopg.errors.InsufficientPrivilege:
                continue
            raise AssertionError(f"the ingestor may write {table}")

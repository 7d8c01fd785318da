"""Kills a run in the middle of its write, without a hook in the code that is killed.

A lock held on the tables that the service writes makes its first write wait; the moment PostgreSQL reports the run's
session as waiting, the process gets SIGKILL, and the lock is let go. What is left is what a real kill leaves.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

import psycopg
from psycopg import sql

from ops.local.runtime import Run
from pipeline.catalog import Service
from pipeline.store import Connection

WAITING = b"""
select exists (
    select from pg_stat_activity
    where application_name = %s and datname = current_database() and wait_event_type = 'Lock'
)"""
PRESENT = b"select exists (select from pg_stat_activity where application_name = %s and datname = current_database())"
BEGUN = b"select exists (select from task_runs where service = %s and execution_id = %s and outcome is null)"
PATIENCE_SECONDS = 30


def kill_in_write(
    locker: Connection, watcher: Connection, service: Service, execution_id: str, start: Callable[[], Run]
) -> tuple[Run, bool]:
    """Starts a run, kills it at its first write after the record of its start; returns it and whether it was killed.

    Two connections, since a transaction sees one frozen picture of the server's sessions. A run that has nothing to
    write is caught when it closes its record. False: it ended before it could be caught."""
    with locker.transaction():
        _lock(locker, service.writes)
        run = start()
        killed = _wait_and_kill(locker, watcher, service, execution_id, run)
    _wait_until_gone(watcher, service)
    return run, killed


def _lock(connection: Connection, tables: tuple[str, ...]) -> None:
    # this mode lets readers and row locks pass and stops every write
    names = sql.SQL(", ").join(map(sql.Identifier, tables))
    connection.execute(sql.SQL("lock table {} in share row exclusive mode").format(names))


def _wait_and_kill(locker: Connection, watcher: Connection, service: Service, execution_id: str, run: Run) -> bool:
    record_locked = False
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        if _true(watcher, WAITING, service.name):
            run.kill(signal.SIGKILL)
            run.wait(timeout=PATIENCE_SECONDS)
            return True
        if run.poll() is not None:
            return False
        if not record_locked and _true(watcher, BEGUN, service.name, execution_id):
            _lock(locker, ("task_runs",))
            record_locked = True
        time.sleep(0.002)
    run.kill(signal.SIGKILL)
    run.wait(timeout=PATIENCE_SECONDS)
    return True


def _wait_until_gone(watcher: Connection, service: Service) -> None:
    """A killed client's session ends a moment later; until then it holds the lock that keeps the next run back."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while _true(watcher, PRESENT, service.name) and time.monotonic() < deadline:
        time.sleep(0.005)


def _true(connection: psycopg.Connection[tuple[object, ...]], query: bytes, *values: str) -> bool:
    row = connection.execute(query, values).fetchone()
    return bool(row and row[0])

"""Kills a run in the middle of its write, without a hook in the code that is killed.

Locks on the tables that the service writes make its first write wait; the moment PostgreSQL reports the run's session
as waiting, the process gets SIGKILL. The locks are held until the server has noticed, so that the write is lost: what
is left is what a real kill leaves.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

from psycopg import sql

from ops.local.runtime import Run
from pipeline.catalog import Service
from pipeline.store import Connection

WAITING = b"""
select pid from pg_stat_activity
where application_name = %s and datname = current_database() and wait_event_type = 'Lock' limit 1"""
PRESENT = b"select pid from pg_stat_activity where pid = %s"
# One message, so that the lock is asked for again before the run, let through, can do more than record its start.
LET_BEGIN = b"rollback to savepoint before_its_record; lock table task_runs in share row exclusive mode"
PATIENCE_SECONDS = 30
# The server looks for lost clients every second. Where more was sent than the socket holds, it sees the end only after
# it has read all of that, which takes the locks' release; without the commit that never came, it then rolls back.
NOTICED_SECONDS = 3


def kill_in_write(
    locker: Connection, watcher: Connection, service: Service, start: Callable[[], Run]
) -> tuple[Run, bool]:
    """Starts a run, kills it at its first write after the record of its start; returns it and whether it was killed.

    Two connections, since a transaction sees one frozen picture of the server's sessions. A run that has nothing to
    write is caught when it closes its record. False: it ended before it wrote anything at all."""
    with locker.transaction():
        _lock(locker, service.writes)
        locker.execute("savepoint before_its_record")
        _lock(locker, ("task_runs",))
        run = start()
        session = None
        if _session_at_write(watcher, service, run):
            locker.execute(LET_BEGIN)
            session = _session_at_write(watcher, service, run)
            run.kill(signal.SIGKILL)
        run.wait(timeout=PATIENCE_SECONDS)
        if session:
            _wait_until_gone(watcher, session, NOTICED_SECONDS)
    if session:
        _wait_until_gone(watcher, session, PATIENCE_SECONDS)
    return run, session is not None


def _lock(connection: Connection, tables: tuple[str, ...]) -> None:
    # this mode lets readers and row locks pass and stops every write
    names = sql.SQL(", ").join(map(sql.Identifier, tables))
    connection.execute(sql.SQL("lock table {} in share row exclusive mode").format(names))


def _session_at_write(watcher: Connection, service: Service, run: Run) -> int | None:
    """The run's session on the server once it waits for a lock; None where the run ends instead, or hangs elsewhere."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        if row := watcher.execute(WAITING, (service.name,)).fetchone():
            return int(row[0])
        if run.poll() is not None:
            return None
        time.sleep(0.002)
    return None


def _wait_until_gone(watcher: Connection, session: int, seconds: float) -> None:
    """Until then the session holds on to its locks, and to the one that keeps the service's next run back."""
    deadline = time.monotonic() + seconds
    while watcher.execute(PRESENT, (session,)).fetchone() and time.monotonic() < deadline:
        time.sleep(0.005)

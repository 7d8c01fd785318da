"""A dispatcher that dies, at any statement and at any request, leaves one dispatch a signal: never two, never none."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from dispatch_world import LIMITS, MINUTE, NOW, ROLE, World, market
from dispatcher import queue
from dispatcher.paper import Desk
from ops.local.exchange import Exchange, faults
from pipeline import catalog, task
from service_runs import run_service, service_environment

SERVICE = "dispatcher"
MODES = ["SIMULATED", "ALPACA_PAPER"]


@pytest.fixture
def exchange() -> Iterator[Exchange]:
    with Exchange(market()) as made:
        made.set_now(NOW)
        yield made


# ── every statement and every request, in this process ───────────────────────────────────────────────────────────────


class Killed(BaseException):
    """The process ends here: nothing of the service may catch it."""


class Fuse:
    """Burns at the n-th statement or request, before it has been done or after."""

    def __init__(self, at: int, *, after: bool) -> None:
        self.at, self.after, self.seen = at, after, 0

    def burn(self, done: bool) -> None:
        self.seen += not done
        if self.seen == self.at and done is self.after:
            raise Killed


class Mortal(psycopg.Connection[Any]):
    """A connection that is lost when its fuse burns, as a killed process loses it."""

    fuse: Fuse

    def execute(self, *args: Any, **kwargs: Any) -> Any:
        try:
            self.fuse.burn(False)
            found = super().execute(*args, **kwargs)
            self.fuse.burn(True)
        except Killed:
            self.close()
            raise
        return found


def run_until_killed(world: World, exchange: Exchange, fuse: Fuse, mode: str, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether the run ended by itself."""
    asked = Desk.ask

    def mortal(desk: Desk, question: Callable[[Any], Any]) -> Any:
        fuse.burn(False)
        found = asked(desk, question)
        fuse.burn(True)
        return found

    options = f"-c role={ROLE} -c timezone=UTC"
    connection = Mortal.connect(world.database.url, autocommit=True, options=options, application_name=ROLE)
    connection.fuse = fuse
    with monkeypatch.context() as patch:
        patch.setattr(Desk, "ask", mortal)
        try:
            world.run(NOW, limits={"mode": mode}, connection=connection, exchange=exchange)
        except Killed:
            return False
        finally:
            connection.close()
            wait_for("the server to let go of its locks", lambda: gone(world))
    return True


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("mode", MODES)
def test_a_death_at_any_statement_or_request_leaves_each_signal_dispatched_once(
    world: World, exchange: Exchange, monkeypatch: pytest.MonkeyPatch, mode: str, after: bool
) -> None:
    world.tradable("AAPL")
    world.tradable("TSLA")
    for at in range(1, 100):
        world.admin.execute("truncate dispatches, signals cascade")
        exchange.broker().__init__("paper", exchange.data)  # type: ignore[misc] # new books
        world.signal("AAPL", rule=f"{at}")
        world.signal("TSLA", rule=f"{at}")
        whole = run_until_killed(world, exchange, Fuse(at, after=after), mode, monkeypatch)
        world.run(NOW + MINUTE, limits={"mode": mode}, exchange=exchange)
        expected = "EXECUTED" if mode == "ALPACA_PAPER" else "SIMULATED"
        assert world.states() == [expected] * 2, at
        assert len(exchange.broker().orders) == (2 if mode == "ALPACA_PAPER" else 0), at
        if whole:
            break
    assert whole
    assert at > (20 if mode == "ALPACA_PAPER" else 12)  # the fuse did reach every part of a run


# ── kill -9 of a real process ────────────────────────────────────────────────────────────────────────────────────────


def environment(exchange: Exchange, mode: str) -> dict[str, Any]:
    return {
        "DISPATCH_LIMITS": json.dumps({**LIMITS, "mode": mode}),
        "ALPACA_KEY_ID": exchange.key_id,
        "ALPACA_SECRET_KEY": exchange.secret_key,
        "ALPACA_TRADING_URL": exchange.url,
    }


def wait_for(what: str, true: Callable[[], bool], seconds: float = 20) -> None:
    ends = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < ends, f"waited {seconds} s for: {what}"
        time.sleep(0.02)


@contextmanager
def locked(world: World, statement: str) -> Iterator[None]:
    with world.database.connect() as holder, holder.transaction():
        holder.execute(statement.encode())
        yield


def waits_for_lock(world: World) -> bool:
    query = "select count(*) from pg_stat_activity where application_name = %s and wait_event_type = 'Lock'"
    row = world.admin.execute(query, (ROLE,)).fetchone()
    return bool(row and row[0])


def gone(world: World) -> bool:
    row = world.admin.execute(
        "select count(*) from pg_stat_activity where application_name = %s and datname = current_database()"
        " and pid <> %s",
        (ROLE, world.connection.info.backend_pid),
    ).fetchone()
    return bool(row and row[0] == 0)


def kill_when(world: World, exchange: Exchange, mode: str, reached: Callable[[], bool]) -> None:
    """Starts the service, waits for it to be where `reached` says, and ends it by SIGKILL."""
    given = service_environment(SERVICE, world.database, now=NOW.isoformat(), **environment(exchange, mode))
    process = subprocess.Popen([sys.executable, "-m", SERVICE], env=given, stdout=subprocess.DEVNULL)
    try:
        wait_for("the service to reach the place where it dies", reached)
    finally:
        process.kill()
        process.wait()


LOCKS = {
    "before its first write": "lock table dispatches in exclusive mode",
    "after its claim": "select pg_advisory_xact_lock(hashtextextended('dispatches:decide', 0))",
    "in the middle of a decision": "lock table features in access exclusive mode",
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("place", LOCKS)
def test_a_process_killed_while_it_holds_a_signal_leaves_it_to_the_next(
    world: World, exchange: Exchange, place: str, mode: str
) -> None:
    world.tradable()
    world.signal()
    with locked(world, LOCKS[place]):
        kill_when(world, exchange, mode, lambda: waits_for_lock(world))
    wait_for("the dead process's session to end", lambda: gone(world))
    ended = run_service(SERVICE, world.database, now=(NOW + MINUTE).isoformat(), **environment(exchange, mode))
    assert ended.exit_code == 0, ended.output
    assert world.states() == ["EXECUTED" if mode == "ALPACA_PAPER" else "SIMULATED"]
    assert len(exchange.broker().orders) == (mode == "ALPACA_PAPER")


@pytest.mark.parametrize(
    ("fault", "sent"),
    [
        (faults.hang(path="/v2/orders:by_client_order_id", times=1), 0),
        (faults.hang(path="/v2/orders", method="POST", times=1), 0),
        (faults.hang(path="/v2/orders", method="POST", times=1, after=True), 1),
    ],
    ids=["announced", "sent and not taken", "taken and not recorded"],
)
def test_a_process_killed_around_its_order_leaves_one_order(
    world: World, exchange: Exchange, fault: faults.Fault, sent: int
) -> None:
    fault.applied = 0
    world.tradable()
    world.signal()
    exchange.faults.add(fault)
    kill_when(world, exchange, "ALPACA_PAPER", lambda: fault.applied == 1)
    wait_for("the order to be taken", lambda: len(exchange.broker().orders) == sent)
    assert (world.states(), world.only()["client_order_id"] is not None) == (["CLAIMED"], True)
    wait_for("the dead process's session to end", lambda: gone(world))
    later = (NOW + MINUTE).isoformat()
    ended = run_service(SERVICE, world.database, now=later, **environment(exchange, "ALPACA_PAPER"))
    assert ended.exit_code == 0, ended.output
    assert (world.states(), len(exchange.broker().orders)) == (["EXECUTED"], 1)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"DISPATCH_LIMITS": '{"mode": "SIMULATED",}'}, "not JSON"),
        ({"DISPATCH_LIMITS": None}, "dispatch_limits (DISPATCH_LIMITS)"),
        ({"ALPACA_TRADING_URL": "https://api.alpaca.markets"}, "paper account alone"),
    ],
)
def test_a_run_with_invalid_configuration_does_nothing_and_says_why(
    world: World, exchange: Exchange, changes: dict[str, str | None], words: str
) -> None:
    world.tradable()
    world.signal()
    given = environment(exchange, "ALPACA_PAPER") | changes
    ended = run_service(SERVICE, world.database, now=NOW.isoformat(), **given)
    assert ended.exit_code == 1
    assert ended.record and ended.record.error_code == "config_invalid" and words in (ended.record.error or "")
    assert world.dispatches() == []


def test_a_simulated_run_never_loads_the_brokers_library(world: World, exchange: Exchange) -> None:
    world.tradable()
    world.signal()
    code = (
        "import sys, runpy\n"
        "try: runpy.run_module('dispatcher', run_name='__main__', alter_sys=True)\n"
        "except SystemExit as end: print('alpaca' in sys.modules, end.code)"
    )
    given = service_environment(SERVICE, world.database, now=NOW.isoformat(), **environment(exchange, "SIMULATED"))
    ended = subprocess.run([sys.executable, "-c", code], env=given, capture_output=True, text=True, check=True)
    assert ended.stdout.splitlines()[-1] == "False 0"
    assert world.states() == ["SIMULATED"]


def test_the_lease_outlives_the_run() -> None:
    longest = catalog.load()[SERVICE].deadline_seconds + task.GRACE_SECONDS
    assert timedelta(seconds=longest) <= queue.LEASE


# ── several real processes at once ───────────────────────────────────────────────────────────────────────────────────

WITHOUT_THE_HARNESS_LOCK = """
import os, sys
from dispatcher import __main__ as service, gates
from dispatcher.paper import Desk
from pipeline import catalog, clock, settings, store
values = settings.read(os.environ, catalog.load()["dispatcher"])
now = clock.parse(os.environ["VIRTUAL_NOW"])
with store.connect(os.environ["DATABASE_URL"], role="dispatcher") as connection:
    with Desk(values=values, environment=os.environ) as desk:
        service.work(connection, gates.limits(values), desk, now, os.environ["EXECUTION_ID"])
"""


@pytest.mark.parametrize("mode", MODES)
def test_three_processes_released_in_the_same_moment_dispatch_each_signal_once(
    world: World, exchange: Exchange, mode: str
) -> None:
    for symbol in ("AAPL", "MSFT", "TSLA"):
        world.tradable(symbol)
        for age in range(4):
            world.signal(symbol, created_at=NOW - timedelta(seconds=age))
    waiting = b"select count(*) = 3 from pg_stat_activity where application_name = %s and wait_event_type = 'Lock'"
    with locked(world, LOCKS["before its first write"]):
        processes = [
            subprocess.Popen(
                [sys.executable, "-c", WITHOUT_THE_HARNESS_LOCK],
                env=service_environment(SERVICE, world.database, now=NOW.isoformat(), **environment(exchange, mode)),
            )
            for _ in range(3)
        ]
        wait_for("all three", lambda: world.admin.execute(waiting, (ROLE,)).fetchone() == (True,))
    assert [process.wait(30) for process in processes] == [0, 0, 0]
    made = "EXECUTED" if mode == "ALPACA_PAPER" else "SIMULATED"
    assert sorted(row["symbol"] for row in world.dispatches() if row["state"] == made) == ["AAPL", "MSFT", "TSLA"]
    assert sorted(world.states()) == sorted([made] * 3 + ["SKIPPED"] * 9)
    assert len(exchange.broker().orders) == (3 if mode == "ALPACA_PAPER" else 0)


def test_under_the_harness_a_second_process_stands_back_and_a_redelivery_does_nothing(
    world: World, exchange: Exchange
) -> None:
    world.tradable()
    world.signal()
    given = environment(exchange, "SIMULATED") | {"EXECUTION_ID": "one"}
    with locked(world, LOCKS["before its first write"]):
        first = subprocess.Popen(
            [sys.executable, "-m", SERVICE],
            env=service_environment(SERVICE, world.database, now=NOW.isoformat(), **given),
            stdout=subprocess.DEVNULL,
        )
        wait_for("the first", lambda: waits_for_lock(world))
        second = run_service(SERVICE, world.database, now=NOW.isoformat(), **given | {"EXECUTION_ID": "two"})
    assert (first.wait(30), second.exit_code) == (0, 0)
    assert second.record and second.record.outcome == "SKIPPED"
    before = world.dispatches()
    again = run_service(SERVICE, world.database, now=(NOW + MINUTE).isoformat(), **given)
    assert again.exit_code == 0
    assert (world.states(), world.dispatches()) == (["SIMULATED"], before)

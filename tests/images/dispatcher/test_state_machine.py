"""No sequence of the service's statements makes a dispatch illegal, and the database refuses what would."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from psycopg.types.json import Json

from dispatch_world import MINUTE, NOW, World, values
from dispatcher import gates, positions, queue
from dispatcher.broker import Account, Order
from dispatcher.deciding import decide
from dispatcher.queue import Claim
from pipeline.rows import DispatchState, Mode

FINAL = {"SIMULATED", "EXECUTED", "SKIPPED", "FAILED", "EXPIRED"}
LEGAL = {
    ("PENDING", "CLAIMED"),
    ("PENDING", "EXPIRED"),
    *(("CLAIMED", end) for end in FINAL | {"CLAIMED"}),
}
SYMBOLS = ("AAPL", "MSFT")
LIMITS = {mode: gates.limits(values({"mode": mode})) for mode in Mode}
ACCOUNT = Account(equity=100_000.0, profit_today=0.0, held=frozenset())


class Dispatching(RuleBasedStateMachine):
    """Signals, claims, decisions, the broker's answers and the clock, in any order; stale claims are kept and used."""

    def __init__(self, world: World, reached: set[tuple[str, bool]]) -> None:
        super().__init__()
        self.world, self.now, self.reached = world, NOW, reached
        self.claims: list[Claim] = []
        self.announced: list[Claim] = []
        self.seen: dict[int, dict[str, Any]] = {}
        self.runs = 0
        world.admin.execute("truncate dispatches, signals, bars, features cascade")

    @rule(
        symbol=st.sampled_from(SYMBOLS),
        side=st.sampled_from(["BUY", "SELL"]),
        confidence=st.sampled_from([0.9, 0.9, 0.9, 0.5]),
        close=st.sampled_from([95.0, 100.0, 105.0]),
    )
    def raise_signal(self, symbol: str, side: str, confidence: float, close: float) -> None:
        self.world.tradable(symbol, self.now.replace(second=0), close)
        self.world.signal(symbol, side=side, confidence=confidence, created_at=self.now)
        queue.enrol(self.world.connection, self.now)

    @rule(seconds=st.sampled_from([1, 30, 60, 60, 60, 200, 301]))
    def pass_time(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)
        for symbol in SYMBOLS:  # far enough to end any position, one way or the other
            self.world.bar(symbol, self.now.replace(second=0) - MINUTE, 100, low=80, high=120)

    @rule()
    def expire(self) -> None:
        queue.expire(self.world.connection, self.now)

    @rule()
    def claim(self) -> None:
        self.runs += 1
        self.claims += queue.claim(self.world.connection, self.now, f"run-{self.runs}")

    @precondition(lambda self: self.claims)
    @rule(pick=st.integers(0, 99), mode=st.sampled_from(Mode))
    def decide(self, pick: int, mode: Mode) -> None:
        """An announced order is not judged anew before the broker was asked; here it says that it has none."""
        claim = self.claims[-1 - pick % len(self.claims)]
        account = ACCOUNT if mode is Mode.ALPACA_PAPER else None
        made = decide(self.world.connection, claim, limits=LIMITS[mode], now=self.now, account=account)
        if made.outcome == "announced":
            self.announced.append(claim)

    @precondition(lambda self: self.announced)
    @rule(pick=st.integers(0, 99), filled=st.booleans())
    def hear_of_the_order(self, pick: int, filled: bool) -> None:
        claim = self.announced[-1 - pick % len(self.announced)]
        order = Order(
            id=f"broker-{claim.id}",
            type="market",
            status="filled" if filled else "accepted",
            quantity=7,
            fill_price=100.0 if filled else None,
            filled_at=self.now if filled else None,
        )
        queue.record_order(self.world.connection, claim, order, self.now)

    @precondition(lambda self: self.announced)
    @rule(pick=st.integers(0, 99), late=st.booleans())
    def hear_a_refusal(self, pick: int, late: bool) -> None:
        claim = self.announced[-1 - pick % len(self.announced)]
        if late:
            queue.give_up(self.world.connection, claim, self.now)
        else:
            queue.fail(self.world.connection, claim, "no", self.now)

    @rule()
    def settle(self) -> None:
        positions.settle_simulated(self.world.connection, self.now)

    @rule(price=st.floats(90, 110))
    def follow(self, price: float) -> None:
        for known in queue.open_orders(self.world.connection):
            queue.record_fill(self.world.connection, known.dispatch_id, price, self.now)
            queue.close_order(
                self.world.connection,
                known.dispatch_id,
                price=price,
                at=self.now,
                reason="stop",
                profit=1.0,
                error=None,
            )

    @invariant()
    def every_change_was_legal(self) -> None:
        rows = {row["id"]: row for row in self.world.dispatches()}
        assert self.seen.keys() <= rows.keys()
        for key, row in rows.items():
            before = self.seen.get(key)
            if before is None:
                assert row["state"] == "PENDING"
            elif before["state"] in FINAL:
                assert row["state"] == before["state"]
                assert row["decided_at"] == before["decided_at"] and row["gates"] == before["gates"]
                assert before["exit_at"] is None or row == before
            elif row["state"] != before["state"]:
                assert (before["state"], row["state"]) in LEGAL
        self.seen = rows
        self.reached.update((row["state"], row["exit_at"] is not None) for row in rows.values())

    @invariant()
    def limits_hold(self) -> None:
        made = [r for r in self.seen.values() if r["state"] in ("SIMULATED", "EXECUTED")]
        assert all(n <= 2 for n in Counter(r["symbol"] for r in made).values())
        held = Counter(r["symbol"] for r in made if r["exit_at"] is None)
        assert all(n <= 1 for n in held.values())
        assert len({r["signal_id"] for r in self.seen.values()}) == len(self.seen)


def test_no_sequence_of_the_services_statements_reaches_an_illegal_state(world: World) -> None:
    reached: set[tuple[str, bool]] = set()
    run_state_machine_as_test(
        lambda: Dispatching(world, reached),  # type: ignore[arg-type] # a factory will do
        settings=settings(
            max_examples=100,
            stateful_step_count=40,
            deadline=None,
            database=None,
            derandomize=True,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
    legal = {(str(state), False) for state in DispatchState} | {("SIMULATED", True), ("EXECUTED", True)}
    assert reached <= legal
    # else the rules say little; which of the rarer ends a walk comes by is chance
    assert reached >= {("PENDING", False), ("CLAIMED", False), ("SIMULATED", False), ("EXPIRED", False)}


# ── what the database refuses, whoever asks ──────────────────────────────────────────────────────────────────────────

MOVES: dict[str, dict[str, Any]] = {
    "PENDING": {},
    "CLAIMED": {"claimed_by": "a", "claimed_at": NOW, "lease_expires_at": NOW + MINUTE, "attempts": 1},
    "SIMULATED": {
        "mode": "SIMULATED",
        "gates": Json({}),
        "quantity": 1,
        "fill_price": 100,
        "filled_at": NOW,
        "stop_price": 99,
        "target_price": 102,
    },
    "EXECUTED": {
        "mode": "ALPACA_PAPER",
        "gates": Json({}),
        "quantity": 1,
        "client_order_id": "ops-1",
        "broker_order_id": "b-1",
    },
    "SKIPPED": {"gates": Json({})},
    "FAILED": {"error": "no"},
    "EXPIRED": {},
}


def change(world: World, **columns: Any) -> None:
    """Sets columns of the only dispatch, as the dispatcher's own role."""
    assert set(columns) <= set(world.only())
    text = ", ".join(f"{name} = %({name})s" for name in columns)
    world.connection.execute(f"update dispatches set {text}".encode(), columns)  # noqa: S608 (names are checked above)


def move(world: World, state: str) -> None:
    decided = {"decided_at": NOW} if state in FINAL else {"decided_at": None}
    change(world, state=state, **decided, **MOVES[state])


def reach(world: World, state: str) -> None:
    """The only dispatch, in a state, by the legal way."""
    world.signal()
    queue.enrol(world.connection, NOW)
    if state != "PENDING":
        move(world, "CLAIMED")
    if state in FINAL:
        move(world, state)


@pytest.mark.parametrize("state", DispatchState)
def test_the_database_lets_a_state_go_where_the_specification_says_and_nowhere_else(
    world: World, state: DispatchState
) -> None:
    reached: set[tuple[str, str]] = set()
    for target in DispatchState:
        world.admin.execute("truncate dispatches, signals cascade")
        reach(world, state)
        try:
            move(world, target)
        except psycopg.errors.CheckViolation:
            continue
        reached.add((state, target))
    assert {pair for pair in reached if pair[0] != pair[1]} == {
        pair for pair in LEGAL if pair[0] == state and pair[0] != pair[1]
    }


@pytest.mark.parametrize("state", sorted(FINAL | {"CLAIMED"}))
def test_a_dispatch_starts_as_pending(world: World, state: str) -> None:
    signal = world.signal()
    with pytest.raises(psycopg.errors.CheckViolation, match="not PENDING"):
        world.connection.execute(
            "insert into dispatches (signal_id, state, created_at) values (%s, %s, %s)", (signal, state, NOW)
        )


def test_a_dispatch_is_never_deleted_nor_made_twice_nor_given_another_signal(world: World) -> None:
    reach(world, "SIMULATED")
    with pytest.raises(psycopg.errors.CheckViolation, match="dispatched again"):
        world.connection.execute("delete from dispatches")
    with pytest.raises(psycopg.errors.UniqueViolation):
        world.connection.execute(
            "insert into dispatches (signal_id, state, created_at) values (%s, 'PENDING', %s)",
            (world.only()["signal_id"], NOW),
        )
    with pytest.raises(psycopg.errors.CheckViolation, match="signal never changes"):
        change(world, signal_id=world.signal())


@pytest.mark.parametrize(
    "columns",
    [
        {"quantity": 2},
        {"fill_price": 101},
        {"stop_price": 98},
        {"gates": Json({"confidence": {"passed": True}})},
        {"decided_at": NOW + MINUTE},
        {"client_order_id": "ops-2"},
        {"exit_at": NOW},  # without a reason
        {"exit_at": NOW, "exit_reason": "stop"},  # without price and profit
        {"exit_at": NOW, "exit_reason": "boredom", "exit_price": 1, "profit": 1},
    ],
)
def test_what_was_decided_does_not_change(world: World, columns: dict[str, Any]) -> None:
    reach(world, "SIMULATED")
    with pytest.raises(psycopg.errors.CheckViolation):
        change(world, **columns)


def test_a_position_ends_once(world: World) -> None:
    reach(world, "SIMULATED")
    change(world, exit_at=NOW, exit_reason="stop", exit_price=99, profit=-1)
    with pytest.raises(psycopg.errors.CheckViolation, match="final"):
        change(world, profit=1)
    with pytest.raises(psycopg.errors.CheckViolation, match="final"):
        change(world, exit_at=None, exit_reason=None, exit_price=None, profit=None)


@pytest.mark.parametrize("at", [NOW, NOW + MINUTE - timedelta(microseconds=1)])
def test_a_lease_is_not_taken_over_before_its_end(world: World, at: datetime) -> None:
    reach(world, "CLAIMED")
    taken = {"claimed_by": "b", "claimed_at": at, "lease_expires_at": at + MINUTE}
    with pytest.raises(psycopg.errors.CheckViolation, match="claimed by a until"):
        change(world, attempts=2, **taken)
    with pytest.raises(psycopg.errors.CheckViolation, match="claimed by a until"):
        change(world, attempts=1, **taken | {"claimed_at": NOW + MINUTE, "lease_expires_at": NOW + 2 * MINUTE})
    change(world, attempts=2, **taken | {"claimed_at": NOW + MINUTE, "lease_expires_at": NOW + 2 * MINUTE})


def test_an_announced_name_stays(world: World) -> None:
    reach(world, "CLAIMED")
    change(world, client_order_id="ops-1")
    for other in ("ops-2", None):
        with pytest.raises(psycopg.errors.CheckViolation, match="client_order_id never changes"):
            change(world, client_order_id=other)
    with pytest.raises(psycopg.errors.CheckViolation):
        change(world, state="EXECUTED", decided_at=NOW)  # without the broker's id


@pytest.mark.parametrize(
    ("state", "missing"),
    [
        *(("CLAIMED", name) for name in ("claimed_by", "claimed_at", "lease_expires_at")),
        *(("SIMULATED", name) for name in MOVES["SIMULATED"]),
        *(("EXECUTED", name) for name in MOVES["EXECUTED"]),
        ("SKIPPED", "gates"),
        ("FAILED", "error"),
    ],
)
def test_a_state_without_what_it_means_is_refused(world: World, state: str, missing: str) -> None:
    reach(world, "PENDING" if state == "CLAIMED" else "CLAIMED")
    decided = {"decided_at": NOW} if state in FINAL else {}
    columns = {"state": state, **decided, **MOVES[state], missing: None}
    with pytest.raises(psycopg.errors.CheckViolation):
        change(world, **columns)


@pytest.mark.parametrize("value", [0, -1, "NaN", "Infinity"])
@pytest.mark.parametrize("column", ["quantity", "fill_price"])
def test_a_fill_of_nothing_is_refused(world: World, column: str, value: Any) -> None:
    reach(world, "CLAIMED")
    with pytest.raises(psycopg.errors.CheckViolation):
        change(world, **{**MOVES["SIMULATED"], "state": "SIMULATED", "decided_at": NOW, column: value})

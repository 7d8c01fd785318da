"""The table `dispatches` as a queue of signals: who holds which, and what was decided of each."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from psycopg.types.json import Json

from dispatcher.broker import Order
from dispatcher.fills import Exit, Plan, Position, Range
from dispatcher.gates import Gate, Reading
from pipeline.rows import Mode, Side
from pipeline.sessions import Session
from pipeline.store import Connection, sql

# A run is ended for good 60 s after it began (deadline 50 s, 10 s to roll back): no one works under an expired lease.
LEASE = timedelta(seconds=60)
# A signal speaks of the minute it was raised in; later than this its price is history.
SIGNAL_AGE_MAX = timedelta(seconds=300)


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A signal that this run may decide. `attempts` tells this claim from any other of the same dispatch.

    `announced` is the client_order_id that an earlier run stored before it sent the order: the order may exist."""

    id: int
    claimed_by: str
    attempts: int
    announced: str | None
    symbol: str
    ts: datetime
    rule: str
    side: str
    confidence: float
    created_at: datetime
    client_order_id: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "client_order_id", client_order_id(self.symbol, self.ts, self.rule))

    def fresh(self, now: datetime) -> bool:
        return now - self.created_at <= SIGNAL_AGE_MAX


def client_order_id(symbol: str, ts: datetime, rule: str) -> str:
    """The name under which a signal's order is known to the broker: 44 characters, the same for ever.

    It comes from the signal's key and not from our database, so that an order is found again by a restored one."""
    key = f"{symbol}|{ts.astimezone(UTC).isoformat()}|{rule}"
    return f"ops-{hashlib.sha256(key.encode()).hexdigest()[:40]}"


def enrol(connection: Connection, now: datetime) -> int:
    """Gives each signal its dispatch; how many were new."""
    return connection.execute(sql("dispatcher/enrol"), {"now": now}).rowcount


def expire(connection: Connection, now: datetime) -> int:
    """Marks the signals that came too late, all of them; how many."""
    return connection.execute(sql("dispatcher/expire"), {"now": now, "signal_age_max": SIGNAL_AGE_MAX}).rowcount


def waiting(connection: Connection, now: datetime) -> int:
    """How many dispatches a claim would take now."""
    return _only(connection, "waiting", {"now": now, "signal_age_max": SIGNAL_AGE_MAX})[0]


def claim(connection: Connection, now: datetime, claimed_by: str) -> list[Claim]:
    """Takes all that is due, the freshest first."""
    parameters = {"now": now, "signal_age_max": SIGNAL_AGE_MAX, "lease": LEASE, "claimed_by": claimed_by}
    found = connection.execute(sql("dispatcher/claim"), parameters).fetchall()
    names = ("id", "attempts", "announced", "symbol", "ts", "rule", "side", "confidence", "created_at")
    return [Claim(claimed_by=claimed_by, **dict(zip(names, row, strict=True))) for row in found]


def serialise(connection: Connection) -> None:
    """Within a transaction: waits until no other decision is being made, and lets none start before it ends."""
    connection.execute(sql("dispatcher/serialise"))


def hold(connection: Connection, claim: Claim) -> bool:
    """Within a transaction: whether the claim is still this run's; if so it stays so until the end."""
    return connection.execute(sql("dispatcher/hold"), _key(claim)).fetchone() is not None


def reading(connection: Connection, claim: Claim, *, session: Session, market_open: bool, now: datetime) -> Reading:
    """What the gates judge, as known at `now`; trades and profit are those of `session`."""
    parameters = {
        "id": claim.id,
        "symbol": claim.symbol,
        "now": now,
        "session_open": session.open,
        "session_close": session.close,
    }
    names = ("bar_ts", "close", "features_ts", "atr14", "trades", "open_positions", "profit_today")
    row = _only(connection, "reading", parameters)
    return Reading(market_open=market_open, **dict(zip(names, row, strict=True)))


def skip(connection: Connection, claim: Claim, *, mode: Mode, gates: Mapping[str, Gate], now: datetime) -> None:
    _write(connection, "skip", {"id": claim.id, "now": now, "mode": mode, "gates": _json(gates)})


def simulate(connection: Connection, claim: Claim, *, plan: Plan, gates: Mapping[str, Gate], now: datetime) -> None:
    parameters = {"client_order_id": claim.client_order_id, "gates": _json(gates), "now": now, **vars(plan)}
    _write(connection, "simulate", {"id": claim.id, **parameters})


def announce(connection: Connection, claim: Claim, *, plan: Plan, gates: Mapping[str, Gate]) -> None:
    """Stores the order's name before the order is sent; the dispatch stays claimed."""
    parameters = {"client_order_id": claim.client_order_id, "gates": _json(gates), **vars(plan)}
    _write(connection, "announce", {"id": claim.id, **parameters})


def record_order(connection: Connection, claim: Claim, order: Order, now: datetime) -> bool:
    """The broker has the order. False when another run has taken the claim over (and finds the order itself)."""
    parameters = {
        "broker_order_id": order.id,
        "quantity": order.quantity,
        "fill_price": order.fill_price,
        "filled_at": order.filled_at,
    }
    return _change(connection, "execute", {**_key(claim), "now": now, **parameters})


def fail(connection: Connection, claim: Claim, words: str, now: datetime) -> bool:
    """The broker does not take the order. False when another run has taken the claim over."""
    return _change(connection, "fail", {**_key(claim), "now": now, "error": words})


def give_up(connection: Connection, claim: Claim, now: datetime) -> bool:
    """The announced order never reached the broker, and is too late now. False when another run has the claim."""
    return _change(connection, "give_up", {**_key(claim), "now": now})


@dataclass(frozen=True, kw_only=True)
class OpenOrder:
    """A dispatch at the broker whose position has not ended."""

    dispatch_id: int
    symbol: str
    side: Side
    quantity: float
    broker_order_id: str
    fill_price: float | None


def open_orders(connection: Connection) -> list[OpenOrder]:
    """Dispatches at the broker that have not ended, oldest first."""
    names = ("dispatch_id", "symbol", "side", "quantity", "broker_order_id", "fill_price")
    found = connection.execute(sql("dispatcher/open_orders")).fetchall()
    return [OpenOrder(**dict(zip(names, row, strict=True)) | {"side": Side(row[2])}) for row in found]


def record_fill(connection: Connection, dispatch_id: int, price: float, filled_at: datetime) -> bool:
    return _change(connection, "fill", {"id": dispatch_id, "price": price, "filled_at": filled_at})


def close_order(
    connection: Connection,
    dispatch_id: int,
    *,
    price: float | None,
    at: datetime,
    reason: str,
    profit: float | None,
    error: str | None,
) -> bool:
    """Writes how a position at the broker ended; unknown price or profit stay null. False when another run has."""
    parameters = {"price": price, "at": at, "reason": reason, "profit": profit, "error": error}
    return _change(connection, "close", {"id": dispatch_id, **parameters})


def oldest_waiting(connection: Connection, now: datetime) -> datetime | None:
    """When the oldest signal was raised that still waits, or None."""
    return _only(connection, "oldest_waiting", {"now": now})[0]


def open_positions(connection: Connection, now: datetime) -> list[Position]:
    """Simulated positions that have not ended, oldest first."""
    names = ("dispatch_id", "symbol", "side", "quantity", "fill_price", "filled_at", "stop_price", "target_price")
    found = connection.execute(sql("dispatcher/open_positions"), {"now": now}).fetchall()
    return [Position(**dict(zip(names, row, strict=True)) | {"side": Side(row[2])}) for row in found]


def bars_of(connection: Connection, position: Position, *, session: Session, now: datetime) -> list[Range]:
    """The bars that may tell a position's end, oldest first."""
    parameters = {
        "symbol": position.symbol,
        "filled_at": position.filled_at,
        "session_close": session.close,
        "now": now,
    }
    found = connection.execute(sql("dispatcher/bars_of_position"), parameters).fetchall()
    return [Range(ts=ts, open=o, high=h, low=low, close=c) for ts, o, h, low, c in found]


def settle(connection: Connection, position: Position, ended: Exit) -> bool:
    """Writes a position's end; False when another run has."""
    parameters = {"id": position.dispatch_id, **vars(ended)}
    return _change(connection, "settle", parameters)


def _key(claim: Claim) -> dict[str, Any]:
    return {"id": claim.id, "claimed_by": claim.claimed_by, "attempts": claim.attempts}


def _json(gates: Mapping[str, Gate]) -> Json:
    return Json({name: gate.to_json() for name, gate in gates.items()})


def _only(connection: Connection, statement: str, parameters: Mapping[str, Any]) -> tuple[Any, ...]:
    row = connection.execute(sql(f"dispatcher/{statement}"), parameters).fetchone()
    assert row is not None, statement  # each of these statements gives exactly one row
    return row


def _change(connection: Connection, statement: str, parameters: Mapping[str, Any]) -> bool:
    return connection.execute(sql(f"dispatcher/{statement}"), parameters).rowcount == 1


def _write(connection: Connection, statement: str, parameters: Mapping[str, Any]) -> None:
    changed = _change(connection, statement, parameters)
    assert changed, statement  # hold() has locked the row

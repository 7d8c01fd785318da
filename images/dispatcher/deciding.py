"""One signal's decision: read, judge and write in one transaction, one decision at a time across all runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from dispatcher import fills, gates, queue
from dispatcher.broker import Account
from dispatcher.fills import Plan
from dispatcher.gates import Gate, Limits
from dispatcher.queue import Claim
from pipeline import sessions
from pipeline.rows import Mode
from pipeline.store import Connection


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What became of a claimed signal. `closed`: the gates that stood against it. `plan`: the trade, made or announced.

    lost: another run took the signal over meanwhile. announced: the order's name is stored, so it may now be sent."""

    outcome: Literal["lost", "skipped", "simulated", "announced", "executed", "failed", "expired"]
    closed: tuple[str, ...] = ()
    plan: Plan | None = None


def decide(
    connection: Connection, claim: Claim, *, limits: Limits, now: datetime, account: Account | None = None
) -> Decision:
    """Judges a claimed signal and writes what follows: skipped, simulated, or an order announced (state CLAIMED still).

    `account` is the broker's word; without it the simulated account is read from the store."""
    with connection.transaction():
        queue.serialise(connection)
        if not queue.hold(connection, claim):
            return Decision(outcome="lost")
        plan, judged = _judge(connection, claim, limits, now, account)
        if closed := gates.closed(judged):
            queue.skip(connection, claim, mode=limits.mode, gates=judged, now=now)
            return Decision(outcome="skipped", closed=tuple(closed))
        assert plan is not None  # the gates on ATR and quantity are closed without one
        if limits.mode is Mode.SIMULATED:
            queue.simulate(connection, claim, plan=plan, gates=judged, now=now)
            return Decision(outcome="simulated", plan=plan)
        queue.announce(connection, claim, plan=plan, gates=judged)
        return Decision(outcome="announced", plan=plan)


def _judge(
    connection: Connection, claim: Claim, limits: Limits, now: datetime, account: Account | None
) -> tuple[Plan | None, Mapping[str, Gate]]:
    running = sessions.at(now)
    session = running or sessions.latest(now)[-1]
    reading = queue.reading(connection, claim, session=session, market_open=running is not None, now=now)
    equity: float | None = fills.SIMULATED_EQUITY
    if account:
        held = int(claim.symbol in account.held)
        positions = None if reading.open_positions is None else max(reading.open_positions, held)
        reading = replace(reading, profit_today=account.profit_today, open_positions=positions)
        equity = account.equity
    plan = fills.plan(side=claim.side, close=reading.close, atr=reading.atr14, equity=equity)
    judged = gates.judge(
        side=claim.side, confidence=claim.confidence, reading=reading, plan=plan, limits=limits, now=now
    )
    return plan, judged

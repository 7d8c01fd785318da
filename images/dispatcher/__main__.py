"""One run: end what has ended, expire what came too late, decide all that waits, and tell what became of it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime

from dispatcher import broker, gates, paper, positions, queue
from dispatcher.broker import BrokerUnavailable
from dispatcher.deciding import Decision, decide
from dispatcher.gates import Limits
from dispatcher.paper import Desk
from dispatcher.queue import Claim
from pipeline import sessions, task
from pipeline.ledger import Outcome, Result
from pipeline.rows import Mode
from pipeline.store import Connection


@dataclass(kw_only=True)
class Tally:
    """What a run did: `due` were to be decided, `endings` by outcome, `exits` by reason, `closed` gates by name."""

    due: int = 0
    endings: Counter[str] = field(default_factory=Counter)
    exits: Counter[str] = field(default_factory=Counter)
    closed: Counter[str] = field(default_factory=Counter)
    trouble: BrokerUnavailable | None = None

    def add(self, decision: Decision) -> None:
        self.endings[decision.outcome] += 1
        self.closed.update(decision.closed)

    @property
    def dispatched(self) -> int:
        return self.endings["simulated"] + self.endings["executed"]

    @property
    def came_through(self) -> int:
        """Decided as meant: dispatched, refused by a gate, or marked as too late."""
        return self.dispatched + self.endings["skipped"] + self.endings["expired"]


def run(context: task.Context) -> Result:
    """The dispatcher's job."""
    limits = gates.limits(context.values)
    if limits.mode is Mode.ALPACA_PAPER:
        broker.trading_url(context.environment)  # a live address is refused before anything is done
    with Desk(values=context.values, environment=context.environment) as desk:
        tally = work(context.connection, limits, desk, context.now, context.run.execution_id)
    return report(tally, queue.oldest_waiting(context.connection, context.now), context.now)


def work(connection: Connection, limits: Limits, desk: Desk, now: datetime, execution_id: str) -> Tally:
    """All of a run but its report; `execution_id` is who claims."""
    tally = Tally()
    tally.exits.update(positions.settle_simulated(connection, now))
    try:
        tally.exits.update(paper.follow(connection, desk, now))
    except BrokerUnavailable as trouble:
        tally.trouble = trouble
    queue.enrol(connection, now)
    tally.due = tally.endings["expired"] = queue.expire(connection, now)
    if waiting := queue.waiting(connection, now):
        _decide_all(connection, limits, desk, tally, now, execution_id, waiting)
    return tally


def _decide_all(
    connection: Connection, limits: Limits, desk: Desk, tally: Tally, now: datetime, execution_id: str, waiting: int
) -> None:
    """The freshest first. What needs the broker while it is not to be had stays as it is, for a later run."""
    if limits.mode is Mode.ALPACA_PAPER:
        try:
            desk.account()  # before anything is claimed
        except BrokerUnavailable as trouble:
            tally.trouble = trouble
            tally.due += waiting
            return
    claims = queue.claim(connection, now, execution_id)
    tally.due += len(claims)
    for claim in claims:
        try:
            tally.add(_decide_one(connection, limits, desk, claim, now))
        except BrokerUnavailable as trouble:
            tally.trouble = trouble


def _decide_one(connection: Connection, limits: Limits, desk: Desk, claim: Claim, now: datetime) -> Decision:
    if claim.announced and (recovered := paper.recover(connection, desk, claim, now)):
        return recovered
    if limits.mode is Mode.SIMULATED:
        return decide(connection, claim, limits=limits, now=now)
    desk.require()
    decision = decide(connection, claim, limits=limits, now=now, account=desk.account())
    if decision.plan is None:
        return decision
    return paper.place(connection, desk, claim, decision.plan, now)


def report(tally: Tally, oldest: datetime | None, now: datetime) -> Result:
    """The run's result. Signals that another run decided meanwhile are none of this one's rows."""
    counts = {
        **{outcome: n for outcome, n in tally.endings.items() if n},
        **{f"skipped_{gate}": n for gate, n in tally.closed.items()},
        **{f"exits_{reason}": n for reason, n in tally.exits.items()},
    }
    return Result(
        outcome=_outcome(tally, now),
        rows_in=tally.due - tally.endings["lost"],
        rows_out=tally.came_through,
        counts=counts,
        metrics={
            "Dispatched": tally.dispatched,
            "DispatchesSkipped": tally.endings["skipped"],
            "DispatchesExpired": tally.endings["expired"],
            "DispatchesFailed": tally.endings["failed"],
            "OldestPendingSeconds": (now - oldest).total_seconds() if oldest else 0,
        },
        error=str(tally.trouble) if tally.trouble else None,
        error_code=tally.trouble.code if tally.trouble else None,
    )


def _outcome(tally: Tally, now: datetime) -> Outcome:
    done = tally.came_through + tally.exits.total()
    if tally.trouble or tally.endings["failed"]:
        return Outcome.DEGRADED if done else Outcome.FAILED
    if done or tally.endings["lost"]:
        return Outcome.OK
    return Outcome.NO_INPUT if sessions.at(now) else Outcome.SKIPPED


if __name__ == "__main__":
    task.main(run, __package__)

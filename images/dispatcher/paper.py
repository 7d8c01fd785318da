"""Orders at the broker's paper account: announced in the store, sent once, found again, followed to their end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

from dispatcher import broker, queue
from dispatcher.broker import Account, BrokerRefused, BrokerUnavailable, Order, PaperBroker
from dispatcher.deciding import Decision
from dispatcher.fills import Plan
from dispatcher.queue import Claim, OpenOrder
from pipeline.settings import Values
from pipeline.store import Connection

T = TypeVar("T")


@dataclass(kw_only=True)
class Desk:
    """The way to the broker: opened when it is first needed, closed for this run by the first answer that fails.

    One run's timeouts must not add up to its deadline; the next run is a minute away."""

    values: Values
    environment: Mapping[str, str]
    _broker: PaperBroker | None = field(default=None, init=False)
    _account: Account | None = field(default=None, init=False)
    _trouble: BrokerUnavailable | None = field(default=None, init=False)

    def __enter__(self) -> Desk:
        return self

    def __exit__(self, *_: object) -> None:
        if self._broker:
            self._broker.close()

    def require(self) -> None:
        """Raises what closed the desk, if it is closed."""
        if self._trouble:
            raise self._trouble

    def account(self) -> Account:
        """The account as it was when this run first asked."""
        if self._account is None:
            self._account = self.ask(lambda it: it.account())
        return self._account

    def ask(self, question: Callable[[PaperBroker], T]) -> T:
        """Puts a question to the broker. Raises BrokerUnavailable or BrokerRefused."""
        self.require()
        if self._broker is None:
            self._broker = broker.connect(self.values, self.environment)
        try:
            return question(self._broker)
        except BrokerUnavailable as trouble:
            self._trouble = trouble
            raise


def recover(connection: Connection, desk: Desk, claim: Claim, now: datetime) -> Decision | None:
    """What became of an order that an earlier run announced; None: it never reached the broker and may still be sent.

    Raises BrokerUnavailable while that is unknown: the claim is left to its lease."""
    order = desk.ask(lambda it: it.find(claim.client_order_id))
    if order:
        return _record(connection, claim, order, now)
    if claim.fresh(now):
        return None
    return Decision(outcome="expired" if queue.give_up(connection, claim, now) else "lost")


def place(connection: Connection, desk: Desk, claim: Claim, plan: Plan, now: datetime) -> Decision:
    """Sends an announced order unless the broker has it, and records its answer. Raises BrokerUnavailable: in doubt."""
    name = claim.client_order_id
    order = desk.ask(lambda it: it.find(name))
    try:
        order = order or desk.ask(lambda it: it.submit(claim.symbol, plan, name))
    except BrokerRefused as refused:
        # "must be unique" means that it is there: sent by a run that was thought dead
        order = desk.ask(lambda it: it.find(name))
        if order is None:
            written = queue.fail(connection, claim, str(refused), now)
            return Decision(outcome="failed" if written else "lost")
    return _record(connection, claim, order, now)


def _record(connection: Connection, claim: Claim, order: Order, now: datetime) -> Decision:
    if order.dead:
        written = queue.fail(connection, claim, f"the broker took the order and then told: {order.status}", now)
        return Decision(outcome="failed" if written else "lost")
    written = queue.record_order(connection, claim, order, now)
    return Decision(outcome="executed" if written else "lost")


def follow(connection: Connection, desk: Desk, now: datetime) -> Counter[str]:
    """Fetches fills and exits of the orders still open; how many exits, by reason. Raises BrokerUnavailable."""
    ended: Counter[str] = Counter()
    for known in queue.open_orders(connection):
        if end := _follow_one(connection, desk, known, now):
            ended[end.reason] += 1
    return ended


def _follow_one(connection: Connection, desk: Desk, known: OpenOrder, now: datetime) -> End | None:
    try:
        order = desk.ask(lambda it: it.follow(known.broker_order_id))
    except BrokerRefused as refused:
        raise BrokerUnavailable(f"order {known.broker_order_id} of {known.symbol}: {refused}") from refused
    if known.fill_price is None and order.fill_price:
        queue.record_fill(connection, known.dispatch_id, order.fill_price, order.filled_at or now)
    end = end_of(known, order, held=lambda: known.symbol in desk.account().held)
    if end and queue.close_order(connection, known.dispatch_id, **vars(end) | {"at": end.at or now}):
        return end
    return None


@dataclass(frozen=True, kw_only=True)
class End:
    """How a position at the broker ended; None where the broker does not tell. Profit in USD."""

    price: float | None
    at: datetime | None
    reason: str
    profit: float | None
    error: str | None = None


def end_of(known: OpenOrder, order: Order, held: Callable[[], bool]) -> End | None:
    """The end of a position by its order's legs, or None while it is open. `held` asks whether there is a position."""
    if order.dead:
        return End(
            price=None, at=None, reason="broker", profit=0.0, error=f"the broker ended the entry: {order.status}"
        )
    for leg in order.legs:
        if leg.status == "filled" and leg.fill_price and order.fill_price:
            profit = known.side.direction * known.quantity * (leg.fill_price - order.fill_price)
            reason = "stop" if leg.type.startswith("stop") else "target"
            return End(price=leg.fill_price, at=leg.filled_at, reason=reason, profit=profit)
    if order.fill_price and order.legs and all(leg.dead for leg in order.legs) and not held():
        return End(price=None, at=None, reason="broker", profit=None, error="closed at the broker, not by its exits")
    return None

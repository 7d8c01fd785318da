"""Orders of ours that the broker has and the database does not: written into its ledger before anything trades again.

A restore to an earlier point loses dispatches, not what they bought. An order's name comes from its signal's key alone
(dispatcher.queue.client_order_id), so that the signal can be found again by trying the minutes before the order.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import requests

from dispatcher.queue import client_order_id
from ops.runbook import alpaca_pair, running, stored
from ops.runbook.alpaca_provider import TIMEOUT_SECONDS, TRADING_URL
from ops.runbook.errors import Refused
from ops.runbook.reading import Look
from pipeline.rows import Mode
from pipeline.store import Connection
from signal_engine.signals import RULE

LIMITS = "dispatch_limits"  # as the catalogue calls it
OURS = "ops-"
PAGE = 500
# An order follows its signal within five minutes, and that its features by some more.
SEARCHED = timedelta(minutes=30)


@dataclass(frozen=True, kw_only=True)
class Order:
    """An order at the broker, and the key of the signal that it was made for."""

    id: str
    name: str
    symbol: str
    side: str
    quantity: float
    submitted_at: datetime
    fill_price: float | None
    filled_at: datetime | None

    @property
    def signal(self) -> tuple[datetime, str]:
        """(ts, rule) of its signal; the order's own minute and another rule where no signal has that name."""
        minute = self.submitted_at.replace(second=0, microsecond=0)
        for back in range(int(SEARCHED.total_seconds() // 60)):
            ts = minute - timedelta(minutes=back)
            if client_order_id(self.symbol, ts, RULE) == self.name:
                return ts, RULE
        return minute, f"at the broker: {self.name}"


def at_a_broker(look: Look) -> bool:
    """Whether trades go to a broker at all."""
    try:
        mode = json.loads(stored.load(look, LIMITS).value.reveal())["mode"]
    except (ValueError, KeyError, TypeError):
        return True  # the dispatcher refuses such limits; what it did before counts
    return bool(mode == Mode.ALPACA_PAPER)


def since(look: Look, at: datetime) -> list[Order]:
    """Our orders that the broker was sent since then, the oldest first. Raises Refused where it does not tell."""
    pair = alpaca_pair.current(look)
    seen: set[str] = set()  # a person's own orders as well, which may have no quantity
    found: list[Order] = []
    with requests.Session() as session:
        session.headers["APCA-API-KEY-ID"] = pair.key_id.reveal()
        session.headers["APCA-API-SECRET-KEY"] = pair.secret_key.reveal()
        after = at
        while True:
            page = _page(look, session, after)
            new = [each for each in page if str(each["id"]) not in seen]
            seen |= {str(each["id"]) for each in new}
            found += [_order(each) for each in new if str(each.get("client_order_id") or "").startswith(OURS)]
            if len(page) < PAGE or not new:
                return found
            # `after` leaves out what is of that moment
            after = datetime.fromisoformat(page[-1]["submitted_at"]) - timedelta(seconds=1)


def _page(look: Look, session: requests.Session, after: datetime) -> list[Mapping[str, Any]]:
    url = f"{look.environ.get('ALPACA_TRADING_URL', TRADING_URL).rstrip('/')}/v2/orders"
    asked = {"status": "all", "after": after.isoformat(), "limit": str(PAGE), "direction": "asc", "nested": "true"}
    try:
        answer = session.get(url, params=asked, timeout=TIMEOUT_SECONDS, allow_redirects=False)
        answer.raise_for_status()
        return list(answer.json())
    except (requests.RequestException, ValueError) as error:
        raise Refused(
            f"the broker does not tell its orders ({error}), and without them something could be bought twice; wait "
            "for it, then --resume"
        ) from error


def _order(raw: Mapping[str, Any]) -> Order:
    price = raw.get("filled_avg_price")
    return Order(
        id=str(raw["id"]),
        name=str(raw.get("client_order_id") or ""),
        symbol=str(raw["symbol"]),
        side=str(raw["side"]).upper(),
        quantity=float(raw["qty"]),
        submitted_at=datetime.fromisoformat(raw["submitted_at"]),
        fill_price=float(price) if price else None,
        filled_at=datetime.fromisoformat(raw["filled_at"]) if raw.get("filled_at") else None,
    )


def missing(connection: Connection, orders: list[Order]) -> list[Order]:
    """Those that no dispatch knows."""
    names = [order.name for order in orders]
    rows = connection.execute(running.statement("runbook_orders_known"), {"names": names}).fetchall()
    known = {name for (name,) in rows}
    return [order for order in orders if order.name not in known]


def write(connection: Connection, order: Order, run: str) -> None:
    """Its signal, where that is lost too, and its dispatch, by the states that a dispatch goes through."""
    ts, rule = order.signal
    values = {
        **vars(order),
        "ts": ts,
        "rule": rule,
        "run": run,
        "decided_at": order.submitted_at,
        "lease_expires_at": order.submitted_at + timedelta(seconds=60),
    }
    with connection.transaction():
        connection.execute(running.statement("runbook_order_signal"), values)
        connection.execute(running.statement("runbook_order_dispatch"), values)
        connection.execute(running.statement("runbook_order_claim"), values)
        connection.execute(running.statement("runbook_order_execute"), values)

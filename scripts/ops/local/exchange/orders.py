"""What an order is, which ones the vendor refuses and in what words, and when a bar fills one.

Fill rules: a market order fills at the close of the newest bar (of the same session) at its submission, else of the
first bar after it. Limits and stops fill in the first later bar that touches them, at their price or at the bar's open
where that is already past it. A bar that touches both legs of a bracket fills the stop: the pessimistic reading.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any
from uuid import NAMESPACE_DNS, UUID, uuid4, uuid5

from ops.local.exchange.wire import refusal

CENT = Decimal("0.01")
MOST_CLIENT_ID = 48  # the vendor's documented limit until 2024; it takes 128 since, but nobody may depend on that here
OPEN = ("accepted", "pending_new", "new", "held", "partially_filled")


@dataclass(kw_only=True)
class Order:
    """One order or one leg of a bracket. `seen` is the start (epoch seconds) of the newest bar it has been tried on."""

    client_order_id: str
    symbol: str
    side: str
    type: str
    qty: Decimal
    time_in_force: str
    submitted_at: datetime
    status: str
    order_class: str = "simple"
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    legs: list[Order] = field(default_factory=list)
    parent: Order | None = field(default=None, repr=False)
    extended_hours: bool = False
    triggered: bool = False
    seen: int = 0
    id: str = field(default_factory=lambda: str(uuid4()))
    updated_at: datetime | None = None
    filled_at: datetime | None = None
    canceled_at: datetime | None = None
    expired_at: datetime | None = None
    filled_price: Decimal | None = None

    @property
    def open(self) -> bool:
        return self.status in OPEN

    @property
    def signed_qty(self) -> Decimal:
        return self.qty if self.side == "buy" else -self.qty


def asset_id(symbol: str) -> UUID:
    return uuid5(NAMESPACE_DNS, f"{symbol}.exchange.local")


def touched(order: Order, o: Decimal, h: Decimal, low: Decimal, c: Decimal) -> Decimal | None:
    """The price at which one bar fills an order that works in it, or None."""
    buys = order.side == "buy"
    if order.type == "market":
        return c
    if order.stop_price is not None and not order.triggered:
        if not (h >= order.stop_price if buys else low <= order.stop_price):
            return None
        if order.type == "stop":
            return max(o, order.stop_price) if buys else min(o, order.stop_price)
        order.triggered = True
        return None  # a stop_limit works as a limit from the next bar on
    limit = order.limit_price
    if limit is None or not (low <= limit if buys else h >= limit):
        return None
    return min(o, limit) if buys else max(o, limit)


# ── what is sent ─────────────────────────────────────────────────────────────────────────────────────────────────────


def to_json(order: Order, *, nested: bool = True) -> dict[str, Any]:
    """An order as the trading API shows it; `nested` rolls the legs up."""
    filled = order.filled_price is not None
    return {
        "id": order.id,
        "client_order_id": order.client_order_id,
        "created_at": _at(order.submitted_at),
        "updated_at": _at(order.updated_at or order.submitted_at),
        "submitted_at": _at(order.submitted_at),
        "filled_at": _at(order.filled_at),
        "expired_at": _at(order.expired_at),
        "canceled_at": _at(order.canceled_at),
        "failed_at": None,
        "replaced_at": None,
        "replaced_by": None,
        "replaces": None,
        "asset_id": str(asset_id(order.symbol)),
        "symbol": order.symbol,
        "asset_class": "us_equity",
        "notional": None,
        "qty": text(order.qty),
        "filled_qty": text(order.qty) if filled else "0",
        "filled_avg_price": text(order.filled_price),
        "order_class": order.order_class,
        "order_type": order.type,
        "type": order.type,
        "side": order.side,
        "time_in_force": order.time_in_force,
        "limit_price": text(order.limit_price),
        "stop_price": text(order.stop_price),
        "status": order.status,
        "extended_hours": order.extended_hours,
        "legs": [to_json(leg) for leg in order.legs] if nested and order.legs else None,
        "trail_percent": None,
        "trail_price": None,
        "hwm": None,
        "subtag": None,
        "source": None,
    }


def text(value: Decimal | None) -> str | None:
    """A decimal without an exponent and trailing zeros."""
    if value is None:
        return None
    plain = f"{value:f}"
    return plain.rstrip("0").rstrip(".") if "." in plain else plain


def _at(ts: datetime | None) -> str | None:
    return f"{ts:%Y-%m-%dT%H:%M:%S.%f}Z" if ts else None


# ── what is accepted ─────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, kw_only=True)
class Desk:
    """What a new order is checked against: the last price of a symbol (None: no such asset, or no trade yet), the
    signed position in it, and whether a client_order_id is taken."""

    exists: Callable[[str], bool]
    last_price: Callable[[str], Decimal | None]
    position: Callable[[str], Decimal]
    taken: Callable[[str], bool]


def accept(body: bytes, now: datetime, status: str, desk: Desk) -> Order:
    """A new order from a request body. Raises Refused with the vendor's code and words."""
    wanted = _read(body)
    order = Order(
        client_order_id=str(wanted.get("client_order_id") or uuid4()),
        symbol=str(wanted.get("symbol") or ""),
        side=str(wanted.get("side") or ""),
        type=str(wanted.get("type") or ""),
        qty=_number(wanted, "qty") or Decimal(0),
        time_in_force=str(wanted.get("time_in_force") or ""),
        submitted_at=now,
        status=status,
        order_class=str(wanted.get("order_class") or "simple"),
        limit_price=_price(wanted, "limit_price"),
        stop_price=_price(wanted, "stop_price"),
        extended_hours=bool(wanted.get("extended_hours")),
    )
    if order.qty == 0 and (notional := _number(wanted, "notional")):
        last = desk.last_price(order.symbol)
        order.qty = (notional / last).quantize(Decimal("1e-9")) if last else Decimal(0)
    _check_basics(order, desk)
    if order.order_class != "simple":
        _add_legs(order, wanted, desk)
    return order


def _read(body: bytes) -> dict[str, Any]:
    try:
        wanted = json.loads(body)
    except ValueError:
        wanted = None
    if not isinstance(wanted, dict):
        raise refusal(400, "request body format is invalid", 40010000)
    return wanted


def _check_basics(order: Order, desk: Desk) -> None:
    if not order.symbol:
        raise refusal(422, "symbol is required", 40010001)
    if not desk.exists(order.symbol):
        raise refusal(422, f'asset "{order.symbol}" not found', 42210000)
    if order.side not in ("buy", "sell"):
        raise refusal(422, f"invalid side: {order.side}" if order.side else "side is required", 40010001)
    if order.type not in ("market", "limit", "stop", "stop_limit"):
        raise refusal(422, f"invalid order type: {order.type}" if order.type else "type is required", 40010001)
    if order.time_in_force not in ("day", "gtc"):
        raise refusal(422, f"invalid time_in_force: {order.time_in_force}", 40010001)
    if order.qty <= 0:
        raise refusal(422, "qty must be > 0", 40010001)
    if len(order.client_order_id) > MOST_CLIENT_ID:
        raise refusal(422, f"client_order_id must be no more than {MOST_CLIENT_ID} characters", 40010001)
    if desk.taken(order.client_order_id):
        raise refusal(422, "client_order_id must be unique", 40010001)
    for name, types in (("limit_price", ("limit", "stop_limit")), ("stop_price", ("stop", "stop_limit"))):
        if (getattr(order, name) is not None) != (order.type in types):
            needs = "require" if order.type in types else "must not have"
            raise refusal(422, f"{order.type} orders {needs} {name.replace('_', ' ')}", 40010001)


def _add_legs(order: Order, wanted: dict[str, Any], desk: Desk) -> None:
    """Take-profit and stop-loss of a bracket, held until the entry fills."""
    if order.order_class != "bracket":
        raise refusal(422, f"order_class {order.order_class} is not offered by the local exchange", 42210000)
    if order.type not in ("market", "limit"):
        raise refusal(422, "bracket orders must be market or limit orders", 40010001)
    if order.qty != order.qty.to_integral_value():
        raise refusal(422, "fractional orders must be simple orders", 42210000)
    held = desk.position(order.symbol)
    if held and (held > 0) != (order.side == "buy"):
        raise refusal(422, "bracket orders must be entry orders", 42210000)
    target = _price(wanted.get("take_profit") or {}, "limit_price", "take_profit.limit_price")
    stop = _price(wanted.get("stop_loss") or {}, "stop_price", "stop_loss.stop_price")
    floor = _price(wanted.get("stop_loss") or {}, "limit_price", "stop_loss.limit_price")
    for name, value in (("take_profit.limit_price", target), ("stop_loss.stop_price", stop)):
        if value is None:
            raise refusal(422, f"bracket orders require {name}", 40010001)
    _check_around(order, target or CENT, stop or CENT, order.limit_price or desk.last_price(order.symbol))
    exits: dict[str, Any] = {
        "symbol": order.symbol,
        "side": "sell" if order.side == "buy" else "buy",
        "qty": order.qty,
        "time_in_force": order.time_in_force,
        "submitted_at": order.submitted_at,
        "status": "held",
        "order_class": "bracket",
        "parent": order,
    }
    loss_type = "stop_limit" if floor is not None else "stop"
    order.legs = [
        Order(client_order_id=str(uuid4()), type="limit", limit_price=target, **exits),
        Order(client_order_id=str(uuid4()), type=loss_type, stop_price=stop, limit_price=floor, **exits),
    ]


def _check_around(order: Order, target: Decimal, stop: Decimal, base: Decimal | None) -> None:
    """A bracket must lie around the price: target a cent beyond it, stop a cent before it."""
    if base is None:
        return
    buys, told = order.side == "buy", {"base_price": str(base)}
    if not (target >= base + CENT if buys else target <= base - CENT):
        side = ">= base_price + 0.01" if buys else "<= base_price - 0.01"
        raise refusal(422, f"take_profit.limit_price must be {side}", 42210000, **told)
    if not (stop <= base - CENT if buys else stop >= base + CENT):
        side = "<= base_price - 0.01" if buys else ">= base_price + 0.01"
        raise refusal(422, f"stop_loss.stop_price must be {side}", 42210000, **told)


def _number(wanted: dict[str, Any], name: str) -> Decimal | None:
    value = wanted.get(name)
    if value is None or value == "":
        return None
    if not re.fullmatch(r"-?\d+(\.\d+)?([eE]-?\d+)?", str(value)):
        raise refusal(400, "request body format is invalid", 40010000)
    try:
        return Decimal(str(value))
    except InvalidOperation:
        raise refusal(400, "request body format is invalid", 40010000) from None


def _price(wanted: dict[str, Any], name: str, told: str | None = None) -> Decimal | None:
    """A positive price in whole cents (hundredths of a cent below a dollar)."""
    value = _number(wanted, name)
    if value is None:
        return None
    if value <= 0:
        raise refusal(422, f"{told or name} must be > 0", 40010001)
    step = CENT if value >= 1 else Decimal("0.0001")
    if value % step:
        words = f"invalid {told or name} {value}. sub-penny increment does not fulfill minimum pricing criteria"
        raise refusal(422, words, 42210000)
    return value

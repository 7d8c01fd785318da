"""One paper account: its orders, fills from the exchange's own bars, positions and equity, and the endpoints on them.

Nothing happens between requests: every request first settles what the bars up to the exchange's clock have filled or
expired, in order of time. So an order is answered `pending_new` (`accepted` while closed), as by the vendor, and found
filled by the next look.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from threading import RLock
from typing import Any
from uuid import NAMESPACE_DNS, UUID, uuid5

from ops.local.exchange.bars import MarketData
from ops.local.exchange.market import NEW_YORK, moment
from ops.local.exchange.orders import Desk, Order, accept, asset_id, text, to_json, touched
from ops.local.exchange.wire import Answer, Request, as_json, refusal
from pipeline import sessions

OPENING_CASH = Decimal(100_000)
MULTIPLIER = 2  # Reg T overnight margin


@dataclass(frozen=True, kw_only=True)
class Fill:
    """One execution: `qty` is negative for a sale."""

    at: datetime
    symbol: str
    qty: Decimal
    price: Decimal


@dataclass(kw_only=True)
class Holding:
    """An open position: signed shares and their average entry price."""

    qty: Decimal = Decimal(0)
    entry: Decimal = Decimal(0)

    def add(self, qty: Decimal, price: Decimal) -> None:
        after = self.qty + qty
        if self.qty * qty >= 0:
            self.entry = (self.entry * self.qty + price * qty) / after
        elif after * self.qty < 0:
            self.entry = price
        self.qty = after


class Broker:
    """One account's state and endpoints. `fill_delay` keeps market orders waiting that long after submission."""

    def __init__(self, account: str, data: MarketData, *, fill_delay: timedelta = timedelta()) -> None:
        self.account = account
        self.data = data
        self.fill_delay = fill_delay
        self.orders: list[Order] = []
        self.fills: list[Fill] = []
        self.holdings: dict[str, Holding] = {}
        self._lock = RLock()

    # ── endpoints ────────────────────────────────────────────────────────────────────────────────────────────────────

    def answer(self, request: Request, now: datetime) -> Answer:
        """Settle, then serve one request on account, orders or positions."""
        with self._lock:
            self.settle(now)
            head, _, rest = request.path.removeprefix("/v2/").partition("/")
            match request.method, head, rest:
                case "GET", "account", "":
                    return as_json(self._account(now))
                case "POST", "orders", "":
                    return as_json(to_json(self._submit(request.body, now)))
                case "GET", "orders", "":
                    return as_json(self._listed(request))
                case "GET", "orders:by_client_order_id", "":
                    wanted = request.query.get("client_order_id", "")
                    return as_json(to_json(self._by_client_id(wanted), nested=_nested(request)))
                case "GET", "orders", order_id:
                    return as_json(to_json(self._by_id(order_id), nested=_nested(request)))
                case "DELETE", "orders", "":
                    return as_json([{"id": o.id, "status": 200} for o in self._cancel_all(now)], 207)
                case "DELETE", "orders", order_id:
                    self._cancel(self._by_id(order_id), now)
                    return Answer(status=204)
                case "GET", "positions", "":
                    return as_json([self._position(s, now) for s, h in sorted(self.holdings.items()) if h.qty])
                case "GET", "positions", symbol:
                    if not self.holdings.get(symbol, Holding()).qty:
                        raise refusal(404, "position does not exist", 40410000)
                    return as_json(self._position(symbol, now))
        raise refusal(404, "endpoint not found.", 40410000)

    def _submit(self, body: bytes, now: datetime) -> Order:
        desk = Desk(
            exists=lambda symbol: symbol in self.data.market.position,
            last_price=lambda symbol: self._last(symbol, now),
            position=lambda symbol: self.holdings.get(symbol, Holding()).qty,
            taken=lambda wanted: any(o.client_order_id == wanted for o in self.orders),
        )
        order = accept(body, now, "pending_new" if sessions.at(now) else "accepted", desk)
        self._afford(order, now)
        newest = self.data.newest(order.symbol, now)
        order.seen = int(self.data.market.ts[newest]) if newest is not None else 0
        self.orders.append(order)
        return order

    def _afford(self, order: Order, now: datetime) -> None:
        """Refuse what the account cannot carry: shares held for other orders, money beyond the buying power."""
        held = self.holdings.get(order.symbol, Holding()).qty
        if held and held * order.signed_qty < 0:
            free = abs(held) - self._reserved(order.symbol, order.side)
            if order.qty > free:
                words = f"insufficient qty available for order (requested: {text(order.qty)}, available: {text(free)})"
                raise refusal(403, words, 40310000, symbol=order.symbol, available=text(free) or "0")
            return
        cost = order.qty * (order.limit_price or self._last(order.symbol, now) or Decimal(0))
        power = self._buying_power(now)
        if cost > power:
            told = {"buying_power": f"{power:.2f}", "cost_basis": f"{cost:.2f}"}
            raise refusal(403, "insufficient buying power", 40310000, **told)

    def _reserved(self, symbol: str, side: str) -> Decimal:
        """Shares that open orders of this side already hold; the two legs of a bracket hold them once."""
        singles = sum((o.qty for o in self.orders if o.open and o.symbol == symbol and o.side == side), Decimal(0))
        brackets = (o for o in self.orders if o.symbol == symbol and o.legs and o.status == "filled")
        return singles + sum((o.qty for o in brackets if o.legs[0].side == side and o.legs[0].open), Decimal(0))

    def _every(self) -> Iterator[Order]:
        for order in self.orders:
            yield order
            yield from order.legs

    def _by_id(self, order_id: str) -> Order:
        try:
            wanted = str(UUID(order_id))
        except ValueError:
            raise refusal(422, "order_id is missing", 40010001) from None
        found = next((o for o in self._every() if o.id == wanted), None)
        if found is None:
            raise refusal(404, f"order not found for {order_id}", 40410000)
        return found

    def _by_client_id(self, wanted: str) -> Order:
        found = next((o for o in self._every() if o.client_order_id == wanted), None)
        if found is None:
            raise refusal(404, f"order not found for {wanted}", 40410000)
        return found

    def _listed(self, request: Request) -> list[dict[str, Any]]:
        """GET /v2/orders with status, symbols, side, after, until, limit, direction and nested."""
        query, nested = request.query, _nested(request)
        wanted = query.get("status", "open")
        symbols = set(query["symbols"].split(",")) if query.get("symbols") else None
        after, until = (_moment(query, name) for name in ("after", "until"))
        found = [
            o
            for o in (self.orders if nested else self._every())
            if (wanted == "all" or o.open == (wanted == "open"))
            and (symbols is None or o.symbol in symbols)
            and query.get("side", o.side) == o.side
            and (after is None or o.submitted_at > after)
            and (until is None or o.submitted_at <= until)
        ]
        found.sort(key=lambda o: o.submitted_at, reverse=query.get("direction", "desc") == "desc")
        limit = query.get("limit", "50")
        if not limit.isdecimal() or not 1 <= int(limit) <= 500:
            raise refusal(422, "limit must be between 1 and 500", 40010001)
        return [to_json(o, nested=nested) for o in found[: int(limit)]]

    def _cancel(self, order: Order, now: datetime) -> None:
        if not order.open:
            raise refusal(422, f'order is already in "{order.status}" state', 42210000)
        siblings = order.parent.legs if order.parent else [order, *order.legs]
        for one in (o for o in siblings if o.open):
            one.status, one.canceled_at, one.updated_at = "canceled", now, now

    def _cancel_all(self, now: datetime) -> list[Order]:
        working = [o for o in self._every() if o.open and (o.parent is None or o.parent.status == "filled")]
        for order in working:
            if order.open:
                self._cancel(order, now)
        return working

    # ── settlement ───────────────────────────────────────────────────────────────────────────────────────────────────

    def settle(self, now: datetime) -> None:
        """Apply every fill and expiry up to `now`, the earliest first (a stop before a limit in the same bar)."""
        while True:
            due = [event for order in self._every() if order.open if (event := self._next(order, now))]
            if not due:
                break
            at, _, order, price = min(due, key=lambda event: event[:2])
            if price is None:
                self._expire(order, at)
            else:
                self._fill(order, at, price)

    def _next(self, order: Order, now: datetime) -> tuple[datetime, int, Order, Decimal | None] | None:
        """When and at what price an order fills, or when it expires (price None): the first that is due by `now`."""
        if order.status == "held":
            return None
        market = self.data.market
        priority = 0 if order.stop_price is not None else 1
        if (price := self._at_once(order, now)) is not None:
            return order.submitted_at + self.fill_delay, priority, order, price
        ends = self._ends(order)
        for at in self._bars_after(order, now):
            ts, held = int(market.ts[at]), order.seen
            order.seen = ts
            done = moment(ts + 60)
            if ends and done > ends:
                break
            prices = (Decimal(repr(float(c[at]))) for c in (market.open, market.high, market.low, market.close))
            if sessions.at(moment(ts)) and (price := touched(order, *prices)) is not None:
                order.seen = held
                return max(done, order.submitted_at), priority, order, price
        return (ends, 2, order, None) if ends and now >= ends else None

    def _at_once(self, order: Order, now: datetime) -> Decimal | None:
        """The price of a market or marketable limit order that was sent while its symbol traded."""
        at = order.submitted_at + self.fill_delay
        if order.parent or order.status == "new" or order.type not in ("market", "limit") or at > now:
            return None
        session, newest = sessions.at(order.submitted_at), self._newest(order.symbol, at)
        if order.type == "limit":
            order.status = "new" if session else order.status
        if session is None or newest is None or not session.holds(moment(int(self.data.market.ts[newest]))):
            return None
        last = Decimal(repr(float(self.data.market.close[newest])))
        if order.type == "market":
            return last
        limit = order.limit_price or last
        return last if (last <= limit if order.side == "buy" else last >= limit) else None

    def _bars_after(self, order: Order, now: datetime) -> Iterator[int]:
        """Rows of the symbol's bars that ended after the order was last tried and exist at `now`, valid ones only."""
        market, newest = self.data.market, self.data.newest(order.symbol, now)
        if newest is None or (self.fill_delay and order.submitted_at + self.fill_delay > now):
            return
        rows = market.rows(order.symbol)
        first = rows.start + int(market.ts[rows].searchsorted(order.seen, side="right"))
        for at in range(first, newest + 1):
            if (order.symbol, moment(int(market.ts[at]))) not in market.invalid:
                yield at

    def _ends(self, order: Order) -> datetime | None:
        """The close that ends a day order: of the session it was sent in or before."""
        if order.time_in_force != "day":
            return None
        sent = (order.parent or order).submitted_at
        return next(sessions.between(sent, sent + timedelta(days=14))).close

    def _fill(self, order: Order, at: datetime, price: Decimal) -> None:
        order.status, order.filled_at, order.updated_at, order.filled_price = "filled", at, at, price
        self.fills.append(Fill(at=at, symbol=order.symbol, qty=order.signed_qty, price=price))
        self.holdings.setdefault(order.symbol, Holding()).add(order.signed_qty, price)
        for leg in order.legs:
            leg.status = "new"
            newest = self.data.newest(order.symbol, at)
            leg.seen = int(self.data.market.ts[newest]) if newest is not None else leg.seen
        for sibling in order.parent.legs if order.parent else ():
            if sibling.open:
                sibling.status, sibling.canceled_at, sibling.updated_at = "canceled", at, at

    def _expire(self, order: Order, at: datetime) -> None:
        for one in (o for o in (order, *order.legs) if o.open):
            one.status, one.expired_at, one.updated_at = "expired", at, at

    # ── money ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _newest(self, symbol: str, now: datetime) -> int | None:
        """The row of the newest bar that exists and is possible."""
        market, at = self.data.market, self.data.newest(symbol, now)
        while at is not None and at >= market.rows(symbol).start:
            if (symbol, moment(int(market.ts[at]))) not in market.invalid:
                return at
            at -= 1
        return None

    def _last(self, symbol: str, now: datetime) -> Decimal | None:
        newest = self._newest(symbol, now)
        return None if newest is None else Decimal(repr(float(self.data.market.close[newest])))

    def equity(self, at: datetime) -> Decimal:
        """Cash plus positions at their last price, from the fills up to `at`."""
        cash, shares = OPENING_CASH, dict[str, Decimal]()
        for fill in (f for f in self.fills if f.at <= at):
            cash -= fill.qty * fill.price
            shares[fill.symbol] = shares.get(fill.symbol, Decimal(0)) + fill.qty
        return cash + sum((qty * (self._last(symbol, at) or Decimal(0)) for symbol, qty in shares.items()), Decimal(0))

    def _worth(self, now: datetime) -> tuple[Decimal, Decimal]:
        """Market value of the long and (negative) of the short positions."""
        values = [h.qty * (self._last(symbol, now) or h.entry) for symbol, h in self.holdings.items()]
        zero = Decimal(0)
        return sum((v for v in values if v > 0), zero), sum((v for v in values if v < 0), zero)

    def _buying_power(self, now: datetime) -> Decimal:
        longs, shorts = self._worth(now)
        entries = (o for o in self.orders if o.open)
        waiting = sum((o.qty * (o.limit_price or self._last(o.symbol, now) or Decimal(0)) for o in entries), Decimal(0))
        return max(Decimal(0), MULTIPLIER * self.equity(now) - longs + shorts - waiting)

    def _account(self, now: datetime) -> dict[str, Any]:
        longs, shorts = self._worth(now)
        equity, power = self.equity(now), self._buying_power(now)
        last = self.equity(_last_close(now))
        margin = (longs - shorts) / MULTIPLIER
        number = uuid5(NAMESPACE_DNS, f"{self.account}.account.local")
        return {
            "id": str(number),
            "account_number": f"PA{number.hex[:10].upper()}",
            "status": "ACTIVE",
            "crypto_status": "INACTIVE",
            "currency": "USD",
            "buying_power": f"{power:.2f}",
            "regt_buying_power": f"{power:.2f}",
            "non_marginable_buying_power": f"{max(Decimal(0), equity - longs + shorts):.2f}",
            "cash": f"{equity - longs - shorts:.2f}",
            "accrued_fees": "0",
            "portfolio_value": f"{equity:.2f}",
            "trading_blocked": False,
            "transfers_blocked": False,
            "account_blocked": False,
            "created_at": "2024-01-02T14:30:00Z",
            "trade_suspended_by_user": False,
            "multiplier": str(MULTIPLIER),
            "shorting_enabled": True,
            "equity": f"{equity:.2f}",
            "last_equity": f"{last:.2f}",
            "long_market_value": f"{longs:.2f}",
            "short_market_value": f"{shorts:.2f}",
            "initial_margin": f"{margin:.2f}",
            "maintenance_margin": f"{margin * Decimal('0.6'):.2f}",
            "last_maintenance_margin": "0",
            "sma": "0",
        }

    def _position(self, symbol: str, now: datetime) -> dict[str, Any]:
        holding = self.holdings[symbol]
        price = self._last(symbol, now) or holding.entry
        cost, value = holding.qty * holding.entry, holding.qty * price
        profit = value - cost
        exit_side = "sell" if holding.qty > 0 else "buy"
        free = abs(holding.qty) - self._reserved(symbol, exit_side)
        return {
            "asset_id": str(asset_id(symbol)),
            "symbol": symbol,
            "exchange": "NASDAQ",
            "asset_class": "us_equity",
            "asset_marginable": True,
            "qty": text(holding.qty),
            "qty_available": text(free if holding.qty > 0 else -free),
            "avg_entry_price": text(holding.entry.quantize(Decimal("0.000001"))),
            "side": "long" if holding.qty > 0 else "short",
            "market_value": text(value),
            "cost_basis": text(cost.quantize(Decimal("0.000001"))),
            "unrealized_pl": text(profit.quantize(Decimal("0.000001"))),
            "unrealized_plpc": f"{profit / abs(cost):.6f}",
            "unrealized_intraday_pl": text(profit.quantize(Decimal("0.000001"))),
            "unrealized_intraday_plpc": f"{profit / abs(cost):.6f}",
            "current_price": text(price),
            "lastday_price": text(self._lastday(symbol, now) or price),
            "change_today": f"{price / (self._lastday(symbol, now) or price) - 1:.6f}",
        }

    def _lastday(self, symbol: str, now: datetime) -> Decimal | None:
        return self._last(symbol, _last_close(now))


def _last_close(now: datetime) -> datetime:
    """The close of the last session before today's date in New York."""
    today = now.astimezone(NEW_YORK).date()
    return next(s.close for s in reversed(sessions.latest(now, 2)) if s.date < today)


def _nested(request: Request) -> bool:
    return request.query.get("nested", "").lower() == "true"


def _moment(query: Mapping[str, str], name: str) -> datetime | None:
    given = query.get(name, "")
    if not given:
        return None
    try:
        ts = datetime.fromisoformat(given)
    except ValueError:
        raise refusal(422, f"{name} is in an invalid format", 40010001) from None
    return ts if ts.tzinfo else ts.replace(tzinfo=UTC)

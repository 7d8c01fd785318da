"""What a simulated trade costs, how large it is, and when it ends (SPEC §4.6). Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from pipeline.rows import Side
from pipeline.sessions import MINUTE, Session

SIMULATED_EQUITY = 100_000.0  # USD
SLIPPAGE = 0.0005  # 5 basis points, always against us
RISK_FRACTION = 0.02  # of equity, lost if the stop is hit
STOP_ATRS = 2.0
REWARD_TO_RISK = 2.0
POSITION_FRACTION = 0.25  # of equity, at most
# A session's last minute may have had no trade, or its bar may be late; after this long the last bar there is decides.
LAST_BAR_GRACE = timedelta(minutes=15)

ExitReason = Literal["stop", "target", "session_end"]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What would be traded: whole shares (0: too small to trade) at about `price`, with its two exits. USD a share."""

    side: Side
    price: float
    quantity: int
    stop_price: float
    target_price: float


def plan(*, side: str, close: float | None, atr: float | None, equity: float | None) -> Plan | None:
    """The trade for a signal, or None where an input is unknown or no positive number.

    price = close · (1 ± 5 bps); stop 2 · ATR away, target twice as far;
    quantity = floor(min(2 % of equity / (2 · ATR), 25 % of equity / price)).
    """
    if side not in list(Side) or not (_positive(close) and _positive(atr) and _positive(equity)):
        return None
    assert close is not None and atr is not None and equity is not None  # said by _positive
    direction = Side(side).direction
    price = close * (1 + direction * SLIPPAGE)
    distance = STOP_ATRS * atr
    shares = min(RISK_FRACTION * equity / distance, POSITION_FRACTION * equity / price)
    return Plan(
        side=Side(side),
        price=price,
        quantity=math.floor(shares),
        stop_price=price - direction * distance,
        target_price=price + direction * REWARD_TO_RISK * distance,
    )


def _positive(value: float | None) -> bool:
    return value is not None and math.isfinite(value) and value > 0


@dataclass(frozen=True, kw_only=True)
class Range:
    """What a bar tells about a position: where a minute opened, how far it went, where it closed."""

    ts: datetime
    open: float
    high: float
    low: float
    close: float


@dataclass(frozen=True, kw_only=True)
class Position:
    """An open simulated position."""

    dispatch_id: int
    symbol: str
    side: Side
    quantity: float
    fill_price: float
    filled_at: datetime
    stop_price: float
    target_price: float


@dataclass(frozen=True, kw_only=True)
class Exit:
    """How a position ended; `at` is the end of the minute that told. Profit in USD, negative for a loss."""

    price: float
    at: datetime
    reason: ExitReason
    profit: float


def exit_of(position: Position, bars: Sequence[Range], session: Session, now: datetime) -> Exit | None:
    """The end of a position as known at `now`, or None while it is open.

    `bars` are the symbol's, oldest first; `session` is the one the position was opened in. Only whole minutes after the
    fill count: a bar that began before it may have made its high or low before it. A bar that touches stop and target
    is taken for the stop, and one that opens beyond the stop is left at its open: never the better story.
    """
    known = [bar for bar in bars if bar.ts < session.close and bar.ts + MINUTE <= now]
    for bar in known:
        if bar.ts >= position.filled_at and (ended := _touched(position, bar)):
            return ended
    if not known or now < session.close:
        return None
    last = known[-1]
    if last.ts + MINUTE < session.close and now < session.close + LAST_BAR_GRACE:
        return None
    return _exit(position, last.close, session.close, "session_end")


def _touched(position: Position, bar: Range) -> Exit | None:
    long = position.side is Side.BUY
    if bar.low <= position.stop_price if long else bar.high >= position.stop_price:
        worse = min if long else max
        return _exit(position, worse(bar.open, position.stop_price), bar.ts + MINUTE, "stop")
    if bar.high >= position.target_price if long else bar.low <= position.target_price:
        return _exit(position, position.target_price, bar.ts + MINUTE, "target")
    return None


def _exit(position: Position, price: float, at: datetime, reason: ExitReason) -> Exit:
    profit = position.side.direction * position.quantity * (price - position.fill_price)
    return Exit(price=price, at=at, reason=reason, profit=profit)

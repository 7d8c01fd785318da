"""What a simulated trade costs, its size and its end."""

from __future__ import annotations

import math
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatch_world import CLOSE, MINUTE, NOW, SESSION
from dispatcher import fills
from dispatcher.fills import Plan, Position, Range
from pipeline.rows import Side

PRICES = st.floats(min_value=0.5, max_value=50_000)


def planned(side: str = "BUY", close: float = 100.0, atr: float = 1.0, equity: float = 100_000.0) -> Plan:
    plan = fills.plan(side=side, close=close, atr=atr, equity=equity)
    assert plan
    return plan


def test_a_buy_pays_five_basis_points_and_a_sale_gives_them() -> None:
    assert planned("BUY").price == pytest.approx(100.05)
    assert planned("SELL").price == pytest.approx(99.95)


def test_the_stop_is_two_atrs_away_and_the_target_twice_as_far() -> None:
    buy, sell = planned("BUY", atr=1.5), planned("SELL", atr=1.5)
    assert (buy.price - buy.stop_price, buy.target_price - buy.price) == pytest.approx((3.0, 6.0))
    assert (sell.stop_price - sell.price, sell.price - sell.target_price) == pytest.approx((3.0, 6.0))


def test_two_percent_of_equity_are_at_risk_at_the_stop() -> None:
    assert planned(close=50, atr=5.0).quantity == 200  # 2,000 USD over 10 USD a share


def test_a_position_takes_a_quarter_of_equity_at_most() -> None:
    assert planned(close=100, atr=0.01).quantity == math.floor(25_000 / 100.05)


@given(side=st.sampled_from(Side), close=PRICES, atr=st.floats(min_value=1e-4, max_value=1e4))
def test_no_plan_risks_or_binds_more_than_its_share_of_equity(side: Side, close: float, atr: float) -> None:
    plan = planned(side, close, atr)
    assert plan.quantity * 2 * atr <= 2_000 * (1 + 1e-9)
    assert plan.quantity * plan.price <= 25_000 * (1 + 1e-9)
    assert plan.side.direction * (plan.price - close) > 0


@given(side=st.sampled_from(Side))
def test_every_side_that_a_signal_can_have_is_planned(side: Side) -> None:
    assert planned(side).side is side


@pytest.mark.parametrize("bad", [None, 0.0, -1.0, math.nan, math.inf])
def test_an_unknown_or_impossible_input_gives_no_plan(bad: float | None) -> None:
    assert fills.plan(side="BUY", close=bad, atr=1.0, equity=1e5) is None
    assert fills.plan(side="BUY", close=100.0, atr=bad, equity=1e5) is None
    assert fills.plan(side="BUY", close=100.0, atr=1.0, equity=bad) is None


def test_a_side_outside_the_vocabulary_gives_no_plan() -> None:
    assert fills.plan(side="BUY_CALL", close=100.0, atr=1.0, equity=1e5) is None


def position(side: Side = Side.BUY, filled_at: datetime = NOW) -> Position:
    d = side.direction
    return Position(
        dispatch_id=1,
        symbol="AAPL",
        side=side,
        quantity=10,
        fill_price=100.0,
        filled_at=filled_at,
        stop_price=100 - 2 * d,
        target_price=100 + 4 * d,
    )


def bar(minutes: float, **changes: float) -> Range:
    """A quiet bar that starts so many minutes after the fill."""
    prices = {"open": 100.0, "high": 100.5, "low": 99.5, "close": 100.0}
    return Range(ts=NOW + minutes * MINUTE, **prices | changes)


def ended(*bars: Range, side: Side = Side.BUY, now: datetime = NOW + 60 * MINUTE) -> fills.Exit | None:
    return fills.exit_of(position(side), list(bars), SESSION, now)


def test_a_bar_that_touches_the_stop_ends_the_position_there() -> None:
    found = ended(bar(0), bar(1, low=98.0), bar(2, high=105))
    assert found == fills.Exit(price=98.0, at=NOW + 2 * MINUTE, reason="stop", profit=-20.0)


def test_a_bar_that_touches_the_target_ends_the_position_there() -> None:
    found = ended(bar(0, high=104.0))
    assert found == fills.Exit(price=104.0, at=NOW + MINUTE, reason="target", profit=40.0)


def test_a_bar_that_touches_both_is_taken_for_the_stop() -> None:
    found = ended(bar(0, high=110, low=90))
    assert found and (found.reason, found.price) == ("stop", 98.0)


def test_a_bar_that_opens_beyond_the_stop_is_left_at_its_open() -> None:
    found = ended(bar(0, open=95, high=96, low=94, close=95))
    assert found and (found.reason, found.price, found.profit) == ("stop", 95, -50)


def test_a_short_position_is_mirrored() -> None:
    stopped, hit = ended(bar(0, high=102.0), side=Side.SELL), ended(bar(0, low=96.0), side=Side.SELL)
    gapped = ended(bar(0, open=107, high=108, low=106, close=107), side=Side.SELL)
    assert stopped and (stopped.reason, stopped.price, stopped.profit) == ("stop", 102.0, -20.0)
    assert hit and (hit.reason, hit.price, hit.profit) == ("target", 96.0, 40.0)
    assert gapped and (gapped.reason, gapped.price) == ("stop", 107)


def test_a_bar_that_began_before_the_fill_tells_nothing() -> None:
    assert ended(bar(-0.5, low=90)) is None


def test_a_minute_that_is_not_over_tells_nothing() -> None:
    assert ended(bar(0, low=90), now=NOW + timedelta(seconds=59)) is None
    assert ended(bar(0, low=90), now=NOW + timedelta(seconds=60)) is not None


LAST = (CLOSE - NOW) / MINUTE - 1


def test_the_session_ends_a_position_at_its_last_close() -> None:
    found = ended(bar(0), bar(LAST, close=100.25), now=CLOSE)
    assert found == fills.Exit(price=100.25, at=CLOSE, reason="session_end", profit=2.5)


def test_a_late_last_bar_is_waited_for_but_not_for_ever() -> None:
    bars = bar(0), bar(LAST - 1, close=99.75)
    assert ended(*bars, now=CLOSE) is None
    found = ended(*bars, now=CLOSE + timedelta(minutes=15))
    assert found and (found.price, found.reason) == (99.75, "session_end")


def test_after_hours_bars_neither_stop_nor_price_a_position() -> None:
    found = ended(bar(LAST, close=100.25), bar(LAST + 1, low=50, close=60), now=CLOSE + 2 * MINUTE)
    assert found and (found.price, found.reason) == (100.25, "session_end")


def test_without_any_bar_a_position_stays_open() -> None:
    assert ended(now=CLOSE + timedelta(days=3)) is None


@given(lows=st.lists(st.floats(min_value=90, max_value=99.9), max_size=20), known=st.integers(0, 20))
def test_more_bars_never_change_an_end_that_was_known(lows: list[float], known: int) -> None:
    bars = [bar(i, low=low) for i, low in enumerate(lows)]
    early = fills.exit_of(position(), bars, SESSION, NOW + known * MINUTE)
    late = fills.exit_of(position(), bars, SESSION, NOW + 60 * MINUTE)
    assert early is None or early == late

"""The trading endpoints through alpaca-py, unmodified: orders, brackets, fills from bars, positions, money, hours."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from alpaca.common.exceptions import APIError
from alpaca.trading.client import TradingClient
from alpaca.trading.enums import OrderSide, QueryOrderStatus, TimeInForce
from alpaca.trading.models import Order
from alpaca.trading.requests import (
    GetCalendarRequest,
    GetOrdersRequest,
    LimitOrderRequest,
    MarketOrderRequest,
    StopLossRequest,
    TakeProfitRequest,
)

from exchange_client import CLOSE, MINUTE, NOON, OPEN, Client, small_market
from ops.local.exchange import Exchange


@pytest.fixture
def exchange() -> Iterator[Exchange]:
    """AAA rises a cent a minute: at noon its newest bar (16:59) closed at 101.49."""
    with Exchange(small_market(), rate_limit=None) as exchange:
        exchange.set_now(NOON)
        yield exchange


@pytest.fixture
def client(exchange: Exchange) -> Iterator[Any]:
    client = TradingClient(exchange.key_id, exchange.secret_key, url_override=exchange.url)
    yield client
    client._session.close()


def market_order(qty: float = 10, side: OrderSide = OrderSide.BUY, **more: Any) -> MarketOrderRequest:
    return MarketOrderRequest(symbol="AAA", qty=qty, side=side, time_in_force=TimeInForce.DAY, **more)


def bracket(target: float, stop: float, **more: Any) -> MarketOrderRequest:
    legs = {"take_profit": TakeProfitRequest(limit_price=target), "stop_loss": StopLossRequest(stop_price=stop)}
    return market_order(order_class="bracket", **(legs | more))


def test_fills_can_begin_to_wait_in_the_middle_of_the_day(exchange: Exchange, client: Any) -> None:
    exchange.delay_fills(2 * MINUTE)
    sent = client.submit_order(market_order())
    exchange.set_now(NOON + MINUTE)
    assert client.get_order_by_id(sent.id).status.value != "filled"
    exchange.set_now(NOON + 2 * MINUTE)
    assert client.get_order_by_id(sent.id).status.value == "filled"


def test_a_market_order_is_pending_then_filled_at_the_newest_close(client: Any) -> None:
    sent = client.submit_order(market_order())
    assert sent.status.value == "pending_new"
    found = client.get_order_by_id(sent.id)
    assert (found.status.value, found.filled_avg_price, found.filled_qty) == ("filled", "101.49", "10")
    assert found.filled_at == NOON
    assert len(found.client_order_id) == 36


def test_a_duplicate_client_order_id_is_refused(client: Any) -> None:
    client.submit_order(market_order(client_order_id="one"))
    with pytest.raises(APIError) as refused:
        client.submit_order(market_order(client_order_id="one"))
    assert (refused.value.status_code, refused.value.code) == (422, 40010001)
    assert refused.value.message == "client_order_id must be unique"
    assert len(client.get_orders(GetOrdersRequest(status=QueryOrderStatus.ALL))) == 1


def test_an_order_is_found_by_its_client_id_and_an_unknown_one_is_404(client: Any) -> None:
    sent = client.submit_order(market_order(client_order_id="signal-1"))
    assert client.get_order_by_client_id("signal-1").id == sent.id
    with pytest.raises(APIError) as missing:
        client.get_order_by_client_id("signal-2")
    assert (missing.value.status_code, missing.value.code) == (404, 40410000)


def legs_at(exchange: Exchange, client: Any, now: datetime) -> dict[str, tuple[str, str | None]]:
    """Status and fill price of the newest bracket's legs by type."""
    exchange.set_now(now)
    asked = GetOrdersRequest(status=QueryOrderStatus.ALL, nested=True)
    parent: Order = client.get_orders(asked)[0]
    return {leg.type.value: (leg.status.value, leg.filled_avg_price) for leg in parent.legs or []}  # type: ignore


def test_a_bracket_takes_its_profit_in_the_bar_that_touches_it_and_drops_the_stop(
    exchange: Exchange, client: Any
) -> None:
    sent = client.submit_order(bracket(101.60, 101.00))
    assert [leg.status.value for leg in sent.legs] == ["held", "held"]
    assert legs_at(exchange, client, NOON) == {"limit": ("new", None), "stop": ("new", None)}
    # bar i has its high at 100.02 + i / 100: 101.60 is touched by bar 158, which begins at 17:08
    assert legs_at(exchange, client, NOON + 8 * MINUTE)["limit"] == ("new", None)
    assert legs_at(exchange, client, NOON + 9 * MINUTE) == {"limit": ("filled", "101.6"), "stop": ("canceled", None)}
    assert client.get_all_positions() == []
    assert Decimal(client.get_account().equity) == Decimal("100001.10")


def test_a_short_bracket_is_stopped_by_rising_bars(exchange: Exchange, client: Any) -> None:
    client.submit_order(bracket(101.00, 101.60, side=OrderSide.SELL))
    assert client.get_open_position("AAA").side.value == "short"
    assert legs_at(exchange, client, NOON + 9 * MINUTE) == {"limit": ("canceled", None), "stop": ("filled", "101.6")}
    assert Decimal(client.get_account().equity) == Decimal("99998.90")


def test_the_legs_of_a_day_bracket_expire_at_the_close(exchange: Exchange, client: Any) -> None:
    client.submit_order(bracket(150.0, 50.0))
    assert legs_at(exchange, client, CLOSE - MINUTE)["limit"] == ("new", None)
    assert legs_at(exchange, client, CLOSE) == {"limit": ("expired", None), "stop": ("expired", None)}
    assert client.get_open_position("AAA").qty == "10"


def test_an_order_sent_while_closed_fills_with_the_first_bar(exchange: Exchange, client: Any) -> None:
    exchange.set_now(OPEN - timedelta(hours=1))
    assert client.submit_order(market_order(client_order_id="early")).status.value == "accepted"
    exchange.set_now(OPEN + timedelta(seconds=59))
    assert client.get_order_by_client_id("early").status.value == "accepted"
    exchange.set_now(OPEN + MINUTE)
    assert client.get_order_by_client_id("early").filled_avg_price == "100"


def test_a_limit_order_waits_for_its_price_and_can_be_cancelled(exchange: Exchange, client: Any) -> None:
    asked = {"symbol": "AAA", "qty": 1, "side": OrderSide.SELL, "time_in_force": TimeInForce.DAY}
    waiting = client.submit_order(LimitOrderRequest(limit_price=101.55, **asked))
    other = client.submit_order(LimitOrderRequest(limit_price=150, **asked))
    assert client.get_order_by_id(waiting.id).status.value == "new"
    client.cancel_order_by_id(other.id)
    exchange.set_now(NOON + 10 * MINUTE)
    assert client.get_order_by_id(waiting.id).filled_avg_price == "101.55"
    assert client.get_order_by_id(other.id).status.value == "canceled"
    with pytest.raises(APIError) as late:
        client.cancel_order_by_id(waiting.id)
    assert (late.value.status_code, late.value.message) == (422, 'order is already in "filled" state')


def test_money_positions_and_the_last_sessions_equity_agree(exchange: Exchange, client: Any) -> None:
    client.submit_order(market_order(100))
    exchange.set_now(NOON + 10 * MINUTE)
    account, position = client.get_account(), client.get_open_position("AAA")
    assert (account.cash, account.long_market_value, account.equity) == ("89851.00", "10159.00", "100010.00")
    assert (account.last_equity, account.buying_power) == ("100000.00", "189861.00")
    assert (position.avg_entry_price, position.unrealized_pl, position.qty_available) == ("101.49", "10", "100")
    exchange.set_now(OPEN + timedelta(days=1))
    assert client.get_account().last_equity == "100240.00"  # 100 shares rose from 101.49 to the close of 103.89


@pytest.mark.parametrize(
    ("order", "status", "code", "message"),
    [
        ({"symbol": "NONE"}, 422, 42210000, 'asset "NONE" not found'),
        ({"qty": "0"}, 422, 40010001, "qty must be > 0"),
        ({"qty": "many"}, 400, 40010000, "request body format is invalid"),
        ({"side": "hold"}, 422, 40010001, "invalid side: hold"),
        ({"type": "limit"}, 422, 40010001, "limit orders require limit price"),
        ({"client_order_id": "x" * 49}, 422, 40010001, "client_order_id must be no more than 48 characters"),
        ({"qty": "3000"}, 403, 40310000, "insufficient buying power"),
        ({"take_profit": None}, 422, 40010001, "bracket orders require take_profit.limit_price"),
        ({"stop_loss": {}}, 422, 40010001, "bracket orders require stop_loss.stop_price"),
        ({"qty": "1.5"}, 422, 42210000, "fractional orders must be simple orders"),
        (
            {"take_profit": {"limit_price": "101.49"}},
            422,
            42210000,
            "take_profit.limit_price must be >= base_price + 0.01",
        ),
        (
            {"stop_loss": {"stop_price": "101.49"}},
            422,
            42210000,
            "stop_loss.stop_price must be <= base_price - 0.01",
        ),
        (
            {"take_profit": {"limit_price": "105.123"}},
            422,
            42210000,
            "invalid take_profit.limit_price 105.123. sub-penny increment does not fulfill minimum pricing criteria",
        ),
    ],
)
def test_a_bad_order_is_refused_with_the_vendors_code_and_words(
    exchange: Exchange, order: dict[str, Any], status: int, code: int, message: str
) -> None:
    good = {
        "symbol": "AAA",
        "qty": "10",
        "side": "buy",
        "type": "market",
        "time_in_force": "day",
        "order_class": "bracket",
        "take_profit": {"limit_price": "105"},
        "stop_loss": {"stop_price": "100"},
    }
    with Client(exchange) as client:
        answer = client.session.post(client.url + "/v2/orders", json=good | order, timeout=5)
    assert answer.status_code == status
    assert {"code": code, "message": message}.items() <= answer.json().items()
    assert exchange.broker().orders == []


def test_shares_held_by_a_brackets_legs_cannot_be_sold_twice(client: Any) -> None:
    client.submit_order(bracket(150.0, 50.0))
    with pytest.raises(APIError) as refused:
        client.submit_order(market_order(side=OrderSide.SELL))
    assert (refused.value.status_code, refused.value.code) == (403, 40310000)
    assert refused.value.message == "insufficient qty available for order (requested: 10, available: 0)"
    client.cancel_orders()
    client.submit_order(market_order(side=OrderSide.SELL))
    assert client.get_all_positions() == []


def test_a_body_that_is_not_json_and_an_unknown_path_are_refused(exchange: Exchange) -> None:
    with Client(exchange) as client:
        broken = client.session.post(client.url + "/v2/orders", data=b"{", timeout=5)
        assert (broken.status_code, broken.json()["code"]) == (400, 40010000)
        assert client.get("/v2/nothing").status_code == 404
        assert client.get("/v2/orders/not-a-uuid").json() == {"code": 40010001, "message": "order_id is missing"}
        assert client.get("/v2/positions/AAA").json() == {"code": 40410000, "message": "position does not exist"}


def test_the_clock_knows_open_closed_and_half_days(exchange: Exchange, client: Any) -> None:
    assert client.get_clock().is_open
    assert client.get_clock().next_close == CLOSE
    exchange.set_now(CLOSE)
    closed = client.get_clock()
    assert (closed.is_open, closed.next_open) == (False, OPEN + timedelta(days=1))
    exchange.set_now(datetime(2025, 11, 28, 17, 59, tzinfo=UTC))
    assert client.get_clock().next_close == datetime(2025, 11, 28, 18, tzinfo=UTC)


def test_the_calendar_lists_sessions_in_new_york_time(client: Any) -> None:
    days = client.get_calendar(GetCalendarRequest(start=date(2025, 11, 26), end=date(2025, 11, 30)))
    assert [(d.date.day, d.open.hour, d.close.hour) for d in days] == [(26, 9, 16), (28, 9, 13)]

"""Orders at the paper account of a real local exchange, through the real alpaca-py: each once, whatever the answer."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from dispatch_world import MINUTE, NOW, ROLE, World, market, values
from dispatcher import broker, gates, queue
from dispatcher.broker import BrokerRefused, BrokerUnavailable, Order, PaperBroker, trading_url
from dispatcher.deciding import decide
from dispatcher.paper import Desk, place
from ops.local.exchange import Exchange, faults
from pipeline.errors import ConfigInvalid
from pipeline.ledger import Outcome

PAPER = {"mode": "ALPACA_PAPER"}
SECOND = timedelta(seconds=1)
ORDERS = "/v2/orders"


@pytest.fixture
def exchange(monkeypatch: pytest.MonkeyPatch) -> Iterator[Exchange]:
    monkeypatch.setattr(broker, "TIMEOUT_SECONDS", (0.5, 0.4))
    with Exchange(market()) as made:
        made.set_now(NOW)
        yield made


def at_broker(exchange: Exchange) -> list[Any]:
    return exchange.broker().orders


def counting(exchange: Exchange, **matcher: Any) -> faults.Fault:
    """A fault that does nothing but count, in `applied`, the requests that arrive (the record waits for the answer)."""
    return exchange.faults.add(faults.latency(0, **matcher))


def run(world: World, exchange: Exchange, now: Any = NOW, **more: Any) -> Any:
    exchange.set_now(now)
    return world.run(now, limits=PAPER, exchange=exchange, **more)


def test_an_order_is_a_bracket_under_the_signals_name(world: World, exchange: Exchange) -> None:
    world.tradable()
    world.signal(rule="news")
    result = run(world, exchange)
    row, (order,) = world.only(), at_broker(exchange)
    assert (result.outcome, result.counts) == (Outcome.OK, {"executed": 1})
    assert (row["state"], row["mode"], row["broker_order_id"]) == ("EXECUTED", "ALPACA_PAPER", order.id)
    assert row["client_order_id"] == order.client_order_id == queue.client_order_id("AAPL", NOW - MINUTE, "news")
    assert (float(order.qty), row["quantity"], order.side) == (249, 249, "buy")
    target, stop = order.legs
    assert (float(target.limit_price), float(stop.stop_price)) == (102.05, 99.05)


def test_a_sale_is_sold_short_with_mirrored_exits(world: World, exchange: Exchange) -> None:
    world.tradable()
    world.signal(side="SELL")
    run(world, exchange)
    (order,) = at_broker(exchange)
    assert (order.side, float(order.legs[0].limit_price), float(order.legs[1].stop_price)) == ("sell", 97.95, 100.95)


def test_later_runs_fetch_the_fill_and_the_exit(world: World, exchange: Exchange) -> None:
    for symbol in ("AAPL", "MSFT"):
        world.tradable(symbol)
        world.signal(symbol)
    run(world, exchange)
    assert [row["fill_price"] for row in world.dispatches()] == [None, None]
    run(world, exchange, NOW + MINUTE)
    assert [row["fill_price"] for row in world.dispatches()] == [100, 100]
    result = run(world, exchange, NOW + 5 * MINUTE)
    up, down = world.dispatches()
    assert result.counts == {"exits_target": 1, "exits_stop": 1}
    assert (up["exit_reason"], down["exit_reason"]) == ("target", "stop")
    assert up["profit"] == pytest.approx(249 * (up["exit_price"] - 100)) and up["profit"] > 0 > down["profit"]
    assert run(world, exchange, NOW + 6 * MINUTE).counts == {}
    assert world.dispatches() == [up, down]


def test_a_position_closed_by_hand_is_closed_here_without_a_made_up_price(world: World, exchange: Exchange) -> None:
    world.tradable("TSLA")
    world.signal("TSLA")
    run(world, exchange)
    (order,) = at_broker(exchange)
    run(world, exchange, NOW + MINUTE)
    for leg in order.legs:
        leg.status = "canceled"
    assert run(world, exchange, NOW + 2 * MINUTE).counts == {}  # the position is still there
    exchange.broker().holdings.clear()
    assert run(world, exchange, NOW + 3 * MINUTE).counts == {"exits_broker": 1}
    assert (world.only()["exit_price"], world.only()["profit"]) == (None, None)


# ── doubt: the order was taken, and the answer lost ──────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "fault",
    [
        faults.hang(5, method="POST", path=ORDERS, after=True, times=1),
        faults.reset(method="POST", path=ORDERS, after=True, times=1),
        faults.status(504, method="POST", path=ORDERS, after=True, times=1, html=True),
        faults.status(500, method="POST", path=ORDERS, after=True, times=1),
        faults.status(429, method="POST", path=ORDERS, after=True, times=1),
        faults.truncate(method="POST", path=ORDERS, times=1),
        faults.truncate(method="POST", path=ORDERS, times=1, honest=False),
        faults.status(200, body="[]", method="POST", path=ORDERS, after=True, times=1),
        faults.status(200, body='{"id": null}', method="POST", path=ORDERS, after=True, times=1),
    ],
    ids=lambda fault: f"{fault.kind}-{fault.status}",
)
def test_an_order_whose_answer_was_lost_is_found_and_not_sent_again(
    world: World, exchange: Exchange, fault: faults.Fault
) -> None:
    fault.applied = 0
    world.tradable()
    world.signal()
    sent = counting(exchange, method="POST", path=ORDERS)
    exchange.faults.add(fault)
    result = run(world, exchange)
    assert (result.outcome, world.states()) == (Outcome.FAILED, ["CLAIMED"])
    assert world.only()["client_order_id"] == at_broker(exchange)[0].client_order_id
    assert run(world, exchange, NOW + 30 * SECOND).counts == {}  # the lease is respected
    result = run(world, exchange, NOW + MINUTE)
    assert (result.outcome, world.states()) == (Outcome.OK, ["EXECUTED"])
    assert (len(at_broker(exchange)), sent.applied) == (1, 1)


def test_a_lost_answer_is_looked_up_however_late_and_never_simply_expired(world: World, exchange: Exchange) -> None:
    world.tradable()
    world.signal()
    exchange.faults.add(faults.hang(5, method="POST", path=ORDERS, after=True, times=1))
    run(world, exchange)
    result = run(world, exchange, NOW + timedelta(days=2))
    assert (result.counts, world.states()) == ({"executed": 1}, ["EXECUTED"])


@pytest.mark.parametrize("mode", ["ALPACA_PAPER", "SIMULATED"])
def test_an_order_that_never_arrived_is_sent_while_fresh_and_given_up_later(
    world: World, exchange: Exchange, mode: str
) -> None:
    world.tradable()
    world.signal()
    exchange.faults.add(faults.reset(method="POST", path=ORDERS, times=1))
    run(world, exchange)
    assert at_broker(exchange) == []
    later = NOW + (MINUTE if mode == "ALPACA_PAPER" else 301 * SECOND)
    exchange.set_now(later)
    world.run(later, limits={"mode": mode}, exchange=exchange)
    assert world.states() == ["EXECUTED" if mode == "ALPACA_PAPER" else "EXPIRED"]
    assert len(at_broker(exchange)) == (mode == "ALPACA_PAPER")


def test_an_order_in_doubt_is_never_simulated_after_a_change_of_mode(world: World, exchange: Exchange) -> None:
    world.tradable()
    world.signal()
    exchange.faults.add(faults.hang(5, method="POST", path=ORDERS, after=True, times=1))
    run(world, exchange)
    exchange.faults.add(faults.status(503, path="/v2/", times=1))
    assert world.run(NOW + MINUTE, exchange=exchange).outcome is Outcome.FAILED
    assert world.states() == ["CLAIMED"]
    world.run(NOW + 2 * MINUTE, exchange=exchange)
    assert (world.states(), world.only()["mode"]) == (["EXECUTED"], "ALPACA_PAPER")


def test_a_restored_database_finds_the_order_it_does_not_remember(world: World, exchange: Exchange) -> None:
    world.tradable()
    world.signal()
    run(world, exchange)
    world.admin.execute("truncate dispatches")
    run(world, exchange, NOW + MINUTE)
    # the position is open by the broker's word: nothing is sent, and the gate says why
    assert (world.states(), len(at_broker(exchange))) == (["SKIPPED"], 1)
    assert world.only()["gates"]["no_open_position"]["value"] == 1


def test_an_order_of_that_name_is_adopted_before_anything_is_sent(world: World, exchange: Exchange) -> None:
    """The restored database again, after the position has ended: no gate is closed, and still nothing is sent."""
    world.tradable()
    world.signal()
    run(world, exchange)
    name = at_broker(exchange)[0].client_order_id
    run(world, exchange, NOW + SECOND)  # filled
    world.admin.execute("truncate dispatches")
    exchange.broker().holdings.clear()
    exchange.broker().fills.clear()
    sent = counting(exchange, method="POST", path=ORDERS)
    run(world, exchange, NOW + 2 * SECOND)
    assert (world.states(), world.only()["client_order_id"], sent.applied) == (["EXECUTED"], name, 0)


def test_an_order_in_doubt_counts_as_a_trade_and_a_position(world: World, exchange: Exchange) -> None:
    world.tradable()
    world.signal()
    exchange.faults.add(faults.hang(5, method="POST", path=ORDERS, times=1))
    run(world, exchange)
    world.signal(created_at=NOW + SECOND)
    run(world, exchange, NOW + SECOND)
    assert world.states() == ["CLAIMED", "SKIPPED"]
    judged = world.dispatches()[1]["gates"]
    assert (judged["trades_per_symbol"]["value"], judged["no_open_position"]["value"]) == (1, 1)


def test_a_run_that_lost_its_claim_records_nothing(world: World, exchange: Exchange) -> None:
    """Not even under the same execution's name: a redelivered execution is another attempt."""
    world.tradable()
    world.signal()
    queue.enrol(world.connection, NOW)
    (stale,) = queue.claim(world.connection, NOW, "same")
    (held,) = queue.claim(world.connection, NOW + MINUTE, "same")
    order = Order(id="b-1", type="market", status="accepted", quantity=1, fill_price=None, filled_at=None)
    before = world.only()
    assert not queue.record_order(world.connection, stale, order, NOW)
    assert not queue.fail(world.connection, stale, "no", NOW)
    assert not queue.give_up(world.connection, stale, NOW)
    assert world.only() == before
    assert queue.fail(world.connection, held, "no", NOW)


def test_a_duplicate_name_means_that_the_order_is_there(world: World, exchange: Exchange) -> None:
    """Two runs past their lookups, both sending: the broker takes one, refuses the other, and both are one dispatch."""
    world.tradable()
    world.signal()
    queue.enrol(world.connection, NOW)
    given = values(PAPER, key_id=exchange.key_id, secret_key=exchange.secret_key)
    (claim,) = queue.claim(world.connection, NOW, "one")
    with Desk(values=given, environment={"ALPACA_TRADING_URL": exchange.url}) as desk:
        decision = decide(world.connection, claim, limits=gates.limits(given), now=NOW, account=desk.account())
        plan = decision.plan
        assert plan
        desk.ask(lambda it: it.submit("AAPL", plan, claim.client_order_id))
        with pytest.raises(BrokerRefused, match="must be unique"):
            desk.ask(lambda it: it.submit("AAPL", plan, claim.client_order_id))
        exchange.faults.add(  # the lookup before the send just missed it
            faults.status(404, body='{"code": 40410000, "message": "order not found"}', times=1, path="/v2/orders:by")
        )
        assert place(world.connection, desk, claim, plan, NOW).outcome == "executed"
    assert (world.states(), len(at_broker(exchange))) == (["EXECUTED"], 1)


def test_dispatchers_at_once_send_each_order_once(world: World, exchange: Exchange) -> None:
    for symbol in ("AAPL", "MSFT", "TSLA"):
        world.tradable(symbol)
        for age in range(3):
            world.signal(symbol, created_at=NOW - age * SECOND)
    connections = [world.database.connect(ROLE) for _ in range(3)]
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda connection: run(world, exchange, connection=connection), connections))
    for connection in connections:
        connection.close()
    assert sorted(order.symbol for order in at_broker(exchange)) == ["AAPL", "MSFT", "TSLA"]
    assert sorted(world.states()) == ["EXECUTED"] * 3 + ["SKIPPED"] * 6


# ── refusals ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (422, '{"code": 42210000, "message": "asset \\"AAPL\\" is not tradable"}'),
        (403, '{"code": 40310000, "message": "insufficient buying power"}'),
        (422, "<html><body>Unprocessable</body></html>"),
        (400, '{"message": "no code here"}'),
        (400, "null"),
    ],
)
def test_a_refused_order_fails_in_the_brokers_words(world: World, exchange: Exchange, status: int, body: str) -> None:
    world.tradable("AAPL")
    world.tradable("MSFT")
    world.signal("AAPL", created_at=NOW)
    world.signal("MSFT", created_at=NOW - SECOND)
    exchange.faults.add(faults.status(status, body=body, method="POST", path=ORDERS, times=1))
    result = run(world, exchange)
    failed, executed = world.dispatches()
    assert (result.outcome, result.rows_in, result.rows_out) == (Outcome.DEGRADED, 2, 1)
    assert (failed["state"], executed["state"]) == ("FAILED", "EXECUTED")
    assert str(status) in failed["error"]
    for word in ("tradable", "buying power", "Unprocessable", "no code here", "null"):
        assert (word in body) == (word in failed["error"])


def test_when_every_order_is_refused_the_run_has_failed(world: World, exchange: Exchange) -> None:
    world.tradable()
    world.signal()
    exchange.faults.add(faults.status(422, body='{"message": "no"}', method="POST", path=ORDERS))
    result = run(world, exchange)
    assert (result.outcome, result.rows_out, result.metrics["DispatchesFailed"]) == (Outcome.FAILED, 0, 1)


def test_an_order_that_the_broker_rejects_later_holds_no_position(world: World, exchange: Exchange) -> None:
    world.tradable()
    world.signal()
    run(world, exchange)
    (order,) = at_broker(exchange)
    order.status, order.filled_price = "rejected", None
    run(world, exchange, NOW + SECOND)
    row = world.only()
    assert (row["state"], row["exit_reason"], row["profit"]) == ("EXECUTED", "broker", 0)
    assert "rejected" in row["error"]


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (faults.refuse_keys(), "key_rejected"),
        (faults.status(403), "key_rejected"),
        (faults.status(503, html=True), "provider_error"),
        (faults.status(429), "rate_limited"),
        (faults.hang(5), "provider_error"),
        (faults.status(200, body="{", path="/v2/account"), "provider_error"),
        (faults.status(200, body="[]", path="/v2/account"), "provider_error"),
    ],
    ids=lambda value: getattr(value, "kind", value),
)
def test_while_the_account_cannot_be_read_signals_wait_unclaimed(
    world: World, exchange: Exchange, fault: faults.Fault, code: str
) -> None:
    world.tradable()
    world.signal()
    exchange.faults.add(fault)
    result = run(world, exchange)
    assert (result.outcome, result.error_code, result.rows_in) == (Outcome.FAILED, code, 1)
    assert world.states() == ["PENDING"]
    exchange.faults.clear()
    run(world, exchange, NOW + SECOND)
    assert world.states() == ["EXECUTED"]


def test_after_the_first_timeout_of_a_run_the_broker_is_left_alone(world: World, exchange: Exchange) -> None:
    for symbol in ("AAPL", "MSFT", "TSLA"):
        world.tradable(symbol)
        world.signal(symbol)
    exchange.faults.add(faults.hang(5, method="POST", path=ORDERS))
    asked = counting(exchange)
    run(world, exchange)
    assert world.states() == ["CLAIMED"] * 3
    assert sum(row["client_order_id"] is not None for row in world.dispatches()) == 1
    assert asked.applied == 4  # account, positions, lookup, order


def test_an_account_without_equity_closes_the_gates(world: World, exchange: Exchange) -> None:
    world.tradable()
    world.signal()
    exchange.faults.add(faults.status(200, body='{"equity": null, "last_equity": "x"}', path="/v2/account"))
    run(world, exchange)
    row = world.only()
    assert row["state"] == "SKIPPED"
    assert (row["gates"]["daily_loss"]["value"], row["gates"]["quantity"]["value"]) == (None, None)


def test_the_accounts_loss_of_the_day_and_its_positions_close_the_gates(world: World, exchange: Exchange) -> None:
    world.tradable()
    world.signal()
    exchange.faults.add(
        faults.status(200, body='{"equity": "97000.00", "last_equity": "100000.00"}', path="/v2/account")
    )
    exchange.faults.add(faults.status(200, body='[{"symbol": "AAPL", "qty": "5"}]', path="/v2/positions"))
    run(world, exchange)
    judged = world.only()["gates"]
    assert (judged["daily_loss"]["value"], judged["no_open_position"]["value"]) == (-3000, 1)
    assert at_broker(exchange) == []


# ── the client ───────────────────────────────────────────────────────────────────────────────────────────────────────


def client(exchange: Exchange) -> PaperBroker:
    given = values(key_id=exchange.key_id, secret_key=exchange.secret_key)
    return broker.connect(given, {"ALPACA_TRADING_URL": exchange.url})


@pytest.mark.parametrize("status", [429, 504])
def test_alpaca_pys_own_repeats_are_off(exchange: Exchange, status: int) -> None:
    asked = exchange.faults.add(faults.status(status, path="/v2/"))
    it = client(exchange)
    with pytest.raises(BrokerUnavailable):
        it.account()
    it.close()
    assert asked.applied == 1


def test_a_404_that_is_not_the_brokers_own_word_leaves_the_order_in_doubt(exchange: Exchange) -> None:
    it = client(exchange)
    assert it.find("ops-unknown") is None
    exchange.faults.add(faults.status(404, html=True, path="/v2/"))
    with pytest.raises(BrokerUnavailable, match="unknown"):
        it.find("ops-unknown")
    it.close()


@pytest.mark.parametrize(
    "url",
    [
        "https://api.alpaca.markets",
        "https://paper-api.alpaca.markets@api.alpaca.markets",
        "https://api.alpaca.markets.example.com",
        "http://paper-api.alpaca.markets",
        "https://paper-api.alpaca.markets/v2",
        "ftp://127.0.0.1",
        "paper-api.alpaca.markets",
    ],
)
def test_an_address_that_may_be_a_live_account_is_refused(url: str) -> None:
    with pytest.raises(ConfigInvalid, match="ALPACA_TRADING_URL"):
        trading_url({"ALPACA_TRADING_URL": url})
    with pytest.raises(ConfigInvalid, match="ALPACA_TRADING_URL"):
        trading_url({"ALPACA_TRADING_URL": "https://api.alpaca.markets", "ENVIRONMENT": "local"})


def test_the_paper_host_is_the_default_and_loopback_is_allowed() -> None:
    assert trading_url({}) == "https://paper-api.alpaca.markets"
    assert trading_url({"ALPACA_TRADING_URL": "http://127.0.0.1:8080/"}) == "http://127.0.0.1:8080"
    assert trading_url({"ALPACA_TRADING_URL": "http://exchange:80", "ENVIRONMENT": "local"}) == "http://exchange:80"


def test_prices_are_quoted_in_ticks() -> None:
    assert [broker.tick(price) for price in (102.05499, 0.98765, 1.005)] == [
        102.05,
        0.9877,
        pytest.approx(1.0, abs=0.01),
    ]

"""Each fault that the exchange can act, seen from the client's side of the wire."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import timedelta

import pytest
import requests

from exchange_client import MINUTE, NOON, OPEN, Client, small_market
from ops.local.exchange import Exchange, faults
from ops.local.exchange.faults import UnknownFault


@pytest.fixture
def exchange() -> Iterator[Exchange]:
    with Exchange(small_market(), rate_limit=None) as exchange:
        exchange.set_now(NOON)
        yield exchange


@pytest.fixture
def client(exchange: Exchange) -> Iterator[Client]:
    with Client(exchange) as client:
        yield client


@pytest.mark.parametrize("code", [401, 403, 429, 500, 503, 504])
def test_a_status_is_answered_as_often_as_asked_then_the_truth(exchange: Exchange, client: Client, code: int) -> None:
    fault = exchange.faults.add(faults.status(code, times=2))
    assert [client.bars().status_code for _ in range(3)] == [code, code, 200]
    assert fault.applied == 2


def test_a_fault_can_be_taken_back(exchange: Exchange, client: Client) -> None:
    fault = exchange.faults.add(faults.status(500))
    assert client.bars().status_code == 500
    assert exchange.faults.remove(fault)
    assert client.bars().status_code == 200


def test_a_429_tells_when_to_come_back_or_does_not(exchange: Exchange, client: Client) -> None:
    exchange.faults.add(faults.status(429, reset_seconds=7, times=1))
    assert int(client.bars().headers["X-RateLimit-Reset"]) - NOON.timestamp() == 7
    exchange.faults.add(faults.status(429, times=1))
    assert "X-RateLimit-Reset" not in client.bars().headers


def test_a_gateway_answers_in_html(exchange: Exchange, client: Client) -> None:
    exchange.faults.add(faults.status(503, html=True, times=1))
    answer = client.bars()
    assert (answer.status_code, answer.headers["Content-Type"]) == (503, "text/html")
    assert "<h1>503 Service Unavailable</h1>" in answer.text
    exchange.faults.add(faults.status(200, body="<html>welcome</html>", html=True, times=1))
    with pytest.raises(requests.JSONDecodeError):
        client.bars().json()


def test_good_keys_are_refused_now_and_then(exchange: Exchange, client: Client) -> None:
    exchange.faults.add(faults.refuse_keys(0.5))
    seen = {client.bars().status_code for _ in range(30)}
    assert seen == {200, 401}


def test_an_answer_comes_late(exchange: Exchange, client: Client) -> None:
    exchange.faults.add(faults.latency(0.2, times=1))
    began = time.monotonic()
    assert client.bars().status_code == 200
    assert time.monotonic() - began >= 0.2


def test_a_hang_never_answers(exchange: Exchange, client: Client) -> None:
    exchange.faults.add(faults.hang(times=1))
    with pytest.raises(requests.ReadTimeout):
        client.bars(timeout=0.2)
    assert client.bars().status_code == 200


def test_a_truncated_body_with_an_honest_length_is_broken_json(exchange: Exchange, client: Client) -> None:
    exchange.faults.add(faults.truncate(0.5, times=1))
    answer = client.bars()
    assert answer.status_code == 200
    with pytest.raises(json.JSONDecodeError):
        json.loads(answer.text)


def test_a_truncated_body_with_the_whole_length_is_a_broken_connection(exchange: Exchange, client: Client) -> None:
    exchange.faults.add(faults.truncate(0.5, honest=False, times=1))
    with pytest.raises(requests.exceptions.ChunkedEncodingError, match="IncompleteRead"):
        client.bars()


def test_a_connection_is_reset(exchange: Exchange, client: Client) -> None:
    exchange.faults.add(faults.reset(times=1))
    with pytest.raises(requests.ConnectionError, match=r"reset|aborted"):
        client.bars()
    assert client.bars().status_code == 200


def test_an_order_can_take_effect_though_its_answer_is_lost(exchange: Exchange, client: Client) -> None:
    exchange.faults.add(faults.reset(path="/v2/orders", method="POST", after=True, times=1))
    order = {
        "symbol": "AAA",
        "qty": "1",
        "side": "buy",
        "type": "market",
        "time_in_force": "day",
        "client_order_id": "x",
    }
    with pytest.raises(requests.ConnectionError):
        client.session.post(client.url + "/v2/orders", json=order, timeout=5)
    assert client.get("/v2/orders:by_client_order_id", client_order_id="x").json()["status"] == "filled"


def test_a_fault_strikes_only_what_it_matches(exchange: Exchange, client: Client) -> None:
    exchange.faults.add(faults.status(500, path="/v2/account"))
    exchange.faults.add(faults.status(503, symbols={"BBB"}))
    exchange.faults.add(faults.status(504, start=NOON + MINUTE, end=NOON + 2 * MINUTE))
    assert client.get("/v2/account").status_code == 500
    assert client.bars("AAA,BBB").status_code == 503
    assert client.bars("AAA").status_code == 200
    exchange.set_now(NOON + MINUTE)
    assert client.bars("AAA").status_code == 504


def test_dropped_bars_are_never_delivered_and_pages_stay_full(exchange: Exchange, client: Client) -> None:
    exchange.faults.add(faults.drop(symbols={"AAA"}, start=OPEN + MINUTE, end=OPEN + 3 * MINUTE))
    page = client.bars("AAA,BBB", limit=150).json()
    assert [bar["c"] for bar in page["bars"]["AAA"][:2]] == [100.0, 100.03]
    assert {symbol: len(bars) for symbol, bars in page["bars"].items()} == {"AAA": 148, "BBB": 2}
    assert page["next_page_token"]


def test_late_bars_come_when_their_time_is_due(exchange: Exchange, client: Client) -> None:
    exchange.faults.add(faults.late(10, symbols={"AAA"}, start=NOON - 2 * MINUTE, end=NOON - MINUTE))
    start = NOON - 3 * MINUTE
    assert client.closes(start=start) == {"AAA": [101.47, 101.49]}
    latest = client.get("/v2/stocks/bars/latest", symbols="AAA").json()["bars"]["AAA"]
    assert latest["c"] == 101.49
    exchange.set_now(NOON + 9 * MINUTE)
    assert client.closes(start=start, limit=3)["AAA"] == [101.47, 101.48, 101.49]


def test_corrected_bars_have_other_values_first(exchange: Exchange, client: Client) -> None:
    exchange.faults.add(faults.correct(5, factor=1.1, symbols={"AAA"}, start=NOON - MINUTE, end=NOON))
    first = client.bars(start=NOON - MINUTE).json()["bars"]["AAA"][0]
    assert (first["c"], first["v"]) == (111.639, 454)
    exchange.set_now(NOON + 5 * MINUTE)
    then = client.bars(start=NOON - MINUTE).json()["bars"]["AAA"][0]
    assert (then["c"], then["v"]) == (101.49, 500)


@pytest.mark.parametrize(
    ("how", "seen"),
    [
        ("high_below_low", '"h":101.45,"l":101.52'),
        ("null", '"c":null'),
        ("string", '"c":"n/a"'),
        ("negative", '"l":-101.46'),
        ("zero_price", '"c":0,"h":0,"l":0'),
        ("negative_volume", '"v":-1'),
        ("nan", '"c":NaN'),
        ("missing", '[{"h":'),
        ("bad_timestamp", '"t":"yesterday"'),
        ("not_object", "[null,"),
    ],
)
def test_a_corrupt_bar_lies_among_good_ones(exchange: Exchange, client: Client, how: str, seen: str) -> None:
    exchange.faults.add(faults.corrupt(how, symbols={"AAA"}, start=NOON - MINUTE, end=NOON, times=1))
    exchange.set_now(NOON + MINUTE)
    assert seen in client.bars(start=NOON - MINUTE).text
    assert client.closes(start=NOON - MINUTE) == {"AAA": [101.49, 101.5]}


@pytest.mark.parametrize(("null", "bars"), [(True, None), (False, {})])
def test_an_empty_page_has_no_bars_and_perhaps_a_token_that_leads_on(
    exchange: Exchange, client: Client, null: bool, bars: object
) -> None:
    exchange.faults.add(faults.empty(null=null, times=1))
    assert client.bars(limit=10).json() == {"bars": bars, "next_page_token": None}
    exchange.faults.add(faults.empty(null=null, token=True, times=1))
    page = client.bars(limit=10).json()
    assert page["bars"] == bars
    assert client.bars(limit=10, page_token=page["next_page_token"]).json()["bars"]["AAA"][0]["c"] == 100.0


def test_a_repeated_token_goes_in_circles_until_it_is_spent(exchange: Exchange, client: Client) -> None:
    exchange.faults.add(faults.repeat_token(times=2))
    first = client.bars(limit=10).json()
    second = client.bars(limit=10, page_token=first["next_page_token"]).json()
    third = client.bars(limit=10, page_token=second["next_page_token"]).json()
    assert second["next_page_token"] == first["next_page_token"] != third["next_page_token"]
    assert first["bars"] == second["bars"] == third["bars"]


def test_an_impossible_fault_is_refused_with_what_there_is() -> None:
    with pytest.raises(UnknownFault, match="there are status, refuse_keys"):
        faults.Fault(kind="earthquake")
    with pytest.raises(UnknownFault, match="cannot corrupt by 'magic'"):
        faults.corrupt("magic")
    with pytest.raises(UnknownFault, match="unknown fields \\['colour'\\]"):
        faults.from_json({"kind": "drop", "colour": "red"})


def test_stopping_the_exchange_lets_hanging_requests_go() -> None:
    exchange = Exchange(small_market()).start()
    exchange.faults.add(faults.hang())
    with Client(exchange) as client:
        with pytest.raises(requests.ReadTimeout):
            client.bars(timeout=0.1)
        began = time.monotonic()
        exchange.stop()
        assert time.monotonic() - began < timedelta(seconds=2).total_seconds()


def test_a_stopped_exchange_is_started_again_at_its_old_address() -> None:
    exchange = Exchange(small_market()).start()
    address = exchange.url
    exchange.stop()
    assert exchange.url == address
    with pytest.raises(requests.ConnectionError):
        requests.get(f"{address}/v2/account", timeout=1)
    try:
        assert exchange.start().url == address
    finally:
        exchange.stop()

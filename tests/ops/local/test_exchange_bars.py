"""The market data endpoints: visibility by the clock, paging across symbols, entitlement, refusals."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from alpaca.data.enums import DataFeed
from alpaca.data.historical import StockHistoricalDataClient
from alpaca.data.models import BarSet
from alpaca.data.requests import StockBarsRequest, StockLatestBarRequest
from alpaca.data.timeframe import TimeFrame

from exchange_client import CLOSE, MINUTE, NOON, OPEN, Client, small_market
from ops.local.exchange import Exchange, faults


@pytest.fixture
def exchange() -> Iterator[Exchange]:
    with Exchange(small_market(), rate_limit=None) as exchange:
        exchange.set_now(NOON)
        yield exchange


@pytest.fixture
def client(exchange: Exchange) -> Iterator[Client]:
    with Client(exchange) as client:
        yield client


def test_alpaca_py_reads_several_symbols_over_several_pages(exchange: Exchange) -> None:
    wide = small_market(tuple(f"{a}{b}" for a in "ST" for b in "ABCDEFGHIJKLM"))
    with Exchange(wide, sip=True) as exchange:
        exchange.set_now(CLOSE)
        client = StockHistoricalDataClient(exchange.key_id, exchange.secret_key, url_override=exchange.url)
        asked = StockBarsRequest(
            symbol_or_symbols=list(wide.symbols), timeframe=TimeFrame.Minute, start=OPEN, end=CLOSE
        )
        bars = client.get_stock_bars(asked)
        assert isinstance(bars, BarSet)
        client._session.close()
        assert len(wide) == 10_140
        assert sum(map(len, bars.data.values())) == 10_140
        assert len([r for r in exchange.requests if r.path == "/v2/stocks/bars"]) == 2
        last = bars["SB"][-1]
        assert last.timestamp == CLOSE - MINUTE
        assert (last.close, last.volume, last.trade_count) == (200 + 3.89, 500, 5)


def test_alpaca_py_reads_the_latest_bars(exchange: Exchange) -> None:
    client = StockHistoricalDataClient(exchange.key_id, exchange.secret_key, url_override=exchange.url)
    asked = StockLatestBarRequest(symbol_or_symbols=["AAA", "CCC", "NONE"], feed=DataFeed.IEX)
    latest = client.get_stock_latest_bar(asked)
    client._session.close()
    assert {symbol: bar.timestamp for symbol, bar in latest.items()} == {"AAA": NOON - MINUTE, "CCC": NOON - MINUTE}


def test_a_bar_is_seen_only_once_its_minute_is_over(exchange: Exchange, client: Client) -> None:
    exchange.set_now(OPEN + timedelta(seconds=119))
    assert client.closes() == {"AAA": [100.0]}
    exchange.set_now(OPEN + timedelta(seconds=120))
    assert client.closes() == {"AAA": [100.0, 100.01]}


def test_a_delayed_symbol_comes_later_than_the_others() -> None:
    with Exchange(small_market(), delays={"BBB": timedelta(seconds=30)}) as exchange, Client(exchange) as client:
        exchange.set_now(OPEN + timedelta(seconds=75))
        assert client.closes("AAA,BBB") == {"AAA": [100.0]}
        exchange.set_now(OPEN + timedelta(seconds=90))
        assert client.closes("AAA,BBB") == {"AAA": [100.0], "BBB": [200.0]}


def test_a_delay_can_begin_and_end_in_the_middle_of_the_day(exchange: Exchange, client: Client) -> None:
    exchange.set_now(OPEN + timedelta(seconds=120))
    exchange.data.delay({"BBB": MINUTE})
    assert client.closes("AAA,BBB") == {"AAA": [100.0, 100.01], "BBB": [200.0]}
    exchange.data.delay({"BBB": timedelta()})
    assert client.closes("AAA,BBB") == {"AAA": [100.0, 100.01], "BBB": [200.0, 200.01]}


@pytest.mark.parametrize(
    ("fault", "served"),
    [
        (faults.drop(symbols=["AAA"]), 2 * 150),
        (faults.drop(start=NOON - MINUTE), 3 * 149),
        (faults.late(10, symbols=["AAA"]), 2 * 150 + 140),
        (faults.corrupt(end=OPEN + 5 * MINUTE), 3 * 145),
        (faults.drop(times=3), 3 * 150),
        (faults.drop(probability=0.5), 3 * 150),
        (faults.drop(path="/v2/orders"), 3 * 150),
        (faults.status(500), 3 * 150),
    ],
    ids=["drop", "drop from", "late", "corrupt until", "for a while", "by chance", "elsewhere", "no fault of bars"],
)
def test_what_a_reader_can_have_leaves_out_what_is_withheld_for_good(
    exchange: Exchange, fault: faults.Fault, served: int
) -> None:
    exchange.faults.add(fault)

    assert len(exchange.data.served(NOON)) == served


def test_the_limit_spans_symbols_in_their_order_and_pages_lose_and_repeat_nothing(client: Client) -> None:
    seen: list[tuple[str, str]] = []
    token, pages = None, 0
    while token is not None or pages == 0:
        page = client.bars("CCC,AAA,BBB", limit=100, page_token=token).json()
        assert sum(map(len, page["bars"].values())) == (100 if page["next_page_token"] else 50)
        seen += [(symbol, bar["t"]) for symbol, bars in page["bars"].items() for bar in bars]
        token, pages = page["next_page_token"], pages + 1
    assert pages == 5
    assert len(seen) == 450
    assert seen == sorted(set(seen))


def test_a_page_that_ends_with_the_data_has_no_token(client: Client) -> None:
    assert client.bars("AAA", limit=150).json()["next_page_token"] is None
    assert client.bars("AAA", limit=149).json()["next_page_token"]


def test_descending_pages_walk_back_in_time(client: Client) -> None:
    first = client.bars("AAA,BBB", sort="desc", limit=160).json()
    second = client.bars("AAA,BBB", sort="desc", limit=1000, page_token=first["next_page_token"]).json()
    closes = [b["c"] for b in first["bars"]["BBB"] + second["bars"]["BBB"]]
    assert list(first["bars"]) == ["AAA", "BBB"]
    assert closes == [200 + i / 100 for i in range(149, -1, -1)]


def test_start_and_end_are_inclusive(client: Client) -> None:
    assert client.closes(start=OPEN, end=(OPEN + MINUTE).isoformat()) == {"AAA": [100.0, 100.01]}


def test_five_minute_hour_and_day_bars_are_aggregated(client: Client) -> None:
    five = client.bars(timeframe="5Min", limit=2).json()
    first = five["bars"]["AAA"][0]
    assert (first["o"], first["h"], first["l"], first["c"], first["v"], first["n"]) == (
        99.99,
        100.06,
        99.97,
        100.04,
        2500,
        25,
    )
    assert five["next_page_token"]
    hours = client.bars(timeframe="1Hour").json()["bars"]["AAA"]
    assert [bar["t"] for bar in hours] == [f"2026-01-26T{h}:00:00Z" for h in (14, 15, 16)]
    (day,) = client.bars(timeframe="1Day", start=OPEN - timedelta(hours=12)).json()["bars"]["AAA"]
    assert (day["t"], day["v"]) == ("2026-01-26T05:00:00Z", 150 * 500)


def test_recent_consolidated_data_needs_the_subscription(client: Client) -> None:
    words = {"message": "subscription does not permit querying recent SIP data"}
    for feed in ("sip", None):
        newer = client.bars(feed=feed, end=(NOON - timedelta(minutes=14)).isoformat())
        assert (newer.status_code, newer.json()) == (403, words)
        assert client.bars(feed=feed, end=(NOON - timedelta(minutes=15)).isoformat()).status_code == 200
    without_end = client.bars(feed="sip").json()["bars"]["AAA"]
    assert without_end[-1]["t"] == "2026-01-26T16:45:00Z"
    assert client.get("/v2/stocks/bars/latest", symbols="AAA", feed="sip").json() == words


def test_the_subscription_opens_recent_consolidated_data() -> None:
    with Exchange(small_market(), sip=True) as exchange, Client(exchange) as client:
        exchange.set_now(NOON)
        assert len(client.closes(feed="sip", end=NOON.isoformat())["AAA"]) == 150


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"symbols": None}, "Invalid format for parameter symbols: query parameter 'symbols' is required"),
        ({"symbols": "aaa"}, "invalid symbol: aaa"),
        ({"timeframe": "banana"}, "invalid timeframe: banana"),
        ({"timeframe": "60Min"}, "invalid timeframe: 60Min"),
        ({"feed": "bloomberg"}, "invalid feed: bloomberg"),
        ({"limit": 10_001}, "limit must be between 1 and 10000"),
        ({"end": "2026-01-20"}, "end should not be before start"),
        ({"start": "2026-01-26T14:30:00"}, "Invalid format for parameter start: error parsing '2026-01-26T14:30:00'"),
        ({"page_token": "???"}, "invalid page_token"),
        ({"adjustment": "none"}, "invalid adjustment: none"),
        ({"colour": "red"}, "unexpected parameter(s): colour"),
    ],
)
def test_a_bad_parameter_is_refused_in_the_vendors_words(
    client: Client, query: dict[str, object], message: str
) -> None:
    asked: dict[str, Any] = {"symbols": "AAA", **query}
    refused = client.bars(**asked)
    assert refused.status_code == 400
    assert refused.json()["message"].startswith(message)


def test_an_unknown_symbol_and_a_time_without_bars_are_empty_answers(client: Client) -> None:
    nothing: dict[str, Any] = {"bars": {}, "next_page_token": None}
    assert client.bars("ZZZ").json() == nothing
    assert client.bars(start=datetime(2020, 1, 1, tzinfo=UTC), end="2020-01-02").json() == nothing


def test_a_query_of_nearly_64_kilobytes_is_served() -> None:
    names = tuple(f"S{i:04d}" for i in range(8000))
    with Exchange(small_market(names, minutes=1)) as exchange, Client(exchange) as client:
        exchange.set_now(NOON)
        page = client.bars(",".join(names), limit=10_000)
        assert 60_000 < len(page.request.url or "") < 65_536
        assert len(page.json()["bars"]) == 8000

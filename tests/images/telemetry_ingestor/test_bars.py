"""Which bars of a page are taken, and that this is exactly what the table takes."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from typing import Any

import numpy as np
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ops.local.postgres import Database
from telemetry_ingestor import bars
from telemetry_ingestor.bars import Bars, Window

GOOD = {"t": "2026-01-26T14:30:00Z", "o": 10.0, "h": 11.0, "l": 9.0, "c": 10.5, "v": 100, "n": 3, "vw": 10.2}
FIRST = int(datetime(2026, 1, 26, 14, 30, tzinfo=UTC).timestamp()) // 60
WINDOW = Window(first=FIRST, last=FIRST + 9)
EDGES = [0.0, -0.0, 1.0, 2.0, 3.0, -1.0, 5e-324, 1.7976931348623157e308, math.inf, -math.inf, math.nan]


def parsed(*rows: Any, symbol: str = "AAPL") -> bars.Page:
    return bars.parse({symbol: rows}, {"AAPL": 0, "MSFT": 1}, WINDOW)


def test_a_good_bar_is_taken_whole() -> None:
    found = parsed(GOOD).bars
    values = {name: column.tolist() for name, column in vars(found).items()}
    assert values == {
        "symbol": [0],
        "minute": [FIRST],
        "open": [10.0],
        "high": [11.0],
        "low": [9.0],
        "close": [10.5],
        "volume": [100],
        "trade_count": [3],
        "vwap": [10.2],
    }


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"c": None}, "c is missing or null"),
        ({"c": ...}, "c is missing or null"),
        ({"c": "n/a"}, "c is 'n/a', not a number"),
        ({"c": math.nan}, "open or close is outside low to high"),
        ({"c": True}, "c is True, not a number"),
        ({"o": 10**400}, "beyond any price"),
        ({"h": 8.0}, "open or close is outside low to high"),
        ({"l": -9.0}, "a price is not above 0 or not finite"),
        ({"h": math.inf}, "a price is not above 0 or not finite"),
        ({"v": -1}, "volume is below 0"),
        ({"v": 1.5}, "v is 1.5, not a whole number"),
        ({"v": 2**63}, "beyond the column"),
        ({"v": math.nan}, "v is nan, not a whole number"),
        ({"n": 2**31}, "beyond the column"),
        ({"vw": math.nan}, "vw is nan, not a finite number"),
        ({"t": "yesterday"}, "t is 'yesterday', not a time with a zone"),
        ({"t": "2026-01-26T14:30:00"}, "not a time with a zone"),
        ({"t": "2026-01-26T14:30:07Z"}, "not the start of a minute"),
        ({"t": 1769437800}, "t is 1769437800, not a time"),
        ({"t": "2026-01-26T14:29:00Z"}, "its minute is outside the range asked for"),
        ({"t": "2031-01-26T14:29:00Z"}, "its minute is outside the range asked for"),
    ],
)
def test_a_bad_bar_is_set_aside_with_its_reason_and_its_neighbours_stay(change: dict[str, Any], reason: str) -> None:
    bad = {key: value for key, value in (GOOD | change).items() if value is not ...}
    page = parsed(GOOD, bad, GOOD | {"t": "2026-01-26T14:31:00Z"})
    assert page.bars.minute.tolist() == [FIRST, FIRST + 1]
    (rejected,) = page.rejected
    assert reason in rejected.reason
    json.dumps(rejected.bar, allow_nan=False)


@pytest.mark.parametrize("thing", [None, 7, "bar", [], [1, 2], {}])
def test_what_is_no_bar_at_all_is_set_aside(thing: Any) -> None:
    page = parsed(thing, GOOD)
    assert len(page.bars) == 1
    assert [row.ts for row in page.rejected] == [bars.UNKNOWN_TIME]


def test_a_symbol_that_was_not_asked_for_is_set_aside() -> None:
    page = bars.parse({"XXXX": [GOOD], "MSFT": [GOOD]}, {"MSFT": 1}, WINDOW)
    assert page.bars.symbol.tolist() == [1]
    assert [(row.symbol, row.reason) for row in page.rejected] == [("XXXX", "its symbol was not asked for")]


def test_the_running_minute_is_left_for_later() -> None:
    page = parsed(GOOD, GOOD | {"t": "2026-01-26T14:40:00Z", "h": 1.0})
    assert (len(page.bars), page.rejected, page.running) == (1, (), 1)


def test_counts_and_averages_may_be_absent() -> None:
    found = parsed(GOOD | {"n": None, "vw": None}).bars
    assert found.trade_count.tolist() == [bars.NULL_COUNT]
    assert math.isnan(found.vwap[0])


def test_of_two_bars_for_one_minute_the_last_stays() -> None:
    found = bars.merge([parsed(GOOD, symbol="MSFT").bars, parsed(GOOD, GOOD | {"c": 9.5}).bars])
    assert list(zip(found.symbol.tolist(), found.close.tolist(), strict=True)) == [(0, 9.5), (1, 10.5)]


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
nearly_bars = st.fixed_dictionaries(
    {},
    optional={key: st.just(value) | anything | st.sampled_from([9.0, 10, 11.5, 0]) for key, value in GOOD.items()},
)


@settings(max_examples=300, deadline=None)
@given(st.lists(nearly_bars | anything | st.just(GOOD), max_size=6))
def test_every_bar_is_taken_or_set_aside_and_the_fast_way_agrees_with_the_slow(rows: list[Any]) -> None:
    page = parsed(*rows)
    assert len(page.bars) + len(page.rejected) + page.running == len(rows)
    one_by_one = [parsed(row) for row in rows]
    assert sum(len(single.bars) for single in one_by_one) == len(page.bars)
    assert sorted(row.reason for single in one_by_one for row in single.rejected) == sorted(
        row.reason for row in page.rejected
    )
    for row in page.rejected:
        json.dumps(row.bar, allow_nan=False).encode()


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    prices=st.lists(st.sampled_from(EDGES) | st.floats(), min_size=4, max_size=4),
    volume=st.sampled_from([0, 1, -1, 2**63 - 1, -(2**63)]),
)
def test_the_table_takes_exactly_what_the_checks_let_through(
    database: Database, prices: list[float], volume: int
) -> None:
    columns = [np.array([price]) for price in prices]
    row = Bars(
        symbol=np.zeros(1, dtype=np.int64),
        minute=np.array([FIRST]),
        open=columns[0],
        high=columns[1],
        low=columns[2],
        close=columns[3],
        volume=np.array([volume]),
        trade_count=np.array([1]),
        vwap=np.array([1.0]),
    )
    with database.connect() as connection:
        try:
            with connection.transaction(force_rollback=True):
                connection.execute(
                    "insert into bars values ('A', '2026-01-26 14:30Z', %s, %s, %s, %s, %s, 1, 1, 'iex', now())",
                    (*prices, volume),
                )
            taken = True
        except psycopg.errors.CheckViolation:
            taken = False
    assert bars.accepted(row).tolist() == [taken]

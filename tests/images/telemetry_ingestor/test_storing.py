"""What a run stores, skips and leaves alone."""

from __future__ import annotations

import json
from dataclasses import replace
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest_world import CLOSE, MINUTE, SERVICE, SYMBOLS, World, at, market
from ops.local.exchange import Exchange
from ops.local.postgres import Database
from pipeline.ledger import Outcome
from pipeline.store import Connection
from telemetry_ingestor import bar_store, bars
from telemetry_ingestor.bars import Window
from telemetry_ingestor.fetch_plan import NO_BAR

BAR = {"t": "2026-01-26T14:30:00Z", "o": 10.0, "h": 11.0, "l": 9.0, "c": 10.5, "v": 100, "n": 3, "vw": 10.2}
WINDOW = Window(first=bar_store.minute_of(at(0)), last=bar_store.minute_of(at(59)))


def test_an_empty_database_catches_up_to_the_last_whole_minute(world: World) -> None:
    row = world.ingest(at(10.5))
    assert row["outcome"] == Outcome.OK
    assert world.rows("select symbol, count(*), min(ts), max(ts) from bars group by 1 order by 1") == [
        (symbol, 10, at(0), at(9)) for symbol in sorted(SYMBOLS)
    ]


def test_a_second_run_at_the_same_instant_changes_nothing(world: World) -> None:
    world.ingest(at(30))
    tables = ("bars", "bars_rejected", "gaps", "bars_changed")
    before = [world.rows(f"select t.xmin, t.xmax, t.* from {table} t order by 3, 4") for table in tables]  # noqa: S608
    assert world.ingest(at(30))["outcome"] == Outcome.OK
    after = [world.rows(f"select t.xmin, t.xmax, t.* from {table} t order by 3, 4") for table in tables]  # noqa: S608
    assert after == before


def test_minute_by_minute_every_bar_is_stored_once_and_at_once(world: World) -> None:
    for minute in range(61):
        world.ingest(at(minute))
    assert world.bar_count() == 60 * len(SYMBOLS)
    assert world.value("select count(*) from bars where ingested_at <> ts + interval '1 minute'") == 0


def test_on_a_weekend_nothing_is_due_once_friday_is_settled(world: World) -> None:
    saturday = CLOSE + 5 * 24 * 60 * MINUTE
    assert world.ingest(saturday)["outcome"] == Outcome.OK, "an empty database owes the catch-up even then"
    assert world.ingest(saturday + MINUTE)["outcome"] == Outcome.SKIPPED


def test_a_run_that_got_only_part_is_owed_again_after_the_close(world: World) -> None:
    world.ingest(CLOSE - MINUTE)
    world.symbols = (*SYMBOLS, "A1")  # the provider calls it invalid
    assert world.ingest(CLOSE + 20 * MINUTE)["outcome"] == Outcome.DEGRADED
    world.symbols = SYMBOLS
    assert world.ingest(CLOSE + 21 * MINUTE)["outcome"] == Outcome.OK
    assert world.ingest(CLOSE + 22 * MINUTE)["outcome"] == Outcome.SKIPPED


def test_minutes_since_the_last_bar_count_session_minutes(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    def metric() -> Any:
        lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        return next(line for line in lines if "_aws" in line).get("SessionMinutesSinceLastBar", "unknown")

    world.ingest(at(10))
    assert metric() == 0
    world.exchange.keys.revoke()
    world.ingest(at(17))
    assert metric() == 7, "a failed run tells it too"
    world.ingest(CLOSE + 60 * MINUTE)
    assert metric() == 0, "the market is closed"


def test_bars_outside_regular_hours_are_stored_too(database: Database) -> None:
    early = [at(-60), at(-1), at(0), at(1)]
    with Exchange(market({"AAPL": early}), rate_limit=None) as exchange:
        world = World(database=database, exchange=exchange, symbols=("AAPL",))
        world.ingest(at(2))
        assert [ts for (ts,) in world.rows("select ts from bars order by ts")] == early
        assert world.gaps() == []
        world.close()


def test_after_the_close_it_runs_until_the_corrections_are_in(world: World) -> None:
    assert world.ingest(CLOSE)["outcome"] == Outcome.OK
    assert world.ingest(CLOSE + 14 * MINUTE)["outcome"] == Outcome.OK
    assert world.ingest(CLOSE + 15 * MINUTE)["outcome"] == Outcome.OK
    assert world.ingest(CLOSE + 16 * MINUTE)["outcome"] == Outcome.SKIPPED


def test_where_another_writer_was_faster_its_bars_are_taken_over(database: Database) -> None:
    """As after a backfill between our look at the newest bars and our write."""
    page = bars.parse({"AAPL": [BAR, BAR | {"t": "2026-01-26T14:31:00Z", "n": None}]}, {"AAPL": 0}, WINDOW)
    nothing_known = np.array([NO_BAR])
    with database.connect(SERVICE) as connection:
        for expected in ((2, 0), (0, 0)):
            with connection.transaction():
                stored = bar_store.store_bars(connection, ["AAPL"], page.bars, nothing_known, feed="iex", now=at(9))
            assert stored == expected
        with connection.transaction():
            changed = replace(page.bars, close=page.bars.close + 0.1)
            assert bar_store.store_bars(connection, ["AAPL"], changed, nothing_known, feed="iex", now=at(9)) == (0, 2)
        found = connection.execute("select ts, close, trade_count, vwap, feed, ingested_at from bars order by ts")
        assert found.fetchall() == [
            (at(0), 10.6, 3, 10.2, "iex", at(9)),
            (at(1), 10.6, None, 10.2, "iex", at(9)),
        ]


prices = st.floats(min_value=0.01, max_value=1e6)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(
        st.tuples(st.sampled_from(["A", "BRK.B", "ZZZZ"]), st.integers(0, 9), prices, st.integers(0, 10**12)),
        min_size=1,
        max_size=12,
        unique_by=lambda row: row[:2],
    ),
    order=st.randoms(use_true_random=False),
)
def test_the_order_in_which_bars_come_does_not_matter(
    database: Database, rows: list[tuple[str, int, float, int]], order: Random
) -> None:
    symbols = ("A", "ZZZZ", "BRK.B")
    shuffled = sorted(rows, key=lambda _: order.random())
    with database.connect(SERVICE) as connection:
        found = [_stored(connection, symbols, some) for some in (rows, shuffled)]
    assert found[0] == found[1] == sorted((s, at(m), p, v) for s, m, p, v in rows)


def _stored(connection: Connection, symbols: tuple[str, ...], rows: list[tuple[str, int, float, int]]) -> list[Any]:
    """The table after storing these rows in up to three batches, each knowing the newest bars of the one before."""
    positions = {symbol: i for i, symbol in enumerate(symbols)}
    with connection.transaction(force_rollback=True):
        for part in (rows[0::3], rows[1::3], rows[2::3]):
            pages = [bars.parse({s: [_flat(m, p, v)]}, positions, WINDOW) for s, m, p, v in part]
            newest = bar_store.newest_minutes(connection, symbols, at(60))
            merged = bars.merge([page.bars for page in pages])
            bar_store.store_bars(connection, symbols, merged, newest, feed="iex", now=at(60))
        return connection.execute("select symbol, ts, close, volume from bars order by 1, 2").fetchall()


def _flat(minute: int, price: float, volume: int) -> dict[str, Any]:
    return BAR | dict.fromkeys("ohlc", price) | {"t": f"{at(minute):%Y-%m-%dT%H:%M:%SZ}", "v": volume}

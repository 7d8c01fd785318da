"""What the gap ledger says of minutes that lack a bar, run after run."""

from __future__ import annotations

from datetime import date

import pytest

from ingest_world import CLOSE, MINUTE, SYMBOLS, World, at, bar_times, market
from ops.local.exchange import Exchange, faults
from ops.local.postgres import Database
from pipeline import sessions
from pipeline.ledger import Outcome
from telemetry_ingestor import alpaca, fetch, fetch_plan

OURS, LATE, NONE, REFUSED = "our_outage", "feed_late", "no_trade", "rejected"


def test_an_uneventful_session_leaves_no_gap(world: World) -> None:
    for minute in range(1, 40):
        world.ingest(at(minute))
    assert world.gaps() == []


def test_minutes_that_no_run_took_in_time_are_our_outage_and_backfilled(world: World) -> None:
    for minute in (*range(1, 31), *range(45, 48)):
        world.ingest(at(minute))
    # the run at 30 took minute 29; those of 31 … 44 did not happen
    assert world.gaps() == [(symbol, 30, 43, OURS, 45) for symbol in sorted(SYMBOLS)]
    assert world.bar_count() == 47 * len(SYMBOLS)


def test_one_run_left_out_is_within_tolerance(world: World) -> None:
    for minute in (1, 2, 4, 5):
        world.ingest(at(minute))
    assert world.gaps() == []


def test_a_first_run_ever_claims_no_outage(world: World) -> None:
    world.ingest(at(200))
    assert world.gaps() == []


def test_an_outage_over_the_night_counts_session_minutes_only(world: World) -> None:
    world.ingest(CLOSE - 10 * MINUTE)
    world.ingest(CLOSE + 14 * 60 * MINUTE)
    assert world.gaps() == [(symbol, 380, 389, OURS, 390 + 14 * 60) for symbol in sorted(SYMBOLS)]


def test_a_minute_without_a_trade_is_noted_so(world: World) -> None:
    world.fault(faults.drop(symbols={"AAPL"}, start=at(5), end=at(8)))
    for minute in range(1, 12):
        world.ingest(at(minute))
    assert world.gaps() == [("AAPL", 5, 7, NONE, None)]


@pytest.mark.parametrize(("minutes_late", "taken_at"), [(3, 14), (20, 45)])
def test_a_bar_that_comes_late_is_taken_and_noted(world: World, minutes_late: int, taken_at: int) -> None:
    world.fault(faults.late(minutes_late, symbols={"AAPL"}, start=at(10), end=at(11)))
    for minute in range(1, 50):
        world.ingest(at(minute))
    assert world.gaps() == [("AAPL", 10, 10, LATE, taken_at)]
    assert world.bar_count() == 49 * len(SYMBOLS)


def test_while_the_whole_feed_lags_nobody_claims_that_there_was_no_trade(world: World) -> None:
    world.fault(faults.late(4, start=at(10), end=at(100)))
    for minute in range(1, 13):
        world.ingest(at(minute))
    assert world.gaps() == [(symbol, 10, 11, LATE, None) for symbol in sorted(SYMBOLS)]
    for minute in range(13, 19):
        world.ingest(at(minute))
    rows = [row for row in world.gaps() if row[0] == "AAPL"]
    assert rows == [*(("AAPL", m, m, LATE, m + 5) for m in range(10, 14)), ("AAPL", 14, 17, LATE, None)]


def test_a_bar_that_was_set_aside_is_a_rejected_minute_until_a_good_one_comes(world: World) -> None:
    fault = world.fault(faults.corrupt("high_below_low", symbols={"MSFT"}, start=at(5), end=at(6)))
    assert world.ingest(at(6))["outcome"] == Outcome.DEGRADED
    assert world.ingest(at(7))["outcome"] == Outcome.OK  # known by now
    assert world.gaps() == [("MSFT", 5, 5, REFUSED, None)]
    world.exchange.faults.remove(fault)
    world.ingest(at(8))
    assert world.gaps() == [("MSFT", 5, 5, REFUSED, 8)]


def test_what_could_not_be_fetched_is_our_outage_until_it_is(world: World) -> None:
    for minute in range(1, 11):
        world.ingest(at(minute))
    world.exchange.keys.revoke()
    for minute in range(11, 16):
        assert world.ingest(at(minute))["outcome"] == Outcome.FAILED
    assert world.gaps() == [(symbol, 10, 12, OURS, None) for symbol in sorted(SYMBOLS)]
    world.exchange.keys.issue(world.exchange.key_id, world.exchange.secret_key)
    assert world.ingest(at(16))["outcome"] == Outcome.OK
    assert world.gaps() == [(symbol, 10, 14, OURS, 16) for symbol in sorted(SYMBOLS)]


def test_a_lost_minute_that_turns_out_to_have_no_trade_is_no_outage(world: World) -> None:
    world.fault(faults.drop(symbols={"AAPL"}, start=at(15), end=at(16)))
    for minute in (*range(1, 11), 20, 21):
        world.ingest(at(minute))
    assert [row for row in world.gaps() if row[0] == "AAPL"] == [
        ("AAPL", 10, 14, OURS, 20),
        ("AAPL", 15, 15, NONE, None),
        ("AAPL", 16, 18, OURS, 20),
    ]


def test_what_lies_beyond_the_catch_up_is_left_open_as_our_outage(database: Database) -> None:
    days = [s for s in sessions.between(at(-20 * 1440), at(390)) if s.date >= date(2026, 1, 12)]
    times = [ts for s in days for ts in bar_times(s.open, s.close)]
    with Exchange(market({"AAPL": times}), rate_limit=None) as exchange:
        world = World(database=database, exchange=exchange, symbols=("AAPL",))
        world.ingest(days[0].open + 10 * MINUTE)
        world.ingest(at(10))
        open_ones = world.rows("select first_minute, last_minute from gaps where backfilled_at is null order by 1")
        assert len(days) == 10  # the 19th was a holiday
        assert open_ones == [
            (days[0].open + 10 * MINUTE, days[0].close - MINUTE),
            *((s.open, s.close - MINUTE) for s in days[1:3]),
        ]
        assert world.bar_count() == 10 + 6 * 390 + 10
        world.close()


def test_a_new_symbol_has_no_gaps_before_the_session_of_its_first_bar(database: Database) -> None:
    with Exchange(market({"NEW": bar_times(at(20), at(60))}), rate_limit=None) as exchange:
        world = World(database=database, exchange=exchange, symbols=("NEW", "NONE"))
        world.ingest(at(60))
        assert world.gaps() == [("NEW", 0, 19, NONE, None), ("NONE", 0, 59, NONE, None)]
        world.close()


def test_a_second_replay_over_the_same_database_changes_nothing(world: World) -> None:
    world.fault(faults.late(4, symbols={"AAPL"}, start=at(3), end=at(5)))
    world.fault(faults.late(20, symbols={"MSFT"}, start=at(3), end=at(5)))
    world.fault(faults.drop(symbols={"BRK.B"}, start=at(7), end=at(12)))
    world.fault(faults.correct(6, symbols={"AAPL"}, start=at(9), end=at(10)))
    world.fault(faults.corrupt("null", symbols={"AAPL"}, start=at(20), end=at(21)))
    replay = (*range(1, 13), *range(22, 35))
    for minute in replay:
        world.ingest(at(minute))
    queries = ("select * from bars order by 1, 2", "select * from gaps order by 1, 2", "select * from bars_rejected")
    before = [world.rows(query) for query in queries]
    changed = world.value("select count(*) from bars_changed")
    for minute in replay:
        world.ingest(at(minute))
    assert [world.rows(query) for query in queries] == before
    assert world.value("select count(*) from bars_changed") == changed


def test_a_backlog_too_long_for_one_run_is_worked_off_by_several(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for minute in range(1, 5):
        world.ingest(at(minute))
    monkeypatch.setattr(fetch_plan, "PAGE_BARS", 100)
    monkeypatch.setattr(alpaca, "PAGE_BARS", 100)
    monkeypatch.setattr(fetch, "THREADS", 1)
    monkeypatch.setattr(fetch, "RUN_BARS", 150)
    rows = [world.ingest(at(minute)) for minute in (100, 101, 102)]
    assert [row["outcome"] for row in rows] == [Outcome.DEGRADED, Outcome.OK, Outcome.OK]
    assert "150 bars are as much as one run can store" in rows[0]["error"]
    assert rows[0]["rows_in"] == 200
    assert world.bar_count() == 102 * len(SYMBOLS)
    # minute 98 of the symbol that had to wait came two minutes after its end, which is punctual
    assert {row[1:] for row in world.gaps()} == {(4, 98, OURS, 100), (4, 97, OURS, 101)}

"""What a run stores, skips and leaves alone."""

from __future__ import annotations

from ingest_world import CLOSE, MINUTE, SYMBOLS, World, at
from pipeline.ledger import Outcome


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


def test_every_minute_of_a_session_is_stored_once(world: World) -> None:
    for minute in range(0, 391):
        world.ingest(at(minute))
    assert world.bar_count() == 390 * len(SYMBOLS)
    assert world.value("select count(*) from bars where ingested_at <> ts + interval '1 minute'") == 0


def test_after_the_close_it_runs_until_the_corrections_are_in(world: World) -> None:
    assert world.ingest(CLOSE)["outcome"] == Outcome.OK
    assert world.ingest(CLOSE + 14 * MINUTE)["outcome"] == Outcome.OK
    assert world.ingest(CLOSE + 15 * MINUTE)["outcome"] == Outcome.OK
    assert world.ingest(CLOSE + 16 * MINUTE)["outcome"] == Outcome.SKIPPED

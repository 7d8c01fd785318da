"""More than one replay over one database: the second changes nothing, and two at once trade nothing twice."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from ops import replay_engine, replay_plan
from ops.local.exchange import synthetic
from ops.local.postgres import Database
from pipeline import store
from replay_world import DAY, EAGER, SERVICES, checksums, csv_of, eventful_market, lines_of, replayed

TRADES = b"""
select count(*), count(distinct (s.symbol, s.ts, s.rule)), count(distinct d.client_order_id)
from dispatches d join signals s on s.id = d.signal_id where d.state = 'SIMULATED'"""


def test_a_second_replay_adds_and_changes_nothing(database: Database) -> None:
    """The first has an outage and a kill, so that the second meets a ledger of gaps and late features."""
    troubles = {"outages": [f"{SERVICES[0]}=09:44-09:46"], "kills": [f"{SERVICES[1]}@09:48"]}
    first = replayed(database.url, eventful_market(), EAGER, start="09:40", end="09:50", **troubles)
    before = checksums(database.url)
    second = replayed(database.url, eventful_market(), EAGER, start="09:40", end="09:50")
    assert first.signals == first.dispatches > 0
    assert first.faults == second.faults == {}
    assert checksums(database.url) == before
    counted = ("session_bars_stored", "features", "news", "sentiments", "signals", "dispatches", "gaps")
    assert {name: getattr(second, name) for name in counted} == {name: getattr(first, name) for name in counted}


def test_two_replays_at_once_lose_nothing_and_trade_nothing_twice(database: Database) -> None:
    def replay(_: int) -> dict[str, int]:
        return replayed(database.url, eventful_market(), EAGER, start="09:42", end="09:50").faults

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(replay, range(2))) == [{}, {}]
    with store.connect(database.url) as connection:
        trades, signals, orders = connection.execute(TRADES).fetchone() or (0, 0, 0)
    assert trades == signals == orders > 0


def test_what_stood_back_to_the_very_end_takes_with_it_all_that_comes_after(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another's run of the first service ends only when this replay's last minute is over."""
    monkeypatch.setattr(replay_plan, "SETTLING", timedelta(0))
    with store.connect(database.url) as other:
        other.execute("select pg_advisory_lock(hashtextextended(%s, 0))", (f"run:{SERVICES[0]}",))
        until = SimpleNamespace(
            monotonic=time.monotonic, sleep=lambda _: other.execute("select pg_advisory_unlock_all()")
        )
        monkeypatch.setattr(replay_engine, "wall_time", until)
        found = replayed(database.url, eventful_market(), EAGER, start="09:42", end="09:45")
    assert (found.unfinished, found.faults) == ([], {})


def test_days_in_the_wrong_order_and_a_corrected_file_leave_right_features(database: Database, tmp_path: Path) -> None:
    """A replay of the past changes what later features rest on; they are mended once the clock comes to them."""
    days = {day: sorted(lines_of(synthetic.market(["AAA"], day, seed=5))) for day in (date(2026, 1, 23), DAY)}
    earlier, later = (csv_of(tmp_path / f"{day}.csv", lines) for day, lines in days.items())
    corrected = [f"{days[DAY][1].rsplit(',', 1)[0]},777", *(line for line in days[DAY] if line != days[DAY][1])]
    for path, window in (
        (later, {"end": "09:34"}),
        (earlier, {"start": "15:56"}),
        (later, {"end": "09:35"}),
        (csv_of(tmp_path / "corrected.csv", corrected), {"end": "09:35"}),
    ):
        assert replayed(database.url, path, **window).faults == {}
    with store.connect(database.url) as connection:
        assert connection.execute("select count(*) from bars_changed").fetchone() == (0,)
        assert connection.execute("select volume from features where volume = 777").fetchall() == [(777.0,)]

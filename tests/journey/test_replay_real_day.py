"""One real day from open to close, with news, an outage and a kill; `make matrix` does so for all days and services."""

from __future__ import annotations

from pathlib import Path

import pytest

from ops import matrix
from ops.local.postgres import Database
from replay_world import EAGER, SERVICES, replayed

INGESTOR, ENGINE = SERVICES[0], SERVICES[-3]


@pytest.mark.slow
def test_a_real_day_with_an_outage_and_a_kill_comes_out_whole(
    database: Database, shared_data: Path, tmp_path: Path
) -> None:
    bars = shared_data / "bars" / "2013-10-04.csv"
    news = matrix.write_news(bars, shared_data / "news" / "train.csv", tmp_path)
    report = replayed(
        database.url, bars, EAGER, news=news, outages=[f"{INGESTOR}=11:00-11:20"], kills=[f"{ENGINE}@13:37"]
    )
    assert report.faults == {}
    assert report.session_bars_in_file == report.session_bars_stored == report.features == 1559
    assert report.runs_held_back == {INGESTOR: 20}
    assert report.runs[ENGINE]["KILLED"] == 1
    assert report.sentiments == report.news > 300
    assert report.signals == report.dispatches > 0
    assert report.dispatches_by_state["SIMULATED"] > 0
    assert report.gaps["our_outage"] == 4 * 20
    assert report.gaps_backfilled["our_outage"] == 4 * 20


def test_the_matrix_holds_every_day_and_every_trouble_of_every_service() -> None:
    days = [Path(f"{day}.csv") for day in "ab"]
    full = [cell.key for cell in matrix.cells(days, SERVICES, sample=False)]
    sample = matrix.cells(days, SERVICES, sample=True)
    assert len(full) == len(set(full)) == 2 * (1 + 2 * len(SERVICES))
    assert len(sample) == 2 + 2 * len(SERVICES)
    assert {cell.key for cell in sample} <= set(full)
    assert {cell.name for cell in sample} == {key.split(" ", 1)[1] for key in full}

"""Files of every shape: what is a session bar is stored once, what cannot be is set aside and told."""

from __future__ import annotations

import gzip
from datetime import date
from pathlib import Path

import pytest

from ops.local.exchange import synthetic
from ops.local.postgres import Database
from pipeline import store
from replay_world import HEADER, csv_of, lines_of, replayed, scaled

MONDAY = date(2026, 1, 26)


def day_lines(day: date = MONDAY, symbols: tuple[str, ...] = ("AAA", "BBB"), **options: object) -> list[str]:
    return sorted(lines_of(synthetic.market(symbols, day, seed=5, **options)))  # type: ignore[arg-type]


def test_corrupt_rows_cost_only_themselves(database: Database, tmp_path: Path) -> None:
    good = [line for line in day_lines() if line < "2026-01-26T14:38"]
    dropped = [line for line in good if not line.startswith("2026-01-26T14:33:00Z,AAA")]
    unreadable = [
        "rubbish",
        "2026-01-26T14:33:00Z",
        "2026-01-26T14:33:00Z,AAA",
        "2026-01-26T14:33:00Z,AAA,ten,11,9,10,100",
        "2026-01-26T14:33:00Z,AAA,,11,9,10,100",
        "2026-01-26T14:33:00Z,AAA,NaN,11,9,10,100",
        "2026-01-26T14:33:00Z,AAA,10,inf,9,10,100",
        "2026-01-26T14:33:00Z,AAA,10,1e300,9,10,100",
        "2026-01-26T14:33:07Z,AAA,10,11,9,10,100",
        "26/01/2026 14:33,AAA,10,11,9,10,100",
        "2026-01-26T14:33:00Z,aaa,10,11,9,10,100",
        "2026-01-26T14:33:00Z,NO SUCH,10,11,9,10,100",
        "2026-01-26T14:33:00Z,,10,11,9,10,100",
        '2026-01-26T14:33:00Z,"AAÄ,10,11,9,10,100',
        "\x00\x00\x00",
        good[0],  # once more, exactly
        good[1].rsplit(",", 5)[0] + ",10,9,11,10,5",  # conflicts, and cannot be
    ]
    impossible = [
        "2026-01-26T14:33:00Z,CCC,10,9,11,10,100",
        "2026-01-26T14:34:00Z,CCC,0,0,0,0,100",
        "2026-01-26T14:35:00Z,CCC,-1,2,-2,1,100",
        "2026-01-26T14:36:00Z,CCC,10,11,9,10,-1",
        "2026-01-26T14:37:00Z,CCC,10,11,9,10,0.5",
        "2026-01-26T14:32:00Z,CCC,10,11,9,10,1e30",
    ]
    elsewhere = [
        "0001-01-01T00:00:00+14:00,AAA,10,11,9,10,100",
        "2099-01-26T14:33:00Z,AAA,10,11,9,10,100",
        "2026-01-25T14:33:00Z,AAA,10,11,9,10,100",
        "2026-01-26T13:00:00Z,AAA,10,11,9,10,100",
    ]
    path = csv_of(tmp_path / "bars.csv", [*dropped, *unreadable, *impossible, *elsewhere])
    report = replayed(database.url, path, end="09:40")
    assert report.faults == {}
    assert report.session_bars_in_file == report.session_bars_stored == len(dropped)
    assert len(report.rows_rejected) == len(unreadable)
    assert sum(report.bars_set_aside.values()) == len(impossible)
    assert report.symbols == ["AAA", "BBB", "CCC"]


@pytest.mark.parametrize("form", ["CRLF, gzip, unsorted", "New York time", "naive UTC"])
def test_the_form_of_the_file_does_not_matter(database: Database, tmp_path: Path, form: str) -> None:
    lines = [line for line in day_lines() if line < "2026-01-26T14:36"]
    path = tmp_path / "bars.csv"
    if form == "New York time":
        csv_of(path, [line.replace("T14:", "T09:").replace("Z", "-05:00") for line in lines])
    elif form == "naive UTC":
        csv_of(path, [line.replace("Z", "") for line in lines])
    else:
        path.write_bytes(gzip.compress("\r\n".join([HEADER.upper(), *reversed(lines), ""]).encode("utf-8-sig")))
    report = replayed(database.url, path, end="09:35")
    assert report.faults == {}
    assert report.session_bars_in_file == report.session_bars_stored == 10
    assert report.rows_rejected == []


def test_a_half_day_is_replayed_to_its_own_close(database: Database, tmp_path: Path) -> None:
    path = csv_of(tmp_path / "bars.csv", day_lines(date(2025, 11, 28)))
    report = replayed(database.url, path, start="12:54", end="16:00")
    assert report.faults == {}
    assert report.session["close"] == "2025-11-28T18:00:00+00:00"
    assert report.session_bars_in_file == report.session_bars_stored == 2 * 6


@pytest.mark.parametrize("factor", [0.25, 10.0], ids=["4:1", "1:10"])
def test_a_split_between_sessions_over_a_change_of_the_clocks(
    database: Database, tmp_path: Path, factor: float
) -> None:
    """Friday before and Monday after the start of daylight saving time: the open moves an hour in UTC."""
    path = csv_of(
        tmp_path / "bars.csv",
        [*day_lines(date(2025, 3, 7), ("AAA",)), *scaled(day_lines(date(2025, 3, 10), ("AAA",)), factor)],
    )
    report = replayed(database.url, path, end="09:36", kills=["feature_computer@09:34"])
    assert report.faults == {}
    assert [session["open"][11:16] for session in report.sessions] == ["14:30", "13:30"]
    assert report.session_bars_in_file == report.session_bars_stored == 2 * 6
    assert len(report.runs_killed) == 2  # a kill, like an outage, comes on every day
    with store.connect(database.url) as connection:
        (features,) = connection.execute("select count(*) from features").fetchone() or (0,)
    assert features == 390 + 6  # the rest of the first day was caught up on


def test_a_split_within_the_session(database: Database, tmp_path: Path) -> None:
    lines = day_lines()
    before = [line for line in lines if line < "2026-01-26T14:35"]
    path = csv_of(tmp_path / "bars.csv", [*before, *scaled(lines[len(before) :], 0.25)])
    report = replayed(database.url, path, end="09:42")
    assert report.faults == {}
    assert report.session_bars_stored == 24


def test_early_late_and_thin_symbols_are_all_whole(database: Database, tmp_path: Path) -> None:
    """One symbol trades from 04:00 on, one from the middle of the window, one in four minutes of ten."""
    thin = day_lines(MONDAY, ("BRK.B", "LATE"), thin=["BRK.B"])
    late = [line for line in thin if ",LATE," not in line or line >= "2026-01-26T14:38"]
    early = [f"2026-01-26T{9 + m // 60:02d}:{m % 60:02d}:00Z,AAA,10,11,9,10,{100 + m}" for m in range(345)]
    path = csv_of(tmp_path / "bars.csv", [*late, *early])
    report = replayed(database.url, path, end="09:44")
    expected = [line for line in [*late, *early] if "2026-01-26T14:30" <= line < "2026-01-26T14:44"]
    assert report.faults == {}
    assert report.session_bars_in_file == report.session_bars_stored == len(expected)
    assert set(report.gaps) == {"no_trade"}
    with store.connect(database.url) as connection:
        (bars,) = connection.execute("select count(*) from bars where symbol = 'AAA'").fetchone() or (0,)
    assert bars == 344  # those before the open are stored too


def test_sixty_symbols(database: Database) -> None:
    names = tuple(f"{a}{b}" for a in "ABCDEF" for b in "KLMNOPQRST")
    market = synthetic.market(names, MONDAY, seed=5, thin=names[:20])
    report = replayed(database.url, market, end="09:36", outages=["telemetry_ingestor=09:33-09:35"])
    assert report.faults == {}
    assert report.session_bars_stored > 40 * 6


@pytest.mark.parametrize(
    ("start", "end", "bars"), [("10:00", "10:03", 6), ("04:00", "09:32", 4), ("15:58", "23:00", 4)]
)
def test_a_part_of_a_session_counts_only_its_own_bars(
    database: Database, tmp_path: Path, start: str, end: str, bars: int
) -> None:
    report = replayed(database.url, csv_of(tmp_path / "bars.csv", day_lines()), start=start, end=end)
    assert report.faults == {}
    assert report.session_bars_in_file == report.session_bars_stored == report.features == bars

"""Bars files: what is read, what is set aside, what is refused."""

from __future__ import annotations

import gzip
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from ops.local.exchange import BadMarketFile, load_csv

HEADER = "timestamp,symbol,open,high,low,close,volume"


def written(tmp_path: Path, *rows: str, header: str = HEADER) -> Path:
    path = tmp_path / "bars.csv"
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def test_rows_in_any_order_and_from_several_days_are_sorted_by_symbol_and_time(tmp_path: Path) -> None:
    market = load_csv(
        written(
            tmp_path,
            "2026-01-27T14:30:00Z,BBB,10,11,9,10,100",
            "2026-01-26T14:31:00Z,AAA,10,11,9,10,100",
            "2026-01-26T14:30:00Z,BBB,10,11,9,10,100",
            "2026-01-26 14:30:00,AAA,10,11,9,10.5,250",
        )
    )
    assert market.symbols == ("AAA", "BBB")
    assert market.starts.tolist() == [0, 2, 4]
    assert market.close.tolist() == [10.5, 10, 10, 10]
    assert market.dates() == [date(2026, 1, 26), date(2026, 1, 27)]
    assert market.span()[0] == datetime(2026, 1, 26, 14, 30, tzinfo=UTC)


def test_a_missing_count_and_vwap_are_derived_and_given_ones_are_kept(tmp_path: Path) -> None:
    header = HEADER + ",trade_count,vwap"
    market = load_csv(
        written(
            tmp_path,
            "2026-01-26T14:30:00Z,AAA,10,12,8,10,1000,,",
            "2026-01-26T14:31:00Z,AAA,10,12,8,10,1000,77,10.25",
            header=header,
        )
    )
    assert market.trade_count.tolist() == [10, 77]
    assert market.vwap.tolist() == [10.0, 10.25]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("2026-01-26T14:30:00Z,AAA,10,11,9", "close is missing"),
        ("2026-01-26T14:30:00Z,AAA,10,11,9,,5", "close is missing"),
        ("2026-01-26T14:30:00Z,AAA,10,11,nine,10,5", "low is not a number"),
        ("2026-01-26T14:30:00Z,AAA,10,inf,9,10,5", "high is not finite"),
        ("2026-01-26T14:30:00Z,AAA,10,11,9,nan,5", "close is not finite"),
        ("yesterday,AAA,10,11,9,10,5", "timestamp is not ISO 8601"),
        ("2026-01-26T14:30:15Z,AAA,10,11,9,10,5", "not the start of a minute"),
        ("2026-01-26T14:30:00Z,,10,11,9,10,5", "symbol is missing"),
        ('2026-01-26T14:30:00Z,AAA,"10,11,9,10', "is missing"),
        ("\x00\x00", "is missing"),
    ],
)
def test_a_malformed_row_is_set_aside_with_its_line_and_reason(tmp_path: Path, row: str, reason: str) -> None:
    good = "2026-01-26T14:35:00Z,AAA,10,11,9,10,5"
    market = load_csv(written(tmp_path, row, good))
    assert len(market) == 1
    (rejected,) = market.rejected
    assert rejected.line == 2
    assert reason in rejected.reason
    assert rejected.text == row


def test_an_impossible_row_is_kept_and_flagged(tmp_path: Path) -> None:
    rows = (
        "2026-01-26T14:30:00Z,AAA,10,9,11,10,5",
        "2026-01-26T14:31:00Z,AAA,10,11,0,10,5",
        "2026-01-26T14:32:00Z,AAA,10,11,9,10,-5",
        "2026-01-26T14:33:00Z,AAA,10,11,9,12,5",
        "2026-01-26T14:34:00Z,AAA,10,11,9,10,5",
    )
    market = load_csv(written(tmp_path, *rows))
    assert len(market) == 5
    assert market.rejected == []
    assert {ts.minute for _, ts in market.invalid} == {30, 31, 32, 33}
    day = (datetime(2026, 1, 26, tzinfo=UTC), datetime(2026, 1, 27, tzinfo=UTC))
    assert market.count(*day) == 1
    assert market.count(*day, valid=False) == 5


def test_an_exact_duplicate_is_dropped_and_of_conflicting_ones_the_last_wins(tmp_path: Path) -> None:
    first, twice, other = (
        "2026-01-26T14:30:00Z,AAA,10,11,9,10,5",
        "2026-01-26T14:30:00Z,AAA,10.0,11,9,10,5",
        "2026-01-26T09:30:00-05:00,AAA,10,11,9,10.5,5",
    )
    market = load_csv(written(tmp_path, first, twice, other))
    assert market.close.tolist() == [10.5]
    assert [(r.line, r.reason) for r in market.rejected] == [
        (2, "conflicting duplicate, line 4 wins"),
        (3, "exact duplicate of line 2"),
    ]


def test_gzip_is_read(tmp_path: Path) -> None:
    path = tmp_path / "bars.csv.gz"
    path.write_bytes(gzip.compress(f"{HEADER}\n2026-01-26T14:30:00Z,AAA,10,11,9,10,5\n".encode()))
    assert len(load_csv(path)) == 1
    path.write_bytes(path.read_bytes()[:-12])
    with pytest.raises(BadMarketFile, match="damaged gzip"):
        load_csv(path)


def test_a_file_without_rows_or_columns_is_refused_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(BadMarketFile, match="give the path of a bars CSV"):
        load_csv(tmp_path / "none.csv")
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(BadMarketFile, match="empty; the first line must be timestamp,symbol"):
        load_csv(tmp_path / "empty.csv")
    with pytest.raises(BadMarketFile, match="no column volume; "):
        load_csv(written(tmp_path, header="timestamp,symbol,open,high,low,close"))
    headed = load_csv(written(tmp_path))
    assert len(headed) == 0
    with pytest.raises(BadMarketFile, match="holds no bars"):
        headed.span()


def test_a_market_written_as_csv_reads_back_the_same(tmp_path: Path, shared_data: Path) -> None:
    market = load_csv(shared_data / "bars" / "2013-10-07.csv")
    market.write_csv(tmp_path / "copy.csv")
    again = load_csv(tmp_path / "copy.csv")
    assert len(market) == 2309
    assert again.rejected == []
    for name in ("ts", "open", "high", "low", "close", "volume", "trade_count", "vwap"):
        assert getattr(again, name).tolist() == getattr(market, name).tolist()

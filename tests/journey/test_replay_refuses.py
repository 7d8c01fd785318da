"""What a replay refuses before it starts anything: files and options that cannot be used, with what would help."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from pathlib import Path

import pytest

from replay_world import HEADER, csv_of, eventful_market, lines_of, told

BAR = "2026-01-26T14:30:00Z,AAPL,10,11,9,10,100"


@pytest.fixture
def bars(tmp_path: Path) -> Path:
    """The day of the market as a file."""
    return csv_of(
        tmp_path / "bars.csv", [line for line in lines_of(eventful_market()) if line.startswith("2026-01-26")]
    )


def refused(words: str, *arguments: object) -> None:
    result = told(*arguments)
    assert result.exit_code == 2, result.output
    assert words in " ".join(result.output.split())
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"\n\n", "empty"),
        (HEADER.encode(), "no bar of the file lies in a regular session"),
        (b"time,sym,o,h,l,c,v\n" + BAR.encode(), "no column timestamp"),
        (BAR.encode(), "no column timestamp"),
        (b"\x89PNG\r\n\x1a\n" + bytes(range(256)), "no column timestamp"),
        (gzip.compress(HEADER.encode() * 50)[:30], "damaged gzip"),
    ],
    ids=["empty", "blank", "header only", "other header", "no header", "binary", "damaged gzip"],
)
def test_a_file_that_is_no_bars_file_is_refused(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "bars.csv"
    path.write_bytes(content)
    refused(words, "--bars", path)


@pytest.mark.parametrize(
    ("day", "words"),
    [
        ("2026-01-24", "weekend"),
        ("2025-12-25", "holiday"),
        ("1999-01-26", "outside the sessions table"),
        ("2099-01-26", "outside the sessions table"),
    ],
)
def test_a_file_without_a_session_bar_is_refused(tmp_path: Path, day: str, words: str) -> None:
    refused(words, "--bars", csv_of(tmp_path / "bars.csv", [BAR.replace("2026-01-26", day)]))


def test_a_file_of_unreadable_rows_names_the_first(tmp_path: Path) -> None:
    path = csv_of(tmp_path / "bars.csv", ["rubbish", BAR.replace("AAPL", "aapl")])
    refused("2 rows cannot be read, the first in line 2: symbol is missing", "--bars", path)


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    refused("does not exist", "--bars", tmp_path / "none.csv")
    refused("is a directory", "--bars", tmp_path)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "give either --bars FILE or --synthetic"),
        (["--from", "25:00"], "'25:00' is not a time like 09:45"),
        (["--from", "10:00", "--to", "09:45"], "from 10:00 to 09:45 is no stretch of time"),
        (["--from", "10:00", "--to", "10:00"], "no stretch of time"),
        (["--from", "16:00"], "no part of a session lies from 16:00 to the close"),
        (["--to", "09:30"], "no part of a session lies from the open to 09:30"),
        (["--speed", "0"], "speed 0 is not above 0"),
        (["--speed", "nan"], "not above 0"),
        (["--speed", "fast"], "neither max nor a number"),
        (["--runtime", "thread"], "'thread' is not one of"),
        (["--outage", "nobody=10:00-10:05"], "no service 'nobody'; there are: telemetry_ingestor"),
        (["--outage", "dispatcher=10:05-10:00"], "ends before it starts"),
        (["--outage", "dispatcher"], "is not like telemetry_ingestor=10:00-10:15"),
        (["--to", "10:00", "--outage", "dispatcher=10:05-10:10"], "lies outside the replayed time"),
        (["--kill", "nobody@10:00"], "no service 'nobody'"),
        (["--kill", "dispatcher"], "is not like telemetry_ingestor@10:12"),
        (["--from", "10:00", "--kill", "dispatcher@09:59"], "no run of it follows in the replayed time"),
        (["--to", "10:00", "--kill", "dispatcher@10:01"], "no run of it follows"),
        (["--to", "10:04", "--kill", "classifier@10:01"], "rate(5 minutes)"),
        (
            ["--to", "10:00", "--kill", "dispatcher@09:50", "--outage", "dispatcher=09:45-10:30"],
            "no run of it follows in the replayed time",
        ),
    ],
)
def test_options_that_make_no_sense_are_refused(bars: Path, options: Sequence[str], words: str) -> None:
    refused(words, *(["--bars", bars] if options else []), *options)


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", "no column published_at"), (b"a,b\n1,2\n", "no column published_at"), (b"<html>", "neither RSS nor Atom")],
)
def test_a_file_that_is_no_news_file_is_refused(bars: Path, tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "news.csv"
    path.write_bytes(content)
    refused(words, "--bars", bars, "--news", path)


def test_a_made_up_market_needs_a_day_with_a_session() -> None:
    refused("--synthetic needs --date", "--synthetic", "AAPL")
    refused("no session", "--synthetic", "AAPL", "--date", "2025-12-25")
    refused("'aapl'", "--synthetic", "aapl", "--date", "2026-01-26")


def test_a_report_that_cannot_be_written_is_said_before_the_replay(bars: Path, tmp_path: Path) -> None:
    refused("No such file or directory", "--bars", bars, "--report", tmp_path / "none" / "report.json")
    refused("is a directory", "--bars", bars, "--report", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["bars.csv"]


@pytest.mark.parametrize(
    ("url", "words"),
    [("postgresql://postgres@127.0.0.1:1/none", "Connection refused"), ("mysql://here", "not a PostgreSQL address")],
)
def test_a_database_that_is_not_there_fails_the_replay(bars: Path, url: str, words: str) -> None:
    result = told("--bars", bars, "--database", url)
    assert result.exit_code == 1
    assert words in result.output
    assert "Traceback" not in result.output

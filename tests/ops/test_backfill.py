"""scripts/backfill and scripts/gaps as processes, over an exchange that has what the database lacks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from ingest_world import CLOSE, DAY, MINUTE, OPEN, SYMBOLS, at, market
from ops.local.exchange import Exchange, Fault
from ops.local.postgres import Database
from pipeline import sessions

ROOT = Path(__file__).resolve().parents[2]
FRIDAY = date(2026, 1, 23)
# One symbol has no trade at 09:35; the ledger will learn that only by asking.
UNTRADED = at(5)


@pytest.fixture
def exchange() -> Iterator[Exchange]:
    friday = sessions.find(FRIDAY)
    assert friday
    minutes = [*sessions.minutes(friday.open, friday.close), *sessions.minutes(OPEN, CLOSE)]
    bars = {symbol: [ts for ts in minutes if (symbol, ts) != (SYMBOLS[0], UNTRADED)] for symbol in SYMBOLS}
    with Exchange(market(bars), rate_limit=None) as found:
        found.set_now(CLOSE + timedelta(hours=2))
        yield found


@pytest.fixture
def lost(database: Database) -> Database:
    """Ten minutes of Monday and one of Friday are noted as lost by an outage of ours."""
    friday = sessions.find(FRIDAY)
    assert friday
    rows = [(symbol, at(0), at(9)) for symbol in SYMBOLS] + [(SYMBOLS[1], friday.open, friday.open)]
    statement = "insert into gaps values (%s, %s, %s, 'our_outage', %s, null)"
    with database.connect() as connection:
        for symbol, first, last in rows:
            connection.execute(statement.encode(), (symbol, first, last, CLOSE))
    return database


def run(command: str, exchange: Exchange, database: Database, *options: str, **more: str) -> tuple[int, str]:
    environment = {
        "PATH": os.environ["PATH"],
        "DATABASE_URL": database.url,
        "TICKERS": ",".join(SYMBOLS),
        "ALPACA_DATA_FEED": "iex",
        "ALPACA_DATA_URL": exchange.url,
        "ALPACA_KEY_ID": exchange.key_id,
        "ALPACA_SECRET_KEY": exchange.secret_key,
        "PYTHONPATH": os.pathsep.join(str(ROOT / each) for each in ("scripts", "images", "images/base")),
        **more,
    }
    ended = subprocess.run(
        [sys.executable, "-m", f"ops.{command}", *options],
        env=environment,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
    return ended.returncode, ended.stdout


def backfill(exchange: Exchange, database: Database, *options: str, **more: str) -> tuple[int, str]:
    stretch = ("--from", str(FRIDAY), "--to", str(DAY), "--no-wait")
    return run("backfill", exchange, database, *stretch, *options, **more)


def rows(database: Database, statement: str) -> list[tuple[Any, ...]]:
    with database.connect() as connection:
        return connection.execute(statement.encode()).fetchall()


def test_a_rehearsal_says_what_is_missing_and_fetches_nothing(exchange: Exchange, lost: Database) -> None:
    code, said = backfill(exchange, lost)
    assert code == 3
    assert "2026-01-23" in said
    assert "2026-01-26" in said
    assert not exchange.requests
    assert rows(lost, "select count(*) from bars") == [(0,)]


def test_what_the_ledger_lacks_is_stored_and_settled_and_a_second_time_nothing_is_missing(
    exchange: Exchange, lost: Database, tmp_path: Path
) -> None:
    report = tmp_path / "report.json"
    code, said = backfill(exchange, lost, "--apply", "--report", str(report))
    assert code == 0, said
    assert rows(lost, "select count(*) from bars") == [(30,)]
    found = json.loads(report.read_text())
    assert (found["minutes_missing_before"], found["inserted"], found["missing"]) == (31, 30, 0)
    open_ = rows(lost, "select symbol, class from gaps where backfilled_at is null")
    assert open_ == [(SYMBOLS[0], "no_trade")]  # asked for and not traded: known now
    assert rows(lost, "select count(*) from bars_changed")[0][0] > 0  # the features follow
    asked = len(exchange.requests)
    assert backfill(exchange, lost, "--apply")[0] == 0
    assert len(exchange.requests) == asked


def test_a_stretch_is_fetched_whole_when_asked_for(exchange: Exchange, database: Database) -> None:
    code, said = backfill(exchange, database, "--all", "--symbols", SYMBOLS[1], "--apply")
    assert code == 0, said
    assert rows(database, "select symbol, count(*) from bars group by symbol") == [(SYMBOLS[1], 780)]


def test_an_interrupted_backfill_goes_on_with_the_session_that_was_not_stored(
    exchange: Exchange, lost: Database
) -> None:
    exchange.faults.add(Fault(kind="status", status=401, symbols=frozenset({SYMBOLS[0]})))  # none of Friday
    code, said = backfill(exchange, lost, "--apply")
    assert code == 3, said
    assert "2026-01-26" in said
    assert rows(lost, "select count(*) from bars") == [(1,)]
    exchange.faults.clear()
    assert backfill(exchange, lost, "--apply")[0] == 0
    assert rows(lost, "select count(*) from bars") == [(30,)]


def test_a_rejected_key_ends_it_with_its_reason_and_loses_nothing(exchange: Exchange, lost: Database) -> None:
    code, said = backfill(exchange, lost, "--apply", ALPACA_SECRET_KEY="wrong")
    assert code == 1
    assert "401" in said
    assert "Traceback" not in said
    assert rows(lost, "select count(*) from gaps where backfilled_at is null") == [(4,)]


def test_nonsense_in_the_options_is_told(exchange: Exchange, database: Database) -> None:
    assert run("backfill", exchange, database, "--from", "yesterday")[0] == 2
    assert run("backfill", exchange, database, "--all")[0] == 2
    code, said = run("backfill", exchange, database, "--symbols", "aapl,,MSFT")
    assert code == 2
    assert "--symbols" in said


def test_gaps_tells_for_each_symbol_why_minutes_are_missing(exchange: Exchange, lost: Database, tmp_path: Path) -> None:
    report = tmp_path / "gaps.json"
    days = (date.today() - DAY).days  # noqa: DTZ011 (only as a bound on how many sessions there were since)
    code, said = run("gaps", exchange, lost, "--sessions", str(days), "--report", str(report))
    assert code == 3, said
    monday = [row for row in json.loads(report.read_text()) if row["session"] == str(DAY)]
    assert [(row["symbol"], row["expected"], row["missing"]) for row in monday] == [
        (symbol, 390, 10) for symbol in sorted(SYMBOLS)
    ]
    assert {row["unexplained"] for row in monday} == {380}
    backfill(exchange, lost, "--all", "--apply")
    run("gaps", exchange, lost, "--sessions", str(days), "--report", str(report))
    monday = [row for row in json.loads(report.read_text()) if row["session"] == str(DAY)]
    assert {(row["bars"] + row["why"].get("no_trade", 0), row["missing"], row["unexplained"]) for row in monday} == {
        (390, 0, 0)
    }
    assert CLOSE - OPEN == 390 * MINUTE

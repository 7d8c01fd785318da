"""Markets to replay and ways to replay them: in this process over a test's database, or as a command of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import psutil
from click.testing import CliRunner, Result

from ops import replay
from ops.local.exchange import Market, load_csv, synthetic
from ops.local.exchange.headlines import Event
from ops.replay_engine import Replay
from ops.replay_report import Report
from pipeline import catalog, store

ROOT = Path(__file__).resolve().parent.parent
HEADER = "timestamp,symbol,open,high,low,close,volume"
DAY = date(2026, 1, 26)
SERVICES = tuple(catalog.load().services)
# Both symbols get strong news at 09:40 and 09:42, so that from 09:45 on there are signals.
EVENTS = (
    Event(symbol="AAPL", start=10, minutes=40, direction=1),
    Event(symbol="TSLA", start=12, minutes=40, direction=-1),
)
# Low enough a bar for every signal to be traded.
EAGER = {
    "dispatch_limits": '{"mode": "SIMULATED", "sides": ["BUY", "SELL"], "confidence_min": 0.01,'
    ' "bar_age_max_seconds": 120, "features_age_max_seconds": 300, "trades_per_symbol_max": 2, "daily_loss_max": 2000}'
}
DATA_TABLES = (
    "bars",
    "bars_rejected",
    "features",
    "news",
    "sentiment",
    "watchlist",
    "signals",
    "dispatches",
    "gaps",
    "findings",
    "bars_changed",
)


@cache
def eventful_market() -> Market:
    """Two symbols with a quiet session before the day, and news on both early in it."""
    return synthetic.market(["AAPL", "TSLA"], DAY, seed=4, history_sessions=1, events=EVENTS)


def replayed(url: str, market: Market | Path, parameters: dict[str, str] | None = None, **options: Any) -> Report:
    """A replay in this process; `options` as replay.plan_for takes them. Of a made-up market only DAY is replayed."""
    loaded = load_csv(market) if isinstance(market, Path) else market
    sessions = [s for s in replay.sessions_of(loaded) if isinstance(market, Path) or s.date == DAY]
    plan = replay.plan_for(loaded, sessions, **options)
    return Replay(replace(plan, parameters=parameters or {}), url).run()


def csv_of(path: Path, lines: Sequence[str], header: str = HEADER) -> Path:
    """A bars file of these lines."""
    path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return path


def lines_of(market: Market) -> list[str]:
    """The market's bars as lines under HEADER (without trade counts and vwap)."""
    return [",".join(line.split(",")[:7]) for line in list(market.lines())[1:]]


def scaled(lines: Sequence[str], factor: float) -> list[str]:
    """The same bars at `factor` times their prices, as after a stock split."""
    rows = (line.split(",") for line in lines)
    return [",".join([*row[:2], *(repr(round(float(p) * factor, 4)) for p in row[2:6]), row[6]]) for row in rows]


def told(*arguments: object) -> Result:
    """What the command answers, in this process; for what ends before anything is started."""
    return CliRunner().invoke(replay.main, [str(argument) for argument in arguments], env={"DATABASE_URL": None})


def command(*arguments: object) -> list[str]:
    """The command line of a replay in a process of its own."""
    return [sys.executable, "-m", "ops", "replay", *map(str, arguments)]


@contextmanager
def running(*arguments: object) -> Iterator[subprocess.Popen[str]]:
    """A replay in a process of its own, killed at the end with all it started where it is still there."""
    environment = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    environment["PYTHONPATH"] = str(ROOT / "scripts")
    with subprocess.Popen(
        command(*arguments),
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:  # a number that has been given back may be somebody else's by now
                for child in _family(process.pid):
                    child.kill()


def _family(pid: int) -> list[psutil.Process]:
    try:
        parent = psutil.Process(pid)
        return [parent, *parent.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def checksums(url: str) -> dict[str, tuple[int, str]]:
    """Rows and content of every table but the run ledger and what was last seen of the feeds."""
    with store.connect(url) as connection:
        return {table: _checksum(connection, table) for table in DATA_TABLES}


def _checksum(connection: store.Connection, table: str) -> tuple[int, str]:
    statement = f"select count(*), md5(coalesce(string_agg(t::text, '|' order by t::text), '')) from {table} as t"  # noqa: S608 (a constant above)
    row = connection.execute(statement.encode()).fetchone()
    assert row is not None
    return row[0], row[1]

"""How fast bars come in: the store path against a bare COPY, a catch-up, and whole-market minutes, over real HTTP."""

from __future__ import annotations

import io
import json
import multiprocessing
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import count, product
from multiprocessing.connection import Connection as Pipe
from string import ascii_uppercase
from typing import Any

import numpy as np
import requests

from ops.local.exchange import Exchange, synthetic
from ops.local.postgres import Database, Postgres
from pipeline import catalog, sessions, task
from pipeline.store import Connection, migrations
from telemetry_ingestor import bar_store
from telemetry_ingestor.__main__ import run as ingest
from telemetry_ingestor.bars import Bars
from telemetry_ingestor.fetch_plan import NO_BAR

SERVICE = "telemetry_ingestor"
DAY = date(2026, 1, 26)
MINUTE = timedelta(minutes=1)
MARKET_SYMBOLS = 8_000
# For the comparison with COPY: as many bars as the catch-up has.
ROWS_SYMBOLS, ROWS_MINUTES = 500, 390
ROUNDS = 3
BARE = """create table bare (symbol text not null, ts timestamptz not null, open double precision not null,
    high double precision not null, low double precision not null, close double precision not null,
    volume bigint not null, trade_count integer, vwap double precision, feed text not null,
    ingested_at timestamptz not null"""
_executions = count(1)


def run() -> dict[str, Any]:
    """Rows per second of the store path and of COPY; seconds of a catch-up and of whole-market minutes."""
    with Postgres(durable=False) as server:
        return {
            **_store_path(_database(server, "store")),
            **_catch_up(_database(server, "catch_up")),
            **_whole_market(_database(server, "market"), thin=False),
            **_whole_market(_database(server, "thin"), thin=True),
        }


def _database(server: Postgres, name: str) -> Database:
    database = server.create_database(name)
    with database.connect() as connection:
        migrations.migrate(connection, catalog.load())
    return database


def names(number: int) -> tuple[str, ...]:
    """That many different symbols of one to four letters."""
    found = ("".join(letters) for size in (1, 2, 3, 4) for letters in product(ascii_uppercase, repeat=size))
    return tuple(name for name, _ in zip(found, range(number), strict=False))


# ── the store path ───────────────────────────────────────────────────────────────────────────────────────────────────


def _store_path(database: Database) -> dict[str, Any]:
    symbols, bars = names(ROWS_SYMBOLS), _bars(ROWS_SYMBOLS, ROWS_MINUTES)
    now = bar_store.moment(int(bars.minute.max()) + 1)
    with database.connect() as owner, database.connect(SERVICE) as connection:
        nothing, all_of_it = np.full(ROWS_SYMBOLS, NO_BAR), np.full(ROWS_SYMBOLS, int(bars.minute.max()))
        store = _rate(bars, lambda: _stored(connection, symbols, bars, nothing, now), lambda: _truncate(owner, "bars"))
        again = _rate(bars, lambda: _stored(connection, symbols, bars, all_of_it, now), lambda: None)
        bare = {name: _bare(owner, extra, symbols, bars, now) for name, extra in _SHAPES.items()}
    return {
        "what": "rows per second through the store path, and of COPY alone into a bare table of the same columns",
        "target": "≥ 0.4 of COPY; the key alone costs COPY more than that, so a keyless table is no measure of a store",
        "rows": len(bars),
        "store_rows_per_second": store,
        "overlap_rows_per_second": again,
        **{f"copy_{name}_rows_per_second": rate for name, rate in bare.items()},
        **{f"store_over_copy_{name}": round(store / rate, 2) for name, rate in bare.items()},
        "copy_with_primary_key_over_copy_without_index": round(bare["with_primary_key"] / bare["without_index"], 2),
    }


_SHAPES = {
    "with_primary_key": ", primary key (symbol, ts))",
    "with_the_key_of_bars": ", primary key (symbol, ts) include (high, low, close, volume))",
    "without_index": ")",
}


def _bars(symbols: int, minutes: int) -> Bars:
    dice = np.random.default_rng(1)
    size = symbols * minutes
    middle = np.round(100 + dice.standard_normal(size), 2)
    session = sessions.find(DAY)
    assert session is not None
    first = bar_store.minute_of(session.open)
    return Bars(
        symbol=np.repeat(np.arange(symbols), minutes),
        minute=np.tile(first + np.arange(minutes), symbols),
        open=middle,
        high=middle + 1,
        low=middle - 1,
        close=middle,
        volume=dice.integers(1, 9999, size),
        trade_count=dice.integers(1, 99, size),
        vwap=middle,
    )


def _stored(connection: Connection, symbols: tuple[str, ...], bars: Bars, newest: Any, now: datetime) -> None:
    with connection.transaction():
        bar_store.store_bars(connection, symbols, bars, newest, feed="iex", now=now)


def _truncate(owner: Connection, table: str) -> None:
    owner.execute(f"truncate {table}".encode())
    owner.execute("truncate bars_changed")


def _bare(owner: Connection, extra: str, symbols: tuple[str, ...], bars: Bars, now: datetime) -> float:
    """Rows per second of COPY alone: the same rows, made ready beforehand."""
    owner.execute("drop table if exists bare")
    for statement in (BARE + extra).split(";"):
        owner.execute(statement.encode())
    lengths = np.array([len(symbol) for symbol in symbols])[bars.symbol]
    rows = b"".join(
        bar_store._final_rows(symbols, bars[lengths == length], feed="iex", now=now) for length in np.unique(lengths)
    )

    def copy() -> None:
        with owner.cursor() as cursor, cursor.copy("copy bare from stdin (format binary)") as stream:
            stream.write(bar_store.COPY_HEAD + rows + bar_store.COPY_END)

    return _rate(bars, copy, lambda: _truncate(owner, "bare"))


def _rate(bars: Bars, act: Callable[[], None], before: Callable[[], None]) -> float:
    return round(len(bars) / min(_timed(act, before) for _ in range(ROUNDS)))


def _timed(act: Callable[[], None], before: Callable[[], None] = lambda: None) -> float:
    before()
    started = time.perf_counter()
    act()
    return time.perf_counter() - started


# ── over HTTP ────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, kw_only=True)
class Remote:
    """An exchange in a process of its own, so that it does not compete for the interpreter."""

    url: str
    key_id: str
    secret_key: str
    admin_token: str

    def set_now(self, now: datetime) -> None:
        headers = {"X-Admin-Token": self.admin_token}
        requests.post(f"{self.url}/admin/clock", json={"now": now.isoformat()}, headers=headers, timeout=5)


@contextmanager
def exchange(symbols: tuple[str, ...], *, history: int = 0, thin: tuple[str, ...] = ()) -> Iterator[Remote]:
    """A synthetic market served by another process."""
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(target=_serve, args=(there, symbols, history, thin))
    process.start()
    try:
        yield here.recv()
    finally:
        here.send("stop")
        process.join()


def _serve(pipe: Pipe, symbols: tuple[str, ...], history: int, thin: tuple[str, ...]) -> None:
    market = synthetic.market(symbols, DAY, seed=1, events=0, history_sessions=history, thin=thin)
    with Exchange(market, rate_limit=None) as served:
        pipe.send(
            Remote(url=served.url, key_id=served.key_id, secret_key=served.secret_key, admin_token=served.admin_token)
        )
        pipe.recv()


def _run(database: Database, remote: Remote, symbols: tuple[str, ...], now: datetime) -> float:
    """Seconds of one whole run of the service, connecting included."""
    remote.set_now(now)
    environment = {
        "DATABASE_URL": database.url,
        "ENVIRONMENT": "local",
        "VIRTUAL_NOW": now.isoformat(),
        "EXECUTION_ID": f"bench-{next(_executions)}",
        "ALPACA_DATA_URL": remote.url,
        "ALPACA_KEY_ID": remote.key_id,
        "ALPACA_SECRET_KEY": remote.secret_key,
        "ALPACA_DATA_FEED": "iex",
        "TICKERS": ",".join(symbols),
    }
    printed = io.StringIO()
    with redirect_stdout(printed):
        seconds = _timed(lambda: outcomes.append(task.run_once(ingest, SERVICE, environment)))
    if outcomes.pop() not in ("OK", "NO_INPUT"):
        raise RuntimeError(f"the run at {now} did not end well: {_error(printed.getvalue())}")
    return seconds


outcomes: list[str] = []


def _error(printed: str) -> str:
    lines = [json.loads(line) for line in printed.splitlines()]
    return "; ".join(str(line.get("error") or line.get("message")) for line in lines if "message" in line)


def _catch_up(database: Database) -> dict[str, Any]:
    """Five whole sessions of a hundred symbols into a database that has none of them."""
    symbols = names(100)
    session = sessions.find(DAY)
    assert session is not None
    with exchange(symbols, history=4) as remote:
        seconds = _run(database, remote, symbols, session.close)
    with database.connect() as connection:
        bars = connection.execute("select count(*) from bars").fetchone()
    return {"catch_up_bars": bars[0] if bars else 0, "catch_up_seconds": round(seconds, 2)}


def _whole_market(database: Database, *, thin: bool) -> dict[str, Any]:
    """Minutes of 8,000 symbols: the first ever, then the steady state in which 16 bars a symbol come back; `thin`:
    six of ten symbols have no bar, and the ledger of gaps has its greatest work."""
    symbols = names(MARKET_SYMBOLS)
    session = sessions.find(DAY)
    assert session is not None
    name = "thin_market" if thin else "market"
    with exchange(symbols, thin=symbols if thin else ()) as remote:
        first = _run(database, remote, symbols, session.open + MINUTE)
        for minute in (5, 10, 15, 20):
            _run(database, remote, symbols, session.open + minute * MINUTE)
        steady = [_run(database, remote, symbols, session.open + minute * MINUTE) for minute in (21, 22, 23)]
    with database.connect() as connection:
        rows = connection.execute("select count(*) from gaps").fetchone()
    return {
        f"{name}_first_minute_seconds": round(first, 2),
        f"{name}_steady_minute_seconds": round(sorted(steady)[1], 2),
        f"{name}_gap_rows": rows[0] if rows else 0,
    }


if __name__ == "__main__":
    print(json.dumps(run(), indent=2))

"""Wiring: takes the noted changes of bars and stores the features that they touch, in one transaction."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from psycopg import IsolationLevel
from psycopg.types.json import Json

from feature_computer import encode, features, history
from feature_computer.features import HISTORY_BARS, BarFrame, FeatureFrame, Ints
from feature_computer.history import TOUCHED_BARS, Changes, History
from feature_computer.lanes import side_by_side
from pipeline import sessions, task
from pipeline.errors import DatabaseUnreachable
from pipeline.store import Connection, sql

MINUTE = timedelta(minutes=1)
# A part of the symbols at a time bounds the memory of a catch-up: 500 symbols × 7 sessions are 11 MB an array, and two
# parts are at work at once.
SYMBOLS_AT_ONCE = 500
# No new part is begun after this share of the deadline; the next run goes on.
TIME_SHARE = 0.5


@dataclass(frozen=True, kw_only=True)
class Done:
    """What came of a part: its symbols, the features computed, and those stored as they were new or differed."""

    symbols: int = 0
    computed: int = 0
    stored: int = 0


def run(context: task.Context) -> task.Result:
    """Computes every feature touched by bars that came, changed or went since the last run that finished.

    A part of the symbols at a time, each part its own transaction, so that a backlog too long for one run shrinks with
    every run instead of being started over and over."""
    horizon = context.now - MINUTE  # the newest minute that is over
    late = time.monotonic() + TIME_SHARE * context.service.deadline_seconds
    known = context.connection.execute(sql("feature_computer/changed_symbols"), {"horizon": horizon})
    waiting = [row[0] for row in known]
    if not waiting:
        return _nothing_due(context)

    def work(connection: Connection, symbols: Sequence[str]) -> Done:
        in_time = time.monotonic() < late
        return _compute_part(connection, symbols, horizon, context.now) if in_time else Done()

    parts = list(_parts(waiting))
    with _helper(context, parts) as helper:
        return _result(waiting, side_by_side(parts, work, context.connection, helper))


@contextmanager
def _helper(context: task.Context, parts: Sequence[Sequence[str]]) -> Iterator[Connection | None]:
    """A second connection, where there is work for two and the server has one to give."""
    if len(parts) < 2:
        yield None
        return
    try:
        connection = context.connect()
    except DatabaseUnreachable as error:
        context.log.warning("one connection has to do", error=str(error))
        yield None
        return
    with connection:
        yield connection


def _result(waiting: Sequence[str], parts: Sequence[Done]) -> task.Result:
    computed, stored = sum(part.computed for part in parts), sum(part.stored for part in parts)
    symbols = sum(part.symbols for part in parts)
    return task.Result(
        outcome=task.Outcome.OK,
        rows_in=computed,
        rows_out=computed,
        counts={"symbols": symbols, "symbols_left": len(waiting) - symbols, "stored": stored},
        metrics={"FeaturesStored": stored, "SymbolsLeft": len(waiting) - symbols},
    )


def _compute_part(connection: Connection, symbols: Sequence[str], horizon: datetime, now: datetime) -> Done:
    """Features of these symbols, computed and stored; the notes that asked for them end with it."""
    # One snapshot a part: bars that are stored while this runs leave their note for the next run.
    connection.isolation_level = IsolationLevel.REPEATABLE_READ
    with connection.transaction():
        taken, changes = _take_changes(connection, symbols, horizon)
        computed, stored = _compute(connection, changes, horizon, now) if len(changes) else (0, 0)
        noted = {"ids": taken, "horizon": horizon, "reach": TOUCHED_BARS}
        for settle in ("drop_changes", "shorten_changes"):
            connection.execute(sql(f"feature_computer/{settle}"), noted)
    return Done(symbols=len(symbols), computed=computed, stored=stored)


def _nothing_due(context: task.Context) -> task.Result:
    """While the market is open a minute without any new bar means that upstream gave nothing."""
    in_session = sessions.at(context.now - MINUTE) is not None
    return task.Result(
        outcome=task.Outcome.NO_INPUT if in_session else task.Outcome.SKIPPED,
        counts={"no_new_bars" if in_session else "market_closed": 1},
    )


def _take_changes(connection: Connection, symbols: Sequence[str], horizon: datetime) -> tuple[list[int], Changes]:
    """The notes' ids, and one change a symbol that spans them, sorted by symbol."""
    rows = connection.execute(sql("feature_computer/changes"), {"symbols": symbols, "horizon": horizon}).fetchall()
    first_ts, last_ts = (np.array([row[i] for row in rows], np.int64) for i in (1, 2))
    changes = Changes(symbols=[row[0] for row in rows], first_ts=first_ts, last_ts=last_ts)
    return [i for row in rows for i in row[3]], changes


def _parts(symbols: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(symbols), SYMBOLS_AT_ONCE):
        yield symbols[start : start + SYMBOLS_AT_ONCE]


def _compute(connection: Connection, changes: Changes, horizon: datetime, now: datetime) -> tuple[int, int]:
    """Features computed and features stored (those that are new or differ)."""
    _drop_orphans(connection, changes)
    bars = history.load(connection, changes, horizon)
    if not len(bars.ts):
        return 0, 0
    frame = BarFrame.pack(
        bars.symbol,
        len(changes),
        ts=bars.ts,
        session=bars.session,
        high=bars.high,
        low=bars.low,
        close=bars.close,
        volume=bars.volume,
    )
    row, symbol = due_cells(frame, bars, changes)
    if not len(row):
        return 0, 0
    first_due = int(row.min())
    computed = features.compute(frame, first_due, lost=_lost_minutes(connection, changes, horizon))
    sessions_of = frame.session[row, symbol]
    stored = _store(connection, computed, row - first_due, symbol, sessions_of, changes, now)
    return len(row), stored


def due_cells(frame: BarFrame, bars: History, changes: Changes) -> tuple[Ints, Ints]:
    """Rows and symbols of the frame whose features a change touches: from its first bar to 299 bars after its last."""
    height = len(frame.close)
    present = frame.rows[:, None] >= frame.first
    later = np.bincount(bars.symbol[bars.ts > changes.last_ts[bars.symbol]], minlength=len(changes))
    last_row = np.minimum(height - 1 - later + TOUCHED_BARS, height - 1)
    due = present & (frame.ts >= changes.first_ts) & (frame.rows[:, None] <= last_row)
    row, symbol = np.nonzero(due)
    return row, symbol


def _drop_orphans(connection: Connection, changes: Changes) -> None:
    """A bar that was deleted takes its features with it."""
    connection.execute(sql("feature_computer/drop_orphans"), changes.spans)


def _lost_minutes(connection: Connection, changes: Changes, horizon: datetime) -> dict[int, Ints]:
    """Minutes lost to outages by column of the frame, sorted epoch seconds."""
    column = {symbol: i for i, symbol in enumerate(changes.symbols)}
    lost: dict[int, list[int]] = {}
    parameters = {"symbols": list(column), "horizon": horizon}
    for symbol, first, last in connection.execute(sql("feature_computer/lost_minutes"), parameters):
        lost.setdefault(column[symbol], []).extend(
            int(minute.timestamp()) for minute in sessions.minutes(first, last + MINUTE)
        )
    return {symbol: np.array(sorted(minutes), np.int64) for symbol, minutes in lost.items()}


def _store(
    connection: Connection,
    computed: FeatureFrame,
    row: Ints,
    symbol: Ints,
    session: Ints,
    changes: Changes,
    now: datetime,
) -> int:
    """Stores the cells (row[i], symbol[i]); returns how many were new or differed."""
    reason, nulls = _reasons(computed, row, symbol)
    connection.execute(sql("feature_computer/create_incoming"))
    with connection.cursor() as cursor, cursor.copy(sql("feature_computer/copy_incoming")) as copy:
        copy.write(encode.rows(computed, row, symbol, session, reason))
    parameters = {"symbols": changes.symbols, "nulls": nulls, "now": now}
    stored = connection.execute(sql("feature_computer/store"), parameters).rowcount
    connection.execute(sql("feature_computer/drop_incoming"))
    return stored


def _reasons(computed: FeatureFrame, row: Ints, symbol: Ints) -> tuple[Ints, list[Json]]:
    """The different sets of reasons why features are null, and each cell's place among them (−1: nothing is null).

    What is null, and of how many bars, decides the reasons: a market's cells share a few dozen sets."""
    null = np.isnan(computed.values[:, row, symbol])
    pattern = np.left_shift(1, np.arange(len(null))) @ null * (HISTORY_BARS + 1) + computed.bars_used[row, symbol]
    some = np.flatnonzero(null.sum(axis=0))
    _, example, place = np.unique(pattern[some], return_index=True, return_inverse=True)
    places = np.full(len(row), -1, np.int64)
    places[some] = place
    cells = some[example].tolist()
    return places, [Json(computed.reasons(int(row[i]), int(symbol[i]))) for i in cells]


if __name__ == "__main__":
    task.main(run, __package__)

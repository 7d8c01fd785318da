"""Wiring: takes the noted changes of bars and stores the features that they touch, in one transaction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
from psycopg import IsolationLevel
from psycopg.types.json import Json

from feature_computer import features, history
from feature_computer.features import BarFrame, FeatureFrame, Ints
from feature_computer.history import TOUCHED_BARS, Change, History
from pipeline import sessions, task
from pipeline.store import Connection, sql

MINUTE = timedelta(minutes=1)
# A chunk of symbols at a time bounds the memory of a catch-up: 500 symbols × 7 sessions are 11 MB an array.
SYMBOLS_AT_ONCE = 500
# and a chunk of rows at a time that of an insert.
ROWS_AT_ONCE = 20_000


def run(context: task.Context) -> task.Result:
    """Computes every feature touched by bars that came, changed or went since the last run that finished."""
    connection = context.connection
    horizon = context.now - MINUTE  # the newest minute that is over
    # One snapshot: bars that are stored while this runs leave their note for the next run.
    connection.isolation_level = IsolationLevel.REPEATABLE_READ
    with connection.transaction():
        taken, changes = _take_changes(connection, horizon)
        computed = stored = 0
        for part in _parts(changes):
            more_computed, more_stored = _compute(connection, part, horizon, context.now)
            computed += more_computed
            stored += more_stored
        for settle in ("drop_changes", "shorten_changes"):
            connection.execute(sql(f"feature_computer/{settle}"), {"ids": taken, "horizon": horizon})
    if not changes:
        return _nothing_due(context)
    return task.Result(
        outcome=task.Outcome.OK,
        rows_in=computed,
        rows_out=computed,
        counts={"symbols": len(changes), "stored": stored},
        metrics={"FeaturesStored": stored},
    )


def _nothing_due(context: task.Context) -> task.Result:
    """While the market is open a minute without any new bar means that upstream gave nothing."""
    in_session = sessions.at(context.now - MINUTE) is not None
    return task.Result(
        outcome=task.Outcome.NO_INPUT if in_session else task.Outcome.SKIPPED,
        counts={"no_new_bars" if in_session else "market_closed": 1},
    )


def _take_changes(connection: Connection, horizon: datetime) -> tuple[list[int], list[Change]]:
    """The notes' ids, and one change a symbol that spans them, sorted by symbol."""
    rows = connection.execute(sql("feature_computer/changes"), {"horizon": horizon}).fetchall()
    ids = [i for row in rows for i in row[3]]
    return ids, [Change(symbol=symbol, first_ts=first, last_ts=last) for symbol, first, last, _ in rows]


def _parts(changes: Sequence[Change]) -> Iterator[Sequence[Change]]:
    for start in range(0, len(changes), SYMBOLS_AT_ONCE):
        yield changes[start : start + SYMBOLS_AT_ONCE]


def _compute(connection: Connection, changes: Sequence[Change], horizon: datetime, now: datetime) -> tuple[int, int]:
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


def due_cells(frame: BarFrame, bars: History, changes: Sequence[Change]) -> tuple[Ints, Ints]:
    """Rows and symbols of the frame whose features a change touches: from its first bar to 299 bars after its last."""
    firsts = np.array([int(change.first_ts.timestamp()) for change in changes])
    lasts = np.array([int(change.last_ts.timestamp()) for change in changes])
    height = len(frame.close)
    present = frame.rows[:, None] >= frame.first
    later = np.zeros(len(changes), np.int64)
    np.add.at(later, bars.symbol, bars.ts > lasts[bars.symbol])
    last_row = np.minimum(height - 1 - later + TOUCHED_BARS, height - 1)
    due = present & (frame.ts >= firsts) & (frame.rows[:, None] <= last_row)
    row, symbol = np.nonzero(due)
    return row, symbol


def _drop_orphans(connection: Connection, changes: Sequence[Change]) -> None:
    """A bar that was deleted takes its features with it."""
    connection.execute(sql("feature_computer/drop_orphans"), _spans(changes))


def _lost_minutes(connection: Connection, changes: Sequence[Change], horizon: datetime) -> dict[int, Ints]:
    """Minutes lost to outages by column of the frame, sorted epoch seconds."""
    column = {change.symbol: i for i, change in enumerate(changes)}
    lost: dict[int, list[int]] = {}
    parameters = {"symbols": list(column), "horizon": horizon}
    for symbol, first, last in connection.execute(sql("feature_computer/lost_minutes"), parameters):
        lost.setdefault(column[symbol], []).extend(
            int(minute.timestamp()) for minute in sessions.minutes(first, last + MINUTE)
        )
    return {symbol: np.array(sorted(minutes), np.int64) for symbol, minutes in lost.items()}


def _spans(changes: Sequence[Change]) -> dict[str, list[Any]]:
    return {
        "symbols": [change.symbol for change in changes],
        "firsts": [change.first_ts for change in changes],
        "lasts": [change.last_ts for change in changes],
    }


def _store(
    connection: Connection,
    computed: FeatureFrame,
    row: Ints,
    symbol: Ints,
    session: Ints,
    changes: Sequence[Change],
    now: datetime,
) -> int:
    stored = 0
    for start in range(0, len(row), ROWS_AT_ONCE):
        part = slice(start, start + ROWS_AT_ONCE)
        stored += _store_part(connection, computed, row[part], symbol[part], session[part], changes, now)
    return stored


def _store_part(
    connection: Connection,
    computed: FeatureFrame,
    row: Ints,
    symbol: Ints,
    session: Ints,
    changes: Sequence[Change],
    now: datetime,
) -> int:
    columns = list(zip(*computed.records(row, symbol), strict=True))
    nulls = _reasons(computed, row, symbol)
    parameters: dict[str, Any] = {name: list(column) for name, column in zip(features.COLUMNS, columns, strict=True)}
    parameters |= {
        "symbol": [changes[i].symbol for i in symbol.tolist()],
        "ts": [datetime.fromtimestamp(t, UTC) for t in computed.ts[row, symbol].tolist()],
        "session": [date.fromordinal(_ORDINAL_1970 + day) for day in session.tolist()],
        "nulls": nulls,
        "now": now,
    }
    return connection.execute(sql("feature_computer/store"), parameters).rowcount


_ORDINAL_1970 = date(1970, 1, 1).toordinal()


def _reasons(computed: FeatureFrame, row: Ints, symbol: Ints) -> list[Json | None]:
    has_null = np.isnan(computed.values[:, row, symbol]).sum(axis=0)
    return [
        Json(computed.reasons(r, s)) if null else None
        for r, s, null in zip(row.tolist(), symbol.tolist(), has_null.tolist(), strict=True)
    ]


if __name__ == "__main__":
    task.main(run, __package__)

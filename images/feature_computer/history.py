"""Which features are due after a change of bars, and the bars that they need, read as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray
from psycopg import pq
from psycopg.abc import Buffer
from psycopg.adapt import Loader

from feature_computer.features import HISTORY_BARS, Floats, Ints
from pipeline import sessions
from pipeline.store import Connection, sql

# A change at one bar touches the features of every window that holds it: its own and those of the bars after it.
TOUCHED_BARS = HISTORY_BARS - 1
# Rows read before a change at first: the longest window and, for the VWAP, a session so far, with room for bars outside
# of regular hours. Where that was not enough, the reader asks again for twice as many.
READ_BACK_ROWS = 480
POSTGRES_EPOCH = int(datetime(2000, 1, 1, tzinfo=UTC).timestamp())

_NAMES = ("symbol", "ts", "high", "low", "close", "volume")
_ROW = np.dtype([(name, "i8" if name in ("symbol", "ts") else "f8") for name in _NAMES])


@dataclass(frozen=True, kw_only=True)
class Change:
    """Bars of a symbol that came, were corrected or went, from first_ts to last_ts."""

    symbol: str
    first_ts: datetime
    last_ts: datetime


@dataclass(frozen=True, kw_only=True)
class History:
    """Regular-session bars in flat columns sorted by (symbol, ts); `symbol` indexes changes, `session` numbers days.

    ts: epoch seconds. All columns have shape (bars,)."""

    symbol: Ints
    ts: Ints
    session: Ints
    high: Floats
    low: Floats
    close: Floats
    volume: Floats


def load(connection: Connection, changes: Sequence[Change], horizon: datetime) -> History:
    """The bars that the features touched by `changes` need: back to the longest window, on to the last touched bar.

    Bars later than `horizon` (the newest minute that is over) are left out: they are not known yet."""
    rows = _read(connection, changes, horizon, READ_BACK_ROWS)
    history = _in_session(rows)
    read_rows = READ_BACK_ROWS
    while (short := _cut_short(rows, history, changes, read_rows)).any():
        read_rows *= 2
        again = [change for change, more in zip(changes, short, strict=True) if more]
        more = _read(connection, again, horizon, read_rows)
        more["symbol"] = np.flatnonzero(short)[more["symbol"]]
        rows = np.concatenate([rows[~short[rows["symbol"]]], more])
        rows = rows[np.lexsort((rows["ts"], rows["symbol"]))]
        history = _in_session(rows)
    return history


def _read(connection: Connection, changes: Sequence[Change], horizon: datetime, limit: int) -> NDArray[np.void]:
    """Rows (symbol: index into changes, ts: epoch seconds, high, low, close, volume) sorted by (symbol, ts)."""
    parameters = {
        "symbols": [change.symbol for change in changes],
        "firsts": [change.first_ts for change in changes],
        "lasts": [change.last_ts for change in changes],
        "horizon": horizon,
        "back": limit,
        "ahead": limit,
    }
    with connection.cursor(binary=True) as cursor:
        for oid in _ARRAY_KINDS:
            cursor.adapters.register_loader(oid, _RawArray)
        found = cursor.execute(sql("feature_computer/bars_around"), parameters).fetchall()
    rows = np.empty(sum(len(columns[0]) for _, *columns in found), dtype=_ROW)
    at = 0
    for place, *columns in found:
        part = rows[at : at + len(columns[0])]
        part["symbol"] = place - 1  # ordinality counts from 1
        for name, column in zip(_NAMES[1:], columns, strict=True):
            part[name] = column
        at += len(part)
    rows["ts"] = rows["ts"] // 1_000_000 + POSTGRES_EPOCH
    return rows[np.lexsort((rows["ts"], rows["symbol"]))]


# Array types by their OID in PostgreSQL, and the numpy type of their eight-byte elements.
_ARRAY_KINDS = {1022: ">f8", 1185: ">i8"}  # float8[], timestamptz[] (microseconds since 2000)
_ARRAY_HEADER_BYTES = 20


class _RawArray(Loader):
    """A binary array without nulls as a numpy array, without making a Python object of every element."""

    format = pq.Format.BINARY

    def load(self, data: Buffer) -> NDArray[np.generic]:
        element = np.dtype([("length", ">i4"), ("value", _ARRAY_KINDS[self.oid])])
        values: NDArray[np.generic] = np.frombuffer(bytes(data), dtype=element, offset=_ARRAY_HEADER_BYTES)["value"]
        return values


def _in_session(rows: NDArray[np.void]) -> History:
    """Keeps the bars of regular sessions and notes which session each belongs to."""
    ts = rows["ts"]
    opens, closes = _session_bounds(ts)
    at = np.searchsorted(opens, ts, side="right") - 1
    keep = (at >= 0) & (ts < closes[np.maximum(at, 0)]) if len(opens) else np.zeros(len(ts), dtype=bool)
    kept = rows[keep]
    return History(session=opens[at[keep]] // 86400, **{name: np.ascontiguousarray(kept[name]) for name in _NAMES})


def _session_bounds(ts: Ints) -> tuple[Ints, Ints]:
    if not len(ts):
        return np.empty(0, np.int64), np.empty(0, np.int64)
    start, end = (datetime.fromtimestamp(int(t), UTC) for t in (ts.min(), ts.max() + 60))
    found = list(sessions.between(start, end))
    bounds = [[int(getattr(s, name).timestamp()) for s in found] for name in ("open", "close")]
    return np.array(bounds[0], np.int64), np.array(bounds[1], np.int64)


def _cut_short(rows: NDArray[np.void], history: History, changes: Sequence[Change], limit: int) -> NDArray[np.bool_]:
    """Which symbols may have needed bars that a limited read left in the table. Shape (changes,)."""
    count = len(changes)
    firsts = np.array([change.first_ts.timestamp() for change in changes])
    lasts = np.array([change.last_ts.timestamp() for change in changes])

    def tally(symbol: Ints, wanted: NDArray[np.bool_]) -> Ints:
        return np.bincount(symbol[wanted], minlength=count)

    read_before = tally(rows["symbol"], rows["ts"] < firsts[rows["symbol"]])
    read_after = tally(rows["symbol"], rows["ts"] > lasts[rows["symbol"]])
    before = tally(history.symbol, history.ts < firsts[history.symbol])
    after = tally(history.symbol, history.ts > lasts[history.symbol])
    back_short = (read_before >= limit) & ((before < TOUCHED_BARS) | ~_reaches_open(rows, firsts, count))
    ahead_short = (read_after >= limit) & (after < TOUCHED_BARS)
    return back_short | ahead_short


def _reaches_open(rows: NDArray[np.void], firsts: Floats, count: int) -> NDArray[np.bool_]:
    """Whether a symbol's rows go back beyond the open of the session that its first change lies in (for the VWAP)."""
    oldest = np.full(count, np.inf)
    np.minimum.at(oldest, rows["symbol"], rows["ts"].astype(float))
    day_start = firsts // 86400 * 86400  # no regular session crosses midnight UTC
    return oldest < day_start

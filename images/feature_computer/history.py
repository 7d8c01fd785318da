"""Which features are due after a change of bars, and the bars that they need, read as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from psycopg.types.string import ByteaBinaryLoader

from feature_computer.features import HISTORY_BARS, Floats, Ints
from pipeline import sessions
from pipeline.store import Connection, sql

# A change at one bar touches the features of every window that holds it: its own and those of the bars after it.
TOUCHED_BARS = HISTORY_BARS - 1
# Rows read before a change at first: the longest window and, for the VWAP, a session so far, with room for bars outside
# of regular hours. Where that was not enough, the reader asks again for twice as many.
READ_BACK_ROWS = 480
POSTGRES_EPOCH = int(datetime(2000, 1, 1, tzinfo=UTC).timestamp())


@dataclass(frozen=True, kw_only=True)
class Changes:
    """Bars that came, were corrected or went: of each symbol those from first_ts to last_ts, epoch seconds."""

    symbols: Sequence[str]
    first_ts: Ints
    last_ts: Ints

    def __len__(self) -> int:
        return len(self.symbols)

    def __getitem__(self, chosen: NDArray[np.bool_]) -> Changes:
        symbols = [symbol for symbol, taken in zip(self.symbols, chosen.tolist(), strict=True) if taken]
        return Changes(symbols=symbols, first_ts=self.first_ts[chosen], last_ts=self.last_ts[chosen])

    @property
    def spans(self) -> dict[str, list[Any]]:
        """As statements take them. Whole seconds, since 8,000 datetimes take the driver a tenth of a second."""
        return {"symbols": list(self.symbols), "firsts": self.first_ts.tolist(), "lasts": self.last_ts.tolist()}


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Bars in flat columns sorted by (symbol, ts); `symbol` indexes changes.

    ts: epoch seconds. All columns have shape (bars,)."""

    symbol: Ints
    ts: Ints
    high: Floats
    low: Floats
    close: Floats
    volume: Floats

    def __getitem__(self, chosen: NDArray[Any]) -> Self:
        return type(self)(**{field.name: getattr(self, field.name)[chosen] for field in fields(self)})

    def sorted(self) -> Self:
        """In order of (symbol, ts). The sort is one that is done at once with what is in order by long stretches."""
        return self[np.argsort((self.symbol << _SECONDS_BITS) + self.ts, kind="stable")]


_COLUMNS = tuple(field.name for field in fields(Rows))


@dataclass(frozen=True, kw_only=True)
class History(Rows):
    """Bars of regular sessions; `session` numbers their days."""

    session: Ints


def load(connection: Connection, changes: Changes, horizon: datetime) -> History:
    """The bars that the features touched by `changes` need: back to the longest window, on to the last touched bar.

    Bars later than `horizon` (the newest minute that is over) are left out: they are not known yet."""
    rows = _read(connection, changes, horizon, READ_BACK_ROWS)
    history = _in_session(rows)
    read_rows = READ_BACK_ROWS
    while (short := _cut_short(rows, history, changes, read_rows)).any():
        read_rows *= 2
        more = _read(connection, changes[short], horizon, read_rows)
        rows = _joined(rows[~short[rows.symbol]], replace(more, symbol=np.flatnonzero(short)[more.symbol])).sorted()
        history = _in_session(rows)
    return history


def _joined(one: Rows, other: Rows) -> Rows:
    return Rows(**{name: np.concatenate([getattr(one, name), getattr(other, name)]) for name in _COLUMNS})


_ARRAY_OIDS = (1022, 1185, 1016)  # float8[], timestamptz[] (microseconds since 2000), bigint[]
_ARRAY_HEADER_BYTES = 20
_ELEMENT_BYTES = 12  # its length and its value
_SECONDS_BITS = 34  # epoch seconds until the year 2514


def _read(connection: Connection, changes: Changes, horizon: datetime, limit: int) -> Rows:
    parameters = {**changes.spans, "horizon": horizon, "limit": limit}
    with connection.cursor(binary=True) as cursor:
        for oid in _ARRAY_OIDS:
            cursor.adapters.register_loader(oid, ByteaBinaryLoader)
        found = cursor.execute(sql("feature_computer/bars_around"), parameters).fetchall()
    place, ts, *prices, volume = zip(*found, strict=True) if found else [()] * 6
    starts = _elements(ts, ">i8")
    bars = [(len(array) - _ARRAY_HEADER_BYTES) // _ELEMENT_BYTES for array in ts]
    high, low, close = (_elements(arrays, ">f8").astype(np.float64) for arrays in prices)
    return Rows(
        symbol=np.repeat(np.array(place, np.int64) - 1, bars),  # ordinality counts from 1
        ts=starts.astype(np.int64) // 1_000_000 + POSTGRES_EPOCH,
        high=high,
        low=low,
        close=close,
        volume=_elements(volume, ">i8").astype(np.float64),
    ).sorted()


def _elements(arrays: Sequence[bytes], kind: str) -> NDArray[Any]:
    """The elements of binary arrays without nulls, one after the other, no Python object made of any of them."""
    data = b"".join([array[_ARRAY_HEADER_BYTES:] for array in arrays])
    elements: NDArray[Any] = np.frombuffer(data, dtype=[("length", ">i4"), ("value", kind)])["value"]
    return elements


def _in_session(rows: Rows) -> History:
    """Keeps the bars of regular sessions and notes which session each belongs to."""
    opens, closes = _session_bounds(rows.ts)
    at = np.searchsorted(opens, rows.ts, side="right") - 1
    keep = (at >= 0) & (rows.ts < closes[np.maximum(at, 0)]) if len(opens) else np.zeros(len(rows.ts), dtype=bool)
    kept = rows if keep.all() else rows[keep]
    return History(session=opens[at[keep]] // 86400, **{name: getattr(kept, name) for name in _COLUMNS})


def _session_bounds(ts: Ints) -> tuple[Ints, Ints]:
    if not len(ts):
        return np.empty(0, np.int64), np.empty(0, np.int64)
    start, end = (datetime.fromtimestamp(int(t), UTC) for t in (ts.min(), ts.max() + 60))
    found = list(sessions.between(start, end))
    bounds = [[int(getattr(s, name).timestamp()) for s in found] for name in ("open", "close")]
    return np.array(bounds[0], np.int64), np.array(bounds[1], np.int64)


def _cut_short(rows: Rows, history: History, changes: Changes, limit: int) -> NDArray[np.bool_]:
    """Which symbols may have needed bars that a limited read left in the table. Shape (changes,)."""
    count = len(changes)
    if (np.bincount(rows.symbol, minlength=count) < limit).all():
        return np.zeros(count, dtype=bool)

    def tally(symbol: Ints, wanted: NDArray[np.bool_]) -> Ints:
        return np.bincount(symbol[wanted], minlength=count)

    read_before = tally(rows.symbol, rows.ts < changes.first_ts[rows.symbol])
    read_after = tally(rows.symbol, rows.ts > changes.last_ts[rows.symbol])
    before = tally(history.symbol, history.ts < changes.first_ts[history.symbol])
    after = tally(history.symbol, history.ts > changes.last_ts[history.symbol])
    back_short = (read_before >= limit) & ((before < TOUCHED_BARS) | ~_reaches_open(rows, changes))
    ahead_short = (read_after >= limit) & (after < TOUCHED_BARS)
    return back_short | ahead_short


def _reaches_open(rows: Rows, changes: Changes) -> NDArray[np.bool_]:
    """Whether a symbol's rows go back beyond the open of the session that its first change lies in (for the VWAP)."""
    oldest = np.full(len(changes), np.iinfo(np.int64).max)
    np.minimum.at(oldest, rows.symbol, rows.ts)
    day_start = changes.first_ts // 86400 * 86400  # no regular session crosses midnight UTC
    return oldest < day_start

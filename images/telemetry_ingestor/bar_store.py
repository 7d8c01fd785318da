"""How bars, bars set aside and gaps get into the database. All of a run goes into one transaction of the caller's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import numpy as np
import psycopg
from numpy.typing import NDArray
from psycopg.types.json import Json

from pipeline.store import Connection, sql
from telemetry_ingestor.bars import NULL_COUNT, Bars, Ints, Rejected
from telemetry_ingestor.fetch_plan import NO_BAR

# PostgreSQL's binary COPY: signature, flags, no header extension; a field count of -1 ends it.
COPY_HEAD = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
COPY_END = b"\xff\xff"
UNIX_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
POSTGRES_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
POSTGRES_EPOCH_SECONDS = int(POSTGRES_EPOCH.timestamp())
# Rows handed to the connection at a time: 4 MB or so.
COPY_ROWS = 50_000


class Stored(NamedTuple):
    """How many bars were new, and how many stood there differently."""

    inserted: int
    updated: int


def moment(minute: int) -> datetime:
    """The start of a minute counted since 1970."""
    return datetime.fromtimestamp(minute * 60, UTC)


def minute_of(ts: datetime) -> int:
    """The minute since 1970 that holds an instant."""
    return int(ts.timestamp() // 60)


def microseconds(ts: datetime) -> int:
    """An instant as microseconds since 1970."""
    return (ts - UNIX_EPOCH) // timedelta(microseconds=1)


def newest_minutes(connection: Connection, symbols: Sequence[str], now: datetime) -> Ints:
    """Each symbol's newest stored minute before `now`, NO_BAR where it has none."""
    rows = connection.execute(sql("telemetry_ingestor/newest_bars"), {"symbols": list(symbols), "now": now})
    found = {symbol: minute_of(ts) for symbol, ts in rows}
    return np.array([found.get(symbol, NO_BAR) for symbol in symbols], dtype=np.int64)


def last_settled(connection: Connection, service: str, now: datetime) -> datetime | None:
    """When a run last got everything there was, as known at `now`."""
    row = connection.execute(sql("telemetry_ingestor/last_settled"), {"service": service, "now": now}).fetchone()
    return row[0] if row else None


def store_bars(
    connection: Connection, symbols: Sequence[str], bars: Bars, newest: Ints, *, feed: str, now: datetime
) -> Stored:
    """Stores bars (sorted, one a key) inside the caller's transaction. `newest`: each symbol's newest stored minute.

    Later bars than that are new and are copied straight into the table, in half the time of an upsert; the overlap
    goes through a staging table, where equal rows drop out. Where another writer was faster, all of it is upserted."""
    nulls = (bars.trade_count == NULL_COUNT) | np.isnan(bars.vwap)
    new = (bars.minute > newest[bars.symbol]) & ~nulls
    old = _upsert(connection, symbols, bars[~new], feed=feed, now=now)
    try:
        with connection.transaction():
            inserted = _copy_new(connection, symbols, bars[new], feed=feed, now=now)
    except psycopg.errors.UniqueViolation:
        late = _upsert(connection, symbols, bars[new], feed=feed, now=now)
        return Stored(old.inserted + late.inserted, old.updated + late.updated)
    return Stored(old.inserted + inserted, old.updated)


def _copy_new(connection: Connection, symbols: Sequence[str], bars: Bars, *, feed: str, now: datetime) -> int:
    """Copies bars into the table; those of symbols of one length at a time, as each row of an array has one layout."""
    if not len(bars):
        return 0
    lengths = np.array([len(symbol) for symbol in symbols])[bars.symbol]
    with connection.cursor() as cursor, cursor.copy(sql("telemetry_ingestor/copy_bars")) as copy:
        copy.write(COPY_HEAD)
        for length in np.unique(lengths).tolist():
            for part in _slices(bars[lengths == length]):
                copy.write(_final_rows(symbols, part, feed=feed, now=now))
        copy.write(COPY_END)
    return len(bars)


def _upsert(connection: Connection, symbols: Sequence[str], bars: Bars, *, feed: str, now: datetime) -> Stored:
    if not len(bars):
        return Stored(0, 0)
    span = {"first": moment(int(bars.minute.min())), "last": moment(int(bars.minute.max()))}
    with connection.cursor() as cursor:
        cursor.execute(sql("telemetry_ingestor/drop_incoming"))
        cursor.execute(sql("telemetry_ingestor/create_incoming"))
        with cursor.copy(sql("telemetry_ingestor/copy_incoming")) as copy:
            copy.write(COPY_HEAD)
            for part in _slices(bars):
                copy.write(_staged_rows(symbols, part))
            copy.write(COPY_END)
        cursor.execute(sql("telemetry_ingestor/upsert_bars"), {"feed": feed, "now": now, **span})
        row = cursor.fetchone()
    return Stored(*row) if row else Stored(0, 0)


def _slices(bars: Bars) -> Iterator[Bars]:
    for first in range(0, len(bars), COPY_ROWS):
        yield bars[slice(first, first + COPY_ROWS)]


def _names(symbols: Sequence[str], bars: Bars) -> NDArray[np.bytes_]:
    """Each bar's symbol, padded with blanks to the longest one's width."""
    used, at = np.unique(bars.symbol, return_inverse=True)
    names = np.array([symbols[i].encode("ascii") for i in used.tolist()])
    return np.asarray(np.char.ljust(names, names.dtype.itemsize)[at])


def _staged_rows(symbols: Sequence[str], bars: Bars) -> bytes:
    """Rows for the staging table: one layout for all, so symbols are padded and nulls have stand-ins."""
    return _binary(
        (
            _names(symbols, bars),
            _timestamps(bars.minute),
            *(getattr(bars, name).astype(">f8") for name in ("open", "high", "low", "close")),
            bars.volume.astype(">i8"),
            bars.trade_count.astype(">i8"),
            bars.vwap.astype(">f8"),
        )
    )


def _final_rows(symbols: Sequence[str], bars: Bars, *, feed: str, now: datetime) -> bytes:
    """Rows for `bars` itself, without nulls and of symbols of one length."""
    stamp = np.array([(now - POSTGRES_EPOCH) // timedelta(microseconds=1)], dtype=">i8")
    columns = (
        _names(symbols, bars),
        _timestamps(bars.minute),
        *(getattr(bars, name).astype(">f8") for name in ("open", "high", "low", "close")),
        bars.volume.astype(">i8"),
        bars.trade_count.astype(">i4"),
        bars.vwap.astype(">f8"),
        np.repeat(np.array([feed.encode("ascii")]), len(bars)),
        np.repeat(stamp, len(bars)),
    )
    return _binary(columns)


def _timestamps(minutes: Ints) -> NDArray[Any]:
    return np.asarray(((minutes * 60 - POSTGRES_EPOCH_SECONDS) * 1_000_000).astype(">i8"))


def _binary(columns: Sequence[NDArray[Any]]) -> bytes:
    """Columns of big-endian values as rows of a binary COPY: a count of fields, then each one's length and bytes."""
    layout: list[tuple[str, Any]] = [("fields", ">i2")]
    for number, column in enumerate(columns):
        layout += [(f"length{number}", ">i4"), (f"value{number}", column.dtype)]
    rows: NDArray[Any] = np.empty(len(columns[0]), dtype=np.dtype(layout))
    rows["fields"] = len(columns)
    for number, column in enumerate(columns):
        rows[f"length{number}"] = column.dtype.itemsize
        rows[f"value{number}"] = column
    return rows.tobytes()


def set_aside(connection: Connection, rejected: Sequence[Rejected], *, feed: str, now: datetime) -> int:
    """Keeps the bars that the table would refuse, each reason once; returns how many were not known before."""
    rows = {(row.symbol, row.ts, row.reason): row for row in rejected}
    if not rows:
        return 0
    found = connection.execute(
        sql("telemetry_ingestor/set_aside"),
        {
            "symbols": [row.symbol for row in rows.values()],
            "ts": [row.ts for row in rows.values()],
            "reasons": [row.reason for row in rows.values()],
            "bars": [Json(row.bar) for row in rows.values()],
            "feed": feed,
            "now": now,
        },
    ).fetchone()
    return int(found[0]) if found else 0

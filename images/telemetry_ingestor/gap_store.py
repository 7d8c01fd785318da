"""How the gap ledger is read and written; what belongs in it is judged in `gaps`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import numpy as np

from pipeline.store import Connection, sql
from telemetry_ingestor import gaps
from telemetry_ingestor.bar_store import minute_of
from telemetry_ingestor.bars import Ints
from telemetry_ingestor.fetch_plan import NO_BAR
from telemetry_ingestor.gaps import CLASSES, Changes, Gaps


def load(connection: Connection, symbols: Sequence[str], first: Ints, last: int) -> Gaps:
    """The rows that touch each symbol's minutes from the one before its `first` up to `last`."""
    rows = connection.execute(
        sql("telemetry_ingestor/gaps_since"), {"symbols": list(symbols), "first": first.tolist(), "last": last}
    ).fetchall()
    return gaps.rows_of([(*row[:3], CLASSES.index(row[3]), *row[4:]) for row in rows])


def stored(connection: Connection, symbols: Sequence[str], keys: Ints) -> Ints:
    """Those of the minutes (keys) that have a bar in the table."""
    if not len(keys):
        return keys
    symbol, minute = gaps.unkey(keys)
    values = {"symbols": [symbols[i] for i in symbol.tolist()], "minutes": minute.tolist()}
    rows = connection.execute(sql("telemetry_ingestor/stored_minutes"), values).fetchall()
    return keys[np.sort(np.array([row[0] for row in rows], dtype=np.int64))]


def write(connection: Connection, symbols: Sequence[str], changes: Changes) -> None:
    """Applies the changes inside the caller's transaction."""
    if len(changes.delete):
        values = {"symbols": _names(symbols, changes.delete), "first": changes.delete.first.tolist()}
        connection.execute(sql("telemetry_ingestor/delete_gaps"), values)
    if len(changes.write):
        rows = changes.write
        values = {
            "symbols": _names(symbols, rows),
            "first": rows.first.tolist(),
            "last": rows.last.tolist(),
            "classes": [CLASSES[kind] for kind in rows.kind.tolist()],
            "detected": rows.detected.tolist(),
            "backfilled": rows.backfilled.tolist(),
        }
        connection.execute(sql("telemetry_ingestor/write_gaps"), values)


def _names(symbols: Sequence[str], rows: Gaps) -> list[str]:
    return [symbols[i] for i in rows.symbol.tolist()]


def unfilled(connection: Connection, symbols: Sequence[str], *, since: datetime, before: datetime) -> Ints:
    """Each symbol's earliest minute in [since, before) that the ledger lacks a bar for; NO_BAR where there is none."""
    rows = connection.execute(
        sql("telemetry_ingestor/unfilled"), {"symbols": list(symbols), "since": since, "before": before}
    )
    found = {symbol: minute_of(ts) for symbol, ts in rows}
    return np.array([found.get(symbol, NO_BAR) for symbol in symbols], dtype=np.int64)

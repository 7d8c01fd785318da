"""Features as PostgreSQL's binary COPY format, made a column at a time: a market's minute in milliseconds."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from feature_computer.features import FEATURES, FeatureFrame, Ints
from feature_computer.history import POSTGRES_EPOCH

_SIGNATURE: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)  # flags and the length of a header extension: none
_TRAILER: Final = b"\xff\xff"
_DAY_SECONDS: Final = 86_400
_MICROSECONDS: Final = 1_000_000

# The columns of the table `incoming`, in its order, with their binary types.
_COLUMNS: Final = (
    ("place", ">i8"),
    ("ts", ">i8"),
    ("session", ">i4"),
    *((name, ">f8") for name in FEATURES),
    ("gap_minutes", ">i4"),
    ("bars_used", ">i4"),
    ("window_start", ">i8"),
    ("reason", ">i4"),
)


def _record() -> np.dtype[np.void]:
    """One row of a binary COPY: the number of fields, then each field's length and value."""
    fields = [("fields", ">i2")]
    for name, kind in _COLUMNS:
        fields += [(f"{name} length", ">i4"), (name, kind)]
    return np.dtype(fields)


_RECORD: Final = _record()


def rows(computed: FeatureFrame, row: Ints, symbol: Ints, session: Ints, reason: Ints) -> bytes:
    """The cells (row[i], symbol[i]) as one binary COPY. Null stays NaN.

    `session`: each cell's date as days since 1970; `reason`: the place of its nulls' reasons in a list, −1 for none."""
    table: NDArray[np.void] = np.empty(len(row), dtype=_RECORD)
    table["fields"] = len(_COLUMNS)
    for name, kind in _COLUMNS:
        table[f"{name} length"] = np.dtype(kind).itemsize
    table["place"] = symbol
    table["ts"] = _timestamps(computed.ts[row, symbol])
    table["session"] = session - POSTGRES_EPOCH // _DAY_SECONDS
    for name in FEATURES:
        table[name] = computed[name][row, symbol]
    table["gap_minutes"] = computed.gap_minutes[row, symbol]
    table["bars_used"] = computed.bars_used[row, symbol]
    table["window_start"] = _timestamps(computed.window_start[row, symbol])
    table["reason"] = reason
    return _SIGNATURE + table.tobytes() + _TRAILER


def _timestamps(seconds: Ints) -> Ints:
    """Epoch seconds as PostgreSQL keeps them: microseconds since 2000."""
    return (seconds - POSTGRES_EPOCH) * _MICROSECONDS

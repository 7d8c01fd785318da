"""The gap ledger: which session minutes lack a bar and why, as the fewest rows. Pure: columns in, changed rows out.

A row is a range of adjacent missing minutes of one symbol with one class and one `backfilled` time; it never crosses
from one session into the next. Minutes are int64 since 1970, symbols positions in the run's list, instants µs since
1970 with NEVER for null. A minute's story:

    our_outage   no run of ours took it in time, or the request for it failed; backfilled once its bar is stored
    feed_late    asked for in time and not there, although it came later; or no symbol has a bar that new yet
    rejected     its only bar was set aside; backfilled once a good one comes
    no_trade     asked for and answered without a bar (a bar that still comes makes it feed_late)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime

import numpy as np

from telemetry_ingestor.bars import Ints, Mask, Rejected

CLASSES = ("closed", "no_trade", "feed_late", "our_outage", "rejected")
CLOSED, NO_TRADE, FEED_LATE, OUR_OUTAGE, REJECTED = range(len(CLASSES))
NONE = -1
NEVER = -1


@dataclass(frozen=True, kw_only=True, eq=False)
class Gaps:
    """Rows of the ledger as columns of one length, ordered by symbol, then first minute."""

    symbol: Ints
    first: Ints
    last: Ints
    kind: Ints
    detected: Ints
    backfilled: Ints

    def __len__(self) -> int:
        return len(self.symbol)

    def __getitem__(self, at: Mask | Ints) -> Gaps:
        return Gaps(**{column.name: getattr(self, column.name)[at] for column in fields(self)})


@dataclass(frozen=True, kw_only=True)
class Changes:
    """What to do to the ledger: rows to delete, then rows to insert or overwrite, both by (symbol, first)."""

    delete: Gaps
    write: Gaps

    def __bool__(self) -> bool:
        return len(self.delete) + len(self.write) > 0


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What a run saw. Arrays with one value a symbol, unless said otherwise; minutes from `first` to `last` count.

    `asked` is the first minute that was asked for: what lies between `first` and it is lost beyond the catch-up.
    `answered_until` is the first minute without an answer. `present` and `refused` are keys (see `key`), sorted:
    minutes with a bar, minutes whose bar was set aside. `newest` is the newest minute with a bar of any symbol.
    [`missed_from`, `missed_to`) are minutes that no run took in time; unanswered minutes before `claim_to` are ours.
    """

    first: Ints
    asked: Ints
    answered_until: Ints
    last: int
    present: Ints
    refused: Ints
    newest: int
    missed_from: int
    missed_to: int
    claim_to: int
    now: int


def key(symbol: Ints, minute: Ints) -> Ints:
    """One number for symbol and minute that sorts by symbol, then minute (below 2**32 until the year 10136)."""
    return (symbol << 32) | minute


def keys_of(symbols: Sequence[str], rows: Iterable[Rejected], minute_of: Callable[[datetime], int]) -> Ints:
    """Keys of bars set aside, of these symbols, sorted."""
    positions = {symbol: i for i, symbol in enumerate(symbols)}
    found = sorted({(positions[row.symbol], minute_of(row.ts)) for row in rows if row.symbol in positions})
    pairs = np.array(found, dtype=np.int64).reshape(-1, 2)
    return key(pairs[:, 0], pairs[:, 1])


def unkey(keys: Ints) -> tuple[Ints, Ints]:
    """Symbol and minute of keys."""
    return keys >> 32, keys & 0xFFFFFFFF


def rows_of(rows: Sequence[Sequence[int]]) -> Gaps:
    """Rows (symbol, first, last, kind, detected, backfilled) as columns, in ledger order."""
    table = np.array(rows, dtype=np.int64).reshape(-1, 6)
    table = table[np.lexsort((table[:, 1], table[:, 0]))]
    symbol, first, last, kind, detected, backfilled = (np.ascontiguousarray(column) for column in table.T)
    return Gaps(symbol=symbol, first=first, last=last, kind=kind, detected=detected, backfilled=backfilled)


def unexplained(ledger: Gaps, seen: Seen, grid: Ints) -> Ints:
    """Keys of minutes that are missing in what came and have no row: whether they are stored is worth a look."""
    missing = _without(_expected(seen, grid), seen.present)
    covered, _ = _cells(ledger, grid)
    return _without(missing, covered)


def reconcile(ledger: Gaps, seen: Seen, grid: Ints) -> Changes:
    """The rows that change. `ledger`: all rows that touch an examined minute or the one before. `grid`: every session
    minute from the earliest to the latest that is examined or in `ledger`, sorted.

    Minutes keep what is final (backfilled), and what was noted after `now`: a run that comes late in real time, or a
    replay, knows less than the ledger."""
    foreign = _foreign(ledger, grid)
    ours, fixed = ledger[~foreign], _cells(ledger[foreign], grid)[0]
    covered, row = _cells(ours, grid)
    expected = _without(_expected(seen, grid), fixed)
    keys = _union(_without(expected, seen.present), covered, _late_arrivals(expected, seen))
    before = _states(keys, covered, row, ours)
    after = _judge(keys, before, seen, expected)
    changed = (after.kind != before.kind) | (after.backfilled != before.backfilled)
    if not changed.any():
        nothing = ledger[np.zeros(len(ledger), dtype=bool)]
        return Changes(delete=nothing, write=nothing)
    return _rewritten(ours, keys, after, _union(keys[changed] >> 32), seen.now)


@dataclass(frozen=True, kw_only=True)
class _States:
    """What is known of each minute; kind NONE: no row."""

    kind: Ints
    detected: Ints
    backfilled: Ints


# ── minutes ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _expected(seen: Seen, grid: Ints) -> Ints:
    """Keys of all examined session minutes, sorted."""
    low = np.searchsorted(grid, seen.first)
    high = np.maximum(low, np.searchsorted(grid, seen.last, side="right"))
    symbols = np.arange(len(low), dtype=np.int64)
    return key(np.repeat(symbols, high - low), grid[_ranges(low, high)])


def _ranges(low: Ints, high: Ints) -> Ints:
    """low[0] … high[0] − 1, low[1] … high[1] − 1, …"""
    counts = high - low
    before = np.cumsum(counts) - counts
    return np.arange(int(counts.sum()), dtype=np.int64) + np.repeat(low - before, counts)


def _cells(rows: Gaps, grid: Ints) -> tuple[Ints, Ints]:
    """Keys of the minutes that the rows cover, sorted, and the row that each belongs to."""
    low, high = np.searchsorted(grid, rows.first), np.searchsorted(grid, rows.last, side="right")
    counts = high - low
    minutes = grid[_ranges(low, high)] if len(rows) else np.empty(0, dtype=np.int64)
    row = np.repeat(np.arange(len(rows), dtype=np.int64), counts)
    return key(rows.symbol[row], minutes), row


def _foreign(rows: Gaps, grid: Ints) -> Mask:
    """Rows that hold other than adjacent session minutes: written by another hand, left as they are."""
    counts = np.searchsorted(grid, rows.last, side="right") - np.searchsorted(grid, rows.first)
    return np.asarray((counts != rows.last - rows.first + 1) | (rows.kind == CLOSED))


def _in(keys: Ints, among: Ints) -> Mask:
    """Which keys stand among the others (sorted)."""
    if not len(among):
        return np.zeros(len(keys), dtype=bool)
    at = np.minimum(np.searchsorted(among, keys), len(among) - 1)
    return np.asarray(among[at] == keys)


def _union(*parts: Ints) -> Ints:
    """All keys once, sorted. NumPy's own union hashes first, three times slower on keys that are nearly sorted."""
    keys = np.sort(np.concatenate(parts), kind="stable")
    return keys[np.append(True, np.diff(keys) != 0)] if len(keys) else keys


def _without(keys: Ints, others: Ints) -> Ints:
    return keys[~_in(keys, others)]


def _late_arrivals(expected: Ints, seen: Seen) -> Ints:
    """Minutes with a bar that no run of ours took in time."""
    if seen.missed_from >= seen.missed_to:
        return expected[:0]
    _, minute = unkey(expected)
    return expected[(minute >= seen.missed_from) & (minute < seen.missed_to) & _in(expected, seen.present)]


def _states(keys: Ints, covered: Ints, row: Ints, rows: Gaps) -> _States:
    kind, detected, backfilled = (np.full(len(keys), NONE, dtype=np.int64) for _ in range(3))
    at = np.searchsorted(keys, covered)
    kind[at], detected[at], backfilled[at] = rows.kind[row], rows.detected[row], rows.backfilled[row]
    return _States(kind=kind, detected=detected, backfilled=backfilled)


# ── the judgement ────────────────────────────────────────────────────────────────────────────────────────────────────


def _judge(keys: Ints, before: _States, seen: Seen, expected: Ints) -> _States:
    """Every minute's class and backfilled time after this run."""
    symbol, minute = unkey(keys)
    old = before.kind
    unknown = old == NONE
    open_ = _in(keys, expected) & (before.backfilled == NEVER) & (before.detected <= seen.now)
    present = open_ & _in(keys, seen.present)
    asked = open_ & ~present & (minute >= seen.asked[symbol])
    answered = asked & (minute < seen.answered_until[symbol])
    refused = answered & _in(keys, seen.refused)
    passed = minute <= seen.newest
    missed = (minute >= seen.missed_from) & (minute < seen.missed_to)
    beyond = open_ & ~present & ~asked
    ours = (asked & ~answered & (minute < seen.claim_to)) | beyond
    kind = np.select(
        [
            present & unknown & missed,
            present & ((old == NO_TRADE) | (old == FEED_LATE)),
            refused,
            answered & passed & (unknown | (old == OUR_OUTAGE) | (old == FEED_LATE)),
            answered & ~passed & unknown,
            ours & unknown,
        ],
        [OUR_OUTAGE, FEED_LATE, REJECTED, NO_TRADE, FEED_LATE, OUR_OUTAGE],
        default=old,
    ).astype(np.int64)
    backfilled = np.where(present & (kind != NONE), seen.now, before.backfilled)
    detected = np.where(unknown, seen.now, before.detected)
    return _States(kind=kind, detected=detected, backfilled=backfilled)


# ── rows again ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _rewritten(ledger: Gaps, keys: Ints, states: _States, symbols: Ints, now: int) -> Changes:
    """The ledger of these symbols written anew, reduced to the rows that differ."""
    mine = _in(keys >> 32, symbols) & (states.kind != NONE)
    new = _merged(keys[mine], _States(**{name: column[mine] for name, column in vars(states).items()}), now)
    old = ledger[_in(ledger.symbol, symbols)]
    old_keys, new_keys = key(old.symbol, old.first), key(new.symbol, new.first)
    same = _in(new_keys, old_keys)
    if same.any():
        stood = old[np.searchsorted(old_keys, new_keys[same])]
        same[same] = _equal(new[same], stood)
    return Changes(delete=old[~_in(old_keys, new_keys)], write=new[~same])


def _merged(keys: Ints, states: _States, now: int) -> Gaps:
    """Adjacent minutes with one class and one backfilled time as one row, detected when the first of them was.

    What was noted after `now` keeps rows of its own: merged, it would look as if it had been known by then."""
    starts = np.ones(len(keys), dtype=bool)
    starts[1:] = (np.diff(states.kind) != 0) | (np.diff(states.backfilled) != 0)
    starts[1:] |= np.diff(states.detected > now)
    starts[1:] |= np.diff(keys) != 1  # the key of the next symbol, or of the next session, is further off than 1
    first = np.flatnonzero(starts)
    last = np.append(first[1:], len(keys)) - 1
    symbol, minute = unkey(keys)
    return Gaps(
        symbol=symbol[first],
        first=minute[first],
        last=minute[last],
        kind=states.kind[first],
        detected=np.minimum.reduceat(states.detected, first) if len(first) else states.detected,
        backfilled=states.backfilled[first],
    )


def _equal(rows: Gaps, others: Gaps) -> Mask:
    equal = np.ones(len(rows), dtype=bool)
    for column in fields(Gaps):
        equal &= getattr(rows, column.name) == getattr(others, column.name)
    return equal


def with_present(seen: Seen, keys: Ints) -> Seen:
    """The same, with these minutes known to have a bar."""
    return replace(seen, present=_union(seen.present, keys)) if len(keys) else seen

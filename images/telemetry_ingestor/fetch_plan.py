"""Which symbols are asked for from which minute on, and in how few requests.

Minutes are int64 since 1970 (UTC); symbols are positions in the run's list.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil

import numpy as np

from telemetry_ingestor.bars import Ints

# Corrections and late trades arrive within this time; what comes later is asked for again by the ledger.
OVERLAP_MINUTES = 15
# What lies further back is scripts/backfill's.
MAX_CATCH_UP_SESSIONS = 7
# Alpaca's largest page, and what stands for "no bar stored".
PAGE_BARS = 10_000
NO_BAR = -1

# Proxies and load balancers cut at 8 kB; the rest of the address takes about 200 bytes.
SYMBOLS_BYTES = 7_000
# More requests at once gain nothing against one API and use up its rate limit (200 a minute without a paid plan).
MOST_SPLITS = 8
# Starts within a factor of two of each other share requests; all within 40 minutes do.
SHARED_AGE_MINUTES = 20
# At most so many bars are asked for again in one run; the next such run takes the next symbols.
AGAIN_BARS = 150_000


@dataclass(frozen=True, kw_only=True)
class Ask:
    """One request and its further pages: these symbols from `first` to `last`, both included."""

    symbols: tuple[str, ...]
    first: int
    last: int


def starts(newest: Ints, *, reach: int, last: int) -> Ints:
    """The minute from which each symbol is fetched: its newest stored bar less the overlap, within reach.

    A symbol without any bar (NO_BAR) starts at the reach."""
    return np.clip(np.where(newest == NO_BAR, reach, newest - OVERLAP_MINUTES), reach, max(last, reach))


def ask_again(first: Ints, unfilled: Ints, *, turn: int, bars_from: Callable[[int], int]) -> Ints:
    """Starts moved back to each symbol's earliest unfilled minute (NO_BAR: it has none).

    Where that would be more than AGAIN_BARS bars, the symbols take turns; `turn` counts such runs."""
    behind = np.flatnonzero((unfilled != NO_BAR) & (unfilled < first))
    if not len(behind):
        return first
    cost = max(1, bars_from(int(unfilled[behind].min())))
    rounds = ceil(len(behind) * cost / AGAIN_BARS)
    chosen = behind[turn % rounds :: rounds]
    moved = first.copy()
    moved[chosen] = unfilled[chosen]
    return moved


def plan(symbols: Sequence[str], first: Ints, *, last: int, bars_from: Callable[[int], int]) -> list[Ask]:
    """Requests that cover every symbol from its own start on, similar starts together, so that one thin symbol does
    not make all others be fetched again. `bars_from` tells the most bars that a symbol can have since a minute."""
    asks: list[Ask] = []
    ages = np.maximum(last - first, 1)
    groups = np.maximum(np.floor(np.log2(ages / SHARED_AGE_MINUTES)), 0).astype(np.int64)
    for group in np.unique(groups):
        members = np.flatnonzero(groups == group)
        start = int(first[members].min())
        names = [symbols[i] for i in members.tolist()]
        asks += [Ask(symbols=part, first=start, last=last) for part in _split(names, bars_from(start))]
    return asks


def _split(names: Sequence[str], bars_each: int) -> list[tuple[str, ...]]:
    """Parts of similar size: short enough for an address, and several where there is more than one page to come."""
    ends = np.cumsum([len(name) + 1 for name in names])
    by_bytes = ceil(int(ends[-1]) / SYMBOLS_BYTES)
    by_pages = min(ceil(len(names) * bars_each / PAGE_BARS), MOST_SPLITS, len(names))
    count = max(by_bytes, by_pages, 1)
    bounds = np.searchsorted(ends, np.arange(count + 1) * int(ends[-1]) / count, side="right").tolist()
    return [tuple(names[a:b]) for a, b in pairwise(bounds) if a < b]

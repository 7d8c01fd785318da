"""What a page of bars says: columns of bars that the table will take, and the rest set aside with its reason.

Times are minutes since 1970 (UTC) as int64, symbols are positions in the run's list of symbols.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from functools import lru_cache
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

# Stands for null where a column is int64: no count of trades is that low.
NULL_COUNT = -(2**63)
INT32_MIN, INT32_MAX = -(2**31), 2**31 - 1
INT64_MAX = 2**63 - 1

# The keys of a bar in Alpaca's JSON, in the order of the columns below.
REQUIRED = ("t", "o", "h", "l", "c", "v")
_all_fields = itemgetter(*REQUIRED, "n", "vw")
_PRICES = {"o": "open", "h": "high", "l": "low", "c": "close"}


@dataclass(frozen=True, kw_only=True, eq=False)
class Bars:
    """Bars as columns of one length. `trade_count` NULL_COUNT and `vwap` NaN mean null."""

    symbol: Ints
    minute: Ints
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Ints
    trade_count: Ints
    vwap: Floats

    def __len__(self) -> int:
        return len(self.minute)

    def __getitem__(self, at: slice | Ints | Mask) -> Bars:
        return Bars(**{column.name: getattr(self, column.name)[at] for column in fields(self)})


class Rejected(NamedTuple):
    """A bar set aside: `ts` is its own time, or UNKNOWN_TIME where that cannot be told; `bar` is what was answered."""

    symbol: str
    ts: datetime
    reason: str
    bar: Any


@dataclass(frozen=True, kw_only=True)
class Page:
    """A page's bars; `running` counts those of a minute that is not over yet, which are left for a later run."""

    bars: Bars
    rejected: tuple[Rejected, ...] = ()
    running: int = 0


@dataclass(frozen=True, kw_only=True)
class Window:
    """The minutes asked for, first and last included; `running` is the minute that is not over."""

    first: int
    last: int

    @property
    def running(self) -> int:
        return self.last + 1


# A bar whose time is unreadable still needs a key that is the same at the next sight of it.
UNKNOWN_TIME = datetime(1970, 1, 1, tzinfo=UTC)


class Malformed(ValueError):
    """A bar that is no bar: the text says which field and why."""


def none() -> Bars:
    """No bars."""
    ints, floats = np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float64)
    return Bars(
        symbol=ints,
        minute=ints,
        open=floats,
        high=floats,
        low=floats,
        close=floats,
        volume=ints,
        trade_count=ints,
        vwap=floats,
    )


def merge(parts: Sequence[Bars]) -> Bars:
    """All bars sorted by symbol, then minute; of several for one key the last given stays."""
    if not parts:
        return none()
    joined = {column.name: np.concatenate([getattr(part, column.name) for part in parts]) for column in fields(Bars)}
    bars = Bars(**joined)
    order = np.lexsort((bars.minute, bars.symbol))  # stable, so the last of equals stands last
    bars = bars[order]
    if len(bars) > 1:
        same = (bars.symbol[1:] == bars.symbol[:-1]) & (bars.minute[1:] == bars.minute[:-1])
        if same.any():
            bars = bars[np.append(~same, True)]
    return bars


def parse(answered: Mapping[str, Sequence[Any]], positions: Mapping[str, int], window: Window) -> Page:
    """The page's bars: `answered` maps symbol to its list of JSON bars, `positions` holds the symbols asked for."""
    strangers = [symbol for symbol in answered if symbol not in positions]
    asked = {symbol: rows for symbol, rows in answered.items() if symbol in positions} if strangers else answered
    rejected = [_set_aside(s, bar, "its symbol was not asked for") for s in strangers for bar in answered[s]]
    bars = _at_once(asked, positions)
    if bars is None:
        bars, malformed = _one_by_one(asked, positions)
        rejected += malformed
    inside = (bars.minute >= window.first) & (bars.minute <= window.last)
    running = bars.minute == window.running
    reasons = _broken_checks(bars)
    reasons.append((~inside & ~running, "its minute is outside the range asked for"))
    good = inside.copy()
    for broken, _ in reasons:
        good &= ~broken
    if not good.all():
        rejected += _broken(bars, asked, positions, reasons, skip=running)
    return Page(bars=bars if good.all() else bars[good], rejected=tuple(rejected), running=int(running.sum()))


# ── fields ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _at_once(answered: Mapping[str, Sequence[Any]], positions: Mapping[str, int]) -> Bars | None:
    """All bars of a page where each has every field in its plain type; None where any needs a closer look."""
    rows: list[tuple[Any, ...]] = []
    counts: list[int] = []
    try:
        for bars in answered.values():
            rows.extend(map(_all_fields, bars))
            counts.append(len(bars))
        if not rows:
            return none()
        t, o, h, low, c, v, n, vw = zip(*rows, strict=True)
        if not (_only((*o, *h, *low, *c, *vw), (int, float)) and _only((*v, *n), (int,)) and _only(t, (str,))):
            return None
        owner = np.array([positions[symbol] for symbol in answered], dtype=np.int64)
        bars_found = Bars(
            symbol=np.repeat(owner, counts),
            minute=np.array([_minute(text) for text in t], dtype=np.int64),
            open=np.array(o, dtype=np.float64),
            high=np.array(h, dtype=np.float64),
            low=np.array(low, dtype=np.float64),
            close=np.array(c, dtype=np.float64),
            volume=np.array(v, dtype=np.int64),
            trade_count=np.array(n, dtype=np.int64),
            vwap=np.array(vw, dtype=np.float64),
        )
    except (KeyError, TypeError, OverflowError, Malformed):
        return None
    fits = np.isfinite(bars_found.vwap)
    fits &= (bars_found.trade_count >= INT32_MIN) & (bars_found.trade_count <= INT32_MAX)
    return bars_found if fits.all() else None


def _only(values: Iterable[Any], kinds: tuple[type, ...]) -> bool:
    return set(map(type, values)) <= set(kinds)


def _one_by_one(answered: Mapping[str, Sequence[Any]], positions: Mapping[str, int]) -> tuple[Bars, list[Rejected]]:
    """The bars of a page that are well formed, and those that are not."""
    rows: list[tuple[Any, ...]] = []
    rejected: list[Rejected] = []
    for symbol, bars in answered.items():
        for bar in bars:
            try:
                rows.append((positions[symbol], *_values(bar)))
            except Malformed as why:
                rejected.append(_set_aside(symbol, bar, str(why)))
    if not rows:
        return none(), rejected
    columns: dict[str, Any] = {}
    for column, values in zip(fields(Bars), zip(*rows, strict=True), strict=True):
        columns[column.name] = np.array(values, dtype=np.float64 if column.type == "Floats" else np.int64)
    return Bars(**columns), rejected


def _values(bar: Any) -> tuple[Any, ...]:
    """Minute, open, high, low, close, volume, trade_count, vwap of one JSON bar. Raises Malformed."""
    if not isinstance(bar, dict):
        raise Malformed(f"a bar is {_shown(bar)}, not an object")
    if missing := [key for key in REQUIRED if bar.get(key) is None]:
        raise Malformed(f"{', '.join(missing)} is missing or null")
    if not isinstance(bar["t"], str):
        raise Malformed(f"t is {_shown(bar['t'])}, not a time")
    prices = [_number(bar, key) for key in _PRICES]
    volume = _whole(bar, "v", -INT64_MAX, INT64_MAX)
    count = NULL_COUNT if bar.get("n") is None else _whole(bar, "n", INT32_MIN, INT32_MAX)
    vwap = math.nan if bar.get("vw") is None else _number(bar, "vw")
    if bar.get("vw") is not None and not math.isfinite(vwap):
        raise Malformed(f"vw is {vwap}, not a finite number")
    return _minute(bar["t"]), *prices, volume, count, vwap


def _number(bar: Mapping[str, Any], key: str) -> float:
    value = bar[key]
    if type(value) not in (int, float):
        raise Malformed(f"{key} is {_shown(value)}, not a number")
    try:
        return float(value)
    except OverflowError:
        raise Malformed(f"{key} is {_shown(value)}, beyond any price") from None


def _whole(bar: Mapping[str, Any], key: str, lowest: int, highest: int) -> int:
    value = bar[key]
    if type(value) not in (int, float) or not math.isfinite(value) or value != int(value):
        raise Malformed(f"{key} is {_shown(value)}, not a whole number")
    if not lowest <= value <= highest:
        raise Malformed(f"{key} is {_shown(value)}, beyond the column")
    return int(value)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


@lru_cache(maxsize=20_000)  # a page repeats the same few minutes for every symbol
def _minute(text: str) -> int:
    """Minutes since 1970 of an RFC 3339 time. Raises Malformed, also where it is not the start of a minute."""
    ts = _time(text)
    if ts is None:
        raise Malformed(f"t is {_shown(text)}, not a time with a zone")
    if ts.second or ts.microsecond:
        raise Malformed(f"t is {_shown(text)}, not the start of a minute")
    return int(ts.timestamp()) // 60


def _time(text: Any) -> datetime | None:
    try:
        ts = datetime.fromisoformat(text)
        return ts.astimezone(UTC) if ts.tzinfo else None
    except (TypeError, ValueError, OverflowError):
        return None


def _set_aside(symbol: str, bar: Any, reason: str) -> Rejected:
    ts = _time(bar.get("t")) if isinstance(bar, dict) else None
    return Rejected(storable_text(symbol), ts or UNKNOWN_TIME, storable_text(reason), storable(bar))


# ── the table's CHECK constraints ────────────────────────────────────────────────────────────────────────────────────


def _broken_checks(bars: Bars) -> list[tuple[Mask, str]]:
    """For each CHECK of `bars` (migration 0002) the rows that break it. PostgreSQL sorts NaN above infinity; no row
    with a NaN price passes there, and here no comparison with NaN is true."""
    o, h, low, c = bars.open, bars.high, bars.low, bars.close
    return [
        (~((low > 0) & (h < np.inf)), "a price is not above 0 or not finite"),
        (~((low <= o) & (low <= c) & (o <= h) & (c <= h)), "open or close is outside low to high"),
        (~(bars.volume >= 0), "volume is below 0"),
    ]


def accepted(bars: Bars) -> Mask:
    """Which rows the table takes."""
    good = np.ones(len(bars), dtype=bool)
    for broken, _ in _broken_checks(bars):
        good &= ~broken
    return good


def _broken(
    bars: Bars,
    answered: Mapping[str, Sequence[Any]],
    positions: Mapping[str, int],
    reasons: Sequence[tuple[Mask, str]],
    *,
    skip: Mask,
) -> list[Rejected]:
    """The well-formed bars that are refused all the same, each under the first of its reasons."""
    names = {positions[symbol]: symbol for symbol in answered}
    done, found = skip.copy(), []
    for broken, reason in reasons:
        which = np.flatnonzero(broken & ~done).tolist()
        found += [_set_aside(names[int(bars.symbol[at])], _as_json(bars, at), reason) for at in which]
        done |= broken
    return found


def _as_json(bars: Bars, at: int) -> dict[str, Any]:
    """One bar as Alpaca writes it."""
    count, vwap = int(bars.trade_count[at]), float(bars.vwap[at])
    return {
        "t": f"{datetime.fromtimestamp(int(bars.minute[at]) * 60, UTC):%Y-%m-%dT%H:%M:%SZ}",
        **{key: float(getattr(bars, name)[at]) for key, name in _PRICES.items()},
        "v": int(bars.volume[at]),
        "n": None if count == NULL_COUNT else count,
        "vw": None if math.isnan(vwap) else vwap,
    }


# ── what jsonb and text can hold ─────────────────────────────────────────────────────────────────────────────────────


def storable(value: Any, depth: int = 0) -> Any:
    """A JSON value as jsonb takes it: NaN and infinity as text, no NUL, no lone surrogate, nothing endless."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, str):
        return storable_text(value)
    if depth >= 3 and isinstance(value, dict | list):
        return "…"
    if isinstance(value, dict):
        return {storable_text(k): storable(v, depth + 1) for k, v in list(value.items())[:20]}
    if isinstance(value, list):
        return [storable(item, depth + 1) for item in value[:20]]
    if isinstance(value, int) and abs(value) > INT64_MAX:
        return _shown(value)
    return value


def storable_text(text: str) -> str:
    return text[:200].replace("\x00", "�").encode("utf-8", "replace").decode()

"""The bars that the local exchange can serve: sorted columns per symbol, read from a CSV or made by `synthetic`."""

from __future__ import annotations

import gzip
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from ops.local.news_file import NewsItem
from pipeline import settings
from pipeline.errors import PipelineError

NEW_YORK = ZoneInfo("America/New_York")
REQUIRED = ("timestamp", "symbol", "open", "high", "low", "close", "volume")
OPTIONAL = ("trade_count", "vwap")
PRICES = ("open", "high", "low", "close", "vwap")
HIGHEST_PRICE = 1e12  # a million times the dearest share; sums and squares of more would not stay finite
SYMBOL_STRIDE = (
    1 << 40
)  # seconds since 1970 stay below this for 34,000 years, so symbol × stride + ts sorts both at once

# What the columns of the table of bars hold (PostgreSQL's bigint and integer) ends just below these.
BIGINT, INTEGER = 2.0**63, 2.0**31

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class BadMarketFile(PipelineError):
    """The bars file cannot be read at all: absent, empty, not text, or without a required column."""


class Rejected(NamedTuple):
    """A row set aside: its line in the file (the header is line 1), why, and the line itself."""

    line: int
    reason: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Headline(NewsItem):
    """A news item of a synthetic market; `symbol` is what it is about, None for general news."""

    symbol: str | None = None


@dataclass(frozen=True, kw_only=True)
class Market:
    """Columns of one-minute bars, sorted by symbol, then time.

    `ts` is the start of the minute in seconds since 1970 (UTC); prices in USD; `volume` in shares. Symbol i owns rows
    starts[i]:starts[i + 1]. `invalid` holds rows that parse but cannot be (high < low …): they are served as they are.
    """

    symbols: tuple[str, ...]
    starts: Ints
    ts: Ints
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    trade_count: Ints
    vwap: Floats
    news: tuple[NewsItem, ...] = ()
    rejected: list[Rejected] = field(default_factory=list)
    invalid: frozenset[tuple[str, datetime]] = frozenset()
    keys: Ints = field(init=False, repr=False)
    position: dict[str, int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        owner = np.repeat(np.arange(len(self.symbols), dtype=np.int64), np.diff(self.starts))
        object.__setattr__(self, "keys", owner * SYMBOL_STRIDE + self.ts)
        object.__setattr__(self, "position", {symbol: i for i, symbol in enumerate(self.symbols)})

    def __len__(self) -> int:
        return len(self.ts)

    @classmethod
    def of_columns(
        cls,
        symbols: Sequence[str],
        owner: Ints,
        ts: Ints,
        ohlc: Sequence[Floats],
        volume: Floats,
        trade_count: Ints | None = None,
        vwap: Floats | None = None,
        **extra: Any,
    ) -> Market:
        """A market of unsorted rows: `owner` indexes `symbols`. Absent trade_count and vwap are derived (see below)."""
        ranked = sorted(range(len(symbols)), key=lambda i: symbols[i])
        rank = np.empty(len(symbols), dtype=np.int64)
        rank[ranked] = np.arange(len(symbols))
        owner = rank[owner] if len(symbols) else owner
        keys = owner * SYMBOL_STRIDE + ts
        # argsort takes a second for the three million rows of a whole market, which `synthetic` makes in order
        sorted_already = len(keys) == 0 or bool((keys[1:] > keys[:-1]).all())
        order: Any = slice(None) if sorted_already else np.argsort(keys, kind="stable")
        o, h, low, c = (np.asarray(column, dtype=np.float64)[order] for column in ohlc)
        volume = np.asarray(volume, dtype=np.float64)[order]
        return cls(
            symbols=tuple(symbols[i] for i in ranked),
            starts=np.searchsorted(owner[order], np.arange(len(symbols) + 1)).astype(np.int64),
            ts=ts[order],
            open=o,
            high=h,
            low=low,
            close=c,
            volume=volume,
            trade_count=derived_trade_count(volume) if trade_count is None else trade_count[order],
            vwap=derived_vwap(o, h, low, c) if vwap is None else vwap[order],
            **extra,
        )

    def rows(self, symbol: str) -> slice:
        """Where the symbol's bars stand in every column (empty for an unknown symbol)."""
        at = self.position.get(symbol)
        return slice(0, 0) if at is None else slice(int(self.starts[at]), int(self.starts[at + 1]))

    def find(self, symbol: str, ts: datetime) -> int | None:
        """The row of one bar, or None."""
        rows = self.rows(symbol)
        at = rows.start + int(np.searchsorted(self.ts[rows], seconds(ts)))
        return at if at < rows.stop and self.ts[at] == seconds(ts) else None

    def span(self) -> tuple[datetime, datetime]:
        """Start of the first and of the last bar. Raises BadMarketFile on an empty market."""
        if not len(self):
            raise BadMarketFile("the market holds no bars; give a file with at least one row that parses")
        return moment(int(self.ts.min())), moment(int(self.ts.max()))

    def dates(self) -> list[date]:
        """The New York dates on which there are bars, oldest first."""
        hours = np.unique(self.ts // 3600) * 3600
        return sorted({moment(int(s)).astimezone(NEW_YORK).date() for s in hours})

    def count(self, start: datetime, end: datetime, symbols: Iterable[str] | None = None, *, valid: bool = True) -> int:
        """Bars that start within [start, end); `valid` leaves out those that no store may keep."""
        wanted = [self.position[s] for s in (self.symbols if symbols is None else symbols) if s in self.position]
        at = np.asarray(wanted, dtype=np.int64) * SYMBOL_STRIDE
        found = np.searchsorted(self.keys, at + seconds(end)) - np.searchsorted(self.keys, at + seconds(start))
        names = {self.symbols[i] for i in wanted}
        wrong = sum(1 for symbol, ts in self.invalid if symbol in names and start <= ts < end) if valid else 0
        return int(found.sum()) - wrong

    def lines(self) -> Iterator[str]:
        """The market as CSV lines, header first, ordered by symbol, then time."""
        yield ",".join((*REQUIRED, *OPTIONAL))
        columns = [a.tolist() for a in (self.open, self.high, self.low, self.close, self.volume)]
        counts, vwaps, times = self.trade_count.tolist(), self.vwap.tolist(), self.ts.tolist()
        for i, symbol in enumerate(self.symbols):
            for at in range(int(self.starts[i]), int(self.starts[i + 1])):
                o, h, low, c, v = (column[at] for column in columns)
                yield f"{stamp(times[at])},{symbol},{o!r},{h!r},{low!r},{c!r},{whole(v)},{counts[at]},{vwaps[at]!r}"

    def write_csv(self, path: Path) -> None:
        """Write the bars where `load_csv` reads them back."""
        path.write_text("\n".join(self.lines()) + "\n", encoding="ascii")


def derived_trade_count(volume: Floats) -> Ints:
    """A count for files without one: a trade per 100 shares, at least one where anything was traded."""
    return np.where(volume > 0, np.clip(volume // 100, 1, INTEGER - 1), 0).astype(np.int64)


def derived_vwap(o: Floats, h: Floats, low: Floats, c: Floats) -> Floats:
    """A volume-weighted price for files without one: the mean of the four prices, to six decimals."""
    return np.round((o + h + low + c) / 4, 6)


def seconds(ts: datetime) -> int:
    return int(ts.timestamp())


def moment(epoch_seconds: int) -> datetime:
    return datetime.fromtimestamp(epoch_seconds, UTC)


def stamp(epoch_seconds: int) -> str:
    """RFC 3339 as the vendor writes it: 2026-01-26T14:30:00Z."""
    return f"{moment(epoch_seconds):%Y-%m-%dT%H:%M:%SZ}"


def whole(value: float) -> int | float:
    """Shares are whole unless the file says otherwise."""
    return int(value) if value == int(value) else value


# ── Reading a CSV ────────────────────────────────────────────────────────────────────────────────────────────────────


def load_csv(path: Path | str) -> Market:
    """Read bars from a CSV (gzip accepted), in any order, several days in one file.

    Columns timestamp, symbol, open, high, low, close, volume, optionally trade_count and vwap; timestamps ISO 8601,
    naive ones are UTC. Rows that do not parse and duplicates go to `rejected`; of conflicting duplicates the last that
    can be wins.
    Raises BadMarketFile (with the remedy) where no row can be read at all.
    """
    lines = _lines(Path(path))
    columns = _columns(Path(path), lines)
    rejected: list[Rejected] = []
    kept: dict[tuple[str, int], tuple[int, str, tuple[float | None, ...]]] = {}
    for number, text in enumerate(lines[1:], start=2):
        if not text.strip():
            continue
        try:
            symbol, ts, numbers = _parse(_split(text), columns)
        except ValueError as why:
            rejected.append(Rejected(number, str(why), text))
            continue
        earlier = kept.get((symbol, ts))
        if earlier and earlier[2] == numbers:
            rejected.append(Rejected(number, f"exact duplicate of line {earlier[0]}", text))
            continue
        if earlier and possible(*earlier[2]) and not possible(*numbers):
            rejected.append(Rejected(number, f"cannot be, and conflicts with line {earlier[0]}, which can", text))
            continue
        if earlier:
            rejected.append(Rejected(earlier[0], f"conflicting duplicate, line {number} wins", earlier[1]))
        kept[symbol, ts] = (number, text, numbers)
    rejected.sort(key=lambda r: r.line)
    return _market(kept, rejected)


def _lines(path: Path) -> list[str]:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise BadMarketFile(f"{path}: {error.strerror}; give the path of a bars CSV") from error
    if raw[:2] == b"\x1f\x8b":
        try:
            raw = gzip.decompress(raw)
        except (OSError, EOFError) as error:
            raise BadMarketFile(f"{path}: damaged gzip ({error}); fetch the file again") from error
    lines = raw.decode("utf-8-sig", errors="replace").splitlines()
    if not lines or not lines[0].strip():
        raise BadMarketFile(f"{path}: empty; the first line must be {','.join(REQUIRED)}")
    return lines


def _columns(path: Path, lines: list[str]) -> dict[str, int]:
    header = [name.strip().lower() for name in _split(lines[0])]
    missing = [name for name in REQUIRED if name not in header]
    if missing:
        raise BadMarketFile(
            f"{path}: no column {', '.join(missing)}; the first line must name {','.join(REQUIRED)}"
            f" (optional: {','.join(OPTIONAL)}), it reads {lines[0][:120]!r}"
        )
    return {name: header.index(name) for name in (*REQUIRED, *OPTIONAL) if name in header}


def _split(text: str) -> list[str]:
    """The fields of one line. Line by line, so that a stray quote costs its own row and not the rest of the file."""
    return [part.strip().strip('"') for part in text.split(",")]


def _parse(parts: list[str], columns: dict[str, int]) -> tuple[str, int, tuple[float | None, ...]]:
    """Symbol, epoch seconds and numbers (open … volume, trade_count, vwap) of a row. ValueError says what is wrong."""

    def text(name: str) -> str:
        at = columns[name]
        if at >= len(parts) or not parts[at]:
            raise ValueError(f"{name} is missing")
        return parts[at]

    def number(name: str) -> float:
        try:
            value = float(text(name))
        except ValueError:
            raise ValueError(
                f"{name} is not a number: {parts[columns[name]]!r}" if _has(name) else f"{name} is missing"
            ) from None
        if not math.isfinite(value):
            raise ValueError(f"{name} is not finite: {value}")
        if name in PRICES and abs(value) > HIGHEST_PRICE:
            raise ValueError(f"{name} is beyond any price: {value}")
        return value

    def _has(name: str) -> bool:
        return columns[name] < len(parts) and bool(parts[columns[name]])

    optional = tuple(number(name) if name in columns and _has(name) else None for name in OPTIONAL)
    if not settings.SYMBOL.fullmatch(text("symbol")):
        raise ValueError(f"symbol is not like AAPL or BRK.B: {text('symbol')!r}")
    return text("symbol"), _minute(text("timestamp")), (*(number(name) for name in REQUIRED[2:]), *optional)


def _minute(text: str) -> int:
    try:
        ts = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"timestamp is not ISO 8601: {text!r}") from None
    ts = ts if ts.tzinfo else ts.replace(tzinfo=UTC)
    if ts.second or ts.microsecond:
        raise ValueError(f"timestamp is not the start of a minute: {text!r}")
    return seconds(ts)


def possible(
    o: float | None,
    h: float | None,
    low: float | None,
    c: float | None,
    volume: float | None,
    trade_count: float | None = None,
    vwap: float | None = None,
) -> bool:
    """Whether a bar can be, and the table of bars can hold it. None where the file gives no count or vwap."""
    if o is None or h is None or low is None or c is None or volume is None:
        return False
    prices = 0 < low <= min(o, c) and max(o, c) <= h
    return prices and 0 <= volume < BIGINT and volume == int(volume) and abs(trade_count or 0) < INTEGER


def _market(kept: dict[tuple[str, int], tuple[int, str, tuple[float | None, ...]]], rejected: list[Rejected]) -> Market:
    symbols = sorted({symbol for symbol, _ in kept})
    position = {symbol: i for i, symbol in enumerate(symbols)}
    table = np.array([[np.nan if x is None else x for x in row[2]] for row in kept.values()], dtype=np.float64)
    o, h, low, c, volume, counts, vwap = table.reshape(-1, 7).T
    wrong = [not possible(*row[2]) for row in kept.values()]
    keys = list(kept)
    return Market.of_columns(
        symbols,
        np.array([position[symbol] for symbol, _ in keys], dtype=np.int64),
        np.array([ts for _, ts in keys], dtype=np.int64),
        (o, h, low, c),
        volume,
        np.where(np.isnan(counts), derived_trade_count(volume), np.clip(counts, -BIGINT / 2, BIGINT / 2)).astype(
            np.int64
        ),
        np.where(np.isnan(vwap), derived_vwap(o, h, low, c), vwap),
        rejected=rejected,
        invalid=frozenset((keys[i][0], moment(keys[i][1])) for i in np.flatnonzero(wrong)),
    )

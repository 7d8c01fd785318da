"""What every feature of a one-minute bar is: its window, its formula, and why it is null. Numpy only, no I/O.

A feature at a bar is computed from the bars of its own window alone, bit for bit: no running total is carried through
time, so a stock split or a corrected bar cannot leave a residue in later windows, and a value does not depend on how
much history happened to be loaded or on what came after it.

Windows count bars, not minutes, and continue across sessions. The definitions are those of the `ta` package
(RSIIndicator, AverageTrueRange, BollingerBands, MACD) applied to the last HISTORY_BARS bars.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]

HISTORY_BARS: Final = 300  # what RSI, ATR and MACD look back on; also the most bars that any feature needs
SURGE_RATIO: Final = 3.0
FLAT_VOLATILITY: Final = 1e-6  # a hundredth of a basis point: below any stock's tick, so a smaller stdev is rounding
FLAT_BAND: Final = 1e-9  # band width relative to its middle: below it %B divides rounding by rounding
SAME_AVERAGE: Final = 1e-12  # relative distance at which sma20 and sma50 are the same number

# Float columns and the bars each needs before it has a value.
BARS_NEEDED: Final[Mapping[str, int]] = {
    "sma20": 20,
    "sma50": 50,
    "distance_sma20": 20,
    "distance_sma50": 50,
    "recent_vol": 30,
    "baseline_vol": 120,
    "vol_ratio": 120,
    "trend_state": 50,
    "rsi14": 14,
    "atr14": 14,
    "bollinger_b": 20,
    "macd_hist": 34,
    "vwap_distance": 1,
    "volume": 1,
    "volume_avg_20": 21,
    "volume_ratio": 21,
    "volume_surge": 21,
}
FEATURES: Final = tuple(BARS_NEEDED)
COLUMNS: Final = (*FEATURES, "gap_minutes", "bars_used", "window_start")  # the order of FeatureFrame.records

_WILDER: Final = 13 / 14  # what RSI and ATR keep of their past at every bar: 1 − 1/14
_SLOW, _FAST, _SIGNAL = 25 / 27, 11 / 13, 8 / 10  # the same for MACD's EMAs: 1 − 2/(span + 1), spans 26, 12, 9
_SIGNAL_SEED: Final = 25  # the signal line starts at the window's 26th bar, the first with a slow EMA
_CHUNK_CELLS: Final = 24_000  # 190 kB an array: the four or five in use at a time stay in a core's L2 cache


class BadFrame(ValueError):
    """The bars handed in are not shaped as `BarFrame` promises; the message says where."""


@dataclass(frozen=True, kw_only=True)
class BarFrame:
    """Regular-session bars of many symbols, time-major: every array has shape (bars, symbols), oldest row first.

    Histories are right-aligned: a symbol with n bars fills its last n rows, without holes (a minute without a trade has
    no bar, hence no row), and is NaN above them (`ts` and `session` are any integer there). So the last row holds every
    symbol's newest bar, whatever its minute. Prices in USD and > 0, volume in shares, `ts` the start of the minute in
    epoch seconds, `session` any integer that is the same within a session and grows from one to the next.

    To be exact a frame must reach back HISTORY_BARS bars from the first row that is due (its own included), and to that
    row's session's open for the VWAP, or hold all the bars there are. It cannot see for itself what was not loaded.
    """

    ts: Ints
    session: Ints
    high: Floats
    low: Floats
    close: Floats
    volume: Floats

    def __post_init__(self) -> None:
        shape = self.close.shape
        for name in ("ts", "session", "high", "low", "volume"):
            if len(shape) != 2 or getattr(self, name).shape != shape:
                raise BadFrame(
                    f"{name} has shape {getattr(self, name).shape}, close {shape}: both must be (bars, symbols)"
                )
        present = self.rows[:, None] >= self.first
        for name in ("high", "low", "close", "volume"):
            holes = np.isnan(getattr(self, name)) == present
            if holes.any():
                row, symbol = np.argwhere(holes)[0]
                raise BadFrame(f"{name} of symbol {symbol} has a hole at row {row} of {shape[0]}: leave such bars out")

    @cached_property
    def rows(self) -> Ints:
        return np.arange(len(self.close))

    @cached_property
    def first(self) -> Ints:
        """The row of each symbol's oldest bar; the number of rows where it has none. Shape (symbols,)."""
        return len(self.close) - np.count_nonzero(~np.isnan(self.close), axis=0).astype(np.int64)

    @classmethod
    def pack(cls, symbol: NDArray[np.integer[Any]], symbols: int, **columns: NDArray[Any]) -> BarFrame:
        """Make a frame of flat columns (ts, session, high, low, close, volume), one entry a bar.

        `symbol` is each bar's column in the frame, 0 ≤ symbol < symbols; bars are sorted by (symbol, ts).
        """
        if (np.diff(symbol) < 0).any():
            raise BadFrame("bars are not sorted by symbol; order by symbol, ts")
        counts = np.bincount(symbol, minlength=symbols)
        height = int(counts.max(initial=0))
        row = np.arange(len(symbol)) - np.repeat(np.cumsum(counts) - height, counts)

        def whole(name: str) -> Ints:
            packed = np.full((height, symbols), -1, np.int64)
            packed[row, symbol] = columns[name]
            return packed

        def real(name: str) -> Floats:
            packed = np.full((height, symbols), np.nan)
            packed[row, symbol] = columns[name]
            return packed

        prices = {name: real(name) for name in ("high", "low", "close", "volume")}
        return cls(ts=whole("ts"), session=whole("session"), **prices)


@dataclass(frozen=True, kw_only=True)
class FeatureFrame:
    """The features of a BarFrame's rows from `first_row` on: arrays of shape (rows, symbols), null as NaN.

    `trend_state` is −1, 0 or 1 and `volume_surge` 0 or 1, as floats for NaN's sake. Rows in which a symbol has no bar
    have `bars_used` 0. `frame["rsi14"]` is a column; `records` gives database rows.
    """

    first_row: int
    values: Floats  # (features, rows, symbols), in the order of FEATURES
    gap_minutes: Ints
    bars_used: Ints  # the bars there are, at most HISTORY_BARS
    window_start: Ints  # ts of the oldest of them, epoch seconds
    ts: Ints

    def __getitem__(self, column: str) -> NDArray[Any]:
        return self.values[FEATURES.index(column)] if column in BARS_NEEDED else getattr(self, column)

    def records(self, row: NDArray[Any], symbol: NDArray[Any]) -> list[tuple[Any, ...]]:
        """The cells (row[i], symbol[i]) as tuples in the order of COLUMNS, typed for the store.

        `row` counts from `first_row`. Null is None, trend_state an int, volume_surge a bool, window_start in UTC.
        """
        columns = [_nullable(self[name][row, symbol], _TYPES.get(name, float)) for name in FEATURES]
        columns += [self.gap_minutes[row, symbol].tolist(), self.bars_used[row, symbol].tolist()]
        columns += [[datetime.fromtimestamp(start, UTC) for start in self.window_start[row, symbol].tolist()]]
        return list(zip(*columns, strict=True))

    def reasons(self, row: int, symbol: int) -> dict[str, str]:
        """Why each feature of one cell that is null is null: {feature: reason}."""
        cell = {name: float(self.values[i, row, symbol]) for i, name in enumerate(FEATURES)}
        bars = int(self.bars_used[row, symbol])
        return {name: _reason(name, cell, bars) for name, value in cell.items() if np.isnan(value)}


_TYPES: Final[Mapping[str, type]] = {"trend_state": int, "volume_surge": bool}


def _nullable(values: Floats, kind: type) -> list[Any]:
    cells = [None if value != value else value for value in values.tolist()]  # only NaN differs from itself
    return cells if kind is float else [None if cell is None else kind(cell) for cell in cells]


def _reason(name: str, cell: Mapping[str, float], bars: int) -> str:
    if bars < BARS_NEEDED[name]:
        return f"needs {BARS_NEEDED[name]} bars, has {bars}"
    if name in ("recent_vol", "baseline_vol"):
        return f"needs 2 returns within {BARS_NEEDED[name]} bars, has fewer (a session's first bar has none)"
    if name == "vol_ratio" and cell["baseline_vol"] < FLAT_VOLATILITY:
        return f"flat prices: baseline_vol is below {FLAT_VOLATILITY:.0e}"
    if name == "vol_ratio":
        return _reason("recent_vol" if np.isnan(cell["recent_vol"]) else "baseline_vol", cell, bars)
    if name == "bollinger_b":
        return "flat prices: the bands have no width"
    if name == "vwap_distance":
        return "no volume in the session so far"
    return "no volume in the previous 20 bars"


def compute(frame: BarFrame, first_due: int = 0, *, lost: Mapping[int, Ints] | None = None) -> FeatureFrame:
    """The features of every symbol at rows first_due … last; a negative first_due counts from the end (−1: newest row).

    `lost`: per symbol column the minutes lost to outages (sorted epoch seconds), for gap_minutes. About 0.2 µs a cell
    in bulk. The frame says how far back it must reach.
    """
    due = max(first_due + len(frame.close), 0) if first_due < 0 else min(first_due, len(frame.close))
    used, start = _windows(frame, due)
    values = np.empty((len(FEATURES), *used.shape))
    with np.errstate(divide="ignore", invalid="ignore"):  # null cells divide NaN or zero
        for columns in _chunks(frame, due):
            for name, column in _chunk_features(_Slab.cut(frame, columns, due)):
                values[FEATURES.index(name), :, columns] = column
        values[FEATURES.index("vwap_distance")] = _vwap_distance(frame, due)
    ts = frame.ts[due:]
    return FeatureFrame(
        first_row=due,
        values=values,
        gap_minutes=_gap_minutes(lost or {}, start, ts),
        bars_used=used,
        window_start=start,
        ts=ts,
    )


def _windows(frame: BarFrame, due: int) -> tuple[Ints, Ints]:
    """bars_used and window_start of the due rows."""
    rows, last = frame.rows[due:, None], len(frame.close) - 1
    used = np.clip(rows - frame.first + 1, 0, HISTORY_BARS)
    start = np.minimum(np.maximum(frame.first, rows - (HISTORY_BARS - 1)), last)
    return used, np.take_along_axis(frame.ts, start, axis=0) if used.size else used


def _gap_minutes(lost: Mapping[int, Ints], start: Ints, ts: Ints) -> Ints:
    """How many of a symbol's lost minutes lie within each window: [window_start, ts], both included."""
    gaps = np.zeros(ts.shape, np.int64)
    for symbol, minutes in lost.items():
        until = np.searchsorted(minutes, ts[:, symbol], side="right")
        gaps[:, symbol] = until - np.searchsorted(minutes, start[:, symbol], side="left")
    return gaps


def _chunks(frame: BarFrame, due: int) -> Iterator[slice]:
    rows, symbols = frame.close.shape
    width = max(1, _CHUNK_CELLS // max(1, rows - max(0, due - HISTORY_BARS)))
    return (slice(left, min(left + width, symbols)) for left in range(0, symbols, width) if due < rows)


@dataclass(frozen=True, kw_only=True)
class _Slab:
    """The rows that the due rows' windows reach, of a few symbols, contiguous; `first` and `due` are its own rows."""

    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    session: Ints
    first: Ints
    due: int

    @classmethod
    def cut(cls, frame: BarFrame, columns: slice, due: int) -> _Slab:
        top = max(0, due - (HISTORY_BARS - 1))
        arrays = {
            name: np.ascontiguousarray(getattr(frame, name)[top:, columns])
            for name in ("high", "low", "close", "volume", "session")
        }
        return cls(first=np.maximum(frame.first[columns] - top, 0), due=due - top, **arrays)

    @cached_property
    def rows(self) -> Ints:
        return np.arange(len(self.close))

    @cached_property
    def age(self) -> Ints:
        """Bars before each due one, as far as the slab goes; negative where a symbol has no bar."""
        return self.rows[self.due :, None] - self.first

    @cached_property
    def has_previous(self) -> Mask:
        return self.rows[:, None] > self.first

    @cached_property
    def change(self) -> Floats:
        """Close minus the previous close in USD, shape of close; 0 at and before a symbol's first bar."""
        change = np.zeros_like(self.close)
        np.subtract(self.close[1:], self.close[:-1], out=change[1:])
        change[~self.has_previous] = 0.0
        return change

    def null_before(self, bars: int, values: Floats) -> Floats:
        """`values` of the due rows, in place NaN where the symbol has fewer than `bars` bars."""
        np.copyto(values, np.nan, where=self.age < bars - 1)
        return values


def _chunk_features(slab: _Slab) -> Iterator[tuple[str, Floats]]:
    yield from _averages(slab)
    yield from _volatility(slab)
    yield "rsi14", _rsi(slab)
    yield "atr14", _atr(slab)
    yield "bollinger_b", _bollinger_b(slab)
    yield "macd_hist", _macd_hist(slab)
    yield from _volumes(slab)


def window_sum(values: NDArray[Any], bars: int, due: int = 0, decay: float = 1.0) -> NDArray[Any]:
    """Σ decay^k · values[t − k] over k < bars, for rows t ≥ due; rows before the array count as zero.

    By doubling: the sum over 2n bars is the sum over n plus decay^n times the sum over the n before, and `bars` is put
    together from its binary digits: log₂(bars) passes, and each sum adds the window's own values only. (A cumulative
    sum would leave the rounding of a 10:1 split in every later window; a loop over time costs a call a row.)
    """
    top, covered, span = max(0, due - (bars - 1)), 0, 1
    power = values[top:].copy()  # power[t − top]: the sum over the `span` bars that end at t
    total = np.zeros_like(values[due:])
    while True:
        if bars & span:
            skipped = max(0, top + covered - due)  # rows whose window begins before the array
            older = power[due + skipped - covered - top : len(power) - covered]
            total[skipped:] += _weighted(older, decay**covered)
            covered += span
        if covered >= min(bars, len(power)):
            return total
        needed = max(0, due - (bars - 2 * span) - top)  # from here on, to make up the due rows' windows
        first = max(needed, span)
        power[first:] += _weighted(power[first - span : max(0, len(power) - span)], decay**span)
        power, top, span = power[needed:], top + needed, 2 * span


def _weighted(values: NDArray[Any], weight: float) -> NDArray[Any]:
    return values if weight == 1.0 else values * weight


def _averages(slab: _Slab) -> Iterator[tuple[str, Floats]]:
    """Simple moving averages, the close's distance from them relative to them, and the sign of their difference."""
    averages = {}
    for bars in (20, 50):
        sma = slab.null_before(bars, window_sum(slab.close, bars, slab.due) / bars)
        averages[bars] = sma
        yield f"sma{bars}", sma
        yield f"distance_sma{bars}", (slab.close[slab.due :] - sma) / sma
    difference = averages[20] - averages[50]
    difference[np.abs(difference) <= SAME_AVERAGE * averages[50]] = 0.0
    yield "trend_state", np.sign(difference)


def _volatility(slab: _Slab) -> Iterator[tuple[str, Floats]]:
    """Sample stdev of one-minute returns over 30 and 120 bars and their ratio; the overnight return is left out."""
    exists = slab.has_previous.copy()
    exists[1:] &= slab.session[1:] == slab.session[:-1]
    returns = np.zeros_like(slab.close)
    np.divide(slab.change[1:], slab.close[:-1], out=returns[1:], where=exists[1:])
    recent, baseline = (slab.null_before(n, _deviation(returns, exists, n, slab.due)) for n in (30, 120))
    yield "recent_vol", recent
    yield "baseline_vol", baseline
    yield "vol_ratio", np.where(baseline < FLAT_VOLATILITY, np.nan, recent / baseline)


def _deviation(values: Floats, exists: Mask, bars: int, due: int) -> Floats:
    """Sample stdev (ddof 1) of the values that exist among the last `bars`; NaN for fewer than two."""
    count = window_sum(exists.view(np.uint8), bars, due).astype(np.float64)  # at most 120: fits
    total = window_sum(values, bars, due)
    squares = window_sum(values * values, bars, due)
    spread = squares - total * total / count
    # Where the values are nearly equal and far from zero this difference has lost its digits: there, in two passes.
    for row, symbol in np.argwhere((spread < 1e-5 * squares) & (count > 1)):
        window = slice(max(0, due + row - bars + 1), due + row + 1)
        chosen = values[window, symbol][exists[window, symbol]]
        spread[row, symbol] = np.square(chosen - chosen.mean()).sum()
    count[count < 2] = np.nan
    return np.sqrt(spread / (count - 1))


def _rsi(slab: _Slab) -> Floats:
    """ta's RSIIndicator(14): 100 − 100/(1 + mean rise/mean fall), means decaying by 13/14; 100 without a fall."""
    rises = np.maximum(slab.change, 0.0)
    falls = rises - slab.change
    rise = window_sum(rises, HISTORY_BARS - 1, slab.due, _WILDER)  # a window of n bars has n − 1 changes
    fall = window_sum(falls, HISTORY_BARS - 1, slab.due, _WILDER)
    return slab.null_before(14, np.where(fall == 0.0, 100.0, 100.0 - 100.0 / (1.0 + rise / fall)))


def _atr(slab: _Slab) -> Floats:
    """ta's AverageTrueRange(14): the mean of the window's first 14 true ranges, then Wilder's average of the others.

    The window's first bar has no previous close: its range is high − low. A window that still grows keeps its first
    14 bars (their mean enters once, as a value at the 14th); a full one has new ones at every bar.
    """
    spans, ranges = slab.high - slab.low, _true_ranges(slab)
    entering = ranges / 14
    entering[slab.rows[:, None] <= slab.first + 13] = 0.0
    seeded = np.flatnonzero(slab.first + 13 < len(ranges))
    seed_row = slab.first[seeded] + 13
    entering[seed_row, seeded] = sum(ranges[seed_row - k, seeded] for k in range(14)) / 14
    kept = HISTORY_BARS - 14  # the bars of a full window after those of the seed
    atr = window_sum(entering, kept, slab.due, _WILDER)
    full = max(slab.due, HISTORY_BARS - 1)
    if full < len(ranges):
        recent = window_sum(ranges[: len(ranges) - kept], 13, full - kept)
        seed = (recent + spans[full - kept - 13 : len(spans) - kept - 13]) / 14
        tail = atr[full - slab.due :]
        np.add(tail, _WILDER**kept * seed, out=tail, where=slab.age[full - slab.due :] >= HISTORY_BARS - 1)
    return slab.null_before(14, atr)


def _true_ranges(slab: _Slab) -> Floats:
    """max(high, previous close) − min(low, previous close): the largest of the three ranges, as high ≥ low."""
    ranges = slab.high - slab.low
    # fmax and fmin take the other where a first bar's previous close is NaN
    np.subtract(np.fmax(slab.high[1:], slab.close[:-1]), np.fmin(slab.low[1:], slab.close[:-1]), out=ranges[1:])
    return ranges


def _bollinger_b(slab: _Slab) -> Floats:
    """ta's BollingerBands(20, 2) %B: (close − lower)/(upper − lower), bands 2 population stdevs from the mean.

    Deviations are taken from the current close: as it is in the window itself, mean² ≤ 19 variances, so the one-pass
    variance loses at most a digit and a half, at any price level. Null where the bands have no width.
    """
    pivot = slab.close[slab.due :]
    total, squares = np.zeros_like(pivot), np.zeros_like(pivot)
    for k in range(1, min(20, len(slab.close))):
        top = max(0, k - slab.due)
        deviation = slab.close[slab.due - k + top : len(slab.close) - k] - pivot[top:]
        total[top:] += deviation
        deviation *= deviation
        squares[top:] += deviation
    mean = total / 20
    half_width = 2 * np.sqrt(np.maximum(squares / 20 - mean * mean, 0.0))
    percent = (half_width - mean) / (2 * half_width)
    percent[2 * half_width <= FLAT_BAND * (pivot + mean)] = np.nan
    return slab.null_before(20, percent)


def _histogram_weights() -> tuple[float, float, float]:
    """What each EMA's decaying sum of price changes counts in MACD's histogram.

    An EMA lags its input by Σ β^(k+1)·change[t − k]. So MACD = lag of the slow EMA − lag of the fast one, and the
    histogram is in turn the lag of the signal line behind MACD: a cascade of first-order filters, which partial
    fractions split into three sums of the same changes, one an EMA.
    """

    def split(beta: float) -> tuple[float, float]:
        scale = beta * _SIGNAL / (beta - _SIGNAL)
        return scale * (beta - 1), -scale * (_SIGNAL - 1)

    (slow, slow_signal), (fast, fast_signal) = split(_SLOW), split(_FAST)
    return slow, -fast, slow_signal - fast_signal


_HISTOGRAM: Final = tuple(zip(_histogram_weights(), (_SLOW, _FAST, _SIGNAL), strict=True))


def _macd_hist(slab: _Slab) -> Floats:
    """ta's MACD(26, 12, 9).macd_diff: MACD minus its signal line, every EMA seeded within the window.

    The sums below seed the signal line at the window's first bar, ta at its 26th. What the line had gathered until then
    is taken off again, as it decays; in a full window that is 0.8^274 of it: nothing.
    """
    histogram = np.zeros_like(slab.close[slab.due :])
    for weight, decay in _HISTOGRAM:
        histogram += weight * window_sum(slab.change, HISTORY_BARS - 1, slab.due, decay)
    grown = slab.age - _SIGNAL_SEED
    growing = (grown >= 0) & (slab.age < HISTORY_BARS - 1)
    if growing.any():
        decays = _SIGNAL ** np.arange(HISTORY_BARS)
        histogram -= np.where(growing, decays[np.where(growing, grown, 0)] * _unseeded_histogram(slab), 0.0)
    return slab.null_before(34, histogram)


def _unseeded_histogram(slab: _Slab) -> Floats:
    """The histogram at each symbol's 26th bar, had the signal line been seeded at its first. Shape (symbols,)."""
    seeded = np.flatnonzero(slab.first + _SIGNAL_SEED < len(slab.close))
    row, total = slab.first[seeded] + _SIGNAL_SEED, np.zeros(len(seeded))
    for k in range(_SIGNAL_SEED):
        total += sum(weight * decay**k for weight, decay in _HISTOGRAM) * slab.change[row - k, seeded]
    histogram = np.zeros(len(slab.first))
    histogram[seeded] = total
    return histogram


def _volumes(slab: _Slab) -> Iterator[tuple[str, Floats]]:
    """Shares traded against the mean of the previous 20 bars (with the bar itself a true 3× would read 2.73×)."""
    volume = slab.volume[slab.due :]
    previous = np.full_like(volume, np.nan)
    if len(slab.volume) > 1:
        lead = int(slab.due == 0)  # the slab's first row has no previous one
        previous[lead:] = window_sum(slab.volume[:-1], 20, slab.due - 1 + lead) / 20
    average = slab.null_before(21, previous)
    ratio = np.where(average == 0.0, np.nan, volume / average)
    yield "volume", volume
    yield "volume_avg_20", average
    yield "volume_ratio", ratio
    yield "volume_surge", np.where(np.isnan(ratio), np.nan, ratio >= SURGE_RATIO)


def _vwap_distance(frame: BarFrame, due: int) -> Floats:
    """(close − VWAP)/VWAP, VWAP = Σ typical·volume/Σ volume since the session's open, typical = (high + low + close)/3.

    A loop over rows, as sums restart with each symbol's session; they are sums of positive numbers, which lose nothing.
    """
    distance = np.empty_like(frame.close[due:])
    dollars, shares = np.zeros((2, frame.close.shape[1]))
    for row in range(_oldest_open(frame, due), len(frame.close)):
        high, low, close, volume = frame.high[row], frame.low[row], frame.close[row], frame.volume[row]
        same = (frame.session[row] == frame.session[row - 1]) & (row > frame.first)
        dollars = np.where(same, dollars, 0.0) + (high + low + close) * volume
        shares = np.where(same, shares, 0.0) + volume
        if row >= due:
            vwap = dollars / (3 * shares)
            np.divide(close - vwap, vwap, out=distance[row - due])
    return distance


def _oldest_open(frame: BarFrame, due: int) -> int:
    """The first row of the due row's session, of the symbol in which it lies furthest back."""
    if due >= len(frame.close):
        return due
    same = (frame.session[: due + 1] == frame.session[due]) & (frame.rows[: due + 1, None] >= frame.first)
    opens = np.argmax(same, axis=0)[same.any(axis=0)]
    return int(opens.min(initial=due))

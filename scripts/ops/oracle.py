"""What every feature should be: recomputed with pandas and `ta`, window by window, sharing no code with the service.

Literal on purpose. Every value comes from its own window's bars alone: pandas' rolling methods update a running total,
which a stock split or a bad print spoils for all later windows, so windows are cut out and stacked as the columns of a
frame instead, and each column gets the whole method.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from ta.momentum import RSIIndicator
from ta.trend import MACD
from ta.volatility import AverageTrueRange, BollingerBands

COLUMNS = (
    "sma20",
    "sma50",
    "distance_sma20",
    "distance_sma50",
    "recent_vol",
    "baseline_vol",
    "vol_ratio",
    "trend_state",
    "rsi14",
    "atr14",
    "bollinger_b",
    "macd_hist",
    "vwap_distance",
    "volume",
    "volume_avg_20",
    "volume_ratio",
    "volume_surge",
    "gap_minutes",
    "bars_used",
    "window_start",
)
TOLERANCE = 1e-9  # of max(1, |expected|)

_HISTORY_BARS = 300  # SPEC §4.2: the recursive indicators run over the last 300 session bars
_STACKED_WINDOWS = 500  # 500 windows of 300 bars, four columns: 5 MB at a time

Minutes = Sequence[Any] | NDArray[Any] | pd.Series  # datetimes or epoch seconds
Reduce = Callable[[pd.DataFrame], pd.Series]


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One feature of one bar that is not what it should be; feature "row" when the whole row is missing or too much."""

    symbol: str
    ts: datetime
    feature: str
    stored: float | None
    expected: float | None


def features(
    bars: pd.DataFrame,
    *,
    lost: Mapping[str, Minutes] | None = None,
    since: datetime | None = None,
) -> pd.DataFrame:
    """The features of every bar (from `since` on): columns symbol, ts, then COLUMNS; null as NaN.

    `bars`: all session bars there are, columns ts (datetimes or epoch seconds), symbol, high, low, close, volume,
    session (any label that is the same within a session). `lost`: the minutes lost to outages, per symbol.
    """
    bars = bars.assign(ts=epoch_seconds(bars["ts"]))
    first_due = None if since is None else int(since.timestamp())
    tables = [
        _symbol_features(group.sort_values("ts", ignore_index=True), (lost or {}).get(str(symbol), ()), first_due)
        for symbol, group in bars.groupby("symbol", sort=True)
    ]
    if not tables:
        return pd.DataFrame(columns=["symbol", "ts", *COLUMNS])
    return pd.concat(tables, ignore_index=True)


def compare(stored: pd.DataFrame, expected: pd.DataFrame) -> list[Difference]:
    """Every feature in which `stored` differs from `expected` by more than TOLERANCE; null equals null only.

    Both hold symbol, ts and COLUMNS; None and NaN are null, booleans count as 0 and 1, times as epoch seconds.
    """
    keyed = [_keyed(table) for table in (stored, expected)]
    merged = keyed[0].merge(
        keyed[1], on=["symbol", "ts"], how="outer", suffixes=(".stored", ".expected"), indicator="side"
    )
    both, alone = merged[merged["side"] == "both"], merged[merged["side"] != "both"]
    found = [
        _difference(symbol, ts, "row", *((1.0, 0.0) if side == "left_only" else (0.0, 1.0)))
        for symbol, ts, side in zip(alone["symbol"], alone["ts"], alone["side"], strict=True)
    ]
    for name in COLUMNS:
        have, want = both[f"{name}.stored"].to_numpy(), both[f"{name}.expected"].to_numpy()
        found += [
            _difference(both["symbol"].iloc[i], both["ts"].iloc[i], name, have[i], want[i])
            for i in np.flatnonzero(~_same(have, want))
        ]
    return sorted(found, key=lambda difference: (difference.ts, difference.symbol))


def epoch_seconds(times: pd.Series) -> pd.Series:
    """Datetimes (naive ones are UTC) or epoch seconds as int64 epoch seconds."""
    if pd.api.types.is_numeric_dtype(times):
        return times.astype("int64")
    return pd.to_datetime(times, utc=True).astype("datetime64[s, UTC]").astype("int64")


def _keyed(table: pd.DataFrame) -> pd.DataFrame:
    out = pd.DataFrame({"symbol": table["symbol"].astype(str), "ts": epoch_seconds(table["ts"])})
    for name in COLUMNS:
        times = name == "window_start" and not pd.api.types.is_numeric_dtype(table[name])
        out[name] = (epoch_seconds(table[name]) if times else table[name]).astype("float64")
    return out


def _same(have: NDArray[np.float64], want: NDArray[np.float64]) -> NDArray[np.bool_]:
    near = np.abs(have - want) <= TOLERANCE * np.maximum(1.0, np.abs(want))
    return near | (np.isnan(have) & np.isnan(want))


def _difference(symbol: Any, ts: Any, feature: str, stored: float, expected: float) -> Difference:
    values = [None if np.isnan(value) else float(value) for value in (stored, expected)]
    moment = datetime.fromtimestamp(int(ts), UTC)
    return Difference(symbol=str(symbol), ts=moment, feature=feature, stored=values[0], expected=values[1])


def _symbol_features(bars: pd.DataFrame, lost: Minutes, first_due: int | None) -> pd.DataFrame:
    """`features` of one symbol; rows of `bars` in order of time."""
    due = np.arange(0 if first_due is None else int((bars["ts"] < first_due).sum()), len(bars))
    close, volume, ts = bars["close"].astype(float), bars["volume"].astype(float), bars["ts"]
    table = pd.DataFrame({"symbol": bars["symbol"].astype(str)})
    table["ts"] = pd.to_datetime(ts, unit="s", utc=True)
    for bars_in_window in (20, 50):
        sma = _per_window(close, bars_in_window, due, lambda windows: windows.mean())
        table[f"sma{bars_in_window}"] = sma
        table[f"distance_sma{bars_in_window}"] = (close - sma) / sma
    table["trend_state"] = _trend(table["sma20"], table["sma50"])
    table = table.join(_volatilities(bars, due)).join(_recursive(bars, due)).join(_volumes(volume, due))
    table["bollinger_b"] = _per_window(close, 20, due, _percent_b)
    table["vwap_distance"] = _vwap_distance(bars)
    table["bars_used"] = np.minimum(np.arange(len(bars)) + 1, _HISTORY_BARS)
    start = ts.to_numpy()[np.maximum(np.arange(len(bars)) - _HISTORY_BARS + 1, 0)]
    table["window_start"] = pd.to_datetime(pd.Series(start), unit="s", utc=True)
    minutes = epoch_seconds(pd.Series(lost)).to_numpy() if len(lost) else np.empty(0, np.int64)
    inside = (minutes >= start[:, None]) & (minutes <= ts.to_numpy()[:, None])
    table["gap_minutes"] = inside.sum(axis=1)
    return table.loc[due, ["symbol", "ts", *COLUMNS]]


def _windows(values: pd.Series, bars: int, ends: NDArray[Any]) -> pd.DataFrame:
    """The windows of `bars` values that end at the rows `ends`, one a column named by its end; shape (bars, ends)."""
    rows = ends[None, :] + np.arange(1 - bars, 1)[:, None]
    return pd.DataFrame(values.to_numpy()[rows], columns=ends)


def _per_window(values: pd.Series, bars: int, due: NDArray[Any], reduce: Reduce) -> pd.Series:
    """`reduce` of the window ending at each due row, NaN where there are fewer bars; indexed like `values`."""
    result = pd.Series(np.nan, index=values.index)
    ends = due[due >= bars - 1]
    if len(ends):
        result[ends] = reduce(_windows(values, bars, ends))
    return result


def _trend(fast: pd.Series, slow: pd.Series) -> pd.Series:
    difference = fast - slow
    rounding = difference.abs() <= 1e-12 * slow
    return pd.Series(np.sign(difference.mask(rounding, 0.0)))


def _volatilities(bars: pd.DataFrame, due: NDArray[Any]) -> pd.DataFrame:
    """Sample stdev of the returns within 30 and 120 bars; the return over a session's open is left out."""
    returns = bars["close"].astype(float).pct_change()
    returns = returns.where(bars["session"] == bars["session"].shift())
    recent = _per_window(returns, 30, due, lambda windows: windows.std(ddof=1))
    baseline = _per_window(returns, 120, due, lambda windows: windows.std(ddof=1))
    ratio = recent / baseline.where(baseline >= 1e-6)
    return pd.DataFrame({"recent_vol": recent, "baseline_vol": baseline, "vol_ratio": ratio})


def _percent_b(windows: pd.DataFrame) -> pd.Series:
    """ta's %B. Prices count from the window's first: %B is blind to a shift, its rounding at 500,000 USD is not."""
    base = windows.iloc[0]
    bands = BollingerBands(windows - base, window=20, window_dev=2)
    upper, lower, middle = bands._hband.iloc[-1], bands._lband.iloc[-1], bands._mavg.iloc[-1] + base
    percent = (windows.iloc[-1] - base - lower) / (upper - lower)
    return percent.where(upper - lower > 1e-9 * middle)


def _vwap_distance(bars: pd.DataFrame) -> pd.Series:
    volume = bars["volume"].astype(float)
    dollars = (bars["high"] + bars["low"] + bars["close"]) / 3 * volume
    shares = volume.groupby(bars["session"]).cumsum()
    vwap = dollars.groupby(bars["session"]).cumsum() / shares.where(shares > 0)
    return (bars["close"] - vwap) / vwap


def _volumes(volume: pd.Series, due: NDArray[Any]) -> pd.DataFrame:
    average = _per_window(volume.shift(1), 20, due[due >= 20], lambda windows: windows.mean())
    ratio = volume / average.where(average > 0)
    surge = (ratio >= 3.0).astype(float).where(ratio.notna())
    return pd.DataFrame({"volume": volume, "volume_avg_20": average, "volume_ratio": ratio, "volume_surge": surge})


def _recursive(bars: pd.DataFrame, due: NDArray[Any]) -> pd.DataFrame:
    """RSI, ATR and MACD histogram, as ta gives them on the last 300 bars.

    ta is causal, so while the window is all there is one pass over the first 300 bars gives all their values.
    """
    bars = bars[["high", "low", "close"]].astype(float)
    table = pd.DataFrame(np.nan, index=bars.index, columns=["rsi14", "atr14", "macd_hist"])
    growing = due[due < _HISTORY_BARS]
    if len(growing):
        table.loc[growing] = ta_indicators(bars.iloc[:_HISTORY_BARS]).loc[growing]
    for ends in _batches(due[due >= _HISTORY_BARS]):
        high, low, close = (_windows(bars[name], _HISTORY_BARS, ends) for name in ("high", "low", "close"))
        table.loc[ends, "rsi14"] = _stacked_rsi(close)
        table.loc[ends, "atr14"] = _stacked_atr(high, low, close)
        table.loc[ends, "macd_hist"] = _macd(close)._macd_diff.iloc[-1]
    return table


def ta_indicators(bars: pd.DataFrame) -> pd.DataFrame:
    """ta's own rsi14, atr14 and macd_hist over `bars` (high, low, close), null where ta has no value yet."""
    rows = np.arange(len(bars))
    rsi = RSIIndicator(bars["close"], window=14).rsi()
    atr = pd.Series(np.nan, index=bars.index)
    if len(bars) >= 14:  # ta raises IndexError below, and gives 0 for the first 13 bars
        atr = AverageTrueRange(bars["high"], bars["low"], bars["close"], window=14).average_true_range()
    hist = _macd(bars["close"]).macd_diff()
    return pd.DataFrame({"rsi14": rsi, "atr14": atr.where(rows >= 13), "macd_hist": hist})


def _macd(close: Any) -> MACD:
    """ta's MACD of a series, or of a frame's columns. Prices count from the first, as for %B: its EMAs of 500,000 USD
    would be right to 1e-9 USD only, and the histogram is blind to a shift."""
    return MACD(close - close.iloc[0] if len(close) else close, window_slow=26, window_fast=12, window_sign=9)


def _batches(ends: NDArray[Any]) -> Iterator[NDArray[Any]]:
    return (ends[start : start + _STACKED_WINDOWS] for start in range(0, len(ends), _STACKED_WINDOWS))


def _stacked_rsi(close: pd.DataFrame) -> pd.Series:
    """The last value of ta's RSIIndicator in each column: its body, which takes one series at a time, on many."""
    diff = close.diff(1)
    rises, falls = diff.where(diff > 0, 0.0), -diff.where(diff < 0, 0.0)
    rise, fall = (moves.ewm(alpha=1 / 14, min_periods=14, adjust=False).mean().iloc[-1] for moves in (rises, falls))
    return (100 - 100 / (1 + rise / fall.where(fall != 0))).where(fall != 0, 100.0)


def _stacked_atr(high: pd.DataFrame, low: pd.DataFrame, close: pd.DataFrame) -> pd.Series:
    """The last value of ta's AverageTrueRange in each column: its body, whose loop over bars costs 2 ms a window."""
    previous = close.shift(1)
    candidates = pd.concat([high - low, (high - previous).abs(), (low - previous).abs()])
    ranges = candidates.groupby(level=0).max()  # a row's largest of the three; the first row has but one
    atr = ranges.iloc[:14].mean()
    for row in range(14, len(ranges)):
        atr = (atr * 13 + ranges.iloc[row]) / 14.0
    return atr

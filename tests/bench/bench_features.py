"""How much faster the kernel computes the market's features than a loop of pandas and `ta` over its symbols."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter

import numpy as np
import pandas as pd
from ta.momentum import RSIIndicator
from ta.trend import MACD
from ta.volatility import AverageTrueRange, BollingerBands

from feature_computer.features import FEATURES, BarFrame, compute

SYMBOLS, BARS = 8_000, 120
SAMPLE = 100  # symbols the loop is timed on; its time for all is that of the sample scaled up
SESSION_BARS = 390


def run() -> dict[str, float]:
    """Seconds (best of three), and how many times faster the kernel gives the same columns for all rows."""
    market, full_windows = synthetic_frame(BARS, SYMBOLS), synthetic_frame(300, SYMBOLS)
    catch_up, seven = synthetic_frame(5 * SESSION_BARS, 100), synthetic_frame(300 + SESSION_BARS, 7)
    sample = [symbol_table(market, symbol) for symbol in range(SAMPLE)]
    loop = best(lambda: [loop_features(table) for table in sample], repeats=1) * SYMBOLS / SAMPLE
    kernel = best(lambda: compute(market))
    return {
        "symbols": SYMBOLS,
        "bars": BARS,
        "loop_sampled_symbols": SAMPLE,
        "loop_all_rows_seconds_scaled": loop,
        "kernel_all_rows_seconds": kernel,
        "times_faster": loop / kernel,
        "kernel_last_row_120_bars_seconds": best(lambda: compute(market, -1)),
        "kernel_last_row_300_bars_seconds": best(lambda: compute(full_windows, -1)),
        "kernel_catch_up_100_symbols_1950_bars_seconds": best(lambda: compute(catch_up)),
        "kernel_7_symbols_3_rows_of_690_bars_seconds": best(lambda: compute(seven, -3)),
        "largest_difference_from_loop": largest_difference(market, sample),
    }


def best(action: Callable[[], object], repeats: int = 3) -> float:
    """Wall seconds of the fastest of `repeats` runs."""

    def once() -> float:
        started = perf_counter()
        action()
        return perf_counter() - started

    return min(once() for _ in range(repeats))


def synthetic_frame(bars: int, symbols: int) -> BarFrame:
    """Seeded random walks in cents, sessions of 390 bars, no gaps."""
    rng = np.random.default_rng(7)
    close = np.round(100 * np.exp(np.cumsum(rng.normal(0, 5e-4, (bars, symbols)), axis=0)), 2)
    spread = np.round(rng.random((2, bars, symbols)) / 10, 2)
    minute = np.repeat(np.arange(bars)[:, None], symbols, axis=1)
    return BarFrame(
        ts=60 * minute,
        session=minute // SESSION_BARS,
        high=close + spread[0],
        low=close - spread[1],
        close=close,
        volume=rng.integers(1, 10_000, (bars, symbols)).astype(float),
    )


def symbol_table(frame: BarFrame, symbol: int) -> pd.DataFrame:
    names = ("session", "high", "low", "close", "volume")
    return pd.DataFrame({name: getattr(frame, name)[:, symbol].copy() for name in names})


def loop_features(bars: pd.DataFrame) -> pd.DataFrame:
    """One symbol's features, as one writes them with pandas and ta when in no hurry; at most 300 bars."""
    close, volume, session = bars["close"], bars["volume"], bars["session"]
    table = pd.DataFrame({"sma20": close.rolling(20).mean(), "sma50": close.rolling(50).mean()})
    table["distance_sma20"] = (close - table["sma20"]) / table["sma20"]
    table["distance_sma50"] = (close - table["sma50"]) / table["sma50"]
    returns = close.pct_change().where(session == session.shift())
    table["recent_vol"] = returns.rolling(30, min_periods=1).std().where(np.arange(len(bars)) >= 29)
    table["baseline_vol"] = returns.rolling(120, min_periods=1).std().where(np.arange(len(bars)) >= 119)
    table["vol_ratio"] = table["recent_vol"] / table["baseline_vol"]
    table["trend_state"] = np.sign(table["sma20"] - table["sma50"])
    table["rsi14"] = RSIIndicator(close).rsi()
    atr = AverageTrueRange(bars["high"], bars["low"], close).average_true_range()
    table["atr14"] = atr.where(np.arange(len(bars)) >= 13)
    table["bollinger_b"] = BollingerBands(close).bollinger_pband()
    table["macd_hist"] = MACD(close).macd_diff()
    dollars = (bars["high"] + bars["low"] + close) / 3 * volume
    vwap = dollars.groupby(session).cumsum() / volume.groupby(session).cumsum()
    table["vwap_distance"] = (close - vwap) / vwap
    table["volume"] = volume
    table["volume_avg_20"] = volume.shift().rolling(20).mean()
    table["volume_ratio"] = volume / table["volume_avg_20"]
    table["volume_surge"] = (table["volume_ratio"] >= 3.0).astype(float).where(table["volume_ratio"].notna())
    return table


def largest_difference(frame: BarFrame, tables: list[pd.DataFrame]) -> float:
    """Between kernel and loop over the sampled symbols, relative to max(1, |loop's|); infinite if one is null."""
    values = compute(frame).values
    worst = 0.0
    for symbol, table in enumerate(tables):
        expected = loop_features(table)[list(FEATURES)].to_numpy().T
        error = np.abs(values[:, :, symbol] - expected) / np.maximum(1.0, np.abs(expected))
        both_null = np.isnan(values[:, :, symbol]) & np.isnan(expected)
        worst = max(worst, float(np.where(both_null, 0.0, np.where(np.isnan(error), np.inf, error)).max()))
    return worst


if __name__ == "__main__":
    for name, value in run().items():
        print(f"{name:48} {value:,.4g}")

"""The kernel against `ta` and pandas on anything a market does: gaps, halts, thin symbols, flat prices, splits."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_computer.features import (
    BARS_NEEDED,
    COLUMNS,
    FEATURES,
    HISTORY_BARS,
    BadFrame,
    BarFrame,
    FeatureFrame,
    compute,
    window_sum,
)
from ops import oracle

OPEN = int(datetime(2026, 1, 26, 14, 30, tzinfo=UTC).timestamp())
DAY = 86_400


def bars_of(close: Sequence[float], **columns: Sequence[float]) -> pd.DataFrame:
    """One symbol's consecutive bars of one session, of the given closes."""
    prices = np.asarray(close, float)
    table = pd.DataFrame({"symbol": "A", "ts": OPEN + 60 * np.arange(len(prices)), "session": 0, "close": prices})
    table = table.assign(high=prices, low=prices, volume=100.0)
    return table.assign(**columns)


def frame_of(bars: pd.DataFrame) -> BarFrame:
    bars = bars.sort_values(["symbol", "ts"])
    codes, names = pd.factorize(bars["symbol"], sort=True)
    columns = {name: bars[name].to_numpy() for name in ("ts", "session", "high", "low", "close", "volume")}
    return BarFrame.pack(codes, len(names), **columns)


def table_of(features: FeatureFrame, symbols: list[str]) -> pd.DataFrame:
    row, symbol = np.nonzero(features.bars_used)
    table = pd.DataFrame({name: features[name][row, symbol] for name in COLUMNS})
    return table.assign(symbol=np.array(symbols)[symbol], ts=features.ts[row, symbol])


def random_bars(seed: int) -> pd.DataFrame:
    """One to three symbols with thin trading, halts, flat stretches, splits, zero volumes, at any price."""
    rng = np.random.default_rng(seed)
    return pd.concat([random_symbol(rng, name) for name in "ABC"[: rng.integers(1, 4)]], ignore_index=True)


def random_symbol(rng: np.random.Generator, name: str) -> pd.DataFrame:
    minutes, session_length = rng.integers(1, 460), rng.integers(2, 200)
    minute = np.flatnonzero(rng.random(minutes) >= rng.choice([0.0, 0.05, 0.7]))
    count, tick = len(minute), rng.choice([0.01, 0.0001])
    moves = rng.normal(0, rng.choice([1e-5, 5e-4, 0.02]), count)
    moves[rng.random(count) < rng.choice([0.0, 0.5, 0.97])] = 0.0
    level = rng.choice([0.5, 15.0, 180.0, 700_000.0])
    splits = rng.integers(0, max(count, 1), 0 if level > 1e5 else rng.integers(0, 3))  # such a stock is never split
    moves[splits[splits < count]] = np.log(rng.choice([0.1, 10.0, 0.001]))
    close = np.maximum(np.round(level * np.exp(np.cumsum(moves)) / tick), 1) * tick
    up, down = (tick * rng.integers(0, 5, count) for _ in range(2))
    volume = rng.integers(0, rng.choice([2, 1_000, 10_000_000]), count) * rng.choice([0, 1, 1], count)
    session = minute // session_length
    return pd.DataFrame(
        {
            "symbol": name,
            "ts": OPEN + session * DAY + 60 * minute,
            "session": session,
            "high": close + up,
            "low": np.maximum(close - down, close / 2),
            "close": close,
            "volume": volume.astype(float),
        }
    )


seeds = st.integers(0, 2**32 - 1)


@settings(max_examples=30, deadline=None)
@given(seed=seeds)
def test_features_equal_the_oracle_for_any_gaps(seed: int) -> None:
    bars = random_bars(seed)
    rng = np.random.default_rng(seed)
    lost = {str(name): np.sort(rng.choice(group["ts"], 3)) for name, group in bars.groupby("symbol")}
    names = sorted(lost)
    features = compute(frame_of(bars), lost={i: lost[name] for i, name in enumerate(names)})
    assert oracle.compare(table_of(features, names), oracle.features(bars, lost=lost)) == []


@settings(max_examples=60, deadline=None)
@given(seed=seeds, dropped=st.integers(1, 200))
def test_dropping_later_bars_changes_no_earlier_feature(seed: int, dropped: int) -> None:
    bars = random_bars(seed)
    kept = bars[bars["ts"] <= np.sort(bars["ts"].unique())[-dropped:][0]] if len(bars) else bars
    whole, names = table_of(compute(frame_of(bars)), sorted(bars["symbol"].unique())), sorted(kept["symbol"].unique())
    cut = table_of(compute(frame_of(kept)), names)
    expected = whole.merge(cut[["symbol", "ts"]], on=["symbol", "ts"])
    pd.testing.assert_frame_equal(sort(cut), sort(expected), check_exact=True)


@settings(max_examples=60, deadline=None)
@given(seed=seeds, position=st.floats(0, 1))
def test_changing_a_later_bar_changes_no_earlier_feature(seed: int, position: float) -> None:
    bars = random_bars(seed).sort_values("ts", ignore_index=True)
    if bars.empty:
        return
    changed, row = bars.copy(), int(position * (len(bars) - 1))
    changed.loc[row, ["high", "low", "close", "volume"]] = [9e6, 1e-4, 77.0, 1e12]
    names, ts = sorted(bars["symbol"].unique()), bars.loc[row, "ts"]
    before, after = (table_of(compute(frame_of(table)), names) for table in (bars, changed))
    pd.testing.assert_frame_equal(before[before["ts"] < ts], after[after["ts"] < ts], check_exact=True)
    touched = (before["ts"] == ts) & (before["symbol"] == bars.loc[row, "symbol"])
    assert (after.loc[touched, "volume"] == 1e12).all(), "the change must reach its own bar, or this test sees nothing"


@settings(max_examples=30, deadline=None)
@given(seed=seeds, due=st.integers(1, 60))
def test_a_value_is_the_same_bit_for_bit_whatever_history_is_loaded_and_rows_are_due(seed: int, due: int) -> None:
    bars = random_bars(seed).query("symbol == 'A'").reset_index(drop=True)
    whole = compute(frame_of(bars))
    first_due = max(len(bars) - due, 0)
    opens = bars.index[bars["session"] == bars["session"].iloc[first_due]][0] if len(bars) else 0
    needed = min(max(first_due - (HISTORY_BARS - 1), 0), opens)
    short = compute(frame_of(bars[needed:]), -due)
    for name in COLUMNS:
        np.testing.assert_array_equal(short[name], whole[name][-due:], err_msg=name)


def sort(table: pd.DataFrame) -> pd.DataFrame:
    return table.sort_values(["symbol", "ts"], ignore_index=True)


@pytest.mark.parametrize("jump", [0.1, 10.0, 1e-4], ids=["split 10:1", "reverse split 1:10", "a bad print's return"])
def test_rsi_atr_and_macd_are_what_ta_gives_on_the_last_300_bars_alone(jump: float) -> None:
    rng = np.random.default_rng(5)
    close = 180 * np.exp(np.cumsum(rng.normal(0, 5e-4, 760)))
    close[200:] *= jump
    bars = bars_of(list(close), high=list(close * 1.001), low=list(close * 0.999))
    features = compute(frame_of(bars))
    for row in (13, 14, 33, 34, 199, 200, 201, 298, 299, 300, 301, 420, 498, 499, 500, 501, 512, 520, 759):
        expected = oracle.ta_indicators(bars[max(0, row - HISTORY_BARS + 1) : row + 1]).iloc[-1]
        for name in ("rsi14", "atr14", "macd_hist"):
            assert features[name][row, 0] == pytest.approx(expected[name], rel=1e-9, abs=1e-9, nan_ok=True), (row, name)


def test_a_price_that_stands_still_for_a_whole_window_has_the_rsi_that_ta_gives_it() -> None:
    """100, by ta's definition (no fall): a residue of the earlier falls, however small, would give any number."""
    bars = bars_of([100.0, 90.0, 95.0, 94.0] + [94.01] * 310)
    features = compute(frame_of(bars))
    assert oracle.ta_indicators(bars[-HISTORY_BARS:])["rsi14"].iloc[-1] == 100.0
    assert features["rsi14"][-1, 0] == 100.0
    assert features["rsi14"][-15, 0] < 100.0  # here the falls are still in the window
    assert features["macd_hist"][-1, 0] == 0.0
    assert np.isnan(features["bollinger_b"][-1, 0])
    assert features.reasons(-1, 0) == {
        "vol_ratio": "flat prices: baseline_vol is below 1e-06",
        "bollinger_b": "flat prices: the bands have no width",
    }


def test_a_band_narrower_than_rounding_is_flat() -> None:
    features = compute(frame_of(bars_of([100.0] * 19 + [100.00000001])))
    assert features.reasons(19, 0)["bollinger_b"] == "flat prices: the bands have no width"


def test_percent_b_keeps_its_digits_at_700_000_dollars_and_one_tick() -> None:
    close = [700_000.01] + [700_000.0] * 18 + [700_000.01]
    tick = close[0] - close[1]  # not 0.01: the two prices as they are stored
    mean, stdev = tick * 2 / 20, tick * np.sqrt(0.1 - 0.01)
    expected = (tick - (mean - 2 * stdev)) / (4 * stdev)
    assert compute(frame_of(bars_of(close)))["bollinger_b"][-1, 0] == pytest.approx(expected, abs=1e-12)


def test_nearly_equal_returns_keep_the_digits_of_their_deviation() -> None:
    close = 10 * np.cumprod(np.where(np.arange(130) % 2, 1.01 + 2e-6, 1.01))
    returns = pd.Series(close).pct_change()
    features = compute(frame_of(bars_of(list(close))))
    assert features["recent_vol"][-1, 0] == pytest.approx(returns[-30:].std(), rel=1e-9)
    assert features["vol_ratio"][-1, 0] == pytest.approx(returns[-30:].std() / returns[-120:].std(), rel=1e-9)


def test_the_overnight_return_is_left_out_of_volatility() -> None:
    flat_days = bars_of([100.0, 101.0] * 20 + [50.0, 50.5] * 20, session=[0] * 40 + [1] * 40)
    features = compute(frame_of(flat_days))
    assert features["recent_vol"][45, 0] < 0.011  # the halving from 101 to 50 would make it 0.09
    assert features["distance_sma20"][45, 0] < -0.2  # while averages do continue across the session


def test_the_session_vwap_restarts_at_the_open() -> None:
    bars = bars_of([100.0, 110.0, 50.0, 52.0], session=[0, 0, 1, 1], volume=[100.0, 300.0, 10.0, 30.0])
    vwap = np.array([100.0, 107.5, 50.0, 51.5])
    expected = (bars["close"] - vwap) / vwap
    np.testing.assert_allclose(compute(frame_of(bars))["vwap_distance"][:, 0], expected, atol=1e-15)


def test_a_true_threefold_volume_reads_three_and_is_a_surge() -> None:
    features = compute(frame_of(bars_of([10.0] * 21, volume=[200.0] * 20 + [600.0])))
    assert features["volume_avg_20"][-1, 0] == 200.0
    assert features["volume_ratio"][-1, 0] == 3.0
    assert features["volume_surge"][-1, 0] == 1.0


def test_a_symbol_without_volume_has_reasons_instead_of_ratios() -> None:
    features = compute(frame_of(bars_of([10.0] * 21, volume=[0.0] * 21)))
    reasons = features.reasons(20, 0)
    assert reasons["volume_ratio"] == reasons["volume_surge"] == "no volume in the previous 20 bars"
    assert reasons["vwap_distance"] == "no volume in the session so far"
    assert "volume_avg_20" not in reasons


def test_every_feature_appears_at_exactly_the_bar_it_needs_and_says_so_before() -> None:
    close = list(100 + np.random.default_rng(1).normal(0, 0.1, 130))
    features = compute(frame_of(bars_of(close)))
    for name, needed in BARS_NEEDED.items():
        assert np.isnan(features[name][: needed - 1, 0]).all(), name
        assert not np.isnan(features[name][needed - 1 :, 0]).any(), name
        if needed > 1:
            assert features.reasons(needed - 2, 0)[name] == f"needs {needed} bars, has {needed - 1}"
    assert features.reasons(129, 0) == {}


def test_a_symbol_that_trades_once_a_session_has_no_volatility_and_says_why() -> None:
    features = compute(frame_of(bars_of([10.0 + i % 3 for i in range(130)], session=list(range(130)))))
    reasons = features.reasons(-1, 0)
    assert reasons["recent_vol"].startswith("needs 2 returns within 30 bars")
    assert reasons["vol_ratio"] == reasons["recent_vol"]
    assert reasons["baseline_vol"].startswith("needs 2 returns within 120 bars")


def test_lost_minutes_count_while_a_window_crosses_them() -> None:
    bars = bars_of([10.0] * 400)
    lost = {0: np.array([OPEN + 60 * 50, OPEN + 60 * 60, OPEN + 60 * 900])}
    gaps = compute(frame_of(bars), lost=lost)["gap_minutes"][:, 0]
    assert gaps[[49, 50, 60, 349, 350, 359, 360]].tolist() == [0, 1, 2, 2, 1, 1, 0]


def test_bars_used_and_window_start_describe_the_window() -> None:
    features = compute(frame_of(bars_of([10.0] * 310)), -11)
    assert features.first_row == 299
    assert features["bars_used"][:, 0].tolist() == [300] * 11
    assert features["window_start"][:, 0].tolist() == [OPEN + 60 * i for i in range(11)]


def test_histories_of_different_length_stand_side_by_side() -> None:
    long, short = bars_of(list(np.linspace(10, 20, 340))), bars_of(list(np.linspace(30, 31, 25)))
    both = compute(frame_of(pd.concat([long, short.assign(symbol="B")])), -3)
    for column, alone in enumerate((long, short)):
        expected = compute(frame_of(alone), -3)
        for name in COLUMNS:
            np.testing.assert_array_equal(both[name][:, column], expected[name][:, 0], err_msg=name)


def test_what_stands_above_a_shorter_history_is_never_read() -> None:
    frame = frame_of(pd.concat([bars_of([10.0] * 9), bars_of([20.0, 21.0, 22.0]).assign(symbol="B")]))
    absent = np.isnan(frame.close)
    same_session = BarFrame(
        **{name: getattr(frame, name) for name in ARRAYS} | {"session": np.where(absent, 0, frame.session)}
    )
    np.testing.assert_array_equal(compute(same_session).values, compute(frame).values)


def test_records_are_typed_for_the_store() -> None:
    features = compute(frame_of(bars_of([10.0 + i % 2 for i in range(60)])))
    first, last = features.records(np.array([0, 59]), np.array([0, 0]))
    assert dict(zip(COLUMNS, first, strict=True))["sma20"] is None
    cells = dict(zip(COLUMNS, last, strict=True))
    assert cells["trend_state"] == 0 and type(cells["trend_state"]) is int
    assert cells["volume_surge"] is False
    assert cells["bars_used"] == 60 and cells["gap_minutes"] == 0
    assert cells["window_start"] == datetime.fromtimestamp(OPEN, UTC)


def test_no_bars_and_no_symbols_give_no_features() -> None:
    nothing = bars_of([])
    assert compute(frame_of(nothing)).values.shape == (len(FEATURES), 0, 0)
    silent = BarFrame.pack(np.array([1]), 2, **{name: np.ones(1) for name in ARRAYS})
    assert compute(silent).bars_used.tolist() == [[0, 1]]
    assert compute(silent, 1).values.shape == (len(FEATURES), 0, 2)


ARRAYS = ("ts", "session", "high", "low", "close", "volume")


def test_a_frame_with_a_hole_or_a_wrong_shape_is_refused_with_its_place() -> None:
    bars = bars_of([10.0, 11.0, 12.0])
    with pytest.raises(BadFrame, match="volume of symbol 0 has a hole at row 1 of 3"):
        frame_of(bars.assign(volume=[1.0, np.nan, 1.0]))
    with pytest.raises(BadFrame, match=r"ts has shape \(2, 1\), close \(3, 1\)"):
        good = frame_of(bars)
        BarFrame(**{name: getattr(good, name)[1:] if name == "ts" else getattr(good, name) for name in ARRAYS})
    with pytest.raises(BadFrame, match="not sorted by symbol"):
        BarFrame.pack(np.array([1, 0]), 2, **{name: bars[name].to_numpy()[:2] for name in ARRAYS})


@given(length=st.integers(0, 40), bars=st.integers(1, 50), due=st.integers(0, 40), decay=st.sampled_from([1.0, 0.8]))
def test_a_windowed_sum_is_the_sum_of_its_window(length: int, bars: int, due: int, decay: float) -> None:
    values = np.random.default_rng(length).normal(size=(length, 2))
    sums = window_sum(values, bars, min(due, length), decay)
    for row in range(min(due, length), length):
        window = values[max(0, row - bars + 1) : row + 1]
        weights = decay ** np.arange(len(window))[::-1]
        np.testing.assert_allclose(sums[row - min(due, length)], weights @ window, atol=1e-12)


def shared_bars() -> pd.DataFrame:
    default = Path(__file__).parents[4] / "shared" / "data"
    folder = Path(os.environ.get("OPS_SHARED_DATA", default)) / "bars"
    files = sorted(folder.glob("*.csv"))
    if not files:
        pytest.skip(f"no real bars at {folder}; set OPS_SHARED_DATA")
    bars = pd.concat([pd.read_csv(file, parse_dates=["timestamp"]) for file in files], ignore_index=True)
    new_york = bars["timestamp"].dt.tz_convert("America/New_York")
    minute = new_york.dt.hour * 60 + new_york.dt.minute
    bars = bars.assign(
        ts=oracle.epoch_seconds(bars["timestamp"]), session=oracle.epoch_seconds(bars["timestamp"]) // DAY
    )
    return bars[(minute >= 570) & (minute < 960)].reset_index(drop=True)


def test_five_real_days_equal_the_oracle() -> None:
    bars = shared_bars()
    features = compute(frame_of(bars))
    expected = oracle.features(bars)
    assert len(expected) == len(bars) > 7_000
    assert oracle.compare(table_of(features, sorted(bars["symbol"].unique())), expected) == []

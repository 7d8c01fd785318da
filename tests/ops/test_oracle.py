"""The oracle itself: literally ta, and a comparison that sees every kind of difference."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

from ops import oracle


@pytest.fixture(scope="module")
def bars() -> pd.DataFrame:
    rng = np.random.default_rng(3)
    close = np.round(50 * np.exp(np.cumsum(rng.normal(0, 1e-3, 420))), 2)
    close[250:] = np.round(close[250:] / 10, 2)
    ts = pd.date_range("2026-01-26 14:30", periods=420, freq="min", tz="UTC")
    prices = {"high": close + 0.02, "low": close - 0.01, "close": close}
    return pd.DataFrame({"ts": ts, "symbol": "A", **prices, "volume": rng.integers(0, 900, 420), "session": 1})


@pytest.fixture(scope="module")
def expected(bars: pd.DataFrame) -> pd.DataFrame:
    return oracle.features(bars)


def test_stacked_windows_give_what_ta_gives_on_each_window(bars: pd.DataFrame, expected: pd.DataFrame) -> None:
    for row in (300, 301, 350, 419):
        alone = oracle.ta_indicators(bars[row - 299 : row + 1].reset_index(drop=True)).iloc[-1]
        for name in ("rsi14", "atr14", "macd_hist"):
            assert expected[name].iloc[row] == pytest.approx(alone[name], rel=1e-12), (row, name)


def test_since_gives_the_same_rows_as_all_of_them(bars: pd.DataFrame, expected: pd.DataFrame) -> None:
    late = oracle.features(bars, since=datetime(2026, 1, 26, 19, 0, tzinfo=UTC))
    assert len(late) == 150
    pd.testing.assert_frame_equal(late, expected[270:].reset_index(drop=True), check_exact=True)


def test_a_comparison_of_equals_finds_nothing_in_the_stores_own_types(expected: pd.DataFrame) -> None:
    surge = [None if np.isnan(value) else bool(value) for value in expected["volume_surge"]]
    stored = expected.assign(volume_surge=pd.Series(surge, dtype=object), symbol=expected["symbol"].astype(object))
    assert oracle.compare(stored.sample(frac=1, random_state=1), expected) == []


@pytest.mark.parametrize(
    ("feature", "row", "value"),
    [("sma20", 100, 1.0), ("sma20", 100, None), ("sma50", 3, 12.0), ("volume_surge", 10, 0.0), ("bars_used", 5, 7)],
)
def test_a_wrong_a_missing_and_an_invented_value_are_differences(
    expected: pd.DataFrame, feature: str, row: int, value: float | None
) -> None:
    stored = expected.copy()
    stored.loc[row, feature] = value
    (difference,) = oracle.compare(stored, expected)
    assert (difference.feature, difference.stored) == (feature, value)
    assert difference.ts == expected["ts"].iloc[row]


def test_a_difference_of_a_billionth_is_one_and_of_a_tenth_of_it_is_none(expected: pd.DataFrame) -> None:
    for error, found in ((2e-9, 1), (1e-10, 0)):
        stored = expected.assign(sma20=expected["sma20"] * np.where(expected.index == 200, 1 + error, 1.0))
        assert len(oracle.compare(stored, expected)) == found


def test_a_row_missing_or_too_much_is_a_difference(expected: pd.DataFrame) -> None:
    (missing,) = oracle.compare(expected.drop(index=7), expected)
    (extra,) = oracle.compare(expected, expected.drop(index=7))
    assert (missing.feature, missing.stored, missing.expected) == ("row", 0.0, 1.0)
    assert (extra.feature, extra.stored, extra.expected) == ("row", 1.0, 0.0)


def test_no_bars_give_an_empty_table() -> None:
    nothing = pd.DataFrame(columns=["ts", "symbol", "high", "low", "close", "volume", "session"])
    assert list(oracle.features(nothing).columns) == ["symbol", "ts", *oracle.COLUMNS]

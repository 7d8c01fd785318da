"""The component formulas stay within 0 … 1 and give nothing for what is unknown."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import scoring

ANY_FLOAT = st.none() | st.floats()


@given(ANY_FLOAT)
def test_every_component_is_between_0_and_1(value: float | None) -> None:
    assert 0 <= scoring.setup_quality(value) <= 1
    assert 0 <= scoring.volatility(value) <= 1


@pytest.mark.parametrize("unknown", [None, math.nan])
def test_an_unknown_input_scores_nothing(unknown: float | None) -> None:
    assert scoring.setup_quality(unknown) == 0
    assert scoring.volatility(unknown) == 0
    assert not scoring.known(unknown)


@pytest.mark.parametrize(("distance", "quality"), [(0, 1), (0.005, 0.5), (-0.005, 0.5), (0.01, 0), (-0.03, 0)])
def test_setup_falls_with_the_distance_from_the_mean(distance: float, quality: float) -> None:
    assert scoring.setup_quality(distance) == pytest.approx(quality)


@pytest.mark.parametrize(("ratio", "points"), [(0.7, 0), (0.2, 0), (1.1, 0.5), (1.5, 1), (9, 1)])
def test_volatility_rises_from_seven_tenths_of_the_usual(ratio: float, points: float) -> None:
    assert scoring.volatility(ratio) == pytest.approx(points)


@given(st.lists(st.floats(-1, 1)), st.randoms())
def test_the_mean_does_not_depend_on_the_order(values: list[float], random) -> None:  # type: ignore[no-untyped-def]
    shuffled = list(values)
    random.shuffle(shuffled)
    assert scoring.mean(values) == scoring.mean(shuffled)

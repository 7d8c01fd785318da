"""How good a symbol looks: the component formulas (SPEC §4.5) that the watchlist and the signals share, each 0 … 1.

An unknown input (None or NaN) scores 0: what is not known earns nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

# A price this far from its 20-minute mean (as a fraction) is no entry any more.
SETUP_REACH = 0.01
# Volatility counts from 0.7 × the usual on and is full at 1.5 ×.
VOL_RATIO_FLOOR = 0.7
VOL_RATIO_SPAN = 0.8


def clamp(value: float) -> float:
    """`value` within 0 … 1; NaN gives 0 (every comparison with it is false)."""
    return min(1.0, max(0.0, value))


def known(value: float | None) -> bool:
    """Whether a value is there and finite."""
    return value is not None and math.isfinite(value)


def setup_quality(distance_sma20: float | None) -> float:
    """1 − |distance_sma20| / 0.01: full at the mean, nothing 1 % away from it."""
    return 0.0 if distance_sma20 is None else clamp(1 - abs(distance_sma20) / SETUP_REACH)


def volatility(vol_ratio: float | None) -> float:
    """(vol_ratio − 0.7) / 0.8: livelier than usual is better."""
    return 0.0 if vol_ratio is None else clamp((vol_ratio - VOL_RATIO_FLOOR) / VOL_RATIO_SPAN)


def mean(values: Iterable[float]) -> float:
    """The mean, the same whatever the order of the values; 0 of nothing."""
    listed = list(values)
    return math.fsum(listed) / len(listed) if listed else 0.0

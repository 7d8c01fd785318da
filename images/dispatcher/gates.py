"""What a signal must pass before it is traded: the limits, the gates, and what each of them saw. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from dispatcher.fills import Plan
from pipeline.errors import ConfigInvalid
from pipeline.rows import Mode, Side
from pipeline.settings import Values

PARAMETER = "dispatch_limits"
BAR_LENGTH = timedelta(minutes=1)

_NUMBER = (int, float)
_KEYS: Mapping[str, type | tuple[type, ...]] = {
    "mode": str,
    "sides": list,
    "confidence_min": _NUMBER,
    "bar_age_max_seconds": _NUMBER,
    "features_age_max_seconds": _NUMBER,
    "trades_per_symbol_max": int,
    "daily_loss_max": _NUMBER,
}
# Lowest and highest value that makes sense: beyond an hour nothing is fresh, and a daily loss above the simulated
# equity is no limit.
_RANGES = {
    "confidence_min": (0, 1),
    "bar_age_max_seconds": (1, 3600),
    "features_age_max_seconds": (1, 3600),
    "trades_per_symbol_max": (1, 100),
    "daily_loss_max": (1, 100_000),
}


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The parameter `dispatch_limits`: where orders go and what each gate allows. Loss in USD, ages in seconds."""

    mode: Mode
    sides: tuple[Side, ...]
    confidence_min: float
    bar_age_max_seconds: float
    features_age_max_seconds: float
    trades_per_symbol_max: int
    daily_loss_max: float


def limits(values: Values) -> Limits:
    """The limits from the parameter. Raises ConfigInvalid on anything unknown, missing or out of range."""
    raw = values.json_object(PARAMETER, _KEYS)
    for key, (low, high) in _RANGES.items():
        if not low <= raw[key] <= high:
            raise ConfigInvalid(f"parameter {PARAMETER}: {key} is {raw[key]}, expected {low} to {high}")
    return Limits(mode=_mode(raw["mode"]), sides=_sides(raw["sides"]), **{key: raw[key] for key in _RANGES})


def _mode(text: str) -> Mode:
    if text not in list(Mode):
        raise ConfigInvalid(f"parameter {PARAMETER}: mode is {text!r}, expected {' or '.join(Mode)}")
    return Mode(text)


def _sides(items: list[Any]) -> tuple[Side, ...]:
    if not items or len(items) != len({str(item) for item in items}):
        raise ConfigInvalid(f"parameter {PARAMETER}: sides is {items}, expected at least one, none twice")
    if unknown := [item for item in items if item not in list(Side)]:
        raise ConfigInvalid(f"parameter {PARAMETER}: sides has {unknown}, known are {', '.join(Side)}")
    return tuple(Side(item) for item in items)


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What is known about a signal's symbol at the run's `now`; None is unknown, and no gate passes on it.

    bar_ts, features_ts: starts of the newest bar and of the newest features' bar that had ended by `now`.
    trades, open_positions: this session's on the symbol, orders still in doubt included.
    profit_today: realised and open, USD.
    """

    market_open: bool | None
    bar_ts: datetime | None
    close: float | None
    features_ts: datetime | None
    atr14: float | None
    trades: int | None
    open_positions: int | None
    profit_today: float | None


@dataclass(frozen=True, kw_only=True)
class Gate:
    """One gate: the value it saw (None: unknown), the threshold it held it against, and whether it let pass."""

    value: float | str | bool | None
    threshold: float | bool | list[str]
    passed: bool

    def to_json(self) -> dict[str, Any]:
        return {"value": self.value, "threshold": self.threshold, "passed": self.passed}


def judge(
    *, side: str, confidence: float, reading: Reading, plan: Plan | None, limits: Limits, now: datetime
) -> dict[str, Gate]:
    """Every gate, by name: all are judged, so that a skipped signal shows the whole of what stood against it.

    `plan` is what would be traded; None where price or ATR is unknown. Ages count from the end of the bar's minute.
    """
    return {
        "confidence": _at_least(confidence, limits.confidence_min),
        "side_allowed": Gate(value=side, threshold=list(limits.sides), passed=side in limits.sides),
        "bar_age": _at_most(_age_seconds(reading.bar_ts, now), limits.bar_age_max_seconds),
        "features_age": _at_most(_age_seconds(reading.features_ts, now), limits.features_age_max_seconds),
        "trades_per_symbol": _below(reading.trades, limits.trades_per_symbol_max),
        "market_open": Gate(value=reading.market_open, threshold=True, passed=reading.market_open is True),
        "no_open_position": _at_most(reading.open_positions, 0),
        "daily_loss": _at_least(reading.profit_today, -limits.daily_loss_max),
        "atr_known": _above(reading.atr14, 0),
        "exits_possible": _above(min(plan.stop_price, plan.target_price) if plan else None, 0),
        "quantity": _at_least(plan.quantity if plan else None, 1),
    }


def closed(gates: Mapping[str, Gate]) -> list[str]:
    """The names of the gates that did not let pass."""
    return [name for name, gate in gates.items() if not gate.passed]


def _age_seconds(ts: datetime | None, now: datetime) -> float | None:
    return None if ts is None else (now - (ts + BAR_LENGTH)).total_seconds()


def _known(value: float | None) -> float | None:
    """NaN and infinities are no input (and no JSON)."""
    return value if value is not None and math.isfinite(value) else None


def _at_least(value: float | None, threshold: float) -> Gate:
    seen = _known(value)
    return Gate(value=seen, threshold=threshold, passed=seen is not None and seen >= threshold)


def _at_most(value: float | None, threshold: float) -> Gate:
    seen = _known(value)
    return Gate(value=seen, threshold=threshold, passed=seen is not None and seen <= threshold)


def _below(value: float | None, threshold: float) -> Gate:
    seen = _known(value)
    return Gate(value=seen, threshold=threshold, passed=seen is not None and seen < threshold)


def _above(value: float | None, threshold: float) -> Gate:
    seen = _known(value)
    return Gate(value=seen, threshold=threshold, passed=seen is not None and seen > threshold)

"""Each gate at its exact boundary; unknown input; the limits as written by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatch_world import LIMITS, MINUTE, NOW, values
from dispatcher import fills, gates
from dispatcher.gates import Gate, Limits, Reading
from pipeline.errors import ConfigInvalid
from pipeline.rows import Mode, Side

SECOND = timedelta(seconds=1)
READING = Reading(
    market_open=True,
    bar_ts=NOW - MINUTE,
    close=100.0,
    features_ts=NOW - MINUTE,
    atr14=0.5,
    trades=0,
    open_positions=0,
    profit_today=0.0,
)
PLAN = fills.plan(side="BUY", close=100.0, atr=0.5, equity=100_000)
assert PLAN


def limits(**changes: Any) -> Limits:
    return gates.limits(values(changes))


def judged(side: str = "BUY", confidence: float = 0.9, plan: fills.Plan | None = PLAN, **seen: Any) -> dict[str, Gate]:
    return gates.judge(
        side=side, confidence=confidence, reading=replace(READING, **seen), plan=plan, limits=limits(), now=NOW
    )


def closed(**given: Any) -> list[str]:
    return gates.closed(judged(**given))


def test_a_good_signal_passes_every_gate() -> None:
    assert closed() == []


@pytest.mark.parametrize(
    ("gate", "last_good", "first_bad"),
    [
        ("confidence", {"confidence": 0.70}, {"confidence": 0.69999}),
        ("bar_age", {"bar_ts": NOW - MINUTE - 120 * SECOND}, {"bar_ts": NOW - MINUTE - 121 * SECOND}),
        ("features_age", {"features_ts": NOW - MINUTE - 300 * SECOND}, {"features_ts": NOW - MINUTE - 301 * SECOND}),
        ("trades_per_symbol", {"trades": 1}, {"trades": 2}),
        ("market_open", {"market_open": True}, {"market_open": False}),
        ("no_open_position", {"open_positions": 0}, {"open_positions": 1}),
        ("daily_loss", {"profit_today": -2000.0}, {"profit_today": -2000.01}),
        ("atr_known", {"atr14": 0.01}, {"atr14": 0.0}),
        ("quantity", {"plan": replace(PLAN, quantity=1)}, {"plan": replace(PLAN, quantity=0)}),
        ("exits_possible", {"plan": replace(PLAN, stop_price=0.01)}, {"plan": replace(PLAN, stop_price=-0.01)}),
    ],
)
def test_a_gate_turns_exactly_at_its_threshold(gate: str, last_good: Any, first_bad: Any) -> None:
    assert closed(**last_good) == []
    assert closed(**first_bad) == [gate]


@pytest.mark.parametrize(
    ("gate", "unknown"),
    [
        ("bar_age", {"bar_ts": None}),
        ("features_age", {"features_ts": None}),
        ("trades_per_symbol", {"trades": None}),
        ("market_open", {"market_open": None}),
        ("no_open_position", {"open_positions": None}),
        ("daily_loss", {"profit_today": None}),
        ("daily_loss", {"profit_today": float("nan")}),
        ("atr_known", {"atr14": None}),
        ("confidence", {"confidence": float("nan")}),
    ],
)
def test_a_gate_without_its_input_fails_closed_and_says_so(gate: str, unknown: Any) -> None:
    found = judged(**unknown)
    assert gates.closed(found) == [gate]
    assert found[gate].value is None


def test_all_gates_are_judged_and_all_that_are_closed_are_named() -> None:
    found = judged(confidence=0.1, trades=7, market_open=False)
    assert gates.closed(found) == ["confidence", "trades_per_symbol", "market_open"]
    assert found["trades_per_symbol"].to_json() == {"value": 7, "threshold": 2, "passed": False}


@given(
    st.builds(
        Reading,
        market_open=st.none() | st.booleans(),
        bar_ts=st.none() | st.just(NOW - MINUTE),
        close=st.none() | st.floats(),
        features_ts=st.none() | st.just(NOW - MINUTE),
        atr14=st.none() | st.floats(),
        trades=st.none() | st.integers(0, 5),
        open_positions=st.none() | st.integers(0, 5),
        profit_today=st.none() | st.floats(),
    ),
    st.floats(),
)
def test_whatever_is_read_the_gates_are_json_and_open_only_on_known_values(reading: Reading, confidence: float) -> None:
    plan = fills.plan(side="SELL", close=reading.close, atr=reading.atr14, equity=100_000)
    found = gates.judge(side="SELL", confidence=confidence, reading=reading, plan=plan, limits=limits(), now=NOW)
    json.dumps({name: gate.to_json() for name, gate in found.items()}, allow_nan=False)
    assert not [name for name, gate in found.items() if gate.passed and gate.value is None]
    if not gates.closed(found):
        assert plan and plan.quantity >= 1 and plan.stop_price > 0 and plan.target_price > 0


# ── vocabulary and limits ────────────────────────────────────────────────────────────────────────────────────────────


@given(st.sampled_from(Side))
def test_every_side_that_a_signal_can_have_can_be_allowed(side: Side) -> None:
    assert limits(sides=[str(side)]).sides == (side,)
    assert gates.closed(judged(side=side)) == []


def test_a_side_that_is_not_allowed_or_not_known_is_closed() -> None:
    only_buys = limits(sides=["BUY"])
    for side in ("SELL", "BUY_CALL"):
        found = gates.judge(side=side, confidence=0.9, reading=READING, plan=PLAN, limits=only_buys, now=NOW)
        assert found["side_allowed"] == Gate(value=side, threshold=["BUY"], passed=False)


def test_the_catalogues_initial_limits_are_valid() -> None:
    from pipeline import catalog

    text = catalog.load().parameters[gates.PARAMETER].initial
    assert text and json.loads(text) == LIMITS
    assert gates.limits(values(text=text)).mode is Mode.SIMULATED


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"mode": "LIVE"}, "mode is 'LIVE'"),
        ({"mode": "simulated"}, "mode is 'simulated'"),
        ({"sides": []}, "sides is []"),
        ({"sides": ["BUY", "BUY"]}, "none twice"),
        ({"sides": ["BUY", "HOLD"]}, "HOLD"),
        ({"sides": [1]}, "sides has [1]"),
        ({"sides": "BUY"}, "sides"),
        ({"confidence_min": 1.01}, "confidence_min is 1.01, expected 0 to 1"),
        ({"confidence_min": 70}, "confidence_min is 70"),
        ({"confidence_min": True}, "confidence_min"),
        ({"bar_age_max_seconds": 0}, "bar_age_max_seconds is 0"),
        ({"bar_age_max_seconds": "120"}, "bar_age_max_seconds"),
        ({"features_age_max_seconds": 86_400}, "features_age_max_seconds is 86400"),
        ({"trades_per_symbol_max": 0}, "trades_per_symbol_max is 0"),
        ({"trades_per_symbol_max": 2.5}, "trades_per_symbol_max"),
        ({"daily_loss_max": -2000}, "daily_loss_max is -2000"),
        ({"daily_loss_max": 10**400}, "daily_loss_max"),
        ({"sizes": 3}, "unknown key sizes"),
    ],
)
def test_a_limit_that_cannot_be_meant_is_refused_by_name(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigInvalid) as refused:
        limits(**changes)
    assert named in str(refused.value)


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"mode": "SIMULATED",}', json.dumps({**LIMITS})[:-1] + ', "mode": "SIMULATED"}', "null"]
)
def test_a_text_that_is_no_object_of_limits_is_refused(text: str) -> None:
    with pytest.raises(ConfigInvalid):
        gates.limits(values(text=text))


@pytest.mark.parametrize("key", list(LIMITS))
def test_a_missing_limit_is_refused(key: str) -> None:
    with pytest.raises(ConfigInvalid, match=key):
        gates.limits(values(text=json.dumps({k: v for k, v in LIMITS.items() if k != key})))

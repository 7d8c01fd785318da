"""Each rule of the signal engine stops what it should, at its exact boundary, and says so."""

from __future__ import annotations

import json
import math
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market_rows import MINUTE, NOW, entry, features, sentiment
from pipeline.rows import Sentiment, Side, Signal
from signal_engine import signals
from signal_engine.signals import Evidence, Hold


def evidence(
    *,
    news: list[Sentiment] | None = None,
    last_signal_at: datetime | None = None,
    computed_at: datetime = NOW - 3 * MINUTE,
    **changes: Any,
) -> Evidence:
    return Evidence(
        entry=entry(computed_at=computed_at),
        features=features(**changes),
        sentiments=[sentiment(0.8)] if news is None else news,
        last_signal_at=last_signal_at,
    )


def signal(given: Evidence) -> Signal:
    verdict = signals.judge(given, NOW)
    assert isinstance(verdict, Signal), verdict
    return verdict


def test_good_news_in_a_rising_market_is_a_buy() -> None:
    raised = signal(evidence())
    assert raised.side is Side.BUY
    assert (raised.symbol, raised.ts, raised.rule) == ("AAPL", NOW - MINUTE, signals.RULE)


def test_bad_news_in_a_falling_market_is_a_sell() -> None:
    assert signal(evidence(news=[sentiment(-0.8)], trend_state=-1, distance_sma20=-0.002)).side is Side.SELL


def test_confidence_is_the_weighted_sum_times_the_volume_multiplier() -> None:
    raised = signal(evidence(vol_ratio=1.1, distance_sma20=0.005, volume_ratio=1.3))
    assert raised.confidence == pytest.approx((0.30 * 0.8 + 0.25 + 0.25 * 0.5 + 0.20 * 0.5) * 0.6)
    assert raised.volume_multiplier == 0.6


def test_confidence_never_passes_one() -> None:
    assert signal(evidence(news=[sentiment(1.0)], distance_sma20=1e-9, volume_ratio=5)).confidence == 1


@pytest.mark.parametrize(
    ("ratio", "multiplier"),
    [(0, 0), (0.4999, 0), (0.5, 0.3), (1.1999, 0.3), (1.2, 0.6), (1.4999, 0.6), (1.5, 1.0), (1.9999, 1.0), (2.0, 1.2),
     (2.9999, 1.2), (3.0, 1.3), (50, 1.3)],
)  # fmt: skip
def test_the_volume_multiplier_at_each_of_its_steps(ratio: float, multiplier: float) -> None:
    assert signals.volume_multiplier(ratio) == multiplier


@pytest.mark.parametrize(
    ("given_evidence", "rule"),
    [
        (evidence(computed_at=NOW - timedelta(minutes=15, seconds=1)), Hold.WATCHLIST_STALE),
        (evidence(ts=NOW - timedelta(seconds=361)), Hold.FEATURES_STALE),
        (evidence(trend_state=None), Hold.FEATURES_NULL),
        (evidence(distance_sma20=None), Hold.FEATURES_NULL),
        (evidence(distance_sma20=math.nan), Hold.FEATURES_NULL),
        (evidence(news=[]), Hold.NO_NEWS),
        (evidence(news=[sentiment(0.0)]), Hold.NOT_DIRECTIONAL),
        (evidence(news=[sentiment(0.5)]), Hold.NOT_DIRECTIONAL),
        (evidence(news=[sentiment(0.9), sentiment(-0.2, news_id=2)]), Hold.NOT_DIRECTIONAL),
        (evidence(trend_state=-1), Hold.TREND_DISAGREES),
        (evidence(trend_state=0), Hold.TREND_DISAGREES),
        (evidence(distance_sma20=-0.001), Hold.WRONG_SIDE_OF_SMA20),
        (evidence(distance_sma20=0.0), Hold.WRONG_SIDE_OF_SMA20),
        (evidence(distance_sma20=0.0201), Hold.TOO_FAR_FROM_SMA20),
        (evidence(volume_ratio=None), Hold.VOLUME_UNKNOWN),
        (evidence(volume_ratio=math.nan), Hold.VOLUME_UNKNOWN),
        (evidence(volume_ratio=0.49), Hold.VOLUME_TOO_LOW),
        (evidence(last_signal_at=NOW - timedelta(minutes=14, seconds=59)), Hold.COOLDOWN),
        (evidence(last_signal_at=NOW), Hold.COOLDOWN),
    ],
)
def test_a_hold_names_the_rule_that_stopped_the_signal(given_evidence: Evidence, rule: Hold) -> None:
    assert signals.judge(given_evidence, NOW) is rule


def test_a_symbol_without_features_holds() -> None:
    bare = Evidence(entry=entry(), features=None, sentiments=[sentiment()], last_signal_at=None)
    assert signals.judge(bare, NOW) is Hold.FEATURES_MISSING


@pytest.mark.parametrize(
    "just_allowed",
    [
        evidence(computed_at=NOW - timedelta(minutes=15)),
        evidence(ts=NOW - timedelta(seconds=360)),
        evidence(news=[sentiment(0.501)]),
        evidence(distance_sma20=0.02),
        evidence(volume_ratio=0.5),
        evidence(last_signal_at=NOW - timedelta(minutes=15)),
        evidence(vol_ratio=None),
    ],
)
def test_at_the_boundary_a_signal_still_goes_out(just_allowed: Evidence) -> None:
    assert isinstance(signals.judge(just_allowed, NOW), Signal)


def test_features_looked_at_lately_but_made_of_old_bars_are_stale() -> None:
    assert signals.judge(evidence(ts=NOW - timedelta(days=3)), NOW) is Hold.FEATURES_STALE


def test_neutral_news_does_not_dilute_the_direction() -> None:
    raised = signal(evidence(news=[sentiment(0.6), sentiment(0.0, news_id=2), sentiment(0.0, news_id=3)]))
    assert raised.reason["sentiment"] == {
        "mean": 0.6,
        "directional": 1,
        "neutral": 2,
        "news": [{"id": 1, "score": 0.6}],
    }


def test_the_reason_is_json_and_enough_to_decide_again() -> None:
    raised = signal(evidence(last_signal_at=NOW - 20 * MINUTE))
    reason = json.loads(json.dumps(raised.reason, allow_nan=False))
    base = sum(reason["thresholds"]["weights"][name] * value for name, value in reason["components"].items())
    assert raised.confidence == pytest.approx(min(1, base * reason["volume_multiplier"]))
    assert reason["features"]["age_seconds"] == 0
    assert reason["watchlist"]["score"] == 0.7


NUMBER = st.none() | st.floats() | st.floats(-0.03, 0.03) | st.floats(0, 5)
NEWS = st.lists(st.floats(-1, 1), max_size=5)


@given(NEWS, st.sampled_from([None, -1, 0, 1]), NUMBER, NUMBER, NUMBER)
def test_whatever_it_emits_is_in_the_shared_vocabulary_and_obeys_its_rules(
    scores: list[float], trend: int | None, distance: float | None, vol_ratio: float | None, volume: float | None
) -> None:
    given_evidence = evidence(
        news=[sentiment(score, news_id=i) for i, score in enumerate(scores)],
        trend_state=trend,
        distance_sma20=distance,
        vol_ratio=vol_ratio,
        volume_ratio=volume,
    )
    verdict = signals.judge(given_evidence, NOW)
    if isinstance(verdict, Hold):
        return
    assert type(verdict.side) is Side
    assert verdict.side.value in {"BUY", "SELL"}
    assert 0 <= verdict.confidence <= 1
    assert verdict.volume_multiplier > 0
    assert trend == verdict.side.direction
    assert distance is not None
    assert 0 < distance * verdict.side.direction <= signals.DISTANCE_SMA20_MAX
    assert signals.directional_mean(given_evidence.sentiments) * verdict.side.direction > signals.DIRECTIONAL_MEAN
    json.dumps(verdict.reason)

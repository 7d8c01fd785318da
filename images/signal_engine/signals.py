"""When a watched symbol is a buy or a sell, how sure that is, and if neither, which rule stopped it (SPEC §4.5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from pipeline import scoring, sessions
from pipeline.rows import Features, Label, Sentiment, Side, Signal, WatchlistEntry

RULE = "sentiment_trend"

# News moves a price within half an hour or not at all.
NEWS_WINDOW = timedelta(minutes=30)
DIRECTIONAL_MEAN = 0.5
DISTANCE_SMA20_MAX = 0.02
# Freshness is that of the bar behind the features, not of the computation: a 3-day-old bar is old however lately it
# was looked at.
FEATURES_AGE_MAX = timedelta(seconds=300)
# Three periods of the watchlist: beyond that nobody has looked at the symbol.
WATCHLIST_AGE_MAX = timedelta(minutes=15)
COOLDOWN = timedelta(minutes=15)

WEIGHTS: Mapping[str, float] = {"sentiment": 0.30, "trend": 0.25, "setup": 0.25, "volatility": 0.20}
# (volume_ratio below this, multiplier): a move that nobody trades is no move, one that all trade is worth more.
VOLUME_STEPS = ((0.5, 0.0), (1.2, 0.3), (1.5, 0.6), (2.0, 1.0), (3.0, 1.2))
VOLUME_SURGE_MULTIPLIER = 1.3


class Hold(StrEnum):
    """Why a symbol raised no signal; the rules in the order in which they are asked."""

    WATCHLIST_STALE = "watchlist_stale"
    FEATURES_MISSING = "features_missing"
    FEATURES_STALE = "features_stale"
    FEATURES_NULL = "features_null"
    NO_NEWS = "no_news"
    NOT_DIRECTIONAL = "not_directional"
    TREND_DISAGREES = "trend_disagrees"
    WRONG_SIDE_OF_SMA20 = "wrong_side_of_sma20"
    TOO_FAR_FROM_SMA20 = "too_far_from_sma20"
    VOLUME_UNKNOWN = "volume_unknown"
    VOLUME_TOO_LOW = "volume_too_low"
    COOLDOWN = "cooldown"


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """All that is known of one watched symbol at `now`: its news of the last 30 minutes, its newest features, when it
    last raised a signal."""

    entry: WatchlistEntry
    features: Features | None
    sentiments: Sequence[Sentiment]
    last_signal_at: datetime | None


def judge(evidence: Evidence, now: datetime) -> Signal | Hold:
    """The signal that the evidence makes, or the first rule that stops it. An input that is missing holds."""
    if now - evidence.entry.computed_at > WATCHLIST_AGE_MAX:
        return Hold.WATCHLIST_STALE
    features = evidence.features
    if features is None:
        return Hold.FEATURES_MISSING
    if features_age(features, now) > FEATURES_AGE_MAX:
        return Hold.FEATURES_STALE
    if features.trend_state is None or not scoring.known(features.distance_sma20):
        return Hold.FEATURES_NULL
    side = _side(evidence.sentiments)
    if isinstance(side, Hold):
        return side
    if stopped := _agreement(features, side) or _volume_rules(features):
        return stopped
    if evidence.last_signal_at is not None and now - evidence.last_signal_at < COOLDOWN:
        return Hold.COOLDOWN
    return _signal(evidence, features, side, now)


def features_age(features: Features, now: datetime) -> timedelta:
    """Age by event time: since the end of the newest minute that the features hold."""
    return now - (features.ts + sessions.MINUTE)


def directional_mean(sentiments: Sequence[Sentiment]) -> float:
    """The mean score of the items that are not neutral; 0 where there is none."""
    return scoring.mean(s.score for s in sentiments if s.label is not Label.NEUTRAL)


def volume_multiplier(volume_ratio: float) -> float:
    """< 0.5 → 0 · < 1.2 → 0.3 · < 1.5 → 0.6 · < 2.0 → 1.0 · < 3.0 → 1.2 · ≥ 3.0 → 1.3."""
    return next((factor for limit, factor in VOLUME_STEPS if volume_ratio < limit), VOLUME_SURGE_MULTIPLIER)


def confidence_components(features: Features, mean_score: float) -> dict[str, float]:
    """The parts of the base confidence, each 0 … 1; the trend is aligned, or there would be no signal."""
    return {
        "sentiment": min(1.0, abs(mean_score)),
        "trend": 1.0,
        "setup": scoring.setup_quality(features.distance_sma20),
        "volatility": scoring.volatility(features.vol_ratio),
    }


def _side(sentiments: Sequence[Sentiment]) -> Side | Hold:
    if not sentiments:
        return Hold.NO_NEWS
    mean_score = directional_mean(sentiments)
    if abs(mean_score) <= DIRECTIONAL_MEAN:
        return Hold.NOT_DIRECTIONAL
    return Side.BUY if mean_score > 0 else Side.SELL


def _agreement(features: Features, side: Side) -> Hold | None:
    assert features.distance_sma20 is not None  # judge() held it
    if features.trend_state != side.direction:
        return Hold.TREND_DISAGREES
    if features.distance_sma20 * side.direction <= 0:
        return Hold.WRONG_SIDE_OF_SMA20
    if abs(features.distance_sma20) > DISTANCE_SMA20_MAX:
        return Hold.TOO_FAR_FROM_SMA20
    return None


def _volume_rules(features: Features) -> Hold | None:
    if features.volume_ratio is None or not scoring.known(features.volume_ratio):
        return Hold.VOLUME_UNKNOWN
    return Hold.VOLUME_TOO_LOW if volume_multiplier(features.volume_ratio) == 0 else None


def _signal(evidence: Evidence, features: Features, side: Side, now: datetime) -> Signal:
    assert features.volume_ratio is not None  # _volume_rules held it
    parts = confidence_components(features, directional_mean(evidence.sentiments))
    base = sum(WEIGHTS[name] * value for name, value in parts.items())
    multiplier = volume_multiplier(features.volume_ratio)
    return Signal(
        symbol=evidence.entry.symbol,
        ts=features.ts,
        rule=RULE,
        side=side,
        confidence=scoring.clamp(base * multiplier),
        volume_multiplier=multiplier,
        reason=_reason(evidence, features, parts, base, multiplier, now),
    )


def _reason(
    evidence: Evidence, features: Features, parts: Mapping[str, float], base: float, multiplier: float, now: datetime
) -> dict[str, Any]:
    """Every input of the decision as JSON values, so that it can be made again from this alone."""
    directional = [s for s in evidence.sentiments if s.label is not Label.NEUTRAL]
    last = evidence.last_signal_at
    return {
        "sentiment": {
            "mean": directional_mean(evidence.sentiments),
            "directional": len(directional),
            "neutral": len(evidence.sentiments) - len(directional),
            "news": [{"id": s.news_id, "score": s.score} for s in directional],
        },
        "features": {
            "ts": features.ts.isoformat(),
            "age_seconds": features_age(features, now).total_seconds(),
            "trend_state": features.trend_state,
            "distance_sma20": features.distance_sma20,
            "vol_ratio": features.vol_ratio,
            "volume_ratio": features.volume_ratio,
        },
        "watchlist": {
            "score": evidence.entry.score,
            "rank": evidence.entry.rank,
            "computed_at": evidence.entry.computed_at.isoformat(),
        },
        "components": dict(parts),
        "base_confidence": base,
        "volume_multiplier": multiplier,
        "last_signal_at": last.isoformat() if last else None,
        "thresholds": thresholds(),
    }


def thresholds() -> dict[str, Any]:
    """The limits that the rules compare with, as a signal's reason keeps them."""
    return {
        "directional_mean": DIRECTIONAL_MEAN,
        "distance_sma20_max": DISTANCE_SMA20_MAX,
        "features_age_max_seconds": FEATURES_AGE_MAX.total_seconds(),
        "watchlist_age_max_seconds": WATCHLIST_AGE_MAX.total_seconds(),
        "news_window_seconds": NEWS_WINDOW.total_seconds(),
        "cooldown_seconds": COOLDOWN.total_seconds(),
        "weights": dict(WEIGHTS),
    }

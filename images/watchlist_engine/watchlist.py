"""Which symbols deserve to be watched: the watch score and the hysteresis that keeps the list calm (SPEC §4.5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from pipeline import scoring, sessions
from pipeline.rows import Features, Sentiment, WatchlistEntry

# News older than an hour is in the price.
NEWS_WINDOW = timedelta(minutes=60)
# Five items an hour are as much attention as we can tell apart.
NEWS_COUNT_FULL = 5
# Features older than this many session minutes describe another market; they count as absent.
FEATURES_MINUTES_MAX = 15

ENTER_SCORE = 0.60
LEAVE_SCORE = 0.30
# One bad reading must not drop a symbol: it has to stay bad over three periods.
LEAVE_AFTER = timedelta(minutes=15)
# As many symbols as the signal engine can judge, and a person can follow.
CAPACITY = 30
# Two symbols of about the same score must not take turns on the last place.
DISPLACE_FACTOR = 1.10


@dataclass(frozen=True, kw_only=True)
class Components:
    """What a symbol's watch score is made of, each 0 … 1."""

    sentiment_pressure: float
    setup_quality: float
    volatility: float
    trend_alignment: float

    @property
    def score(self) -> float:
        """The watch score, 0 … 1."""
        return (
            0.35 * self.sentiment_pressure
            + 0.25 * self.setup_quality
            + 0.20 * self.volatility
            + 0.20 * self.trend_alignment
        )


@dataclass(frozen=True, kw_only=True)
class Change:
    """The list after a run, best first, and who moved."""

    entries: tuple[WatchlistEntry, ...]
    entered: frozenset[str]
    left: frozenset[str]
    displaced: frozenset[str]


def fresh(features: Features | None, now: datetime) -> bool:
    """Whether features may be used: no more than 15 session minutes have ended since their bar did."""
    return features is not None and sessions.minutes_elapsed(features.ts + sessions.MINUTE, now) <= FEATURES_MINUTES_MAX


def components(features: Features | None, sentiments: Sequence[Sentiment], now: datetime) -> Components:
    """The components of one symbol from its usable features (None: all three that need them are 0) and its news of
    the last hour."""
    pressure = sentiment_pressure(sentiments, now)
    if features is None:
        return Components(sentiment_pressure=pressure, setup_quality=0.0, volatility=0.0, trend_alignment=0.0)
    return Components(
        sentiment_pressure=pressure,
        setup_quality=scoring.setup_quality(features.distance_sma20),
        volatility=scoring.volatility(features.vol_ratio),
        trend_alignment=trend_alignment(features.trend_state, scoring.mean(s.score for s in sentiments)),
    )


def sentiment_pressure(sentiments: Sequence[Sentiment], now: datetime) -> float:
    """0.50·min(1, |mean score|) + 0.30·min(1, n/5) + 0.20·max(0, 1 − age/3600 s), age that of the newest item.

    Neutral items count: they dilute the mean and add to the attention. No item gives 0."""
    if not sentiments:
        return 0.0
    strength = min(1.0, abs(scoring.mean(s.score for s in sentiments)))
    attention = min(1.0, len(sentiments) / NEWS_COUNT_FULL)
    age = now - max(s.published_at for s in sentiments)
    recency = max(0.0, 1 - age / NEWS_WINDOW)
    return scoring.clamp(0.50 * strength + 0.30 * attention + 0.20 * recency)


def trend_alignment(trend_state: int | None, mean_score: float) -> float:
    """1 where trend and news point the same way, 0 where they are opposed, 0.5 where either points nowhere."""
    if not trend_state or mean_score == 0:
        return 0.5
    return 1.0 if (trend_state > 0) == (mean_score > 0) else 0.0


def update(scored: Mapping[str, Components], before: Mapping[str, WatchlistEntry], now: datetime) -> Change:
    """The list at `now`, one entry a scored symbol.

    A member leaves after 15 minutes below 0.30; then the best outsiders with 0.60 or more take the free places, and
    beyond those a place whose holder they beat by 10 %. Ties go to the alphabet, so the order of input is nothing.
    """
    ranking = sorted(scored, key=lambda symbol: (-scored[symbol].score, symbol))
    was_in = {symbol for symbol in ranking if symbol in before and before[symbol].in_watchlist}
    below_since = {symbol: _below_since(scored[symbol], before[symbol], now) for symbol in was_in}
    left = {symbol for symbol, since in below_since.items() if since and now - since >= LEAVE_AFTER}
    members, displaced = _seat(ranking, scored, was_in - left)
    entries = tuple(
        WatchlistEntry(
            symbol=symbol,
            score=scored[symbol].score,
            rank=rank,
            **vars(scored[symbol]),
            in_watchlist=symbol in members,
            entered_at=(before[symbol].entered_at if symbol in was_in else now) if symbol in members else None,
            below_since=below_since.get(symbol) if symbol in members else None,
            computed_at=now,
        )
        for rank, symbol in enumerate(ranking, start=1)
    )
    return Change(
        entries=entries,
        entered=frozenset(members - was_in),
        left=frozenset(left),
        displaced=frozenset(displaced),
    )


def _below_since(scored: Components, before: WatchlistEntry, now: datetime) -> datetime | None:
    return (before.below_since or now) if scored.score < LEAVE_SCORE else None


def _seat(ranking: Sequence[str], scored: Mapping[str, Components], members: set[str]) -> tuple[set[str], set[str]]:
    """Who sits after the outsiders have had their turn, best first, and who lost a place to one of them."""
    seated = [symbol for symbol in ranking if symbol in members]
    # more than fit can only come from a list kept under another capacity
    displaced = set(seated[CAPACITY:])
    del seated[CAPACITY:]
    outsiders = [symbol for symbol in ranking if symbol not in members and scored[symbol].score >= ENTER_SCORE]
    newcomers: list[str] = []
    for symbol in outsiders:
        if len(seated) + len(newcomers) >= CAPACITY:
            # whoever came in before is better than the next outsider, so only old members can lose a place
            if not seated or scored[symbol].score < DISPLACE_FACTOR * scored[seated[-1]].score:
                break
            displaced.add(seated.pop())
        newcomers.append(symbol)
    return {*seated, *newcomers}, displaced

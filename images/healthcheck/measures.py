"""The numbers that a healthcheck sends out; what was not read is unknown (None), which is not 0."""

from __future__ import annotations

from healthcheck.checks import freshness
from healthcheck.finding import Change, Severity
from healthcheck.snapshot import Dispatching, Market, Missing, NewsState, Snapshot, Symbols


def metrics(snapshot: Snapshot, change: Change) -> dict[str, float | None]:
    """Metric name → value. Staleness is 0 while the market is closed: nothing is due then."""
    severities = change.severities()
    parts = snapshot.parts
    missing, news, dispatching = parts.get(Missing), parts.get(NewsState), parts.get(Dispatching)
    return {
        "FindingsOpen": len(severities),
        "FindingsCritical": severities.count(Severity.CRITICAL),
        "FindingsUnknown": severities.count(Severity.UNKNOWN),
        "SessionMinutesSinceLastBarWorst": _bars_worst(snapshot),
        "SessionMinutesFeaturesLagWorst": _features_worst(snapshot),
        "SessionMinutesLost": sum(gap.minutes for gap in missing.gaps) if isinstance(missing, Missing) else None,
        "NewsUnclassified": news.unclassified if isinstance(news, NewsState) else None,
        "DispatchesStuck": dispatching.lease_over if isinstance(dispatching, Dispatching) else None,
    }


def _bars_worst(snapshot: Snapshot) -> float | None:
    """Session minutes since the newest bar of the followed symbol that is furthest behind."""
    market, symbols = snapshot.parts.get(Market), snapshot.parts.get(Symbols)
    if not isinstance(market, Market) or not isinstance(symbols, Symbols):
        return None
    if not market.open:
        return 0
    followed = [state for state in symbols.states if state.symbol in snapshot.scope.tickers]
    behind = [freshness.stale_minutes(state.newest_bar, snapshot.now) for state in followed]
    known = [minutes for minutes in behind if minutes is not None]
    return max(known) if len(known) == len(behind) and known else None


def _features_worst(snapshot: Snapshot) -> float | None:
    if not isinstance(snapshot.parts.get(Market), Market) or not isinstance(snapshot.parts.get(Symbols), Symbols):
        return None
    return max(freshness.features_lag(snapshot).values(), default=None)

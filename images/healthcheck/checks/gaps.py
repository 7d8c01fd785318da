"""Which bars are lost, refused, or of symbols that nobody follows."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from healthcheck.checks.check import BACKFILL, DIAGNOSE, Check
from healthcheck.finding import Finding, Severity
from healthcheck.snapshot import GapGroup, Market, Missing, Snapshot, Symbols
from pipeline import sessions

# The next run of the ingestor heals an outage by itself; a gap that is older has outlived that.
HEALING_TIME = timedelta(minutes=10)
# A thin symbol's first bar may come this many session minutes after the others'.
FIRST_BAR_MINUTES = 60


def gaps_unfilled(snapshot: Snapshot) -> Iterator[Finding]:
    """Lost minutes of a symbol that the next runs did not bring back."""
    old = [gap for gap in snapshot.part(Missing).gaps if snapshot.now - gap.detected_at >= HEALING_TIME]
    for symbol in sorted({gap.symbol for gap in old}):
        yield _gap(symbol, [gap for gap in old if gap.symbol == symbol])


def _gap(symbol: str, groups: list[GapGroup]) -> Finding:
    first, last = min(g.first_minute for g in groups), max(g.last_minute for g in groups)
    by_cause = {group.cause: group.minutes for group in groups}
    return Finding(
        code="bars_gap",
        subject=symbol,
        severity=Severity.CRITICAL if "our_outage" in by_cause else Severity.WARNING,
        summary=f"{symbol}: {sum(by_cause.values())} session minutes without their bar, between "
        f"{first:%Y-%m-%d %H:%M} and {last:%Y-%m-%d %H:%M} UTC",
        evidence={"minutes": by_cause, "first_minute": first, "last_minute": last},
        repair=f"{BACKFILL} --symbols {symbol} --from {first:%Y-%m-%d} --to {last:%Y-%m-%d}",
    )


def bars_refused(snapshot: Snapshot) -> Iterator[Finding]:
    """Bars of the last day broke a constraint and were set aside."""
    groups = snapshot.part(Missing).rejected
    if groups:
        yield Finding(
            code="provider_error",
            subject="bars_rejected",
            severity=Severity.WARNING,
            summary=f"{sum(group.bars for group in groups)} bars of the last day were refused: "
            + "; ".join(f"{group.reason} ({group.bars})" for group in groups[:3]),
            evidence={group.reason: {"bars": group.bars, "symbols": list(group.symbols)} for group in groups},
            repair="select * from bars_rejected order by last_seen desc; what the provider corrects is fetched again",
        )


def tickers_wrong(snapshot: Snapshot) -> Iterator[Finding]:
    """A followed symbol never had a bar while others have; or bars still come in for one that is not followed."""
    states, market = snapshot.part(Symbols).states, snapshot.part(Market)
    followed = set(snapshot.scope.tickers)
    if not any(state.newest_bar for state in states) or not market.recent:
        return  # with no bar at all no symbol stands out
    opened = market.recent[-1].open
    oldest = min((state.recent_since for state in states if state.recent_since), default=snapshot.now)
    long_enough = sessions.minutes_elapsed(oldest, snapshot.now) >= FIRST_BAR_MINUTES
    for state in states:
        if state.symbol in followed and state.newest_bar is None and long_enough:
            yield Finding(
                code="ticker_config",
                subject=state.symbol,
                severity=Severity.WARNING,
                summary=f"{state.symbol} is followed and has never had a bar",
                evidence={"tickers": len(followed)},
                repair=f"{DIAGNOSE}; correct the parameter tickers if {state.symbol} is misspelt or delisted",
                opens=market.open,
            )
        if state.symbol not in followed and state.newest_bar is not None and state.newest_bar >= opened:
            yield Finding(
                code="ticker_config",
                subject=state.symbol,
                severity=Severity.WARNING,
                summary=f"bars of {state.symbol} come in, and it is not in the parameter tickers",
                evidence={"newest_bar": state.newest_bar, "tickers": sorted(followed)[:50]},
                repair="compare the parameter tickers with what the ingestor's task is given",
            )


CHECKS = (
    Check(
        name="gaps_filled",
        question="Are all lost minutes backfilled?",
        codes=("bars_gap",),
        needs=(Missing,),
        find=gaps_unfilled,
    ),
    Check(
        name="bars_accepted",
        question="Are the provider's bars sound?",
        codes=("provider_error",),
        needs=(Missing,),
        find=bars_refused,
    ),
    Check(
        name="tickers_sound",
        question="Do the followed symbols and the stored ones agree?",
        codes=("ticker_config",),
        needs=(Market, Symbols),
        find=tickers_wrong,
    ),
)

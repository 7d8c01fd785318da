"""Which rows wait for a service that does not take them, or were taken and never finished."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from healthcheck.checks.check import Check
from healthcheck.checks.resting import rests
from healthcheck.finding import Finding, Severity
from healthcheck.snapshot import Dispatching, NewsState, Snapshot

# A lease that is over is taken over by the next run; give it two.
LEASE_GRACE = timedelta(minutes=2)
# A signal older than this is refused for its old bars anyway.
PENDING_MAX = timedelta(minutes=5)


def claims_stuck(snapshot: Snapshot) -> Iterator[Finding]:
    """A dispatch was claimed, its lease is over, and nobody has taken it over."""
    state = snapshot.part(Dispatching)
    writer, *_ = snapshot.scope.catalog.writers("dispatches")
    if state.oldest_lease is not None and snapshot.now - state.oldest_lease > LEASE_GRACE:
        yield Finding(
            code="stuck_rows",
            subject="dispatches claimed",
            severity=Severity.CRITICAL,
            summary=f"{state.lease_over} claimed dispatches, the oldest lease was over at "
            f"{state.oldest_lease:%Y-%m-%d %H:%M:%S} UTC",
            evidence={"rows": state.lease_over, "oldest_lease": state.oldest_lease},
            repair=f"python -m {writer.name}",
        )


def dispatches_waiting(snapshot: Snapshot) -> Iterator[Finding]:
    """Dispatches or signals that have waited for longer than a signal is worth anything."""
    state = snapshot.part(Dispatching)
    writer, *_ = snapshot.scope.catalog.writers("dispatches")
    if rests("dispatches", snapshot):
        return
    waiting = {
        "dispatches pending": (state.pending, state.oldest_pending),
        "signals untaken": (state.untaken_signals, state.oldest_untaken),
    }
    for subject, (rows, oldest) in waiting.items():
        if oldest is not None and snapshot.now - oldest > PENDING_MAX:
            yield Finding(
                code="backlog",
                subject=subject,
                severity=Severity.WARNING,
                summary=f"{rows} {subject}, the oldest since {oldest:%Y-%m-%d %H:%M:%S} UTC",
                evidence={"rows": rows, "oldest": oldest, "limit_seconds": PENDING_MAX.total_seconds()},
                repair=f"python -m {writer.name}",
            )


def news_waiting(snapshot: Snapshot) -> Iterator[Finding]:
    """News that two runs of the classifier have left without sentiment."""
    news = snapshot.part(NewsState)
    writer, *_ = snapshot.scope.catalog.writers("sentiment")
    allowed = 2 * writer.period
    if rests("sentiment", snapshot):
        return
    if news.oldest_unclassified is not None and snapshot.now - news.oldest_unclassified > allowed:
        yield Finding(
            code="backlog",
            subject="news",
            severity=Severity.WARNING,
            summary=f"{news.unclassified} items of news have no sentiment, the oldest was fetched at "
            f"{news.oldest_unclassified:%Y-%m-%d %H:%M} UTC",
            evidence={"rows": news.unclassified, "oldest": news.oldest_unclassified, "allowed": allowed},
            repair=f"python -m {writer.name}",
        )


CHECKS = (
    Check(
        name="claims_finished",
        question="Is every claimed dispatch finished?",
        codes=("stuck_rows",),
        needs=(Dispatching,),
        find=claims_stuck,
    ),
    Check(
        name="signals_taken",
        question="Does the dispatcher keep up with the signals?",
        codes=("backlog",),
        needs=(Dispatching,),
        find=dispatches_waiting,
    ),
    Check(
        name="news_classified",
        question="Does the classifier keep up with the news?",
        codes=("backlog",),
        needs=(NewsState,),
        find=news_waiting,
    ),
)

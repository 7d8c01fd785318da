"""Whether the provider takes the keys, serves the feed, and serves it in time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from healthcheck.checks.check import DIAGNOSE, Check
from healthcheck.checks.freshness import BARS_MINUTES_MAX, stale_minutes
from healthcheck.finding import Finding, Severity
from healthcheck.provider import Provider
from healthcheck.snapshot import Market, Snapshot

CODES = (
    "key_rejected",
    "key_swapped",
    "not_entitled",
    "rate_limited",
    "provider_error",
    "task_network",
    "config_invalid",
    "ticker_config",
)
# What is refused for what we asked → the parameter that says it.
OURS = {"config_invalid": "alpaca_data_feed", "ticker_config": "tickers"}
PASSING = ("rate_limited", "provider_error")
REPAIRS = {
    "key_rejected": f"{DIAGNOSE}; then runbooks/rotate-alpaca-keys",
    "key_swapped": "store the two values each under its own name: runbooks/rotate-alpaca-keys",
    "config_invalid": "correct the parameter alpaca_data_feed",
    "ticker_config": "correct the parameter tickers",
    "not_entitled": "set the parameter alpaca_data_feed to iex, or widen the subscription",
}


def refused(snapshot: Snapshot) -> Iterator[Finding]:
    """The data call was refused, or came to nothing twice."""
    provider = snapshot.part(Provider)
    code = provider.data.code
    if code:
        yield Finding(
            code=code if code in CODES else "provider_error",
            subject=OURS.get(code, "provider"),
            severity=Severity.WARNING if code in PASSING else Severity.CRITICAL,
            summary=provider.data.words,
            evidence=_evidence(provider),
            repair=REPAIRS.get(code, DIAGNOSE),
        )


def served_late(snapshot: Snapshot) -> Iterator[Finding]:
    """It answers, and the newest bar that it serves is minutes of a running session old."""
    provider, market = snapshot.part(Provider), snapshot.part(Market)
    behind = stale_minutes(provider.newest, snapshot.now)
    if provider.data.code is None and market.open and behind is not None and behind >= BARS_MINUTES_MAX:
        yield Finding(
            code="feed_delayed",
            subject="bars",
            severity=Severity.CRITICAL,
            summary=f"the newest bar that the provider serves is {provider.newest:%Y-%m-%d %H:%M} UTC, "
            f"{behind} session minutes ago",
            evidence={**_evidence(provider), "newest": provider.newest, "session_minutes": behind},
            since=provider.newest,
            repair=DIAGNOSE,
        )


def _evidence(provider: Provider) -> dict[str, Any]:
    return {
        "feed": provider.feed,
        "data": provider.data.words,
        "account": provider.account.words,
        "services": [],
    }


CHECKS = (
    Check(
        name="keys_accepted",
        question="Does the provider take the keys and serve the feed?",
        codes=CODES,
        needs=(Provider,),
        find=refused,
    ),
    Check(
        name="feed_in_time",
        question="Does the provider serve new bars?",
        codes=("feed_delayed",),
        needs=(Provider, Market),
        find=served_late,
    ),
)

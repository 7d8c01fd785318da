"""From what was read and what the checks found to a diagnosis: causes, consequences, the cleared and the unknown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from healthcheck import explain
from healthcheck.aws import trail
from healthcheck.aws.intent import Intent
from healthcheck.aws.trail import Trail
from healthcheck.checks import Report
from healthcheck.diagnosis import acquittal, causes, graph
from healthcheck.diagnosis.rules import Evidence
from healthcheck.diagnosis.shape import Cause, Diagnosis, Verdict
from healthcheck.diagnosis.suspects import suspects
from healthcheck.diagnosis.unknowns import unknowns
from healthcheck.finding import Finding
from healthcheck.snapshot import Market, Snapshot

# How long before the first finding a change is a suspect.
SUSPECT_FOR = timedelta(hours=24)


def diagnose(snapshot: Snapshot, report: Report, history: Trail | None, since: datetime | None = None) -> Diagnosis:
    """The diagnosis of a snapshot and its report. `history` dates changes, where CloudTrail could be asked; `since`
    bounds which of them are suspects [a day before the first finding]."""
    parts: Mapping[type, object] = {**snapshot.parts, **({Trail: history} if history else {})}
    snapshot = replace(snapshot, parts=parts)
    found = causes.judged(report.findings)
    found = explain.explained(found, history) if history else found
    evidence = Evidence(graph=graph.build(snapshot.scope.catalog), snapshot=snapshot)
    traced = causes.trace(found, evidence)
    found = tuple(each.placed.finding for each in traced)
    named = causes.causes(traced, evidence)
    closed = _is_closed(snapshot)
    blamed = suspects(snapshot, found, since or _first(found, snapshot.now) - SUSPECT_FOR, closed=closed and not found)
    cleared, untested = acquittal.tried(blamed, snapshot, report, found)
    return Diagnosis(
        now=snapshot.now,
        environment=_environment(snapshot),
        verdict=_verdict(named, report, closed),
        causes=named,
        consequences=causes.consequences(traced),
        cleared=cleared,
        unknown=(*unknowns(snapshot, report, named), *untested),
        checked=len(report.judged),
    )


def wanted(report: Report) -> tuple[str, ...]:
    """The names of events to ask CloudTrail for, the most telling first: what may explain the findings, and changes
    that no inventory dates."""
    found = explain.wanted(causes.judged(report.findings))
    return tuple(dict.fromkeys((*found, *trail.ROLES, *trail.NETWORK)))


def _first(found: Iterable[Finding], now: datetime) -> datetime:
    return min((each.since for each in found if each.since), default=now)


def _is_closed(snapshot: Snapshot) -> bool:
    market = snapshot.parts.get(Market)
    return isinstance(market, Market) and not market.open


def _verdict(named: tuple[Cause, ...], report: Report, closed: bool) -> Verdict:
    """Where a check could not be judged, nothing may be called healthy."""
    if named or report.unjudged:
        return Verdict.FAULTY
    return Verdict.MARKET_CLOSED if closed else Verdict.HEALTHY


def _environment(snapshot: Snapshot) -> str:
    intent = snapshot.parts.get(Intent)
    return intent.environment if isinstance(intent, Intent) else "unknown"

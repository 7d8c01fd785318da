"""Which findings are root causes, and what became of the others: each goes back to one or more of those."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from healthcheck.diagnosis import moments
from healthcheck.diagnosis.places import Placed, place
from healthcheck.diagnosis.rules import Evidence, explains
from healthcheck.diagnosis.shape import Cause, Consequence
from healthcheck.finding import Finding, Severity


@dataclass(frozen=True, kw_only=True)
class Traced:
    """A finding and the causes that it goes back to, most upstream first; none where it is a cause itself."""

    placed: Placed
    origins: tuple[Placed, ...]

    @property
    def is_cause(self) -> bool:
        return not self.origins


def judged(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """The findings that say that something is wrong: not those that say that nobody knows, or that it can wait for the
    market to open."""
    return tuple(each for each in findings if each.severity is not Severity.UNKNOWN and each.opens)


def trace(findings: Iterable[Finding], evidence: Evidence) -> tuple[Traced, ...]:
    """Every finding, most upstream first.

    What explains an effect may itself be explained; then the effect goes back to what that goes back to."""
    placed = sorted((place(each, evidence.graph, evidence.catalog) for each in findings), key=lambda each: each.order)
    traced: list[Traced] = []
    for effect in placed:
        origins: dict[str, Placed] = {}
        for before in traced:
            if explains(before.placed, effect, evidence):
                origins |= {origin.name: origin for origin in before.origins or (before.placed,)}
        traced.append(Traced(placed=effect, origins=tuple(sorted(origins.values(), key=lambda each: each.order))))
    return tuple(traced)


def causes(traced: Sequence[Traced], evidence: Evidence) -> tuple[Cause, ...]:
    """The findings that nothing explains, most upstream first."""
    return tuple(_cause(each.placed, traced, evidence) for each in traced if each.is_cause)


def consequences(traced: Sequence[Traced]) -> tuple[Consequence, ...]:
    """The others, in the same order."""
    return tuple(
        Consequence(
            code=each.placed.code,
            subject=each.placed.subject,
            summary=each.placed.finding.summary,
            since=each.placed.finding.since,
            causes=tuple(origin.name for origin in each.origins),
        )
        for each in traced
        if not each.is_cause
    )


def _cause(cause: Placed, traced: Sequence[Traced], evidence: Evidence) -> Cause:
    finding = cause.finding
    effects = [each.placed for each in traced if cause.name in {origin.name for origin in each.origins}]
    return Cause(
        code=finding.code,
        subject=finding.subject,
        severity=finding.severity,
        summary=finding.summary,
        since=finding.since or _first_felt([cause, *effects], evidence),
        evidence=finding.evidence,
        explains=tuple(effect.name for effect in effects),
        repair=finding.repair,
    )


def _first_felt(effects: Sequence[Placed], evidence: Evidence) -> datetime | None:
    """Where nobody kept when it began: when it was first felt."""
    felt = (moments.felt(effect.finding, evidence.snapshot) for effect in effects)
    return min((at for at in felt if at), default=None)

"""What people are told of a healthcheck: what is new, and what is over; each once. Sending it is another's."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from healthcheck.finding import Finding, Severity
from healthcheck.heal import Attempt

SUBJECT_MOST = 100  # SNS takes no more
EVIDENCE_MOST = 400
ORDER = (Severity.CRITICAL, Severity.WARNING, Severity.UNKNOWN, Severity.INFO)


@dataclass(frozen=True, kw_only=True)
class Told:
    """A finding that people hear of: as it began, or that it is over."""

    id: int
    code: str
    subject: str
    severity: Severity
    summary: str
    evidence: Mapping[str, Any]
    repair: str
    since: datetime | None
    first_seen: datetime
    cleared_at: datetime | None = None

    @classmethod
    def of(cls, found: Finding, now: datetime) -> Told:
        """As it was found now, by a run that has no table of findings."""
        return cls(
            id=0,
            code=found.code,
            subject=found.subject,
            severity=found.severity,
            summary=found.summary,
            evidence=found.evidence,
            repair=found.repair,
            since=found.since,
            first_seen=now,
        )


@dataclass(frozen=True, kw_only=True)
class Notice:
    """A message, the worst first."""

    subject: str
    text: str


def notice(
    told: Sequence[Told], now: datetime, *, attempts: Sequence[Attempt] = (), remembered: bool = True
) -> Notice | None:
    """The message about what is new, what was tried by itself and what is over; None where there is nothing to tell."""
    opened = sorted((each for each in told if each.cleared_at is None), key=_gravity)
    over = [each for each in told if each.cleared_at is not None]
    if not told and not attempts:
        return None
    known = [each for each in opened if each.severity is not Severity.UNKNOWN]
    lines = [line for each in known for line in _lines(each)]
    lines += _unknown([each for each in opened if each.severity is Severity.UNKNOWN])
    lines += [_tried(each) for each in attempts]
    lines += [f"OVER  {each.code} {each.subject}, first seen {_at(each.first_seen)}" for each in over]
    if not remembered:
        lines.append("The database cannot be reached: nothing of this is remembered, and it may be told again.")
    return Notice(
        subject=_subject(opened or over, attempts, over=not opened)[:SUBJECT_MOST],
        text="\n".join([_at(now), "", *lines]),
    )


def _gravity(told: Told) -> tuple[int, str, str]:
    return ORDER.index(Severity(told.severity)), told.code, told.subject


def _subject(told: Sequence[Told], attempts: Sequence[Attempt], *, over: bool) -> str:
    if not told:
        return f"TRIED TO HEAL: {', '.join(each.subject for each in attempts)}"
    more = f" and {len(told) - 1} more" if len(told) > 1 else ""
    first = told[0]
    return f"{'OVER' if over else str(first.severity).upper()}: {first.code} {first.subject}{more}"


def _lines(told: Told) -> list[str]:
    since = f", since {_at(told.since)}" if told.since else ""
    evidence = json.dumps(told.evidence, default=str)
    return [
        f"{str(told.severity).upper()}  {told.code} {told.subject}{since}",
        f"  {told.summary}",
        f"  Seen: {evidence[:EVIDENCE_MOST]}{'…' if len(evidence) > EVIDENCE_MOST else ''}",
        f"  Run: {told.repair}",
        "",
    ]


def _tried(attempt: Attempt) -> str:
    about = f"{attempt.code} {attempt.subject}"
    if attempt.error:
        return f"NOT HEALED  {about}: {attempt.error}\n  Run: scripts/fix-missing-schedulers --apply"
    return f"HEALED  {about}: {attempt.did} by itself, and read it again"


def _unknown(told: Sequence[Told]) -> list[str]:
    """Many questions have one reason, an unread part: it is told once, with the questions that it leaves open."""
    by_reason: dict[str, list[str]] = {}
    for each in told:
        for reason in each.evidence.values():
            by_reason.setdefault(str(reason), []).append(each.subject)
    return [
        line
        for reason, subjects in by_reason.items()
        for line in (f"UNKNOWN  {', '.join(dict.fromkeys(subjects))}", f"  {reason}", "  Run: scripts/diagnose", "")
    ]


def _at(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"

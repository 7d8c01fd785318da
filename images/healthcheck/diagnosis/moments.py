"""When a cause began and when an effect was first felt, as far as the evidence tells."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from healthcheck import explain
from healthcheck.aws.trail import Trail
from healthcheck.finding import Finding
from healthcheck.snapshot import Snapshot
from pipeline import sessions
from pipeline.errors import CalendarEnds

# Where the evidence of a symptom keeps the last good thing, or the first bad one.
FELT = ("last_minute", "oldest", "oldest_lease", "started_at", "last_completed", "last_started")
# A gap in session time ends within this, weekends and holidays included.
SEARCHED = timedelta(days=5)


def changed(finding: Finding, snapshot: Snapshot) -> datetime | None:
    """The earliest change that the cause may go back to, where CloudTrail kept one; a state's own stamp may be of a
    later change of something else."""
    trail = snapshot.parts.get(Trail)
    if not isinstance(trail, Trail):
        return None
    things = {finding.subject, *_texts(finding.evidence)}
    events = [
        event
        for event in trail.of(explain.CHANGES.get(finding.code, ()))
        if any(event.concerns(thing) for thing in things)
    ]
    return min((event.at for event in events), default=None)


def felt(finding: Finding, snapshot: Snapshot) -> datetime | None:
    """When the effect was first felt, at the earliest: for bars in session time, since nothing is missed overnight."""
    newest = finding.evidence.get("newest_bar")
    if isinstance(newest, datetime):
        return _next_minute(newest, snapshot.now)
    found = next((finding.evidence[key] for key in FELT if finding.evidence.get(key)), None)
    if isinstance(found, list | tuple):
        found = min((each for each in found if isinstance(each, datetime)), default=None)
    return found if isinstance(found, datetime) else finding.since


def _next_minute(newest: datetime, now: datetime) -> datetime | None:
    try:
        missed = sessions.minutes(newest + sessions.MINUTE, max(now, newest + SEARCHED))
    except CalendarEnds:
        return None
    return missed[0] if missed else None


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _texts(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _texts(each)

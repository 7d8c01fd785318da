"""The last hour of a service as stretches of time: its runs, and where there should have been some and were none."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from healthcheck.page.recent import ShownRun
from pipeline.catalog import Service
from pipeline.ledger import Outcome

# A start may be late by this many periods before the time without one counts as missed: tasks take a while to come up.
LATE_PERIODS = 2


class Kind(StrEnum):
    """What a stretch was."""

    DONE = "done"
    IDLE = "idle"
    PARTLY = "partly"
    FAILED = "failed"
    RUNNING = "running"
    MISSED = "missed"
    RESTED = "rested"


OF_OUTCOME = {
    None: Kind.RUNNING,
    Outcome.OK: Kind.DONE,
    Outcome.SKIPPED: Kind.IDLE,
    Outcome.NO_INPUT: Kind.IDLE,
    Outcome.DEGRADED: Kind.PARTLY,
    Outcome.FAILED: Kind.FAILED,
}


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """`runs` of one kind from `start` to `end`; `code` is the newest error's."""

    kind: Kind
    start: datetime
    end: datetime
    runs: int = 0
    code: str | None = None


@dataclass(frozen=True, kw_only=True)
class Strip:
    """Stretches without overlap, oldest first; before the ledger's first line there are none."""

    since: datetime
    until: datetime
    stretches: tuple[Stretch, ...]
    runs: int
    last: ShownRun | None


def strip(
    service: Service,
    runs: Sequence[ShownRun],
    *,
    since: datetime,
    now: datetime,
    ledger_since: datetime | None,
    paused: bool,
) -> Strip:
    """The strip of a service's runs, given oldest first.

    1. A run covers the time until the next one was due, and no longer than until it came.
    2. Time that nothing covers for two periods was missed, or rested where the service is paused.
    3. Neighbours of one kind are one stretch.
    """
    late = LATE_PERIODS * service.period
    empty = Kind.RESTED if paused else Kind.MISSED
    found: list[Stretch] = []
    covered = max(since, min(ledger_since or now, now))
    for i, run in enumerate(runs):
        if run.started_at - covered >= late - service.period:
            found.append(Stretch(kind=empty, start=covered, end=run.started_at))
        following = runs[i + 1].started_at if i + 1 < len(runs) else now
        covered = following if following - run.started_at <= late else run.started_at + service.period
        found.append(_of(run, covered))
    if now - covered >= timedelta(seconds=1) and (runs or now - covered >= late):
        found.append(Stretch(kind=empty, start=covered, end=now))
    return Strip(
        since=since, until=now, stretches=tuple(_joined(found)), runs=len(runs), last=runs[-1] if runs else None
    )


def _of(run: ShownRun, until: datetime) -> Stretch:
    kind = OF_OUTCOME[Outcome(run.outcome) if run.outcome else None]
    return Stretch(kind=kind, start=run.started_at, end=until, runs=1, code=run.error_code)


def _joined(stretches: Iterable[Stretch]) -> list[Stretch]:
    found: list[Stretch] = []
    for each in stretches:
        before = found[-1] if found else None
        if before and before.kind is each.kind and before.end == each.start:
            found[-1] = replace(before, end=each.end, runs=before.runs + each.runs, code=each.code or before.code)
        else:
            found.append(each)
    return found

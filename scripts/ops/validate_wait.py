"""Waiting for each service's first run since its last change: who beats, who is silent, who is not waited for."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from healthcheck.aws.definitions import Definitions
from healthcheck.aws.functions import Functions
from healthcheck.aws.triggers import Triggers
from healthcheck.checks import Report, declared
from healthcheck.checks.resting import is_paused
from healthcheck.diagnosis.places import services_of
from healthcheck.diagnosis.rules import SYMPTOMS
from healthcheck.finding import Severity
from healthcheck.snapshot import Market, Snapshot
from ops import clock
from ops.heal import beats, patience
from pipeline import sessions
from pipeline.catalog import Service

POLL_SECONDS = 10  # of the wall; a virtual time moves by minutes
VIRTUAL_POLL_SECONDS = 60
STILL_SECONDS = 120
MINUTE = timedelta(minutes=1)

Say = Callable[["Waiting"], None]


@dataclass(kw_only=True)
class Waiting:
    """`since`: service → from when on a completed run counts. `by`: until when it is waited for. `skipped`: service →
    why it is not."""

    since: dict[str, datetime]
    by: dict[str, datetime]
    skipped: dict[str, str]
    beaten: dict[str, datetime] = field(default_factory=dict)
    silent: list[str] = field(default_factory=list)
    waited_seconds: float = 0.0
    broken_off: str | None = None

    @property
    def left(self) -> list[str]:
        """Those of whom nothing is known yet."""
        return [name for name in self.since if name not in self.beaten and name not in self.silent]


def expected(snapshot: Snapshot, report: Report) -> Waiting:
    """Whom to wait for: not those that rest, nor those that cannot run for a reason that is known already."""
    found = Waiting(since={}, by={}, skipped={})
    broken = dict(_broken(snapshot, report))
    for service in snapshot.scope.catalog:
        if why := _rests(service, snapshot) or broken.get(service.name):
            found.skipped[service.name] = why
            continue
        usual = snapshot.now - patience(service)
        found.since[service.name] = _whole(max([usual, *_changed(service, snapshot)]))
        found.by[service.name] = snapshot.now + patience(service)
    return found


def _whole(at: datetime) -> datetime:
    """The next whole minute, as metrics are kept; so that services deployed together are asked about together."""
    return at if at == at.replace(second=0, microsecond=0) else at.replace(second=0, microsecond=0) + MINUTE


def _rests(service: Service, snapshot: Snapshot) -> str | None:
    if is_paused(service, snapshot):
        return "it is paused"
    market = snapshot.parts.get(Market)
    is_open = market.open if isinstance(market, Market) else sessions.at(snapshot.now) is not None
    return "it rests while the market is closed" if service.market_hours_only and not is_open else None


def _broken(snapshot: Snapshot, report: Report) -> Iterator[tuple[str, str]]:
    """Service → the first finding that keeps it from running; symptoms keep nobody."""
    for finding in reversed(report.findings):
        if finding.severity is Severity.CRITICAL and finding.code not in SYMPTOMS:
            for name in services_of(finding, snapshot.scope.catalog):
                yield name, f"{finding.code} keeps it from running"


def _changed(service: Service, snapshot: Snapshot) -> Iterator[datetime]:
    """When what it runs, or what starts it, was changed last; the future is none of ours."""
    triggers, definitions = snapshot.parts.get(Triggers), snapshot.parts.get(Definitions)
    functions = snapshot.parts.get(Functions)
    found: list[datetime | None] = []
    if isinstance(triggers, Triggers):
        schedule = triggers.schedule(service.name, service.schedule)
        found.append(schedule.modified_at if schedule else None)
    if service.kind == "task" and isinstance(definitions, Definitions):
        definition = declared.definition(snapshot, service)
        found.append(definition.registered_at if definition else None)
    if service.kind == "lambda" and isinstance(functions, Functions):
        function = functions.functions.get(service.task_definition)
        found.append(function.modified_at if function else None)
    yield from (at for at in found if at is not None and at <= snapshot.now)


def wait(waiting: Waiting, cloudwatch: Any, say: Say, environ: Mapping[str, str], *, look_only: bool = False) -> None:
    """Asks CloudWatch until everyone has beaten or their time is up; `look_only` asks once."""
    began = time.monotonic()
    while waiting.left:
        now = clock.now(environ)
        for name, at in _beats(cloudwatch, waiting, now).items():
            waiting.beaten[name] = at
        if look_only:
            return
        waiting.silent += [name for name in waiting.left if now > waiting.by[name]]
        say(waiting)
        if waiting.left:
            try:
                _sleep(environ)
            except clock.ClockStands as error:
                waiting.broken_off = str(error)
                return
            waiting.waited_seconds = time.monotonic() - began


def _sleep(environ: Mapping[str, str]) -> None:
    virtual = bool(environ.get(clock.URL))
    clock.sleep(VIRTUAL_POLL_SECONDS if virtual else POLL_SECONDS, environ, still_seconds=STILL_SECONDS)


def _beats(cloudwatch: Any, waiting: Waiting, now: datetime) -> dict[str, datetime]:
    """One question for all whose runs count from the same minute."""
    groups: dict[datetime, list[str]] = {}
    for name in waiting.left:
        groups.setdefault(waiting.since[name], []).append(name)
    found: dict[str, datetime] = {}
    for since, names in groups.items():
        if since <= now + MINUTE:
            found |= beats(cloudwatch, names, since, now)
    return found

"""What the catalogue expects of AWS, put beside what is there, for the checks to ask."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

from healthcheck.aws.definitions import Definition, Definitions
from healthcheck.aws.functions import Functions
from healthcheck.aws.intent import Intent
from healthcheck.aws.triggers import Rule, Schedule, Target, Triggers
from healthcheck.place import Place
from healthcheck.snapshot import Snapshot
from pipeline.catalog import Service

# A deployment registers a revision, then moves the schedule, then deregisters the old one: what is this young may be
# one under way.
DEPLOYING = timedelta(seconds=150)
# Two crashes are a pattern, one may be luck.
CRASHES_MIN = 2


def place(snapshot: Snapshot) -> Place:
    """Where the project is. A snapshot without AWS is asked nothing about it."""
    assert snapshot.scope.place, "no AWS is expected"
    return snapshot.scope.place


def apply(snapshot: Snapshot) -> str:
    """The command that puts everything back as declared."""
    intent = snapshot.parts.get(Intent)
    environment = intent.environment if isinstance(intent, Intent) else "NAME"
    return f"make plan apply ENV={environment}"


def schedules(snapshot: Snapshot) -> Iterator[tuple[Service, Schedule]]:
    """Each service with its schedule; those without are left out."""
    triggers = snapshot.part(Triggers)
    for service in snapshot.scope.catalog:
        schedule = triggers.schedule(service.name, service.schedule)
        if schedule:
            yield service, schedule


def starts(target: Target, service: Service, where: Place) -> bool:
    """Whether a target starts the service's task, whatever its revision, or invokes its function."""
    if service.kind == "task":
        return target.family == service.task_definition
    arn = where.function_arn(service)
    return target.arn == arn or target.arn.startswith(f"{arn}:")


def others(snapshot: Snapshot, service: Service) -> list[tuple[Schedule | Rule, Target]]:
    """Whatever starts the service beside its own schedule, and would do so now or later.

    A rule that hands the watcher an event is none: it looks at once where something was changed."""
    triggers, where = snapshot.part(Triggers), place(snapshot)
    watches = "findings" in service.writes
    found: list[tuple[Schedule | Rule, Target]] = [
        (schedule, schedule.target)
        for schedule in triggers.schedules
        if not is_own(schedule, service) and fires(schedule, snapshot.now) and starts(schedule.target, service, where)
    ]
    found += [
        (rule, target)
        for rule in triggers.rules
        for target in rule.targets
        if rule.enabled and starts(target, service, where) and not (watches and rule.pattern and not rule.expression)
    ]
    return found


def is_own(schedule: Schedule, service: Service) -> bool:
    return (schedule.group, schedule.name) == (service.name, service.schedule)


def fires(schedule: Schedule, now: datetime) -> bool:
    """Whether it will ever fire again."""
    over = schedule.end is not None and schedule.end <= now
    return schedule.enabled and not over and not _once_and_past(schedule, now)


def _once_and_past(schedule: Schedule, now: datetime) -> bool:
    """Whether it was for one time, which has passed; its zone is a matter of hours."""
    text = schedule.expression
    if not text.startswith("at("):
        return False
    try:
        return datetime.fromisoformat(text[3:-1]).replace(tzinfo=now.tzinfo) + timedelta(days=1) < now
    except ValueError:
        return False


def definition(snapshot: Snapshot, service: Service) -> Definition | None:
    """The revision that the service's schedule starts; without a usable schedule the newest ACTIVE one."""
    definitions, triggers = snapshot.part(Definitions), snapshot.parts.get(Triggers)
    schedule = triggers.schedule(service.name, service.schedule) if isinstance(triggers, Triggers) else None
    if schedule and schedule.target.family == service.task_definition:
        found = definitions.of(service.task_definition, schedule.target.revision)
        if found:
            return found
    return definitions.newest(service.task_definition)


def image(snapshot: Snapshot, service: Service) -> tuple[str, str] | None:
    """(repository, digest or tag) of what the service runs; None where nothing of it is deployed."""
    if service.kind == "task":
        found = definition(snapshot, service)
        return (found.repository, found.reference) if found else None
    function = snapshot.part(Functions).functions.get(service.task_definition)
    return (function.repository, function.digest) if function else None


def needed_parameters(snapshot: Snapshot, service: Service) -> Mapping[str, str]:
    """Variable → name of each parameter that a run is given. Secrets of other stores are left out."""
    if service.kind == "task":
        found = definition(snapshot, service)
        sources = found.secrets if found else {}
        return {
            variable: source.rpartition(":parameter")[2] if ":parameter/" in source else source
            for variable, source in sources.items()
            if ":secretsmanager:" not in source
        }
    function = snapshot.part(Functions).functions.get(service.task_definition)
    return function.parameters if function else {}


def named(names: list[str]) -> str:
    """A few of them in words."""
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")

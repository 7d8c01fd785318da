"""Whether every service has its schedule, as the catalogue wants it, and nothing else that starts it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from healthcheck import place as names
from healthcheck.aws.intent import Intent
from healthcheck.aws.triggers import Rule, Schedule, Target, Triggers
from healthcheck.checks import declared
from healthcheck.checks.check import HEAL, Check
from healthcheck.checks.resting import is_paused
from healthcheck.finding import Finding, Severity
from healthcheck.snapshot import Snapshot


def schedules_missing(snapshot: Snapshot) -> Iterator[Finding]:
    """A service without its schedule never runs, and never ran late either: only asking for it finds it."""
    have = {service.name for service, _ in declared.schedules(snapshot)}
    for service in snapshot.scope.catalog:
        if service.name not in have:
            instead = [_told(trigger, target) for trigger, target in declared.others(snapshot, service)]
            yield Finding(
                code="schedule_missing",
                subject=service.name,
                severity=Severity.CRITICAL,
                summary=f"there is no schedule {service.schedule} in the group {service.name}. {service.when_silent}",
                evidence={
                    "schedule": service.schedule,
                    "group": service.name,
                    "rate": service.rate,
                    "started_instead_by": instead,
                    "services": [service.name],
                },
                repair=HEAL,
            )


def schedules_disabled(snapshot: Snapshot) -> Iterator[Finding]:
    """A disabled schedule, unless it is meant to rest and that rest is not over."""
    for service, schedule in declared.schedules(snapshot):
        if schedule.enabled or is_paused(service, snapshot):
            continue
        over = service.paused_until
        yield Finding(
            code="schedule_disabled",
            subject=service.name,
            severity=Severity.CRITICAL,
            summary=f"the schedule {schedule.name} is DISABLED"
            + (f", its pause was over at {over:%Y-%m-%d %H:%M} UTC" if over else "")
            + f". {service.when_silent}",
            evidence={
                "schedule": schedule.arn,
                "state": "DISABLED",
                "paused_until": over,
                "started_instead_by": [
                    _told(trigger, target) for trigger, target in declared.others(snapshot, service)
                ],
                "services": [service.name],
            },
            since=max(over, schedule.modified_at) if over else schedule.modified_at,
            repair=f"take paused_until of {service.name} out of services.yaml, then {declared.apply(snapshot)}"
            if over
            else HEAL,
        )


def rates_wrong(snapshot: Snapshot) -> Iterator[Finding]:
    """Another expression than the catalogue's rate, another time zone for a cron, or a flexible window."""
    for service, schedule in declared.schedules(snapshot):
        wanted: dict[str, Any] = {"expression": names.expression(service), "window_minutes": 0}
        seen: dict[str, Any] = {"expression": schedule.expression, "window_minutes": schedule.window_minutes}
        if "cron(" in wanted["expression"] + seen["expression"]:
            # a rate knows no time zone
            wanted["timezone"], seen["timezone"] = names.timezone(service), schedule.timezone
        wrong = {key: seen[key] for key in wanted if seen[key] != wanted[key]}
        if wrong:
            yield Finding(
                code="schedule_wrong_rate",
                subject=service.name,
                severity=Severity.CRITICAL if "expression" in wrong else Severity.WARNING,
                summary=f"the schedule {schedule.name} has "
                + ", ".join(f"{key} {value} instead of {wanted[key]}" for key, value in wrong.items()),
                evidence={"schedule": schedule.arn, "seen": seen, "expected": wanted, "services": [service.name]},
                since=schedule.modified_at,
                repair=HEAL,
            )


def windows_closed(snapshot: Snapshot) -> Iterator[Finding]:
    """A start date to come, an end date that has passed or will: ours have neither."""
    for service, schedule in declared.schedules(snapshot):
        late = schedule.start is not None and schedule.start > snapshot.now
        if not late and schedule.end is None:
            continue
        over = schedule.end is not None and schedule.end <= snapshot.now
        words = (
            f"does not start before {schedule.start}" if late else f"{'ended' if over else 'ends'} at {schedule.end}"
        )
        yield Finding(
            code="schedule_window",
            subject=service.name,
            severity=Severity.CRITICAL if late or over else Severity.WARNING,
            summary=f"the schedule {schedule.name} {words}. {service.when_silent}",
            evidence={
                "schedule": schedule.arn,
                "start": schedule.start,
                "end": schedule.end,
                "services": [service.name],
            },
            since=schedule.end if over else schedule.modified_at,
            repair=HEAL,
        )


def triggers_doubled(snapshot: Snapshot) -> Iterator[Finding]:
    """A rule or a second schedule starts what a declared schedule starts already, perhaps in an old revision."""
    for service, schedule in declared.schedules(snapshot):
        others = declared.others(snapshot, service)
        if not others or (not schedule.enabled and not is_paused(service, snapshot)):
            continue  # without its own schedule the other one is no second trigger: that finding tells of it
        told = [_told(trigger, target) for trigger, target in others]
        born = [trigger.created_at for trigger, _ in others if isinstance(trigger, Schedule)]
        yield Finding(
            code="trigger_duplicate",
            subject=service.name,
            severity=Severity.CRITICAL,
            summary=f"{service.name} is started by {schedule.name} and also by "
            + declared.named([f"{each['kind']} {each['name']} ({each['starts']})" for each in told]),
            evidence={"schedule": schedule.arn, "also": told, "services": [service.name]},
            since=min(born, default=None),
            repair=HEAL,
        )


def schedules_extra(snapshot: Snapshot) -> Iterator[Finding]:
    """An enabled schedule of our prefix or in one of our groups that nobody declared, and that starts none of ours."""
    triggers, where, catalog = snapshot.part(Triggers), declared.place(snapshot), snapshot.scope.catalog
    deployed = set(snapshot.part(Intent).images) - set(catalog.services)  # by an apply that this image is older than
    for schedule in triggers.schedules:
        ours = schedule.name.startswith(f"{where.project}-") or schedule.group in catalog.services
        declared_here = any(declared.is_own(schedule, service) for service in catalog)
        elsewhere = any(declared.starts(schedule.target, service, where) for service in catalog)
        young = snapshot.now - schedule.created_at < declared.DEPLOYING
        if not ours or declared_here or elsewhere or young or schedule.group in deployed:
            continue
        if declared.fires(schedule, snapshot.now):
            yield Finding(
                code="schedule_extra",
                subject=schedule.name,
                severity=Severity.WARNING,
                summary=f"nobody declared the schedule {schedule.group}/{schedule.name}, which starts "
                f"{schedule.target.definition or schedule.target.arn} at {schedule.expression}",
                evidence={"schedule": schedule.arn, **_told(schedule, schedule.target), "services": []},
                since=schedule.created_at,
                repair=HEAL,
            )


def _told(trigger: Schedule | Rule, target: Target) -> dict[str, Any]:
    kind = "schedule" if isinstance(trigger, Schedule) else "rule"
    return {
        "kind": kind,
        "name": trigger.name,
        "arn": trigger.arn,
        "when": trigger.expression or (trigger.pattern if isinstance(trigger, Rule) else ""),
        "starts": target.definition.rsplit("/", 1)[-1] or target.arn,
    }


CHECKS = (
    Check(
        name="schedules_exist",
        question="Does every service have its schedule?",
        codes=("schedule_missing",),
        needs=(Triggers,),
        find=schedules_missing,
    ),
    Check(
        name="schedules_enabled",
        question="Is every schedule enabled that is not meant to rest?",
        codes=("schedule_disabled",),
        needs=(Triggers, Intent),
        find=schedules_disabled,
    ),
    Check(
        name="schedules_timed",
        question="Does every schedule fire when it should?",
        codes=("schedule_wrong_rate",),
        needs=(Triggers,),
        find=rates_wrong,
    ),
    Check(
        name="schedules_open",
        question="Does no schedule begin or end?",
        codes=("schedule_window",),
        needs=(Triggers,),
        find=windows_closed,
    ),
    Check(
        name="triggers_single",
        question="Does nothing but its schedule start a service?",
        codes=("trigger_duplicate",),
        needs=(Triggers, Intent),
        find=triggers_doubled,
    ),
    Check(
        name="schedules_declared",
        question="Is every schedule of ours declared?",
        codes=("schedule_extra",),
        needs=(Triggers, Intent),
        find=schedules_extra,
    ),
)

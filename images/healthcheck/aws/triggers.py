"""Everything that can start a task or a function by itself: schedules of all groups, EventBridge rules of all buses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from healthcheck.aws.clients import Clients, found, pages
from healthcheck.aws.memory import Memory
from healthcheck.place import Place
from healthcheck.reach import Placement


@dataclass(frozen=True, kw_only=True)
class Target:
    """Whom a trigger invokes. `definition` is the task definition as the target names it; `id` a rule target's."""

    arn: str
    role_arn: str
    definition: str
    placement: Placement
    launch_type: str
    tags_propagated: bool
    dead_letter_arn: str
    retries: int | None
    event_age_seconds: int | None
    id: str = ""

    @property
    def family(self) -> str:
        """The family in `arn:…:task-definition/family:7`, `family:7` or `family`; empty where no task is started."""
        return self.definition.rsplit("/", 1)[-1].split(":")[0]

    @property
    def revision(self) -> int | None:
        """The pinned revision; None where the newest ACTIVE one is meant."""
        _, _, number = self.definition.rsplit("/", 1)[-1].partition(":")
        return int(number) if number.isdigit() else None


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """A schedule as EventBridge Scheduler describes it. `window_minutes` 0: the flexible window is OFF."""

    name: str
    group: str
    arn: str
    enabled: bool
    expression: str
    timezone: str
    window_minutes: int
    start: datetime | None
    end: datetime | None
    created_at: datetime
    modified_at: datetime
    target: Target


@dataclass(frozen=True, kw_only=True)
class Rule:
    """An EventBridge rule. Without an expression it waits for events that fit `pattern`."""

    name: str
    bus: str
    arn: str
    enabled: bool
    expression: str
    pattern: str
    targets: tuple[Target, ...]


@dataclass(frozen=True, kw_only=True)
class Triggers:
    """All of them, whoever they belong to."""

    schedules: tuple[Schedule, ...]
    rules: tuple[Rule, ...]
    groups: tuple[str, ...]

    def schedule(self, group: str, name: str) -> Schedule | None:
        return next((each for each in self.schedules if (each.group, each.name) == (group, name)), None)


def read(clients: Clients, place: Place, memory: Memory) -> Triggers:
    """A list call a page, a GetSchedule for each schedule that is new or changed: the list does not tell its target."""
    scheduler = clients("scheduler")
    listed = {_key(each): each for each in pages(scheduler, "list_schedules", "Schedules")}

    def describe(key: tuple[Any, ...]) -> Mapping[str, Any] | None:
        group, name = key[:2]
        return found(lambda: scheduler.get_schedule(GroupName=group, Name=name), "ResourceNotFoundException")

    described = memory.described("schedule", listed, describe, clients)
    return Triggers(
        schedules=tuple(_schedule(each) for each in described.values()),
        rules=tuple(_rules(clients)),
        groups=tuple(each["Name"] for each in pages(scheduler, "list_schedule_groups", "ScheduleGroups")),
    )


def _key(listed: Mapping[str, Any]) -> tuple[Any, ...]:
    return listed["GroupName"], listed["Name"], listed["CreationDate"], listed["LastModificationDate"]


def _rules(clients: Clients) -> list[Rule]:
    events = clients("events")
    buses = [each["Name"] for each in pages(events, "list_event_buses", "EventBuses")]
    rules = [(bus, rule) for bus in buses for rule in pages(events, "list_rules", "Rules", EventBusName=bus)]

    def targets(of: tuple[str, Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        return list(pages(events, "list_targets_by_rule", "Targets", Rule=of[1]["Name"], EventBusName=of[0]))

    return [_rule(bus, rule, each) for (bus, rule), each in zip(rules, clients.each(targets, rules), strict=True)]


def _schedule(described: Mapping[str, Any]) -> Schedule:
    window = described.get("FlexibleTimeWindow") or {}
    return Schedule(
        name=described["Name"],
        group=described["GroupName"],
        arn=described["Arn"],
        enabled=described.get("State", "ENABLED") == "ENABLED",
        expression=described["ScheduleExpression"],
        timezone=described.get("ScheduleExpressionTimezone") or "UTC",
        window_minutes=window.get("MaximumWindowInMinutes", 0) if window.get("Mode") == "FLEXIBLE" else 0,
        start=described.get("StartDate"),
        end=described.get("EndDate"),
        created_at=described["CreationDate"].astimezone(UTC),
        modified_at=described["LastModificationDate"].astimezone(UTC),
        target=_target(described["Target"]),
    )


def _rule(bus: str, rule: Mapping[str, Any], targets: list[Mapping[str, Any]]) -> Rule:
    return Rule(
        name=rule["Name"],
        bus=bus,
        arn=rule["Arn"],
        enabled=rule.get("State", "ENABLED") != "DISABLED",
        expression=rule.get("ScheduleExpression", ""),
        pattern=rule.get("EventPattern", ""),
        targets=tuple(_target(each) for each in targets),
    )


def _target(described: Mapping[str, Any]) -> Target:
    task, retry = described.get("EcsParameters") or {}, described.get("RetryPolicy") or {}
    return Target(
        arn=described["Arn"],
        role_arn=described.get("RoleArn", ""),
        definition=task.get("TaskDefinitionArn", ""),
        placement=Placement.of(task.get("NetworkConfiguration") or {}),
        launch_type=task.get("LaunchType", ""),
        tags_propagated=bool(task.get("PropagateTags") or task.get("EnableECSManagedTags")),
        dead_letter_arn=(described.get("DeadLetterConfig") or {}).get("Arn", ""),
        retries=retry.get("MaximumRetryAttempts"),
        event_age_seconds=retry.get("MaximumEventAgeInSeconds"),
        id=described.get("Id", ""),
    )

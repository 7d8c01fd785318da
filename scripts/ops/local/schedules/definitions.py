"""Schedules and rules as the API describes them, read once into frozen rows.

Numbers are refused in AWS's words; what boto3 refuses itself (a missing name, a wrong type) is not repeated here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from ops.local.schedules.delivery import RetryPolicy
from ops.local.schedules.expressions import Expression, ValidationException, parse_expression

_LONGEST_WINDOW_MINUTES = 1440
_LARGEST_RETRY_ATTEMPTS = 185
_LEAST_EVENT_AGE_SECONDS, _LARGEST_EVENT_AGE_SECONDS = 60, 86400


@dataclass(frozen=True, kw_only=True)
class FlexibleWindow:
    """OFF (0 minutes), or within how many minutes after its time an invocation may start."""

    minutes: int = 0


@dataclass(frozen=True, kw_only=True)
class Target:
    """Whom to invoke, in whose name, with what, and what becomes of failures.

    `described` is the API's own dict, for EcsParameters and the like. `id` is a rule target's; a rule's target may have
    no role (then the target's own policy decides).
    """

    arn: str
    role_arn: str = ""
    input: str | None = None
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    dead_letter_arn: str = ""
    id: str = ""
    described: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """An EventBridge Scheduler schedule. Times are UTC; `created_at` is when it could first fire."""

    name: str
    group: str
    arn: str
    expression_text: str
    expression: Expression
    timezone: str
    created_at: datetime
    start_date: datetime | None
    end_date: datetime | None
    enabled: bool
    window: FlexibleWindow
    target: Target
    action_after_completion: Literal["NONE", "DELETE"] = "NONE"

    @property
    def group_arn(self) -> str:
        """What Scheduler says as aws:SourceArn when it assumes the role: the group, not the schedule."""
        return f"{self.arn.rsplit(':schedule/', 1)[0]}:schedule-group/{self.group}"

    @property
    def account(self) -> str:
        return self.arn.split(":")[4]


@dataclass(frozen=True, kw_only=True)
class Rule:
    """An EventBridge rule; without an expression it waits for events and never fires by time. Rules know only UTC."""

    name: str
    arn: str
    expression_text: str
    expression: Expression | None
    created_at: datetime
    enabled: bool
    targets: tuple[Target, ...]

    @property
    def account(self) -> str:
        return self.arn.split(":")[4]

    @property
    def region(self) -> str:
        return self.arn.split(":")[3]


def parse_schedule(described: Mapping[str, Any], *, created_at: datetime | None = None) -> Schedule:
    """Read what `scheduler.get_schedule` returns; raises ValidationException where AWS would not have taken it.

    `created_at` replaces the CreationDate, which in an emulator is of the wall clock and not of the plane's own.
    """
    text = described["ScheduleExpression"]
    return Schedule(
        name=described["Name"],
        group=described.get("GroupName", "default"),
        arn=described["Arn"],
        expression_text=text,
        expression=parse_expression(text, dialect="scheduler"),
        timezone=_timezone(described.get("ScheduleExpressionTimezone") or "UTC"),
        created_at=_utc(created_at or described["CreationDate"]),
        start_date=_optional_utc(described.get("StartDate")),
        end_date=_optional_utc(described.get("EndDate")),
        enabled=described.get("State", "ENABLED") == "ENABLED",
        window=_window(described["FlexibleTimeWindow"]),
        target=_target(described["Target"]),
        action_after_completion=described.get("ActionAfterCompletion", "NONE"),
    )


def parse_rule(
    described: Mapping[str, Any], targets: Iterable[Mapping[str, Any]] = (), *, created_at: datetime
) -> Rule:
    """Read `events.describe_rule` and the Targets of `list_targets_by_rule`; no API tells when a rule was created."""
    text = described.get("ScheduleExpression") or ""
    return Rule(
        name=described["Name"],
        arn=described["Arn"],
        expression_text=text,
        expression=parse_expression(text, dialect="rules") if text else None,
        created_at=_utc(created_at),
        enabled=described.get("State", "ENABLED") != "DISABLED",
        targets=tuple(_target(one) for one in targets),
    )


def _target(described: Mapping[str, Any]) -> Target:
    return Target(
        id=described.get("Id", ""),
        arn=described["Arn"],
        role_arn=described.get("RoleArn", ""),
        input=described.get("Input") or None,
        retry=_retry(described.get("RetryPolicy") or {}),
        dead_letter_arn=(described.get("DeadLetterConfig") or {}).get("Arn", ""),
        described=described,
    )


def _retry(described: Mapping[str, Any]) -> RetryPolicy:
    attempts = described.get("MaximumRetryAttempts", _LARGEST_RETRY_ATTEMPTS)
    age = described.get("MaximumEventAgeInSeconds", _LARGEST_EVENT_AGE_SECONDS)
    _check(attempts, "target.retryPolicy.maximumRetryAttempts", 0, _LARGEST_RETRY_ATTEMPTS)
    place = "target.retryPolicy.maximumEventAgeInSeconds"
    _check(age, place, _LEAST_EVENT_AGE_SECONDS, _LARGEST_EVENT_AGE_SECONDS)
    return RetryPolicy(maximum_retry_attempts=int(attempts), maximum_event_age_seconds=int(age))


def _window(described: Mapping[str, Any]) -> FlexibleWindow:
    if described["Mode"] == "OFF":
        return FlexibleWindow()
    minutes = described.get("MaximumWindowInMinutes")
    if minutes is None:
        raise ValidationException("MaximumWindowInMinutes must be provided if flexible time window mode is FLEXIBLE.")
    _check(minutes, "flexibleTimeWindow.maximumWindowInMinutes", 1, _LONGEST_WINDOW_MINUTES)
    return FlexibleWindow(minutes=int(minutes))


def _check(value: float, place: str, least: int, most: int) -> None:
    if least <= value <= most:
        return
    bound = f"greater than or equal to {least}" if value < least else f"less than or equal to {most}"
    raise ValidationException(
        f"1 validation error detected: Value '{value}' at '{place}' failed to satisfy constraint: "
        f"Member must have value {bound}"
    )


def _timezone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise ValidationException(f"Invalid Schedule Expression Timezone {name}.") from error
    return name


def _optional_utc(time: datetime | None) -> datetime | None:
    return None if time is None else _utc(time)


def _utc(time: datetime) -> datetime:
    if time.tzinfo is None:
        raise ValueError(f"{time} has no zone: schedules are read in zone-aware times only")
    return time.astimezone(UTC)

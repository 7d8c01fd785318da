"""What a target is sent: a schedule's input with its context attributes, or the event that a rule makes of the time."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from ops.local.schedules.definitions import Rule, Schedule, Target


def aws_time(time: datetime) -> str:
    """2022-03-22T18:59:43Z"""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def execution_id(*parts: object) -> str:
    """Sixteen hexadecimal digits, the same for the same parts: a replay has the ids of the session that it repeats."""
    return hashlib.sha256("\n".join(map(str, parts)).encode()).hexdigest()[:16]


def schedule_input(schedule: Schedule, fire: datetime, *, execution_id: str, attempt: int = 1) -> str | None:
    """The target's input with the four keywords replaced, wherever in the text they stand; None when there is no input.

    The replacement is of text, as it must be for inputs that are not JSON: `\\u003caws.scheduler.…\\u003e`, which
    Terraform's jsonencode makes of a keyword, is none. Attempts count from 1. Source: "Adding context attributes".
    """
    if schedule.target.input is None:
        return None
    text = schedule.target.input
    for keyword, value in {
        "schedule-arn": schedule.arn,
        "scheduled-time": aws_time(fire),
        "execution-id": execution_id,
        "attempt-number": str(attempt),
    }.items():
        text = text.replace(f"<aws.scheduler.{keyword}>", value)
    return text


def scheduled_event(rule: Rule, fire: datetime, *, event_id: str) -> dict[str, Any]:
    """The event that a scheduled rule sends (EventBridge user guide, "Scheduled Event")."""
    return {
        "version": "0",
        "id": event_id,
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": rule.account,
        "time": aws_time(fire),
        "region": rule.region,
        "resources": [rule.arn],
        "detail": {},
    }


def rule_input(rule: Rule, target: Target, event: Mapping[str, Any]) -> str:
    """What this target is sent: its Input, its part of the event, its template filled, or all of the event."""
    if target.input is not None:
        return target.input
    path = target.described.get("InputPath")
    transformer = target.described.get("InputTransformer")
    if path:
        return json.dumps(_at_path(event, path))
    if transformer:
        return _transformed(rule, transformer, event)
    return json.dumps(event)


def _transformed(rule: Rule, transformer: Mapping[str, Any], event: Mapping[str, Any]) -> str:
    values = {name: _at_path(event, path) for name, path in (transformer.get("InputPathsMap") or {}).items()}
    values |= {"aws.events.rule-arn": rule.arn, "aws.events.rule-name": rule.name, "aws.events.event.json": event}
    text: str = transformer["InputTemplate"]
    for name, value in values.items():
        text = text.replace(f"<{name}>", value if isinstance(value, str) else json.dumps(value))
    return text


def _at_path(event: Mapping[str, Any], path: str) -> Any:
    """The value at `$.detail.name` or `$.resources[0]`; None where there is none, as EventBridge has it."""
    found: Any = event
    for step in path.removeprefix("$").replace("[", ".").replace("]", "").split("."):
        if not step:
            continue
        if isinstance(found, list):
            found = found[int(step)] if step.isdecimal() and int(step) < len(found) else None
        else:
            found = found.get(step) if isinstance(found, Mapping) else None
    return found

"""The alarms: how they are set, what they say, whom they tell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from healthcheck.aws.clients import Clients
from healthcheck.aws.memory import Memory
from healthcheck.place import Place


@dataclass(frozen=True, kw_only=True)
class Alarm:
    """`missing_data` is empty for a composite alarm, whose `rule` names other alarms instead."""

    name: str
    state: str
    state_since: datetime | None
    changed_at: datetime | None
    actions: tuple[str, ...]
    actions_enabled: bool
    missing_data: str
    rule: str


@dataclass(frozen=True, kw_only=True)
class Alarms:
    """Those under the project's prefix, by name."""

    alarms: Mapping[str, Alarm]


def read(clients: Clients, place: Place, memory: Memory) -> Alarms:
    """A call a page of both kinds."""
    found: dict[str, Alarm] = {}
    pages = clients("cloudwatch").get_paginator("describe_alarms")
    asked = {"AlarmNamePrefix": f"{place.project}-", "AlarmTypes": ["MetricAlarm", "CompositeAlarm"]}
    for page in pages.paginate(**asked):
        for each in (*page.get("MetricAlarms", ()), *page.get("CompositeAlarms", ())):
            found[each["AlarmName"]] = _alarm(each)
    return Alarms(alarms=found)


def _alarm(described: Mapping[str, Any]) -> Alarm:
    composite = "AlarmRule" in described
    return Alarm(
        name=described["AlarmName"],
        state=described.get("StateValue", ""),
        state_since=_time(described.get("StateTransitionedTimestamp") or described.get("StateUpdatedTimestamp")),
        changed_at=_time(described.get("AlarmConfigurationUpdatedTimestamp")),
        actions=tuple(described.get("AlarmActions") or ()),
        actions_enabled=bool(described.get("ActionsEnabled", True)),
        missing_data="" if composite else described.get("TreatMissingData") or "missing",
        rule=described.get("AlarmRule", ""),
    )


def _time(value: datetime | None) -> datetime | None:
    return value.astimezone(UTC) if value else None

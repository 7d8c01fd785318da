"""Makers of alarms and metrics for the tests of alarm evaluation, and a way to play values against them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from ops.local.alarms import AlarmBook, Metric, MetricStore, State, Transition

TOPIC = "arn:aws:sns:us-west-2:123456789012:ops-pipeline-alarms"
START = datetime(2013, 10, 7, 13, 30, tzinfo=UTC)  # a Monday
LATENCY = Metric.of("Test", "Latency", {"Service": "one"})


def alarm(**changes: Any) -> dict[str, Any]:
    """An entry of MetricAlarms: Latency > 5 for 3 of 3 minutes, paging TOPIC."""
    return {
        "AlarmName": "slow",
        "AlarmArn": "arn:aws:cloudwatch:us-west-2:123456789012:alarm:slow",
        "AlarmDescription": "Run: scripts/diagnose",
        "ActionsEnabled": True,
        "AlarmActions": [TOPIC],
        "OKActions": [],
        "InsufficientDataActions": [],
        "Namespace": "Test",
        "MetricName": "Latency",
        "Dimensions": [{"Name": "Service", "Value": "one"}],
        "Statistic": "Maximum",
        "Period": 60,
        "EvaluationPeriods": 3,
        "DatapointsToAlarm": 3,
        "ComparisonOperator": "GreaterThanThreshold",
        "Threshold": 5.0,
        **changes,
    }


def composite(name: str, rule: str, **changes: Any) -> dict[str, Any]:
    """An entry of CompositeAlarms that pages TOPIC."""
    arn = f"arn:aws:cloudwatch:us-west-2:123456789012:alarm:{name}"
    return {"AlarmName": name, "AlarmArn": arn, "AlarmRule": rule, "AlarmActions": [TOPIC], **changes}


def book(*alarms: Mapping[str, Any], extra_periods: int = 3) -> AlarmBook:
    """A book of these alarms, newly created."""
    made = AlarmBook(extra_periods=extra_periods)
    made.load(
        {
            "MetricAlarms": [entry for entry in alarms if "AlarmRule" not in entry],
            "CompositeAlarms": [entry for entry in alarms if "AlarmRule" in entry],
        }
    )
    return made


def play(
    alarms: AlarmBook, values: Iterable[float | None], metric: Metric = LATENCY, minutes_before: int = 0
) -> list[Transition]:
    """One value a minute (None: no data); a tick at each minute's end. Returns all changes."""
    metrics = MetricStore()
    changes: list[Transition] = []
    for minute, value in enumerate(values, start=minutes_before):
        if value is not None:
            metrics.put(metric, START + timedelta(minutes=minute), value)
        changes += alarms.tick(START + timedelta(minutes=minute + 1), metrics)
    return changes


def history(changes: Iterable[Transition], name: str = "slow") -> list[tuple[int, State]]:
    """(minute of the session, state) of one alarm's changes."""
    return [
        (int((change.at - START).total_seconds() // 60), change.new) for change in changes if change.alarm.name == name
    ]

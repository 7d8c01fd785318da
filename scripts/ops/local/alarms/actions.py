"""What a change of state does: which actions run, and the JSON that CloudWatch sends to SNS topics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ops.local.alarms.definition import Alarm, CompositeAlarm, MetricAlarm, MetricStat, Query, State
from ops.local.alarms.evaluate import stamp

REGIONS = {
    "us-east-1": "US East (N. Virginia)",
    "us-east-2": "US East (Ohio)",
    "us-west-1": "US West (N. California)",
    "us-west-2": "US West (Oregon)",
    "eu-west-1": "EU (Ireland)",
    "eu-west-2": "EU (London)",
    "eu-central-1": "EU (Frankfurt)",
    "ap-northeast-1": "Asia Pacific (Tokyo)",
    "ap-southeast-1": "Asia Pacific (Singapore)",
    "ap-southeast-2": "Asia Pacific (Sydney)",
}
# SNS messages spell a statistic in capitals, and SampleCount as the old API did.
STATISTICS = {"SampleCount": "SAMPLE_COUNT"}


@dataclass(frozen=True, kw_only=True)
class Notification:
    """One action that a change of state runs. `message` is what an SNS topic is sent, as JSON."""

    target_arn: str
    subject: str
    message: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class ChildState:
    """A child alarm that made a composite alarm change."""

    arn: str
    state: State
    at: datetime


@dataclass(frozen=True, kw_only=True)
class Transition:
    """An alarm's change of state, or a suppressed action that runs later (then `old` is `new`)."""

    alarm: Alarm
    at: datetime
    old: State
    new: State
    reason: str
    reason_data: dict[str, Any]
    suppressed_by: str | None = None
    children: tuple[ChildState, ...] = ()

    @property
    def notifications(self) -> list[Notification]:
        """The actions to run now; none when they are disabled or suppressed."""
        if not self.alarm.actions_enabled or self.suppressed_by:
            return []
        subject = f'{self.new}: "{self.alarm.name}" in {region(self.alarm)}'
        return [
            Notification(target_arn=arn, subject=subject[:100], message=self.message)
            for arn in self.alarm.actions[self.new]
        ]

    @property
    def message(self) -> dict[str, Any]:
        """The JSON object of the SNS message."""
        alarm = self.alarm
        return {
            "AlarmName": alarm.name,
            "AlarmDescription": alarm.description or None,
            "AWSAccountId": alarm.arn.split(":")[4],
            **({"AlarmConfigurationUpdatedTimestamp": alarm.updated_at} if alarm.updated_at else {}),
            "NewStateValue": str(self.new),
            "NewStateReason": self.reason,
            "StateChangeTime": stamp(self.at),
            "Region": region(alarm),
            "AlarmArn": alarm.arn,
            "OldStateValue": str(self.old),
            "OKActions": list(alarm.actions[State.OK]),
            "AlarmActions": list(alarm.actions[State.ALARM]),
            "InsufficientDataActions": list(alarm.actions[State.INSUFFICIENT_DATA]),
            **_particulars(alarm, self.children),
        }


def region(alarm: Alarm) -> str:
    """The region's name as the console and messages have it."""
    code = alarm.arn.split(":")[3]
    return REGIONS.get(code, code)


def child_reason(child: ChildState) -> str:
    """Why a composite alarm changed."""
    return f"{child.arn} transitioned to {child.state} at {child.at.astimezone(UTC):%A %d %B, %Y %H:%M:%S} UTC"


def _particulars(alarm: Alarm, children: Sequence[ChildState]) -> dict[str, Any]:
    """What only metric alarms or only composite alarms tell."""
    if isinstance(alarm, CompositeAlarm):
        return {
            "AlarmRule": alarm.rule,
            "TriggeringChildren": [
                {"Arn": child.arn, "State": {"Value": str(child.state), "Timestamp": stamp(child.at)}}
                for child in children
            ],
        }
    return {"Trigger": _trigger(alarm)} if isinstance(alarm, MetricAlarm) else {}


def _trigger(alarm: MetricAlarm) -> dict[str, Any]:
    """The metric or expression, and the settings."""
    settings = {
        "Period": alarm.period_seconds,
        "EvaluationPeriods": alarm.evaluation_periods,
        "DatapointsToAlarm": alarm.datapoints_to_alarm,
        "ComparisonOperator": alarm.operator,
        "Threshold": alarm.threshold,
        "TreatMissingData": str(alarm.missing),
        "EvaluateLowSampleCountPercentile": "ignore" if alarm.low_samples_ignored else "",
    }
    stat = alarm.returned.stat
    if alarm.is_expression or stat is None:
        return {**settings, "Metrics": [_query(alarm, query) for query in alarm.queries]}
    extended = stat.statistic.startswith("p")
    return {
        "MetricName": stat.metric.name,
        "Namespace": stat.metric.namespace,
        "StatisticType": "ExtendedStatistic" if extended else "Statistic",
        "ExtendedStatistic" if extended else "Statistic": _spelt(stat.statistic) if not extended else stat.statistic,
        "Unit": stat.unit,
        "Dimensions": _dimensions(stat),
        **settings,
    }


def _query(alarm: MetricAlarm, query: Query) -> dict[str, Any]:
    """One entry of Metrics."""
    head: dict[str, Any] = {"Id": query.id, **({"Label": query.label} if query.label else {})}
    if query.stat is None:
        return {"Expression": query.expression, **head, "ReturnData": query.return_data}
    metric = {
        "Dimensions": _dimensions(query.stat),
        "MetricName": query.stat.metric.name,
        "Namespace": query.stat.metric.namespace,
    }
    unit = {"Unit": query.stat.unit} if query.stat.unit else {}
    stat = {"Metric": metric, "Period": alarm.period_seconds, "Stat": query.stat.statistic, **unit}
    return {**head, "MetricStat": stat, "ReturnData": query.return_data}


def _dimensions(stat: MetricStat) -> list[dict[str, str]]:
    return [{"value": value, "name": name} for name, value in stat.metric.dimensions]


def _spelt(statistic: str) -> str:
    return STATISTICS.get(statistic, statistic.upper())

"""What an alarm is: DescribeAlarms' dictionaries as frozen rows, refused where CloudWatch would refuse them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pipeline.errors import PipelineError

MINUTE, HOUR, DAY = 60, 3600, 86400
HIGH_RESOLUTION_PERIODS = (10, 20, 30)
METRICS_MOST = 10  # metrics in one alarm's expression
OPERATORS = (
    "GreaterThanOrEqualToThreshold",
    "GreaterThanThreshold",
    "LessThanThreshold",
    "LessThanOrEqualToThreshold",
)
# Namespaces whose missing data CloudWatch ignores unless told otherwise.
IGNORED_WHEN_MISSING = ("AWS/DynamoDB",)


class AlarmInvalid(PipelineError):
    """A definition that CloudWatch would not take, or that cannot be evaluated here; the text names the alarm."""


class State(StrEnum):
    """The three states of an alarm."""

    OK = "OK"
    ALARM = "ALARM"
    INSUFFICIENT_DATA = "INSUFFICIENT_DATA"


class Missing(StrEnum):
    """TreatMissingData."""

    MISSING = "missing"
    IGNORE = "ignore"
    BREACHING = "breaching"
    NOT_BREACHING = "notBreaching"


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A metric's identity; `dimensions` are sorted (name, value) pairs."""

    namespace: str
    name: str
    dimensions: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, namespace: str, name: str, dimensions: Mapping[str, str] | None = None) -> Metric:
        """The metric with these dimensions, in any order."""
        return cls(namespace=namespace, name=name, dimensions=tuple(sorted((dimensions or {}).items())))

    def dimension(self, name: str) -> str | None:
        """The value of one dimension."""
        return dict(self.dimensions).get(name)


@dataclass(frozen=True, kw_only=True)
class MetricStat:
    """One statistic of a metric; `statistic` is Average, Sum, Minimum, Maximum, SampleCount or pNN[.N]."""

    metric: Metric
    statistic: str
    unit: str | None = None


@dataclass(frozen=True, kw_only=True)
class Query:
    """An entry of Metrics: a statistic or an expression, never both."""

    id: str
    label: str
    return_data: bool
    stat: MetricStat | None = None
    expression: str | None = None


@dataclass(frozen=True, kw_only=True)
class Alarm:
    """What metric and composite alarms have in common. Actions are ARNs by the state that is entered."""

    name: str
    arn: str
    description: str
    actions_enabled: bool
    actions: Mapping[State, tuple[str, ...]]
    updated_at: str
    tags: Mapping[str, str]

    @property
    def pages(self) -> bool:
        """Whether entering ALARM does anything."""
        return self.actions_enabled and bool(self.actions[State.ALARM])


@dataclass(frozen=True, kw_only=True)
class MetricAlarm(Alarm):
    """An alarm on one metric or expression. `period_seconds` is that of every metric in it."""

    queries: tuple[Query, ...]
    is_expression: bool
    period_seconds: int
    evaluation_periods: int
    datapoints_to_alarm: int
    operator: str
    threshold: float
    missing: Missing
    low_samples_ignored: bool
    wall_clock: bool

    @property
    def returned(self) -> Query:
        """The query that is compared with the threshold."""
        return next(query for query in self.queries if query.return_data)

    @property
    def stats(self) -> tuple[MetricStat, ...]:
        """The statistics that are read."""
        return tuple(query.stat for query in self.queries if query.stat)

    @property
    def resolution_seconds(self) -> int:
        """How often it is evaluated: every 10 seconds below a minute's period, else every minute."""
        return 10 if self.period_seconds < MINUTE else MINUTE

    @property
    def lookback_seconds(self) -> int:
        """How far back it may look: one day for a period under an hour, else seven."""
        return DAY if self.period_seconds < HOUR else 7 * DAY


@dataclass(frozen=True, kw_only=True)
class CompositeAlarm(Alarm):
    """An alarm on other alarms' states. The suppressor is an alarm's name or ARN."""

    rule: str
    suppressor: str | None
    wait_seconds: int
    extension_seconds: int


def load(response: Mapping[str, Any]) -> list[MetricAlarm | CompositeAlarm]:
    """The alarms of a DescribeAlarms response. Raises AlarmInvalid naming the alarm and the remedy."""
    alarms: list[MetricAlarm | CompositeAlarm] = [
        *(metric_alarm(entry) for entry in response.get("MetricAlarms") or ()),
        *(composite_alarm(entry) for entry in response.get("CompositeAlarms") or ()),
    ]
    names = [alarm.name for alarm in alarms]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise AlarmInvalid(f"{', '.join(twice)}: named twice; a name is one alarm, metric or composite")
    return alarms


def composite_alarm(entry: Mapping[str, Any]) -> CompositeAlarm:
    """One of CompositeAlarms; its rule is read by `composite.parse`."""
    if not entry.get("AlarmRule"):
        raise AlarmInvalid(f'{_name(entry)}: no AlarmRule; give one such as ALARM("name")')
    return CompositeAlarm(
        **_common(entry),
        rule=str(entry["AlarmRule"]),
        suppressor=entry.get("ActionsSuppressor") or None,
        wait_seconds=int(entry.get("ActionsSuppressorWaitPeriod") or 0),
        extension_seconds=int(entry.get("ActionsSuppressorExtensionPeriod") or 0),
    )


def metric_alarm(entry: Mapping[str, Any]) -> MetricAlarm:
    """One of MetricAlarms, on a metric or on an expression. Raises AlarmInvalid."""
    queries, period = _queries(entry)
    alarm = MetricAlarm(
        **_common(entry),
        queries=queries,
        is_expression=bool(entry.get("Metrics")),
        period_seconds=period,
        evaluation_periods=int(_required(entry, "EvaluationPeriods")),
        datapoints_to_alarm=int(entry.get("DatapointsToAlarm") or _required(entry, "EvaluationPeriods")),
        operator=str(_required(entry, "ComparisonOperator")),
        threshold=float(_required(entry, "Threshold")),
        missing=_missing(entry, queries),
        low_samples_ignored=entry.get("EvaluateLowSampleCountPercentile") == "ignore",
        wall_clock="WallClockWindow" in (entry.get("EvaluationWindow") or {}),
    )
    problem = next(_problems(alarm), None)
    if problem:
        raise AlarmInvalid(f"{alarm.name}: {problem}")
    return alarm


def _problems(alarm: MetricAlarm) -> Iterator[str]:
    """What CloudWatch would refuse, with the remedy."""
    period, periods, needed = alarm.period_seconds, alarm.evaluation_periods, alarm.datapoints_to_alarm
    if period not in HIGH_RESOLUTION_PERIODS and (period <= 0 or period % MINUTE):
        yield f"its period is {period} s; use 10, 20, 30 or a multiple of 60"
    if periods < 1:
        yield f"it has {periods} evaluation periods; use at least 1"
    if not 1 <= needed <= periods:
        yield f"{needed} datapoints to alarm of {periods} evaluation periods; use 1 to {periods}"
    if periods * period > alarm.lookback_seconds:
        yield (
            f"it looks back {periods} × {period} = {periods * period} s, of at most {alarm.lookback_seconds} s "
            f"(a day for a period under an hour, else seven); use fewer evaluation periods"
        )
    if alarm.operator not in OPERATORS:
        yield f"{alarm.operator!r} cannot be evaluated here; use one of {', '.join(OPERATORS)}"
    if [query.return_data for query in alarm.queries].count(True) != 1:
        yield "exactly one of its Metrics must have ReturnData true"
    if len(alarm.stats) > METRICS_MOST:
        yield f"its expression reads {len(alarm.stats)} metrics; at most {METRICS_MOST} are allowed"


def _common(entry: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of Alarm; the emulator's account and region stand in where there is no ARN (a plan has none)."""
    name = _name(entry)
    return {
        "name": name,
        "arn": entry.get("AlarmArn") or f"arn:aws:cloudwatch:us-west-2:123456789012:alarm:{name}",
        "description": entry.get("AlarmDescription") or "",
        "actions_enabled": entry.get("ActionsEnabled", True) is not False,
        "actions": {
            State.ALARM: tuple(entry.get("AlarmActions") or ()),
            State.OK: tuple(entry.get("OKActions") or ()),
            State.INSUFFICIENT_DATA: tuple(entry.get("InsufficientDataActions") or ()),
        },
        "updated_at": str(entry.get("AlarmConfigurationUpdatedTimestamp") or ""),
        "tags": {tag["Key"]: tag["Value"] for tag in entry.get("Tags") or ()},
    }


def _queries(entry: Mapping[str, Any]) -> tuple[tuple[Query, ...], int]:
    """The queries and the period that they share."""
    if not entry.get("Metrics"):
        stat = MetricStat(
            metric=_metric(entry),
            statistic=entry.get("ExtendedStatistic") or _required(entry, "Statistic"),
            unit=entry.get("Unit") or None,
        )
        return (Query(id="m1", label=stat.metric.name, return_data=True, stat=stat),), int(_required(entry, "Period"))
    queries = tuple(_query(entry, query) for query in entry["Metrics"])
    periods = {
        int(period)
        for query in entry["Metrics"]
        for period in ((query.get("MetricStat") or {}).get("Period"), query.get("Period"))
        if period
    }
    if len(periods) != 1:
        raise AlarmInvalid(f"{_name(entry)}: its metrics have the periods {sorted(periods)}; give all the same one")
    return queries, periods.pop()


def _query(entry: Mapping[str, Any], query: Mapping[str, Any]) -> Query:
    """One entry of Metrics. ReturnData is true unless said otherwise."""
    stat, expression = query.get("MetricStat"), query.get("Expression")
    if bool(stat) == bool(expression):
        raise AlarmInvalid(f"{_name(entry)}: Metrics entry {query.get('Id')!r} needs a MetricStat or an Expression")
    found = stat and MetricStat(
        metric=_metric(stat.get("Metric") or {}, _name(entry)), statistic=stat["Stat"], unit=stat.get("Unit") or None
    )
    return Query(
        id=str(query.get("Id")),
        label=query.get("Label") or "",
        return_data=query.get("ReturnData", True) is not False,
        stat=found or None,
        expression=expression or None,
    )


def _metric(entry: Mapping[str, Any], alarm: str | None = None) -> Metric:
    """Namespace, MetricName and Dimensions of an alarm or a MetricStat."""
    if not entry.get("Namespace") or not entry.get("MetricName"):
        raise AlarmInvalid(f"{alarm or _name(entry)}: a metric needs Namespace and MetricName")
    dimensions = {pair["Name"]: pair["Value"] for pair in entry.get("Dimensions") or ()}
    return Metric.of(entry["Namespace"], entry["MetricName"], dimensions)


def _missing(entry: Mapping[str, Any], queries: Sequence[Query]) -> Missing:
    """TreatMissingData or what CloudWatch takes without it."""
    treatment = entry.get("TreatMissingData")
    if not treatment:
        ignored = all(query.stat and query.stat.metric.namespace in IGNORED_WHEN_MISSING for query in queries)
        return Missing.IGNORE if ignored else Missing.MISSING
    try:
        return Missing(treatment)
    except ValueError:
        raise AlarmInvalid(
            f"{_name(entry)}: TreatMissingData is {treatment!r}; use one of {', '.join(Missing)}"
        ) from None


def _name(entry: Mapping[str, Any]) -> str:
    """The alarm's name; nothing can be said about one without."""
    name = entry.get("AlarmName")
    if not name:
        raise AlarmInvalid(f"an alarm without AlarmName: {dict(entry)!r:.200}; give it one")
    return str(name)


def _required(entry: Mapping[str, Any], key: str) -> Any:
    """The value of a key that must be there."""
    if entry.get(key) is None:
        raise AlarmInvalid(f"{_name(entry)}: no {key}; give it one")
    return entry[key]

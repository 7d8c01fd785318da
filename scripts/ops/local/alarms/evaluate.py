"""When a metric alarm changes its state: the evaluation range, M out of N, and missing data as AWS's tables have it.

Source: "Alarm evaluation" and "Configuring how CloudWatch alarms treat missing data" in the CloudWatch user guide.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ops.local.alarms import expression
from ops.local.alarms.definition import AlarmInvalid, MetricAlarm, Missing, State
from ops.local.alarms.expression import Scope, Series, Value
from ops.local.alarms.series import PERCENTILE, MetricStore

# How many periods beyond the evaluation periods CloudWatch looks back for real data points. AWS does not publish the
# number; the guide's tables have 2 (3 periods, a range of 5), and people who measured found that data which stays away
# is acted upon after 3 to 4 periods. The longer wait is the one to plan for.
EXTRA_PERIODS = 3
BIRTH = "Unchecked: Initial alarm creation"

COMPARE: dict[str, Callable[[float, float], bool]] = {
    "GreaterThanOrEqualToThreshold": operator.ge,
    "GreaterThanThreshold": operator.gt,
    "LessThanThreshold": operator.lt,
    "LessThanOrEqualToThreshold": operator.le,
}
COMPARED = {
    "GreaterThanOrEqualToThreshold": "greater than or equal to",
    "GreaterThanThreshold": "greater than",
    "LessThanThreshold": "less than",
    "LessThanOrEqualToThreshold": "less than or equal to",
}
TREATED = {Missing.BREACHING: "Breaching", Missing.NOT_BREACHING: "NonBreaching"}


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What an evaluation found. `reason` and `reason_data` are worded as CloudWatch words them."""

    state: State
    reason: str
    reason_data: dict[str, Any]


def judge(breaching: Sequence[bool | None], periods: int, datapoints: int, missing: Missing, current: State) -> State:
    """The state that data points call for. `breaching` is the evaluation range, oldest first, None where missing.

    1. Enough real points in the range: the newest `periods` of them decide, however missing data is treated.
    2. Else all real points count, and missing ones are added up to `periods`, treated as said: as breaching, as not
       breaching, or (`missing`, `ignore`) not at all.
    3. Not at all, and no real point is within the threshold: `ignore` keeps the state; `missing` goes to ALARM once the
       oldest breaching point is at least `datapoints` old (the rule that avoids premature alarms), before that to
       INSUFFICIENT_DATA.
    """
    real = [point for point in breaching if point is not None]
    if len(real) >= periods:
        return _counted(sum(real[-periods:]), datapoints)
    breaches = sum(real)
    if missing is Missing.BREACHING:
        return _counted(breaches + periods - len(real), datapoints)
    if missing is Missing.NOT_BREACHING or breaches >= datapoints or breaches < len(real):
        return _counted(breaches, datapoints)
    if missing is Missing.IGNORE:
        return current
    oldest_age = len(breaching) - breaching.index(True) if real else 0
    return State.ALARM if oldest_age >= datapoints else State.INSUFFICIENT_DATA


def _counted(breaches: int, datapoints: int) -> State:
    return State.ALARM if breaches >= datapoints else State.OK


def window_starts(alarm: MetricAlarm, now: int, extra_periods: int = EXTRA_PERIODS) -> list[int]:
    """Where the periods of the evaluation range begin (epoch seconds, oldest first).

    The newest ends with the last whole minute (ten seconds for a high-resolution alarm): a long period slides with the
    minutes, unless the alarm asks for a wall-clock window. The look-back limit cuts the extra periods.
    """
    step = alarm.period_seconds if alarm.wall_clock else alarm.resolution_seconds
    end = now - now % step
    allowed = alarm.lookback_seconds // alarm.period_seconds
    count = max(alarm.evaluation_periods, min(alarm.evaluation_periods + extra_periods, allowed))
    return list(range(end - count * alarm.period_seconds, end, alarm.period_seconds))


def compile_alarm(alarm: MetricAlarm) -> None:
    """Reads the alarm's expressions. Raises AlarmInvalid naming the alarm where one cannot be evaluated."""
    ids = [query.id for query in alarm.queries]
    try:
        for query in alarm.queries:
            if query.expression:
                expression.parse(query.expression)
        _series(alarm, [0] * alarm.evaluation_periods, MetricStore(), now=0)
    except expression.ExpressionInvalid as error:
        raise AlarmInvalid(f"{alarm.name}: {error}") from error
    if len(set(ids)) < len(ids):
        raise AlarmInvalid(f"{alarm.name}: two of its Metrics have the same Id ({', '.join(ids)}); rename one")


def evaluate(
    alarm: MetricAlarm, metrics: MetricStore, now: datetime, current: State, extra_periods: int = EXTRA_PERIODS
) -> Verdict:
    """The alarm's state at `now` (aware), by the metrics that have arrived. Raises ExpressionInvalid, MetricInvalid."""
    epoch = int(now.timestamp())
    starts = window_starts(alarm, epoch, extra_periods)
    values = _series(alarm, starts, metrics, epoch).values
    compare = COMPARE[alarm.operator]
    breaching = [None if value is None else compare(value, alarm.threshold) for value in values]
    state = judge(breaching, alarm.evaluation_periods, alarm.datapoints_to_alarm, alarm.missing, current)
    if alarm.low_samples_ignored and _too_few_samples(alarm, metrics, starts):
        state = current
    return (
        Verdict(state=state, reason="", reason_data={})
        if state is current
        else _told(alarm, now, starts, values, state, current)
    )


def _series(alarm: MetricAlarm, starts: Sequence[int], metrics: MetricStore, now: int) -> Series:
    """The values that are compared with the threshold."""
    read: dict[str, Value] = {
        query.id: Series(metrics.read(query.stat, starts, alarm.period_seconds), metrics.exists(query.stat.metric, now))
        for query in alarm.queries
        if query.stat
    }
    if alarm.is_expression:
        _evaluate_expressions(alarm, starts, read)
    found = read[alarm.returned.id]
    if isinstance(found, list) and len(found) == 1:
        return found[0]
    if not isinstance(found, Series):
        raise expression.ExpressionInvalid(
            f"{alarm.returned.expression!r} gives no single time series, which an alarm needs"
        )
    return found


def _evaluate_expressions(alarm: MetricAlarm, starts: Sequence[int], read: dict[str, Value]) -> None:
    """Adds every expression's value, those that others refer to first."""
    scope = Scope(series=read, metric_ids=list(read), starts=starts, period_seconds=alarm.period_seconds)
    waiting = [query for query in alarm.queries if query.expression]
    pending = {query.id for query in waiting}
    while waiting:
        ready = [query for query in waiting if not pending & expression.names_in(query.expression or "")]
        if not ready:
            raise expression.ExpressionInvalid(
                f"the expressions {', '.join(sorted(pending))} refer to each other in a circle"
            )
        for query in ready:
            read[query.id] = expression.parse(query.expression or "")(scope)
            pending.discard(query.id)
        waiting = [query for query in waiting if query.id in pending]


def _too_few_samples(alarm: MetricAlarm, metrics: MetricStore, starts: Sequence[int]) -> bool:
    """Whether a percentile rests on fewer than 10 / (1 − p) samples in the evaluation periods (10 / p below p50)."""
    for stat in alarm.stats:
        match = PERCENTILE.match(stat.statistic)
        if match:
            rank = float(match[1])
            counted = type(stat)(metric=stat.metric, statistic="SampleCount", unit=stat.unit)
            samples = metrics.read(counted, starts[-alarm.evaluation_periods :], alarm.period_seconds)
            tail_percent = max(min(rank, 100 - rank), 1e-9)
            if sum(count or 0 for count in samples) < 1000 / tail_percent:
                return True
    return False


# --- words -----------------------------------------------------------------------------------------------------------


def _told(
    alarm: MetricAlarm,
    now: datetime,
    starts: Sequence[int],
    values: Sequence[float | None],
    state: State,
    current: State,
) -> Verdict:
    """The verdict with CloudWatch's words; only a change of state needs them."""
    real = [(start, value) for start, value in zip(starts, values, strict=True) if value is not None]
    evaluated = real[-alarm.evaluation_periods :][::-1]
    return Verdict(
        state=state,
        reason=_reason(alarm, state, current, evaluated),
        reason_data={
            "version": "1.0",
            "queryDate": stamp(now),
            **({"startDate": stamp(_utc(evaluated[-1][0]))} if evaluated else {}),
            **_statistic(alarm),
            "period": alarm.period_seconds,
            "recentDatapoints": [value for _, value in reversed(evaluated)],
            "threshold": alarm.threshold,
            "evaluatedDatapoints": [
                {"timestamp": stamp(_utc(start)), **({} if value is None else {"value": value})}
                for start, value in list(zip(starts, values, strict=True))[-alarm.evaluation_periods :][::-1]
            ],
        },
    )


def _reason(alarm: MetricAlarm, state: State, current: State, evaluated: Sequence[tuple[int, float]]) -> str:
    """`Threshold Crossed: …` or `Insufficient Data: …`; `evaluated` are the real points that counted, newest first."""
    periods, needed = alarm.evaluation_periods, alarm.datapoints_to_alarm
    absent = periods - len(evaluated)
    if state is State.INSUFFICIENT_DATA:
        return f"Insufficient Data: {absent} {_datapoints(absent)} unknown."
    if absent and alarm.missing in TREATED:
        received = (
            f"{len(evaluated) or 'no'} {_datapoints(len(evaluated) or 2)} received for {_plural(periods, 'period')}"
        )
        filled = f"{absent} missing {_datapoints(absent)} treated as [{TREATED[alarm.missing]}]"
        return f"Threshold Crossed: {received} and {filled}."
    breached = state is State.ALARM
    compare = COMPARE[alarm.operator]
    counted = [(start, value) for start, value in evaluated if compare(value, alarm.threshold) == breached]
    points = ", ".join(f"{value} ({_utc(start):%d/%m/%y %H:%M:%S})" for start, value in counted)
    words = f"{'' if breached else 'not '}{COMPARED[alarm.operator]} the threshold ({alarm.threshold})"
    if periods == 1 and current is State.INSUFFICIENT_DATA:
        return f"Threshold Crossed: 1 datapoint [{points}] was {words}."
    least = needed if breached else periods - needed + 1
    return (
        f"Threshold Crossed: {len(counted)} out of the last {periods} datapoints [{points}] "
        f"{'was' if len(counted) == 1 else 'were'} {words} (minimum {_plural(least, 'datapoint')} for "
        f"{'OK -> ALARM' if breached else 'ALARM -> OK'} transition)."
    )


def _statistic(alarm: MetricAlarm) -> dict[str, Any]:
    """The statistic and unit of an alarm on one metric."""
    stat = alarm.returned.stat
    if stat is None:
        return {}
    return {"statistic": stat.statistic, **({"unit": stat.unit} if stat.unit else {})}


def stamp(at: datetime) -> str:
    """A time as CloudWatch writes it in JSON: 2013-10-07T14:31:00.000+0000."""
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}+0000"


def _utc(epoch: int) -> datetime:
    return datetime.fromtimestamp(epoch, tz=UTC)


def _plural(count: int, word: str) -> str:
    return f"{count} {word}{'' if count == 1 else 's'}"


def _datapoints(count: int) -> str:
    return "datapoint was" if count == 1 else "datapoints were"

"""How long each alarm lets a fault last at worst before it pages, and how long it may: the only place that says so."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from ops.local.alarms.definition import DAY, HOUR, MINUTE, Alarm, MetricAlarm, State
from ops.local.alarms.evaluate import EXTRA_PERIODS, evaluate
from ops.local.alarms.series import MetricStore

# --- objectives ------------------------------------------------------------------------------------------------------

# A one-minute job pages within 5 minutes, a job that runs less often within four of its periods (5 minutes: 20).
JOB_LEAST_SECONDS = 5 * MINUTE
JOB_PERIODS = 4
# What watches no job (database, dead letters) has no period to go by.
OTHER_SECONDS = 20 * MINUTE
# An alarm's tag with another number of seconds goes before all of these.
TAG = "PageWithinSeconds"

# --- what AWS takes --------------------------------------------------------------------------------------------------

# From the end of a period to the page: the evaluation's turn comes once a minute.
EVALUATION_SECONDS = MINUTE
# From what happened to its data point, at worst, by namespace. Log lines with metrics and AWS's own one-minute metrics
# take up to a minute; SQS: "a delay of up to 15 minutes occurs when a queue is activated from an inactive state".
DATA_SECONDS = {"AWS/SQS": 15 * MINUTE, "AWS/S3": 2 * DAY}
DATA_USUAL_SECONDS = MINUTE

# A Wednesday at eleven in New York: what rests outside market hours is awake.
MARKET_OPEN = datetime(2013, 10, 9, 15, 0, tzinfo=UTC)
COUNTS = ("Sum", "SampleCount")


@dataclass(frozen=True, kw_only=True)
class Job:
    """A schedule: its group (which is the service) and how often it fires."""

    name: str
    schedule: str
    period_seconds: int


@dataclass(frozen=True, kw_only=True)
class WorstCase:
    """An alarm's seconds from fault to page at worst. None: that kind of fault never pages.

    `silence`: the data stops. `value`: the data says so. An alarm on beats (fewer completed runs than …) has only the
    first, since a run that does not happen leaves no data; one that nobody's silence can trip has only the second.
    """

    silence_seconds: int | None
    value_seconds: int | None
    beats: bool


def objective_seconds(alarm: Alarm, job: Job | None) -> int:
    """Within how many seconds an alarm has to page."""
    if alarm.tags.get(TAG, "").isdigit():
        return int(alarm.tags[TAG])
    return max(JOB_LEAST_SECONDS, JOB_PERIODS * job.period_seconds) if job else OTHER_SECONDS


def jobs(schedules: Iterable[Mapping[str, Any]]) -> dict[str, Job]:
    """The enabled schedules by group; one whose period cannot be told is left out."""
    found: dict[str, Job] = {}
    for schedule in schedules:
        period = schedule_period_seconds(str(schedule.get("ScheduleExpression") or ""))
        if period and schedule.get("State", "ENABLED") == "ENABLED":
            group = str(schedule.get("GroupName") or schedule["Name"])
            found[group] = Job(name=group, schedule=str(schedule["Name"]), period_seconds=period)
    return found


def schedule_period_seconds(expression: str) -> int | None:
    """300 of rate(5 minutes), or of a cron whose minutes are 0/5 (within the hours that it runs); else None."""
    rate = re.fullmatch(r"rate\((\d+) (minute|hour|day)s?\)", expression)
    if rate:
        return int(rate[1]) * {"minute": MINUTE, "hour": HOUR, "day": DAY}[rate[2]]
    cron = re.fullmatch(r"cron\((\S+) (\S+) .*\)", expression)
    if not cron:
        return None
    minutes, hours = cron[1], cron[2]
    step = re.fullmatch(r"(?:\*|\d+)/(\d+)", minutes)
    if minutes == "*" or step:
        return MINUTE * int(step[1] if step else 1)
    return HOUR if re.fullmatch(r"\*|\d+-\d+", hours) else DAY


def job_of(alarm: Alarm, known: Mapping[str, Job]) -> Job | None:
    """The job that an alarm speaks of: by its metrics' dimensions, else by its Service tag."""
    values = [
        value for stat in (alarm.stats if isinstance(alarm, MetricAlarm) else ()) for _, value in stat.metric.dimensions
    ]
    return next((known[value] for value in [*values, alarm.tags.get("Service", "")] if value in known), None)


def worst_case(alarm: MetricAlarm, job: Job | None) -> WorstCase:
    """Seconds from fault to page.

    Silence: the last data point lies at the start of a period; then the periods without data that the alarm needs (as
    the evaluation itself finds out: M, and AWS's further wait where missing data is merely treated as breaching), then
    the evaluation. Value: the job's next run shows the fault, M of them are needed, the last one's period has to end,
    its data to arrive and to be evaluated. A run that takes long is the silence alarm's affair.
    """
    period = alarm.period_seconds
    evaluation = min(EVALUATION_SECONDS, alarm.resolution_seconds)
    empty = periods_of_silence(alarm)
    silence = None if empty is None else period * (empty + 1) + evaluation
    beats = alarm.operator.startswith("LessThan") and all(stat.statistic in COUNTS for stat in alarm.stats)
    between = max(job.period_seconds if job else MINUTE, period)
    delay = max((DATA_SECONDS.get(stat.metric.namespace, DATA_USUAL_SECONDS) for stat in alarm.stats), default=0)
    first = job.period_seconds if job else MINUTE
    value = first + (alarm.datapoints_to_alarm - 1) * between + period + delay + evaluation
    never = beats or (alarm.datapoints_to_alarm - 1) * between >= (alarm.evaluation_periods + EXTRA_PERIODS) * period
    return WorstCase(silence_seconds=silence, value_seconds=None if never else value, beats=beats)


def periods_of_silence(alarm: MetricAlarm) -> int | None:
    """How many periods without data it takes until the alarm pages, on a market day; None: it never does.

    Found by playing it: a healthy value in every period, then none.
    """
    history = range(alarm.evaluation_periods + EXTRA_PERIODS + 1)
    for healthy in (alarm.threshold + 1, alarm.threshold - 1, 1.0, 0.0):
        metrics = MetricStore()
        for stat in alarm.stats:
            for back in history:
                at = MARKET_OPEN - timedelta(seconds=(back + 1) * alarm.period_seconds)
                metrics.put(stat.metric, at, healthy, unit=stat.unit, high_resolution=alarm.period_seconds < MINUTE)
        if evaluate(alarm, metrics, MARKET_OPEN, State.OK).state is State.OK:
            return _first_page(alarm, metrics, len(history))
    return None


def _first_page(alarm: MetricAlarm, metrics: MetricStore, most: int) -> int | None:
    """The number of the first period, after the data ended, whose evaluation runs actions (or would, had it any)."""
    state = State.OK
    for count in range(1, most + 1):
        now = MARKET_OPEN + timedelta(seconds=count * alarm.period_seconds)
        state = evaluate(alarm, metrics, now, state).state
        if state is State.ALARM or (state is State.INSUFFICIENT_DATA and alarm.actions[State.INSUFFICIENT_DATA]):
            return count
    return None

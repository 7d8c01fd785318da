"""When a schedule or a rule fires.

As documented by EventBridge Scheduler ("Schedule types") and EventBridge ("Creating a rule that runs on a schedule"):
- A rate starts at the start date, without one when the schedule is created, and goes on at its exact spacing.
- A cron expression is read in the schedule's time zone (rules: UTC). A wall-clock time that spring leaves out is
  skipped; one that autumn has twice fires the first time only. AWS says so without exception, so an expression that
  fires every few minutes is silent for the whole repeated hour.
- Nothing fires before the start date or after the end date; a one-time schedule ignores both.
- Precision is the minute. Observed, not documented: Scheduler drops the seconds of a start date. So a rate counts from
  the first whole minute that is not before its start.
- A one-time schedule whose wall-clock time does not exist never fires (AWS documents this for cron only).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from ops.local.schedules.cron import Cron
from ops.local.schedules.definitions import Rule, Schedule
from ops.local.schedules.expressions import At, Rate

_MINUTE = timedelta(minutes=1)

# Farther than any zone ever moved its clocks at once, so that no fire hides behind a change of the clocks.
_CLOCK_CHANGE = timedelta(hours=3)

# How far ahead to look for the next fire, in growing steps; the last is past what AWS's years (to 2199) can hold back.
_HORIZONS = tuple(timedelta(days=days) for days in (0.05, 1, 32, 367, 366 * 9, 366 * 175))


def fires_between(of: Schedule | Rule, start: datetime, end: datetime) -> list[datetime]:
    """The scheduled times in [start, end), in order and in UTC; none when it is disabled.

    These are what `<aws.scheduler.scheduled-time>` tells. When the target is invoked for each: `invocation_window`.
    """
    if not of.enabled or of.expression is None:
        return []
    return [fire for fire in _candidates(of, start, end) if start <= fire < end and _within_dates(of, fire)]


def next_fire(of: Schedule | Rule, after: datetime) -> datetime | None:
    """The first scheduled time later than `after`, None when there will be none."""
    start = after + timedelta(microseconds=1)
    for horizon in _HORIZONS:
        end = start + min(horizon, datetime.max.replace(tzinfo=UTC) - start)
        fires = fires_between(of, start, end)
        if fires:
            return fires[0]
    return None


def invocation_window(of: Schedule | Rule, fire: datetime) -> tuple[datetime, datetime]:
    """Between which times the target is invoked: within the minute, or within the flexible window after it."""
    minutes = of.window.minutes if isinstance(of, Schedule) else 0
    return fire, fire + (timedelta(minutes=minutes) if minutes else timedelta(seconds=59))


def _candidates(of: Schedule | Rule, start: datetime, end: datetime) -> Iterator[datetime]:
    zone = ZoneInfo(of.timezone) if isinstance(of, Schedule) else ZoneInfo("UTC")
    match of.expression:
        case Rate(every=every):
            return _rate(_anchor(of), every, start, end)
        case At(time=time):
            return iter([fire for fire in [_instant(time, zone)] if fire])
        case Cron() as cron:
            return _cron(cron, zone, start, end)
    raise TypeError(f"{of.name}: no rate, cron or at expression but {of.expression!r}")


def _anchor(of: Schedule | Rule) -> datetime:
    given = of.start_date if isinstance(of, Schedule) and of.start_date else of.created_at
    whole = given.replace(second=0, microsecond=0)
    return whole if whole == given else whole + _MINUTE


def _rate(anchor: datetime, every: timedelta, start: datetime, end: datetime) -> Iterator[datetime]:
    # Minus, floor, minus: the first multiple that is not before the start.
    fire = anchor + max(0, -((anchor - start) // every)) * every
    while fire < end:
        yield fire
        fire += every


def _cron(cron: Cron, zone: ZoneInfo, start: datetime, end: datetime) -> Iterator[datetime]:
    first, last = _wall(start, zone, -_CLOCK_CHANGE), _wall(end, zone, _CLOCK_CHANGE)
    return (fire for time in cron.times(first, last) if (fire := _instant(time, zone)))


def _wall(edge: datetime, zone: ZoneInfo, margin: timedelta) -> datetime:
    """What the clocks show at the interval's edge, moved outwards if they change near it.

    Without a change there is no margin, so that a tick of one minute looks at one minute only.
    """
    before, after = (edge - _CLOCK_CHANGE).astimezone(zone), (edge + _CLOCK_CHANGE).astimezone(zone)
    moved = edge if before.utcoffset() == after.utcoffset() else edge + margin
    return moved.astimezone(zone).replace(tzinfo=None)


def _instant(time: datetime, zone: ZoneInfo) -> datetime | None:
    """The first instant when the zone's clocks show this time; None when they never do."""
    instant = time.replace(tzinfo=zone, fold=0).astimezone(UTC)
    return instant if instant.astimezone(zone).replace(tzinfo=None) == time else None


def _within_dates(of: Schedule | Rule, fire: datetime) -> bool:
    if isinstance(of.expression, At):
        return True
    if fire < of.created_at:
        return False
    if isinstance(of, Rule):
        return True
    return (of.start_date is None or fire >= of.start_date) and (of.end_date is None or fire <= of.end_date)

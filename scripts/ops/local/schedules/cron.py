"""AWS's dialect of cron: six fields, days by month or by week but never both, and the signs ? L W # besides.

Source: EventBridge Scheduler user guide, "Schedule types" (the same table as EventBridge's "Cron expressions"). Ranges
may wrap (20-2, FRI-MON); W stays within its month. How large a step may be AWS
does not say; the limits are those of Quartz, whose dialect this is.
"""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta

_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_DAYS_A_WEEK = 7
_FRIDAY = 4
_HOUR_LENGTH = timedelta(hours=1)

# Given a day of the calendar: does the field name it?
DayTest = Callable[[date], bool]


@dataclass(frozen=True, kw_only=True)
class _Field:
    name: str
    least: int
    most: int
    largest_step: int
    names: tuple[str, ...] = ()
    wraps: bool = True


_MINUTE = _Field(name="minutes", least=0, most=59, largest_step=59)
_HOUR = _Field(name="hours", least=0, most=23, largest_step=23)
_MONTH_DAY = _Field(name="day-of-month", least=1, most=31, largest_step=31)
_MONTH = _Field(name="month", least=1, most=12, largest_step=12, names=_MONTHS)
_WEEK_DAY = _Field(name="day-of-week", least=1, most=7, largest_step=0, names=_DAYS)
_YEAR = _Field(name="year", least=1970, most=2199, largest_step=2199 - 1970, wraps=False)


@dataclass(frozen=True)
class _MonthDays:
    days: frozenset[int]

    def __call__(self, day: date) -> bool:
        return day.day in self.days


@dataclass(frozen=True)
class _LastDay:
    """L: the month's last day; LW: its last weekday."""

    weekday: bool = False

    def __call__(self, day: date) -> bool:
        last = day.replace(day=monthrange(day.year, day.month)[1])
        if self.weekday and last.weekday() > _FRIDAY:
            last -= timedelta(days=last.weekday() - _FRIDAY)
        return day == last


@dataclass(frozen=True)
class _NearestWeekday:
    """15W: the weekday closest to the 15th, within the month."""

    to: int

    def __call__(self, day: date) -> bool:
        length = monthrange(day.year, day.month)[1]
        if self.to > length:
            return False
        nearest = day.replace(day=self.to)
        if nearest.weekday() == _FRIDAY + 1:
            nearest += timedelta(days=-1 if self.to > 1 else 2)
        elif nearest.weekday() == _FRIDAY + 2:
            nearest += timedelta(days=1 if self.to < length else -2)
        return day == nearest


@dataclass(frozen=True)
class _WeekDays:
    """Days of the week, Sunday being 1."""

    days: frozenset[int]

    def __call__(self, day: date) -> bool:
        return day.isoweekday() % _DAYS_A_WEEK + 1 in self.days


@dataclass(frozen=True)
class _NthWeekDay:
    """TUE#2: the second Tuesday of the month; FRIL (nth 0): the last Friday."""

    day_of_week: int
    nth: int

    def __call__(self, day: date) -> bool:
        if day.isoweekday() % _DAYS_A_WEEK + 1 != self.day_of_week:
            return False
        if self.nth:
            return (day.day - 1) // _DAYS_A_WEEK + 1 == self.nth
        return day.day + _DAYS_A_WEEK > monthrange(day.year, day.month)[1]


@dataclass(frozen=True, kw_only=True)
class Cron:
    """A cron expression, in wall-clock terms of whatever time zone its schedule has."""

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    months: frozenset[int]
    years: frozenset[int]
    names_day: DayTest

    def days(self, first: date, last: date) -> Iterator[date]:
        """The days it names, both ends included."""
        day = max(first, date(min(self.years), 1, 1))
        last = min(last, date(max(self.years), 12, 31))
        while day <= last:
            if day.year in self.years and day.month in self.months and self.names_day(day):
                yield day
            day += timedelta(days=1)

    def times(self, first: datetime, last: datetime) -> Iterator[datetime]:
        """The wall-clock times it names, without a zone, both ends included, in order."""
        for day in self.days(first.date(), last.date()):
            for hour in self.hours:
                opens = datetime(day.year, day.month, day.day, hour)  # noqa: DTZ001 (wall clock)
                if opens > last or opens + _HOUR_LENGTH <= first:
                    continue
                for minute in self.minutes:
                    time = opens.replace(minute=minute)
                    if first <= time <= last:
                        yield time


def parse_cron(fields: str, *, year_optional: bool) -> Cron:
    """Read what stands between the brackets of `cron(…)`; ValueError says which field is wrong and why."""
    parts = fields.upper().split()
    if len(parts) == 5 and year_optional:
        parts.append("*")
    if len(parts) != 6:
        raise ValueError(f"six fields are needed (minutes hours day-of-month month day-of-week year), not {len(parts)}")
    minute, hour, month_day, month, week_day, year = parts
    if (month_day == "?") == (week_day == "?"):
        raise ValueError("exactly one of day-of-month and day-of-week must be ?")
    return Cron(
        minutes=tuple(sorted(_numbers(minute, _MINUTE))),
        hours=tuple(sorted(_numbers(hour, _HOUR))),
        months=_numbers(month, _MONTH),
        years=_numbers(year, _YEAR),
        names_day=_month_day(month_day) if week_day == "?" else _week_day(week_day),
    )


def _month_day(text: str) -> DayTest:
    if text in ("L", "LW"):
        return _LastDay(weekday=text == "LW")
    if text.endswith("W"):
        return _NearestWeekday(_number(text[:-1], _MONTH_DAY))
    return _MonthDays(_numbers(text, _MONTH_DAY))


def _week_day(text: str) -> DayTest:
    day, hash_sign, nth = text.partition("#")
    if hash_sign:
        if not re.fullmatch("[1-5]", nth):
            raise ValueError(f"day-of-week {text}: one expression only, and the number after # is 1 to 5")
        return _NthWeekDay(_number(day, _WEEK_DAY), int(nth))
    if text == "L":
        return _WeekDays(frozenset({_DAYS_A_WEEK}))
    if text.endswith("L"):
        return _NthWeekDay(_number(text[:-1], _WEEK_DAY), 0)
    return _WeekDays(_numbers(text, _WEEK_DAY))


def _numbers(text: str, field: _Field) -> frozenset[int]:
    return frozenset(number for part in text.split(",") for number in _part(part, field))


def _part(text: str, field: _Field) -> Iterator[int]:
    """One of a list's parts: `*`, `5`, `5-10`, `0/15`, `*/15` or `5-30/5`."""
    values, slash, step = text.partition("/")
    stride = _step(step, field) if slash else 1
    first, dash, last = values.partition("-")
    if values == "*":
        return iter(range(field.least, field.most + 1, stride))
    start = _number(first, field)
    end = _number(last, field) if dash else field.most if slash else start
    if end < start and not field.wraps:
        raise ValueError(f"{field.name} {text}: {end} is before {start}")
    span = field.most - field.least + 1
    end += span if end < start else 0
    return ((number - field.least) % span + field.least for number in range(start, end + 1, stride))


def _step(text: str, field: _Field) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= field.largest_step:
        raise ValueError(f"{field.name}: a step is 1 to {field.largest_step}, not {text or 'nothing'}")
    return int(text)


def _number(text: str, field: _Field) -> int:
    if text in field.names:
        return field.names.index(text) + field.least
    if not re.fullmatch("[0-9]{1,4}", text) or not field.least <= int(text) <= field.most:
        raise ValueError(f"{field.name} is {field.least} to {field.most}, not {text or 'nothing'}")
    return int(text)

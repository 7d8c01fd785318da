"""Schedule expressions as EventBridge Scheduler and EventBridge rules take them, refused in the words that AWS uses.

The two differ: only Scheduler has `at(…)` and a cron without a year; rules want `rate(1 minute)` but `rate(5 minutes)`,
while Scheduler takes either form of the unit (its guide writes `rate(1 days)`, Terraform's provider `rate(1 hours)`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from ops.local.schedules.cron import Cron, parse_cron

Dialect = Literal["scheduler", "rules"]

_EXPRESSION = re.compile(r"(rate|cron|at)\((.*)\)")
_RATE = re.compile(r"([0-9]+)\s+(minute|hour|day)(s?)")
_AT = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}")


class ValidationException(ValueError):
    """What AWS would have answered to CreateSchedule or PutRule; `reason` adds what AWS does not say."""

    code = "ValidationException"

    def __init__(self, message: str, *, reason: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.message} ({self.reason})" if self.reason else self.message


@dataclass(frozen=True, kw_only=True)
class Rate:
    """Every so often; a day is 24 hours on the clock, whatever daylight saving does."""

    every: timedelta


@dataclass(frozen=True, kw_only=True)
class At:
    """Once, at a wall-clock time without a zone."""

    time: datetime


Expression = Rate | Cron | At


def parse_expression(text: str, *, dialect: Dialect = "scheduler") -> Expression:
    """Read `rate(…)`, `cron(…)` or `at(…)`; raises ValidationException."""
    found = _EXPRESSION.fullmatch(text)
    try:
        if not found or (found.group(1) == "at" and dialect == "rules"):
            raise ValueError("rate(…) or cron(…) is needed" + (", or at(…)" if dialect == "scheduler" else ""))
        return _read(found.group(1), found.group(2), dialect)
    except ValueError as error:
        refusal = (
            f"Invalid Schedule Expression {text}."
            if dialect == "scheduler"
            else "Parameter ScheduleExpression is not valid."
        )
        raise ValidationException(refusal, reason=str(error)) from error


def _read(kind: str, inside: str, dialect: Dialect) -> Expression:
    if kind == "rate":
        return _rate(inside, dialect)
    if kind == "cron":
        return parse_cron(inside, year_optional=dialect == "scheduler")
    if not _AT.fullmatch(inside):
        raise ValueError("at(…) takes yyyy-mm-ddThh:mm:ss, without fraction and zone")
    return At(time=datetime.fromisoformat(inside))


def _rate(inside: str, dialect: Dialect) -> Rate:
    found = _RATE.fullmatch(inside.strip())
    if not found or int(found.group(1)) == 0:
        raise ValueError("rate(…) takes a positive number and minutes, hours or days")
    value, unit, plural = int(found.group(1)), found.group(2), bool(found.group(3))
    if dialect == "rules" and plural != (value > 1):
        raise ValueError(f"the unit is {unit} for 1 and {unit}s for more")
    try:
        return Rate(every=timedelta(**{f"{unit}s": value}))
    except OverflowError as error:
        raise ValueError(f"{value} {unit}s are more than there is time for") from error

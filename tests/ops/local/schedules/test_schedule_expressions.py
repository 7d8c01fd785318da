"""Which expressions AWS takes, which it refuses and in which words, and what cron's signs mean."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import pytest

from ops.local.schedules import At, Cron, Rate, ValidationException, parse_expression


def cron(fields: str) -> Cron:
    read = parse_expression(f"cron({fields})")
    assert isinstance(read, Cron)
    return read


def days(fields: str, year: int, month: int) -> list[int]:
    first = date(year, month, 1)
    return [day.day for day in cron(fields).days(first, first + timedelta(days=30)) if day.month == month]


@pytest.mark.parametrize(
    ("text", "every"),
    [
        ("rate(1 minute)", timedelta(minutes=1)),
        ("rate(5 minutes)", timedelta(minutes=5)),
        ("rate(1 hour)", timedelta(hours=1)),
        ("rate(7 days)", timedelta(days=7)),
    ],
)
def test_a_rate_is_read_alike_by_both_services(text: str, every: timedelta) -> None:
    assert parse_expression(text) == parse_expression(text, dialect="rules") == Rate(every=every)


@pytest.mark.parametrize(
    "text", ["rate(1 minutes)", "rate(5 minute)", "rate(1 days)", "cron(0 12 * * ?)", "at(2026-01-26T14:30:00)"]
)
def test_rules_refuse_what_only_scheduler_takes(text: str) -> None:
    parse_expression(text, dialect="scheduler")
    with pytest.raises(ValidationException) as refused:
        parse_expression(text, dialect="rules")
    assert refused.value.message == "Parameter ScheduleExpression is not valid."
    assert refused.value.code == "ValidationException"


@pytest.mark.parametrize(
    "text",
    [
        "rate(30 seconds)",
        "rate(0 minutes)",
        "rate(-1 minutes)",
        "rate(1.5 hours)",
        "rate(5)",
        "rate(99999999999999 days)",
        "Rate(1 minute)",
        "1 minute",
        "",
        "at(2026-09-08T03:54:26.439)",
        "at(2026-09-08T03:54:26Z)",
        "at(2026-02-30T03:54:26)",
        "cron(0 3 * * *)",
        "cron(*/30 * * * * ? *)",
        "cron(*/60 * * * ? *)",
        "cron(0 24 * * ? *)",
        "cron(60 0 * * ? *)",
        "cron(0 0 0 * ? *)",
        "cron(0 0 * 13 ? *)",
        "cron(0 0 ? * 8 *)",
        "cron(0 0 ? * ? *)",
        "cron(0 0 * * * *)",
        "cron(0 0 1 * MON *)",
        "cron(0 0 ? * 3#1,6#3 *)",
        "cron(0 0 ? * 3#6 *)",
        "cron(0 0 ? * MON/2 *)",
        "cron(0 0 1,15W * ? *)",
        "cron(? 0 * * ? *)",
        "cron(0 0 * * ? 2030-2020)",
        "cron(0 0 * * ? 1969)",
        "cron(0 , * * ? *)",
    ],
)
def test_scheduler_refuses_with_the_expression_in_its_answer(text: str) -> None:
    with pytest.raises(ValidationException) as refused:
        parse_expression(text)
    assert refused.value.message == f"Invalid Schedule Expression {text}."
    assert refused.value.reason


def test_at_is_a_wall_clock_time() -> None:
    assert parse_expression("at(2022-11-20T13:00:00)") == At(time=datetime(2022, 11, 20, 13))  # noqa: DTZ001


@pytest.mark.parametrize(
    ("fields", "minutes", "hours"),
    [
        ("0 10 * * ? *", [0], [10]),
        ("0/15 * * * ? *", [0, 15, 30, 45], list(range(24))),
        ("1/10 8-17 ? * MON-FRI *", [1, 11, 21, 31, 41, 51], list(range(8, 18))),
        ("0/30 20-2 ? * MON-FRI *", [0, 30], [0, 1, 2, 20, 21, 22, 23]),
        ("5,35 14 * * ? *", [5, 35], [14]),
        ("*/20 8-8 * * ? *", [0, 20, 40], [8]),
        ("10-30/10,5 22-2/2 * * ? *", [5, 10, 20, 30], [0, 2, 22]),
    ],
)
def test_lists_ranges_and_steps_name_their_minutes_and_hours(fields: str, minutes: list[int], hours: list[int]) -> None:
    assert (list(cron(fields).minutes), list(cron(fields).hours)) == (minutes, hours)


@pytest.mark.parametrize(
    ("fields", "year", "month", "expected"),
    [
        ("0 8 1 * ? *", 2026, 1, [1]),
        ("0 8 L * ? *", 2026, 2, [28]),
        ("0 8 L * ? *", 2028, 2, [29]),
        ("0 8 LW * ? *", 2026, 1, [30]),
        ("0 8 3W * ? *", 2026, 1, [2]),
        ("0 8 1W * ? *", 2026, 2, [2]),
        ("0 8 1W * ? *", 2026, 8, [3]),
        ("0 8 31W * ? *", 2026, 5, [29]),
        ("0 8 31W * ? *", 2026, 2, []),
        ("0 8 15W * ? *", 2026, 1, [15]),
        ("0 8 1,15,28-2 * ? *", 2026, 1, [1, 2, 15, 28, 29, 30, 31]),
        ("0 8 ? * 3#2 *", 2026, 1, [13]),
        ("0 8 ? * TUE#5 *", 2026, 1, []),
        ("0 8 ? * MON#1 *", 2026, 6, [1]),
        ("0 8 ? * 6L *", 2026, 1, [30]),
        ("0 8 ? * FRIL *", 2026, 7, [31]),
        ("0 8 ? * L *", 2026, 1, [3, 10, 17, 24, 31]),
        ("0 8 ? * FRI-MON *", 2026, 2, [1, 2, 6, 7, 8, 9, 13, 14, 15, 16, 20, 21, 22, 23, 27, 28]),
        ("0 8 ? * sun,2 *", 2026, 2, [1, 2, 8, 9, 15, 16, 22, 23]),
        ("0 8 1 NOV-FEB ? *", 2026, 2, [1]),
        ("0 8 1 NOV-FEB ? *", 2026, 3, []),
        ("0 8 1 JAN,MAR ? *", 2026, 3, [1]),
        ("0 8 1 */3 ? *", 2026, 7, [1]),
        ("15 10 ? * 6L 2022-2023", 2023, 3, [31]),
        ("15 10 ? * 6L 2022-2023", 2024, 3, []),
        ("0 8 1 * ? 2026/2", 2027, 1, []),
        ("0 8 1 * ? 2026/2", 2028, 1, [1]),
    ],
)
def test_the_signs_of_the_day_fields_name_their_days(fields: str, year: int, month: int, expected: list[int]) -> None:
    assert days(fields, year, month) == expected

"""When schedules and rules fire: by rate, by cron in zones whose clocks change, once, and between their dates."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ops.local.schedules import (
    Rule,
    Schedule,
    ValidationException,
    fires_between,
    invocation_window,
    next_fire,
    parse_rule,
    parse_schedule,
)

CREATED = datetime(2026, 1, 26, 14, 0, tzinfo=UTC)
ARN = "arn:aws:scheduler:us-west-2:123456789012:schedule/group/name"
TARGET = {"Arn": "arn:aws:ecs:us-west-2:123456789012:cluster/c", "RoleArn": "arn:aws:iam::123456789012:role/r"}


def schedule(expression: str, timezone: str = "UTC", **more: Any) -> Schedule:
    described = {
        "Name": "name",
        "GroupName": "group",
        "Arn": ARN,
        "ScheduleExpression": expression,
        "ScheduleExpressionTimezone": timezone,
        "CreationDate": CREATED,
        "FlexibleTimeWindow": {"Mode": "OFF"},
        "State": "ENABLED",
        "Target": TARGET,
    }
    return parse_schedule(described | more)


def rule(expression: str | None, state: str = "ENABLED", created_at: datetime = CREATED) -> Rule:
    described: dict[str, Any] = {
        "Name": "old",
        "Arn": "arn:aws:events:us-west-2:123456789012:rule/old",
        "State": state,
    }
    if expression:
        described["ScheduleExpression"] = expression
    return parse_rule(described, [{"Id": "1", "Arn": TARGET["Arn"]}], created_at=created_at)


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc, arg-type]


def times(of: Schedule | Rule, start: datetime, end: datetime) -> list[str]:
    return [f"{fire:%m-%d %H:%M}" for fire in fires_between(of, start, end)]


def test_a_rate_starts_at_once_and_keeps_its_spacing() -> None:
    every_five = schedule("rate(5 minutes)")
    assert times(every_five, utc(2026, 1, 26), utc(2026, 1, 26, 14, 11)) == [
        "01-26 14:00",
        "01-26 14:05",
        "01-26 14:10",
    ]


def test_the_start_of_an_interval_belongs_to_it_and_its_end_does_not() -> None:
    every_five = schedule("rate(5 minutes)")
    assert times(every_five, utc(2026, 1, 26, 14, 5), utc(2026, 1, 26, 14, 10)) == ["01-26 14:05"]


def test_a_session_of_390_minutes_has_390_fires() -> None:
    start = utc(2026, 1, 26, 14, 30)
    assert len(fires_between(schedule("rate(1 minute)"), start, start + timedelta(minutes=390))) == 390


@pytest.mark.parametrize(
    "given", [{"StartDate": utc(2026, 1, 26, 18, 59, 30)}, {"CreationDate": utc(2026, 1, 26, 18, 59, 30)}]
)
def test_the_seconds_of_a_start_are_dropped_to_the_next_minute(given: dict[str, Any]) -> None:
    assert times(schedule("rate(1 minute)", **given), utc(2026, 1, 26, 18), utc(2026, 1, 26, 19, 2)) == [
        "01-26 19:00",
        "01-26 19:01",
    ]


def test_a_rate_counts_from_the_minute_after_a_start_between_two() -> None:
    every_five = schedule("rate(5 minutes)", CreationDate=utc(2026, 1, 26, 18, 59, 30))
    assert times(every_five, utc(2026, 1, 26), utc(2026, 1, 26, 19, 6)) == ["01-26 19:00", "01-26 19:05"]


def test_a_cron_does_not_fire_before_it_exists() -> None:
    hourly = schedule("cron(0 * * * ? *)", CreationDate=utc(2026, 1, 26, 14, 0, 1))
    assert times(hourly, utc(2026, 1, 26), utc(2026, 1, 26, 16)) == ["01-26 15:00"]


def test_a_start_date_is_the_first_occurrence_and_an_end_date_may_be_the_last() -> None:
    bounded = schedule("rate(2 hours)", StartDate=utc(2026, 1, 27, 3), EndDate=utc(2026, 1, 27, 7))
    assert times(bounded, utc(2026, 1, 26), utc(2026, 1, 28)) == ["01-27 03:00", "01-27 05:00", "01-27 07:00"]


def test_dates_bound_a_cron_too_but_not_a_schedule_that_fires_once() -> None:
    dates: dict[str, Any] = {"StartDate": utc(2026, 1, 27), "EndDate": utc(2026, 1, 28)}
    daily = schedule("cron(0 12 * * ? *)", **dates)
    once = schedule("at(2026-02-01T12:00:00)", **dates)
    assert times(daily, CREATED, utc(2026, 3, 1)) == ["01-27 12:00"]
    assert times(once, CREATED, utc(2026, 3, 1)) == ["02-01 12:00"]


def test_what_is_disabled_never_fires() -> None:
    for off in (schedule("rate(1 minute)", State="DISABLED"), rule("rate(1 minute)", "DISABLED"), rule(None)):
        assert fires_between(off, CREATED, utc(2026, 1, 27)) == []
        assert next_fire(off, CREATED) is None


def test_days_of_a_rate_are_24_hours_whatever_the_clocks_do() -> None:
    daily = schedule("rate(1 days)", "America/New_York", CreationDate=utc(2026, 3, 7, 14))
    assert times(daily, utc(2026, 3, 7), utc(2026, 3, 10)) == ["03-07 14:00", "03-08 14:00", "03-09 14:00"]


def test_a_cron_keeps_the_wall_clock_of_its_zone_and_a_rule_keeps_utc() -> None:
    opening, by_rule = schedule("cron(30 9 ? * MON-FRI *)", "America/New_York"), rule("cron(30 14 ? * MON-FRI *)")
    days = (utc(2026, 3, 6), utc(2026, 3, 10))
    assert times(opening, *days) == ["03-06 14:30", "03-09 13:30"]
    assert times(by_rule, *days) == ["03-06 14:30", "03-09 14:30"]


def test_aws_example_of_spring_skips_the_day() -> None:
    nightly = schedule("cron(30 2 * * ? *)", "America/Los_Angeles")
    assert times(nightly, utc(2026, 3, 7), utc(2026, 3, 10)) == ["03-07 10:30", "03-09 09:30"]


def test_aws_example_of_autumn_fires_once_before_the_shift() -> None:
    nightly = schedule("cron(30 1 * * ? *)", "America/Los_Angeles")
    assert times(nightly, utc(2026, 10, 31), utc(2026, 11, 3)) == ["10-31 08:30", "11-01 08:30", "11-02 09:30"]


def test_a_repeated_hour_is_silent_even_for_a_frequent_cron() -> None:
    frequent = schedule("cron(0/30 * * * ? *)", "America/New_York")
    assert times(frequent, utc(2026, 11, 1, 5), utc(2026, 11, 1, 8)) == [
        "11-01 05:00",
        "11-01 05:30",
        "11-01 07:00",
        "11-01 07:30",
    ]


def test_an_interval_that_ends_within_the_repeated_hour_has_the_fires_of_its_first_pass() -> None:
    nightly = schedule("cron(30 1 * * ? *)", "America/New_York")
    fires = fires_between(nightly, utc(2026, 1, 27), utc(2026, 11, 1, 6, 15))
    assert fires[-1] == utc(2026, 11, 1, 5, 30)


def test_once_is_once_in_its_zone_and_never_at_a_time_that_is_skipped() -> None:
    november = schedule("at(2026-11-20T13:00:00)", "America/Los_Angeles")
    assert times(november, CREATED, utc(2027, 1, 1)) == ["11-20 21:00"]
    skipped = schedule("at(2026-03-08T02:30:00)", "America/New_York")
    assert next_fire(skipped, CREATED) is None


def test_the_next_fire_may_be_years_away_or_never() -> None:
    leap = schedule("cron(0 0 29 2 ? *)")
    assert next_fire(leap, CREATED) == utc(2028, 2, 29)
    assert next_fire(schedule("cron(0 0 31 2 ? *)"), CREATED) is None
    assert next_fire(schedule("cron(0 0 1 1 ? 2190)"), CREATED) == utc(2190, 1, 1)
    assert next_fire(schedule("cron(0 0 1 1 ? 2020)"), CREATED) is None


def test_the_next_fire_is_later_than_the_one_it_is_asked_after() -> None:
    assert next_fire(schedule("rate(5 minutes)"), CREATED) == CREATED + timedelta(minutes=5)
    assert next_fire(schedule("rate(5 minutes)"), CREATED - timedelta(seconds=1)) == CREATED


def test_an_emulators_creation_date_can_be_replaced_by_the_virtual_one() -> None:
    described = {
        "Name": "n",
        "Arn": ARN,
        "ScheduleExpression": "rate(1 minute)",
        "CreationDate": utc(2026, 11, 23),
        "FlexibleTimeWindow": {"Mode": "OFF"},
        "Target": TARGET,
    }
    session = (utc(2026, 1, 26, 14, 30), utc(2026, 1, 26, 14, 32))
    assert fires_between(parse_schedule(described), *session) == []
    assert len(fires_between(parse_schedule(described, created_at=CREATED), *session)) == 2


def test_an_invocation_stays_within_its_minute_or_its_window() -> None:
    fire = utc(2026, 1, 26, 15)
    flexible = schedule("rate(1 hour)", FlexibleTimeWindow={"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 15})
    assert invocation_window(flexible, fire) == (fire, fire + timedelta(minutes=15))
    assert invocation_window(schedule("rate(1 hour)"), fire) == (fire, fire + timedelta(seconds=59))
    assert invocation_window(rule("rate(1 hour)"), fire) == (fire, fire + timedelta(seconds=59))


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"ScheduleExpression": "rate(1 minut)"}, "Invalid Schedule Expression rate(1 minut)."),
        ({"ScheduleExpressionTimezone": "America/Nowhere"}, "Invalid Schedule Expression Timezone America/Nowhere."),
        ({"FlexibleTimeWindow": {"Mode": "FLEXIBLE"}}, "MaximumWindowInMinutes must be provided"),
        (
            {"FlexibleTimeWindow": {"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 1441}},
            "Value '1441' at 'flexibleTimeWindow.maximumWindowInMinutes' failed to satisfy constraint: "
            "Member must have value less than or equal to 1440",
        ),
        (
            {"Target": TARGET | {"RetryPolicy": {"MaximumEventAgeInSeconds": 30}}},
            "Member must have value greater than or equal to 60",
        ),
        (
            {"Target": TARGET | {"RetryPolicy": {"MaximumRetryAttempts": 186}}},
            "Member must have value less than or equal to 185",
        ),
    ],
)
def test_a_schedule_that_aws_would_refuse_is_refused_in_its_words(more: dict[str, Any], message: str) -> None:
    expression = more.pop("ScheduleExpression", "rate(1 minute)")
    with pytest.raises(ValidationException) as refused:
        schedule(expression, **more)
    assert message in refused.value.message


def test_a_schedule_is_read_whole() -> None:
    read = schedule(
        "rate(1 minute)",
        ActionAfterCompletion="DELETE",
        Target=TARGET
        | {
            "Input": "{}",
            "RetryPolicy": {"MaximumRetryAttempts": 0, "MaximumEventAgeInSeconds": 60},
            "DeadLetterConfig": {"Arn": "arn:aws:sqs:us-west-2:123456789012:dlq"},
        },
    )
    assert read.group_arn == "arn:aws:scheduler:us-west-2:123456789012:schedule-group/group"
    assert (read.account, read.action_after_completion) == ("123456789012", "DELETE")
    assert (read.target.retry.maximum_retry_attempts, read.target.retry.maximum_event_age_seconds) == (0, 60)
    assert (read.target.input, read.target.dead_letter_arn[-3:], read.target.role_arn) == (
        "{}",
        "dlq",
        TARGET["RoleArn"],
    )
    assert schedule("rate(1 minute)").target.retry.maximum_retry_attempts == 185


instants = st.integers(0, 400 * 24 * 60).map(lambda minutes: utc(2026, 1, 1) + timedelta(minutes=minutes))


@settings(max_examples=40)
@given(st.integers(1, 5000), instants, instants, st.integers(1, 3 * 24 * 60))
def test_rates_are_exact_in_order_and_within_the_interval(
    minutes: int, anchor: datetime, start: datetime, length: int
) -> None:
    end = start + timedelta(minutes=length)
    fires = fires_between(
        schedule(f"rate({minutes} minutes)", StartDate=anchor, CreationDate=utc(2025, 1, 1)), start, end
    )
    expected = [
        anchor + timedelta(minutes=number * minutes)
        for number in range(int((end - anchor).total_seconds() // 60) // minutes + 2)
    ]
    assert fires == [fire for fire in expected if start <= fire < end]


@settings(max_examples=40)
@given(st.integers(1, 300), instants, st.lists(st.integers(1, 2000), min_size=1, max_size=6))
def test_an_interval_cut_in_pieces_has_the_same_fires(minutes: int, start: datetime, pieces: list[int]) -> None:
    every = schedule(f"rate({minutes} minutes)", CreationDate=utc(2025, 1, 1))
    edges = [start]
    for piece in pieces:
        edges.append(edges[-1] + timedelta(minutes=piece))
    parts = [fire for left, right in pairwise(edges) for fire in fires_between(every, left, right)]
    assert parts == fires_between(every, edges[0], edges[-1])


def number_or_range(least: int, most: int) -> st.SearchStrategy[str]:
    numbers = st.integers(least, most)
    return st.one_of(
        st.just("*"),
        numbers.map(str),
        st.tuples(numbers, numbers).map(lambda pair: f"{pair[0]}-{pair[1]}"),
        st.lists(numbers, min_size=1, max_size=3).map(lambda many: ",".join(map(str, many))),
    )


crons = st.tuples(
    st.one_of(number_or_range(0, 59), st.integers(1, 59).map(lambda step: f"*/{step}")),
    number_or_range(0, 23),
    st.one_of(
        st.tuples(number_or_range(1, 31), number_or_range(1, 12), st.just("?")),
        st.tuples(st.just("?"), number_or_range(1, 12), number_or_range(1, 7)),
    ),
).map(lambda parts: (parts[0], parts[1], *parts[2]))


def named_by(field: str, least: int, most: int, value: int) -> bool:
    """The naive reading of one field: does any of its parts name this value?"""
    for part in field.split(","):
        values, _, step = part.partition("/")
        first, _, last = values.partition("-")
        if values in ("*", "?"):
            in_range, offset = True, value - least
        elif last:
            low, high = int(first), int(last)
            in_range = low <= value <= high if low <= high else value >= low or value <= high
            offset = value - low
        else:
            in_range, offset = value == int(first), 0
        if in_range and offset % int(step or 1) == 0:
            return True
    return False


def oracle(fields: tuple[str, ...], zone: ZoneInfo, start: datetime, end: datetime) -> list[datetime]:
    """Minute by minute through the interval: what the clock on the wall shows, the first time that it shows it."""
    minute, hour, month_day, month, week_day = fields
    found, now = [], start
    while now < end:
        wall = now.astimezone(zone)
        weekday = wall.isoweekday() % 7 + 1
        tests = [
            named_by(minute, 0, 59, wall.minute),
            named_by(hour, 0, 23, wall.hour),
            named_by(month_day, 1, 31, wall.day),
            named_by(month, 1, 12, wall.month),
            named_by(week_day, 1, 7, weekday),
        ]
        if all(tests) and wall.fold == 0:
            found.append(now)
        now += timedelta(minutes=1)
    return found


@settings(max_examples=40, deadline=None)
@given(
    crons,
    st.sampled_from(["UTC", "America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "Asia/Kathmandu"]),
    st.sampled_from([date(2026, 1, 26), date(2026, 3, 8), date(2026, 3, 29), date(2026, 4, 5), date(2026, 11, 1)]),
    st.integers(-12 * 60, 24 * 60),
    st.integers(1, 20 * 60),
)
def test_a_cron_fires_as_a_naive_reading_minute_by_minute_says(
    fields: tuple[str, ...], zone: str, day: date, offset: int, length: int
) -> None:
    start = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(minutes=offset)
    end = start + timedelta(minutes=length)
    of = schedule(f"cron({' '.join(fields)} *)", zone, CreationDate=utc(2025, 1, 1))
    fires = fires_between(of, start, end)
    assert fires == oracle(fields, ZoneInfo(zone), start, end)
    assert fires == sorted(set(fires))


@settings(max_examples=15, deadline=None)
@given(crons, instants)
def test_the_next_fire_is_the_first_of_those_between(fields: tuple[str, ...], after: datetime) -> None:
    of = schedule(f"cron({' '.join(fields)} *)", "America/New_York", CreationDate=utc(2025, 1, 1))
    following = next_fire(of, after)
    assume(following is not None and following - after < timedelta(days=40))
    assert following is not None
    assert fires_between(of, after + timedelta(seconds=1), following + timedelta(seconds=1)) == [following]

"""The exchange calendar: holidays, half-days, daylight saving, and the ends of the table."""

from datetime import UTC, date, datetime, timedelta

import exchange_calendars
import pytest

from pipeline import sessions
from pipeline.errors import CalendarEnds


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


# pandas warns of what exchange-calendars does inside
@pytest.mark.filterwarnings("ignore::pandas.errors.PandasChangeWarning")
def test_the_table_says_what_exchange_calendars_says():
    calendar = exchange_calendars.get_calendar("XNYS", start="2013-01-01", end="2014-12-31")
    for day, row in zip(calendar.schedule.index, calendar.schedule.itertuples(), strict=True):
        session = sessions.find(day.date())
        assert session is not None
        assert (session.open, session.close) == (row.open.to_pydatetime(), row.close.to_pydatetime())


@pytest.mark.parametrize(
    ("day", "why"),
    [(date(2026, 2, 16), "Presidents' Day"), (date(2026, 1, 24), "a Saturday"), (date(2012, 10, 29), "a hurricane")],
)
def test_there_is_no_session_on(day, why):
    assert sessions.find(day) is None, why


def test_a_half_day_ends_at_one_in_new_york():
    session = sessions.find(date(2025, 11, 28))
    assert session is not None
    assert session.minutes == 210
    assert session.close == utc("2025-11-28 18:00")


@pytest.mark.parametrize(("day", "opens"), [(date(2026, 3, 6), "14:30"), (date(2026, 3, 9), "13:30")])
def test_the_open_moves_with_daylight_saving(day, opens):
    session = sessions.find(day)
    assert session is not None
    assert f"{session.open:%H:%M}" == opens


def test_the_minute_of_the_close_is_no_session_minute():
    assert sessions.at(utc("2026-01-26 20:59")) is not None
    assert sessions.at(utc("2026-01-26 21:00")) is None


def test_before_the_open_the_latest_session_is_the_one_before():
    assert [s.date for s in sessions.latest(utc("2026-01-26 14:29"), 2)] == [date(2026, 1, 22), date(2026, 1, 23)]
    assert [s.date for s in sessions.latest(utc("2026-01-26 14:30"))] == [date(2026, 1, 26)]


def test_minutes_run_across_a_weekend_without_holes_or_doubles():
    found = sessions.minutes(utc("2026-01-23 20:58"), utc("2026-01-26 14:32"))
    assert [f"{m:%d %H:%M}" for m in found] == ["23 20:58", "23 20:59", "26 14:30", "26 14:31"]


def test_minutes_elapsed_do_not_count_a_closed_market():
    assert sessions.minutes_elapsed(utc("2026-01-23 20:59"), utc("2026-01-26 14:31")) == 2
    assert sessions.minutes_elapsed(utc("2026-01-23 21:00"), utc("2026-01-25 12:00")) == 0


def test_a_date_beyond_the_table_is_unknown_not_closed():
    _, last = sessions.covered()
    with pytest.raises(CalendarEnds, match="make-sessions"):
        sessions.find(last + timedelta(days=1))

"""The census: a day's rows counted by the watcher, and a database held against it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import pytest

from healthcheck import census
from healthcheck.census import Census
from ops.local.postgres import Database
from pipeline.store import Connection

DAY = date(2026, 1, 26)
MORNING = datetime(2026, 1, 27, 14, tzinfo=UTC)
BAR = (
    "insert into bars (symbol, ts, open, high, low, close, volume, feed, ingested_at)"
    " values (%(symbol)s, %(at)s, 1, 1, 1, 1, 1, 'iex', %(at)s)"
)


@pytest.fixture
def connection(database: Database) -> Iterator[Connection]:
    with database.connect() as connection:
        yield connection


def fill(connection: Connection) -> None:
    for symbol in ("AAPL", "MSFT", "TSLA"):
        for minute in (0, 1, 24 * 60 - 1, 24 * 60):  # the last is the next day's
            at = datetime(2026, 1, 26, tzinfo=UTC) + timedelta(minutes=minute)
            connection.execute(BAR, {"symbol": symbol, "at": at})


def test_a_day_has_the_rows_of_its_24_hours(connection: Connection) -> None:
    fill(connection)
    taken = census.take(connection, DAY, MORNING)
    assert taken.tables["bars"].rows == 9
    assert taken.rows == 9
    assert Census.of_json(taken.to_json()) == taken
    assert census.take(connection, DAY + timedelta(days=1), MORNING).tables["bars"].rows == 3


def test_the_same_rows_in_another_order_have_the_same_checksum(connection: Connection) -> None:
    fill(connection)
    before = census.take(connection, DAY, MORNING)
    connection.execute("update bars set volume = volume")  # every row lies elsewhere now
    assert not list(census.differences(before, census.take(connection, DAY, MORNING)))


def test_missing_rows_and_other_values_are_told_apart(connection: Connection) -> None:
    fill(connection)
    before = census.take(connection, DAY, MORNING)
    connection.execute("update bars set close = 2, high = 2 where symbol = 'AAPL' and ts = '2026-01-26 00:00Z'")
    (changed,) = census.differences(before, census.take(connection, DAY, MORNING))
    assert str(changed) == "bars of 2026-01-26: other values"
    connection.execute("delete from bars where symbol = 'MSFT'")
    (lacking,) = census.differences(before, census.take(connection, DAY, MORNING))
    assert (lacking.lacking, str(lacking)) == (3, "bars of 2026-01-26: 3 rows fewer")


def test_more_rows_and_another_schema_are_no_loss(connection: Connection) -> None:
    fill(connection)
    before = census.take(connection, DAY, MORNING)
    connection.execute("update bars set close = 2, high = 2")
    later = Census(day=DAY, schema=before.schema + 1, taken_at=MORNING, tables=before.tables)
    assert not list(census.differences(later, census.take(connection, DAY, MORNING)))


def test_the_days_before_are_due_once_a_day_and_not_before_they_have_settled(connection: Connection) -> None:
    at = MORNING.replace(hour=4, minute=59)
    assert census.due(connection, "healthcheck", at) == []
    assert census.due(connection, "healthcheck", MORNING)[0] == DAY
    connection.execute(
        "insert into task_runs (service, execution_id, started_at, finished_at, outcome, counts)"
        """ values ('healthcheck', 'x', %s, %s, 'OK', '{"census_rows": 0}')""",
        (MORNING, MORNING),
    )
    assert census.due(connection, "healthcheck", MORNING + timedelta(hours=1)) == []
    assert census.due(connection, "healthcheck", MORNING + timedelta(days=1))[0] == DAY + timedelta(days=1)

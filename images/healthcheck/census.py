"""The census: what a day's rows came to, kept outside the database, so that a restored one can be held against it.

Once a day the watcher counts the days before and stores the counts in the account's records bucket, where a lost
database does not take them along; runbooks/restore-database reads them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from pipeline.store import Connection, migrations, sql

FOLDER = "census"
# What comes in late on the next morning (news, a backfill) is to be counted, and nobody trades then.
SETTLED = time(5)
# A weekend between two sessions, and what is backfilled the day after.
DAYS = 3
# A count must never keep the watcher from its next look; one that takes longer is tried again by the next run.
MOST_SECONDS = 10


@dataclass(frozen=True, kw_only=True)
class Count:
    """How many rows, and the sum of their 64-bit hashes."""

    rows: int
    checksum: str


@dataclass(frozen=True, kw_only=True)
class Census:
    """A UTC day's rows by table, taken at a version of the schema: another one writes the same rows differently."""

    day: date
    schema: int
    taken_at: datetime
    tables: Mapping[str, Count]

    @property
    def rows(self) -> int:
        return sum(count.rows for count in self.tables.values())

    def to_json(self) -> str:
        tables = {name: vars(count) for name, count in self.tables.items()}
        told = {"day": self.day.isoformat(), "schema": self.schema, "taken_at": self.taken_at.isoformat()}
        return json.dumps({**told, "tables": tables})

    @classmethod
    def of_json(cls, text: str | bytes) -> Census:
        """Raises ValueError, KeyError or TypeError where it is none."""
        told: Any = json.loads(text)
        return cls(
            day=date.fromisoformat(told["day"]),
            schema=int(told["schema"]),
            taken_at=datetime.fromisoformat(told["taken_at"]),
            tables={name: Count(**count) for name, count in told["tables"].items()},
        )


def due(connection: Connection, service: str, now: datetime) -> list[date]:
    """The days to be counted now: those before today, once they have settled, unless a run has done it today."""
    today = now.astimezone(UTC)
    since = datetime.combine(today.date(), SETTLED, UTC)
    if today < since:
        return []
    if connection.execute(sql("healthcheck/census_taken"), {"service": service, "since": since}).fetchone():
        return []
    return [today.date() - timedelta(days=back) for back in range(1, DAYS + 1)]


def take(connection: Connection, day: date, now: datetime) -> Census:
    """Counts a day. Raises psycopg.Error, also where it takes too long."""
    start = datetime.combine(day, time(), UTC)
    with connection.transaction():
        connection.execute(f"set local statement_timeout = '{MOST_SECONDS}s'".encode())
        rows = connection.execute(sql("healthcheck/census"), {"start": start, "end": start + timedelta(days=1)})
        tables = {name: Count(rows=count, checksum=str(checksum)) for name, count, checksum in rows}
    return Census(day=day, schema=migrations.version(connection), taken_at=now, tables=tables)


def key(day: date) -> str:
    """Where a day's census lies in the bucket."""
    return f"{FOLDER}/{day.isoformat()}.json"


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A table's day that is not as it was counted. `lacking` rows are fewer now; 0: other values."""

    day: date
    table: str
    lacking: int

    def __str__(self) -> str:
        what = f"{self.lacking} rows fewer" if self.lacking else "other values"
        return f"{self.table} of {self.day}: {what}"


def differences(before: Census, now: Census) -> Iterator[Difference]:
    """What is not as it was; more rows are no loss. Values are compared only where both were written by one schema."""
    for table, count in before.tables.items():
        found = now.tables.get(table, Count(rows=0, checksum="0"))
        if found.rows < count.rows:
            yield Difference(day=before.day, table=table, lacking=count.rows - found.rows)
        elif before.schema == now.schema and found.rows == count.rows and found != count:
            yield Difference(day=before.day, table=table, lacking=0)

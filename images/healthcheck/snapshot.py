"""Everything the checks judge, read once: parts that were read, and parts that could not be, with the reason.

A new kind of evidence is one more part class and its reader; checks that need it name it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

import psycopg
from psycopg.rows import class_row

from healthcheck import schema
from healthcheck.place import Place
from pipeline import ledger, sessions
from pipeline.catalog import Catalog
from pipeline.errors import CalendarEnds, SchemaDiffers
from pipeline.sessions import Session
from pipeline.store import Connection, migrations, sql

# How far back a symbol's habits are looked at.
HABIT_SESSIONS = 5
RECENT_RUNS = 20
# Longer memories of refused bars, untaken signals and unfilled gaps would keep yesterday's news open for ever.
REJECTED_WINDOW = timedelta(hours=24)
UNTAKEN_WINDOW = timedelta(hours=1)
LEDGER_MEMORY = timedelta(days=7)

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Scope:
    """What the snapshot is taken of: the instant, the catalogue, the followed symbols and the run that asks.

    `place` None: no AWS is expected, and nothing of it is judged."""

    now: datetime
    catalog: Catalog
    tickers: tuple[str, ...]
    service: str
    execution_id: str
    place: Place | None = None


@dataclass(frozen=True, kw_only=True)
class Unreadable:
    """A part that could not be read; `code` where the error itself proves a cause of SPEC §6."""

    reason: str
    code: str | None


@dataclass(frozen=True, kw_only=True)
class Market:
    """The running session, if any, and the last sessions that have opened, oldest first."""

    session: Session | None
    recent: tuple[Session, ...]

    @property
    def open(self) -> bool:
        return self.session is not None


@dataclass(frozen=True, kw_only=True)
class SymbolState:
    """How far one symbol's rows have come. `recent_bars`: session bars since `recent_since`, its first one within the
    last five sessions. `unserved_since`: since when the first of its session bars that are newer than
    its newest features could have had some, its minute over and the bar stored."""

    symbol: str
    newest_bar: datetime | None
    recent_bars: int
    recent_since: datetime | None
    newest_features: datetime | None
    unserved_since: datetime | None


@dataclass(frozen=True, kw_only=True)
class Symbols:
    """Every followed symbol, and every other one that has bars."""

    states: tuple[SymbolState, ...]
    changes_waiting: int


@dataclass(frozen=True, kw_only=True)
class PastRun:
    """A line of the run ledger."""

    service: str
    execution_id: str
    started_at: datetime
    finished_at: datetime | None
    outcome: str | None
    error: str | None
    error_code: str | None
    parameter_versions: Mapping[str, str]

    @property
    def stood_back(self) -> bool:
        """Whether it did nothing because an earlier run was still going."""
        return self.outcome == ledger.Outcome.SKIPPED and self.error is not None


@dataclass(frozen=True, kw_only=True)
class Runs:
    """The run ledger: recent runs a service, newest first (the asking run left out); when each last completed one;
    every service of the last week with its newest start; the ledger's first line."""

    recent: Mapping[str, tuple[PastRun, ...]]
    completed: Mapping[str, datetime]
    remembered: Mapping[str, datetime]
    since: datetime | None


@dataclass(frozen=True, kw_only=True)
class GapGroup:
    """Minutes of one symbol that are lost and not backfilled, of one class."""

    symbol: str
    cause: str
    minutes: int
    first_minute: datetime
    last_minute: datetime
    detected_at: datetime


@dataclass(frozen=True, kw_only=True)
class RejectedGroup:
    """Bars of the last day that were refused for one reason."""

    reason: str
    bars: int
    symbols: tuple[str, ...]
    last_seen: datetime


@dataclass(frozen=True, kw_only=True)
class Missing:
    """Bars that are not where they should be, and why, as far as the ledgers know."""

    gaps: tuple[GapGroup, ...]
    rejected: tuple[RejectedGroup, ...]


@dataclass(frozen=True, kw_only=True)
class Feed:
    """The state of one news feed."""

    feed_url: str
    last_ok_at: datetime | None
    last_error: str | None
    consecutive_failures: int


@dataclass(frozen=True, kw_only=True)
class NewsState:
    """The feeds, the newest news by event time, and the news that waits for its sentiment."""

    feeds: tuple[Feed, ...]
    newest_published: datetime | None
    newest_fetched: datetime | None
    unclassified: int
    oldest_unclassified: datetime | None


@dataclass(frozen=True, kw_only=True)
class Watch:
    """How many symbols the watchlist ranks, and when it was last computed."""

    rows: int
    computed_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class Dispatching:
    """Dispatches and signals that nobody finishes; `oldest` None where there is none."""

    lease_over: int
    oldest_lease: datetime | None
    pending: int
    oldest_pending: datetime | None
    untaken_signals: int
    oldest_untaken: datetime | None


@dataclass(frozen=True, kw_only=True)
class Schema:
    """Migrations that this image has and the database has not, edited ones, and objects that differ."""

    pending: tuple[str, ...]
    edited: str | None
    missing: tuple[str, ...]
    foreign: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """The parts by their class; `part` gives one that was read."""

    scope: Scope
    parts: Mapping[type, object]

    @property
    def now(self) -> datetime:
        return self.scope.now

    def part(self, kind: type[T]) -> T:
        """The part of that class. Raises TypeError where it was not read: a check must name what it needs."""
        found = self.parts.get(kind)
        if not isinstance(found, kind):
            raise TypeError(f"{kind.__name__} was not read; the check has to list it in `needs`")
        return found

    def unreadable(self) -> dict[str, Unreadable]:
        """Name of the part → why it could not be read."""
        return {kind.__name__: part for kind, part in self.parts.items() if isinstance(part, Unreadable)}


Reader = Callable[[Connection, Scope], Any]


def read(connection: Connection, scope: Scope, readers: Mapping[type, Reader] | None = None) -> Snapshot:
    """All parts as of `scope.now`. One that fails is Unreadable and the others are read all the same; a connection
    that is lost raises, for then nothing could be stored either."""
    chosen = DATABASE if readers is None else readers
    return Snapshot(scope=scope, parts={kind: _guarded(reader, connection, scope) for kind, reader in chosen.items()})


def _guarded(reader: Reader, connection: Connection, scope: Scope) -> Any:
    try:
        with connection.transaction():
            # a check that waits behind a lock or a slow scan would miss its own deadline: that part is unknown then
            connection.execute(sql("healthcheck/limits"))
            return reader(connection, scope)
    except CalendarEnds as error:
        return Unreadable(reason=str(error), code="config_invalid")
    except psycopg.Error as error:
        if connection.closed:
            raise
        return Unreadable(reason=" ".join(str(error).split()), code=_code(error))


def _code(error: psycopg.Error) -> str | None:
    errors = psycopg.errors
    if isinstance(error, errors.InsufficientPrivilege):
        return "db_permission"
    if isinstance(error, (errors.UndefinedTable, errors.UndefinedColumn, errors.UndefinedFunction)):
        return "db_schema"
    if isinstance(error, (errors.LockNotAvailable, errors.QueryCanceled, errors.DeadlockDetected)):
        return "db_locked"
    return None


def read_market(connection: Connection, scope: Scope) -> Market:
    return _market(scope)


def market(scope: Scope) -> Market | Unreadable:
    """The part that is there without a database, too."""
    try:
        return _market(scope)
    except CalendarEnds as error:
        return Unreadable(reason=str(error), code="config_invalid")


def _market(scope: Scope) -> Market:
    """From the sessions table alone; raises CalendarEnds outside it."""
    return Market(session=sessions.at(scope.now), recent=tuple(sessions.latest(scope.now, HABIT_SESSIONS)))


def read_symbols(connection: Connection, scope: Scope) -> Symbols:
    hours = sessions.latest(scope.now, HABIT_SESSIONS)
    values = {
        "tickers": list(scope.tickers),
        "now": scope.now,
        "opens": [session.open for session in hours],
        "closes": [session.close for session in hours],
    }
    with connection.cursor(row_factory=class_row(SymbolState)) as cursor:
        states = cursor.execute(sql("healthcheck/symbols"), values).fetchall()
    waiting = connection.execute(sql("healthcheck/bars_changed")).fetchone()
    return Symbols(states=tuple(states), changes_waiting=waiting[0] if waiting else 0)


def read_runs(connection: Connection, scope: Scope) -> Runs:
    values = {
        "services": list(scope.catalog.services),
        "now": scope.now,
        "execution_id": scope.execution_id,
        "service": scope.service,
        "limit": RECENT_RUNS,
        "memory": scope.now - LEDGER_MEMORY,
    }
    with connection.cursor(row_factory=class_row(PastRun)) as cursor:
        runs = cursor.execute(sql("healthcheck/recent_runs"), values).fetchall()
    history = connection.execute(sql("healthcheck/run_history"), values).fetchall()
    return Runs(
        recent={name: tuple(run for run in runs if run.service == name) for name in scope.catalog.services},
        completed={service: completed for service, _, _, completed in history if completed},
        remembered={service: newest for service, _, newest, _ in history if newest > values["memory"]},
        since=min((oldest for _, oldest, _, _ in history), default=None),
    )


def read_missing(connection: Connection, scope: Scope) -> Missing:
    with connection.cursor(row_factory=class_row(GapGroup)) as cursor:
        gaps = cursor.execute(sql("healthcheck/gaps"), {"now": scope.now}).fetchall()
    window = {"now": scope.now, "since": scope.now - REJECTED_WINDOW}
    rejected = connection.execute(sql("healthcheck/bars_rejected"), window).fetchall()
    return Missing(
        gaps=tuple(gaps),
        rejected=tuple(
            RejectedGroup(reason=reason, bars=bars, symbols=tuple(symbols), last_seen=seen)
            for reason, bars, symbols, seen in rejected
        ),
    )


def read_news(connection: Connection, scope: Scope) -> NewsState:
    with connection.cursor(row_factory=class_row(Feed)) as cursor:
        feeds = cursor.execute(sql("healthcheck/feeds")).fetchall()
    row = _one(connection, "healthcheck/news", {"now": scope.now})
    return NewsState(
        feeds=tuple(feeds),
        newest_published=row[0],
        newest_fetched=row[1],
        unclassified=row[2],
        oldest_unclassified=row[3],
    )


def read_watch(connection: Connection, scope: Scope) -> Watch:
    rows, computed_at = _one(connection, "healthcheck/watchlist", {"now": scope.now})
    return Watch(rows=rows, computed_at=computed_at)


def read_dispatching(connection: Connection, scope: Scope) -> Dispatching:
    values = {"now": scope.now, "untaken_since": scope.now - UNTAKEN_WINDOW}
    row = _one(connection, "healthcheck/dispatching", values)
    return Dispatching(
        lease_over=row[0],
        oldest_lease=row[1],
        pending=row[2],
        oldest_pending=row[3],
        untaken_signals=row[4],
        oldest_untaken=row[5],
    )


def read_schema(connection: Connection, scope: Scope) -> Schema:
    edited: str | None = None
    waiting: tuple[str, ...] = ()
    try:
        waiting = tuple(f"{m.version:04d}_{m.name}" for m in migrations.pending(connection))
    except SchemaDiffers as error:
        edited = str(error)
    live = {row[0] for row in connection.execute(sql("healthcheck/schema"))}
    missing, foreign = schema.compare(live)
    return Schema(pending=waiting, edited=edited, missing=missing, foreign=foreign)


def _one(connection: Connection, name: str, values: Mapping[str, Any]) -> tuple[Any, ...]:
    row = connection.execute(sql(name), values).fetchone()
    assert row is not None, name  # an aggregate without group by always gives one row
    return row


DATABASE: Mapping[type, Reader] = {
    Market: read_market,
    Symbols: read_symbols,
    Runs: read_runs,
    Missing: read_missing,
    NewsState: read_news,
    Watch: read_watch,
    Dispatching: read_dispatching,
    Schema: read_schema,
}

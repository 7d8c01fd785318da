"""What the page shows and no check judges: the last hour's runs, the newest signals and news, the session's bars.

Each is a part of a snapshot like any other: read by the healthcheck's role, as of `scope.now`, bounded, and Unreadable
where it could not be read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from psycopg.rows import class_row

from healthcheck import snapshot
from healthcheck.finding import Severity
from healthcheck.snapshot import Reader, Scope
from pipeline import sessions
from pipeline.sessions import Session
from pipeline.store import Connection, sql

STRIP = timedelta(hours=1)
# A service that is started twice a minute shows as such; more of it tells nothing further.
RUNS_PER_SERVICE = 120
SIGNALS = 12
NEWS = 8
CHARTS = 100
GAPS = 2000
FINDINGS = 300
CLEARED = timedelta(hours=24)


@dataclass(frozen=True, kw_only=True)
class ShownRun:
    """A run of the last hour; without an outcome it is running or was killed."""

    service: str
    started_at: datetime
    finished_at: datetime | None
    outcome: str | None
    error_code: str | None


@dataclass(frozen=True, kw_only=True)
class LastHour:
    """Runs by service, oldest first."""

    since: datetime
    runs: Mapping[str, tuple[ShownRun, ...]]


@dataclass(frozen=True, kw_only=True)
class ShownSignal:
    """A signal and its dispatch; no state: nobody has taken it yet. `failed_gates`: why it was skipped."""

    created_at: datetime
    symbol: str
    side: str
    confidence: float
    state: str | None
    mode: str | None
    dispatched_at: datetime | None
    quantity: float | None
    fill_price: float | None
    failed_gates: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class LastSignals:
    """Newest first."""

    signals: tuple[ShownSignal, ...]


@dataclass(frozen=True, kw_only=True)
class Headline:
    """An item of news; no label: not classified yet."""

    published_at: datetime
    title: str
    label: str | None
    tickers: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class LastNews:
    """Newest first."""

    headlines: tuple[Headline, ...]


@dataclass(frozen=True, kw_only=True)
class Gap:
    """Missing minutes of the ledger, and their class."""

    first_minute: datetime
    last_minute: datetime
    cause: str


@dataclass(frozen=True, kw_only=True)
class Bars:
    """One symbol's bars of a session: minutes since its open, and the prices of each, in order of time."""

    symbol: str
    minutes: tuple[int, ...]
    lows: tuple[float, ...]
    highs: tuple[float, ...]
    closes: tuple[float, ...]
    gaps: tuple[Gap, ...]


@dataclass(frozen=True, kw_only=True)
class SessionBars:
    """The session that runs, else the last one. `left_out`: followed symbols beyond those that are drawn."""

    session: Session
    bars: tuple[Bars, ...]
    left_out: int


@dataclass(frozen=True, kw_only=True)
class KnownFinding:
    """A row of the findings' table."""

    code: str
    subject: str
    severity: Severity
    summary: str
    evidence: Mapping[str, Any]
    repair: str
    since: datetime | None
    first_seen: datetime
    last_seen: datetime
    cleared_at: datetime | None

    @property
    def key(self) -> tuple[str, str]:
        return self.code, self.subject


@dataclass(frozen=True, kw_only=True)
class Known:
    """The open findings and those of the last day that are over."""

    findings: tuple[KnownFinding, ...]


def read(connection: Connection, scope: Scope) -> dict[type, object]:
    """All of it, to be put beside the parts of a snapshot. Raises as `healthcheck.snapshot.read`."""
    return dict(snapshot.read(connection, scope, READERS).parts)


def read_last_hour(connection: Connection, scope: Scope) -> LastHour:
    services = list(scope.catalog.services)
    since = scope.now - STRIP
    values = {"services": services, "since": since, "now": scope.now, "limit": RUNS_PER_SERVICE}
    with connection.cursor(row_factory=class_row(ShownRun)) as cursor:
        rows = cursor.execute(sql("healthcheck/page_runs"), values).fetchall()
    runs: dict[str, list[ShownRun]] = {name: [] for name in services}
    for row in reversed(rows):
        runs[row.service].append(row)
    return LastHour(since=since, runs={name: tuple(own) for name, own in runs.items()})


def read_signals(connection: Connection, scope: Scope) -> LastSignals:
    rows = connection.execute(sql("healthcheck/page_signals"), {"now": scope.now, "limit": SIGNALS}).fetchall()
    names = (*list(ShownSignal.__dataclass_fields__)[:-1],)
    return LastSignals(
        signals=tuple(
            ShownSignal(**dict(zip(names, row[:-1], strict=True)), failed_gates=tuple(row[-1] or ())) for row in rows
        )
    )


def read_news(connection: Connection, scope: Scope) -> LastNews:
    rows = connection.execute(sql("healthcheck/page_news"), {"now": scope.now, "limit": NEWS}).fetchall()
    return LastNews(
        headlines=tuple(
            Headline(published_at=at, title=title, label=label, tickers=tuple(tickers or ()))
            for at, title, label, tickers in rows
        )
    )


def read_session_bars(connection: Connection, scope: Scope) -> SessionBars:
    session = sessions.latest(scope.now)[-1]
    symbols = list(scope.tickers[:CHARTS])
    values = {"symbols": symbols, "opens": session.open, "closes": session.close, "now": scope.now, "limit": GAPS}
    gaps: dict[str, list[Gap]] = {symbol: [] for symbol in symbols}
    for symbol, first, last, cause in connection.execute(sql("healthcheck/page_gaps"), values):
        gaps[symbol].append(Gap(first_minute=first, last_minute=last, cause=cause))
    rows = connection.execute(sql("healthcheck/page_bars"), values).fetchall()
    return SessionBars(
        session=session,
        bars=tuple(
            Bars(symbol=symbol, **dict(zip(ARRAYS, map(tuple, arrays), strict=True)), gaps=tuple(gaps[symbol]))
            for symbol, *arrays in rows
        ),
        left_out=len(scope.tickers) - len(symbols),
    )


def read_known(connection: Connection, scope: Scope) -> Known:
    values = {"since": scope.now - CLEARED, "limit": FINDINGS}
    with connection.cursor(row_factory=class_row(KnownFinding)) as cursor:
        rows = cursor.execute(sql("healthcheck/page_findings"), values).fetchall()
    return Known(findings=tuple(rows))


ARRAYS = ("minutes", "lows", "highs", "closes")
READERS: Mapping[type, Reader] = {
    LastHour: read_last_hour,
    LastSignals: read_signals,
    LastNews: read_news,
    SessionBars: read_session_bars,
    Known: read_known,
}

"""When the exchange is open: the XNYS sessions table. Nothing else knows holidays, half-days or daylight saving.

The table (`sessions.csv`, written by `scripts/make-sessions` from exchange-calendars) has one line a session:
`date,open,close`, times in UTC. A date beyond either end of it raises CalendarEnds: unknown is not closed.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from pathlib import Path

from pipeline.errors import CalendarEnds

TABLE = Path(__file__).with_name("sessions.csv")
MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, kw_only=True)
class Session:
    """One trading day's regular hours: `open` is the start of its first minute, `close` the end of its last (UTC)."""

    date: date
    open: datetime
    close: datetime

    @property
    def minutes(self) -> int:
        return int((self.close - self.open) / MINUTE)

    def holds(self, ts: datetime) -> bool:
        """Whether the minute that starts at `ts` is a regular-session minute."""
        return self.open <= ts < self.close


@lru_cache(maxsize=1)
def _table() -> tuple[tuple[str, ...], tuple[str, ...], date, date]:
    """Sorted ISO dates, their lines, and the first and last date that the table speaks for.

    The header carries the covered range (`# 2006-01-01..2027-11-23 …`): its end may be a weekend."""
    header, *lines = TABLE.read_text(encoding="ascii").splitlines()
    first, last = header.removeprefix("# ").split(" ", 1)[0].split("..")
    return tuple(line[:10] for line in lines), tuple(lines), date.fromisoformat(first), date.fromisoformat(last)


def covered() -> tuple[date, date]:
    """First and last date for which the table knows whether there is a session."""
    _, _, first, last = _table()
    return first, last


def _require_covered(day: date) -> None:
    first, last = covered()
    if not first <= day <= last:
        raise CalendarEnds(
            f"{day} is outside the sessions table ({first} to {last}); extend it with scripts/make-sessions"
        )


def _parse(line: str) -> Session:
    day, opens, closes = line.split(",")
    on = date.fromisoformat(day)
    return Session(
        date=on,
        open=datetime.combine(on, time.fromisoformat(opens), UTC),
        close=datetime.combine(on, time.fromisoformat(closes), UTC),
    )


def find(day: date) -> Session | None:
    """The session of a New York date, or None on a weekend or holiday. Raises CalendarEnds outside the table."""
    _require_covered(day)
    dates, lines, _, _ = _table()
    at = bisect_left(dates, day.isoformat())
    return _parse(lines[at]) if at < len(dates) and dates[at] == day.isoformat() else None


def at(now: datetime) -> Session | None:
    """The session whose regular hours hold `now`, or None while the market is closed."""
    session = find(now.astimezone(UTC).date())  # US regular hours never cross midnight UTC
    return session if session and session.holds(now) else None


def latest(now: datetime, count: int = 1) -> list[Session]:
    """The last `count` sessions that have opened by `now`, oldest first (the running one included)."""
    _require_covered(now.date())
    dates, lines, _, _ = _table()
    end = bisect_right(dates, now.date().isoformat())
    if end and _parse(lines[end - 1]).open > now:
        end -= 1
    return [_parse(line) for line in lines[max(0, end - count) : end]]


def between(start: datetime, end: datetime) -> Iterator[Session]:
    """Sessions that share at least a minute with [start, end), oldest first."""
    if start >= end:
        return
    _require_covered(start.date())
    _require_covered(end.date())
    dates, lines, _, _ = _table()
    for line in lines[bisect_left(dates, start.date().isoformat()) : bisect_right(dates, end.date().isoformat())]:
        session = _parse(line)
        if session.open < end and session.close > start:
            yield session


def minutes(start: datetime, end: datetime) -> list[datetime]:
    """Starts of the regular-session minutes within [start, end), oldest first."""
    found: list[datetime] = []
    for session in between(start, end):
        first = max(session.open, _ceil_minute(start))
        stop = min(session.close, end)
        found.extend(first + i * MINUTE for i in range(max(0, -(-int((stop - first).total_seconds()) // 60))))
    return found


def _ceil_minute(ts: datetime) -> datetime:
    floor = ts.replace(second=0, microsecond=0)
    return floor if floor == ts else floor + MINUTE


def minutes_elapsed(since: datetime, now: datetime) -> int:
    """Whole regular-session minutes that have ended in (since, now]: how stale something is in market time."""
    total = timedelta()
    for session in between(since, now):
        total += max(timedelta(), min(session.close, now) - max(session.open, since))
    return int(total / MINUTE)

"""Which service fires at which virtual minute of a replay: rates, outages and kills. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from pipeline.catalog import Catalog, Service
from pipeline.sessions import Session

NEW_YORK = ZoneInfo("America/New_York")
MINUTE = timedelta(minutes=1)
# A run that was kept from its last work gets this long after the end of the replay to make up for it.
SETTLING = timedelta(minutes=10)

_CLOCK = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")
_OUTAGE = re.compile(r"(?P<service>\w+)=(?P<start>[\d:]+)-(?P<end>[\d:]+)")
_KILL = re.compile(r"(?P<service>\w+)@(?P<at>[\d:]+)")


class BadPlan(ValueError):
    """The times or services asked for make no sense; the text says which and what would."""


@dataclass(frozen=True, kw_only=True)
class Outage:
    """A service does not fire at any time in [start, end), New York time."""

    service: str
    start: time
    end: time


@dataclass(frozen=True, kw_only=True)
class Kill:
    """The first run of the service at or after `at` (New York) gets SIGKILL in the middle of its write."""

    service: str
    at: time


@dataclass(frozen=True, kw_only=True)
class Window:
    """The part of a session that is replayed: runs fire in (start, end], bars of [open, end) are expected (UTC)."""

    session: Session
    start: datetime
    end: datetime


def parse_time(text: str) -> time:
    """A time of day from HH:MM. Raises BadPlan."""
    match = _CLOCK.fullmatch(text.strip())
    if not match:
        raise BadPlan(f"{text!r} is not a time like 09:45")
    return time(int(match[1]), int(match[2]))


def parse_outage(text: str, catalog: Catalog) -> Outage:
    """An outage from SERVICE=HH:MM-HH:MM. Raises BadPlan."""
    match = _OUTAGE.fullmatch(text.strip())
    if not match:
        raise BadPlan(f"outage {text!r} is not like {next(iter(catalog)).name}=10:00-10:15")
    outage = Outage(
        service=_known(match["service"], catalog), start=parse_time(match["start"]), end=parse_time(match["end"])
    )
    if outage.start >= outage.end:
        raise BadPlan(f"outage {text!r} ends before it starts")
    return outage


def parse_kill(text: str, catalog: Catalog) -> Kill:
    """A kill from SERVICE@HH:MM. Raises BadPlan."""
    match = _KILL.fullmatch(text.strip())
    if not match:
        raise BadPlan(f"kill {text!r} is not like {next(iter(catalog)).name}@10:12")
    return Kill(service=_known(match["service"], catalog), at=parse_time(match["at"]))


def _known(name: str, catalog: Catalog) -> str:
    if name not in catalog.services:
        raise BadPlan(f"no service {name!r}; there are: {', '.join(catalog.services)}")
    return name


def window(session: Session, start: time | None, end: time | None) -> Window:
    """The part of the session from `start` to `end` (New York; default: all of it). Raises BadPlan outside it."""
    first = _on(session.date, start) if start else session.open
    last = _on(session.date, end) if end else session.close
    if not session.open <= first < last <= session.close:
        hours = f"{_new_york(session.open)} to {_new_york(session.close)}"
        raise BadPlan(
            f"from {_new_york(first)} to {_new_york(last)} is not within the session of {session.date}, {hours}"
        )
    return Window(session=session, start=first, end=last)


def check_within(windows: Sequence[Window], outages: Iterable[Outage], kills: Iterable[Kill]) -> None:
    """Raises BadPlan for an outage or kill that touches no replayed window: it would silently test nothing."""
    for outage in outages:
        if not any(
            _on(w.session.date, outage.start) <= w.end and _on(w.session.date, outage.end) > w.start for w in windows
        ):
            raise BadPlan(f"outage of {outage.service} at {outage.start:%H:%M} lies outside the replayed time")
    for kill in kills:
        if not any(w.start <= _on(w.session.date, kill.at) <= w.end for w in windows):
            raise BadPlan(f"kill of {kill.service} at {kill.at:%H:%M} lies outside the replayed time")


def ticks(part: Window) -> Iterator[datetime]:
    """The virtual minutes at which schedules may fire: (start, end], so that each run sees one finished minute more."""
    at = part.start + MINUTE
    while at <= part.end:
        yield at
        at += MINUTE


def due(catalog: Catalog, at: datetime) -> list[Service]:
    """The services whose rate fires at `at`, in the order in which a row meets them."""
    minute = int(at.timestamp() // 60)
    return [service for service in catalog if minute % int(service.period / MINUTE) == 0]


def is_out(service: Service, at: datetime, outages: Iterable[Outage]) -> bool:
    """Whether an outage keeps the service from firing at `at`."""
    local = at.astimezone(NEW_YORK).time()
    return any(o.service == service.name and o.start <= local < o.end for o in outages)


def kill_due(service: Service, at: datetime, kills: Iterable[Kill]) -> Kill | None:
    """The first pending kill that this run of the service is to suffer."""
    local = at.astimezone(NEW_YORK).time()
    return next((kill for kill in kills if kill.service == service.name and kill.at <= local), None)


def _on(day: date, at: time) -> datetime:
    return datetime.combine(day, at, NEW_YORK).astimezone(ZoneInfo("UTC"))


def _new_york(at: datetime) -> str:
    return at.astimezone(NEW_YORK).strftime("%H:%M")

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


def windows(replayed: Sequence[Session], start: time | None, end: time | None) -> tuple[Window, ...]:
    """Of each session the part between `start` and `end` (New York; default: all of it), where there is one.

    A session that opens later or closes earlier (a half-day) is cut short. Raises BadPlan where nothing is left."""
    if start and end and start >= end:
        raise BadPlan(f"from {start:%H:%M} to {end:%H:%M} is no stretch of time")
    found = [window for session in replayed if (window := _part(session, start, end))]
    if not found:
        hours = ", ".join(f"{s.date} {_new_york(s.open)} to {_new_york(s.close)}" for s in replayed[:3])
        first, last = (f"{t:%H:%M}" if t else default for t, default in ((start, "the open"), (end, "the close")))
        raise BadPlan(f"no part of a session lies from {first} to {last}; there are: {hours}")
    return tuple(found)


def _part(session: Session, start: time | None, end: time | None) -> Window | None:
    first = max(session.open, _on(session.date, start)) if start else session.open
    last = min(session.close, _on(session.date, end)) if end else session.close
    return Window(session=session, start=first, end=last) if first < last else None


def check_within(
    catalog: Catalog, replayed: Sequence[Window], outages: Iterable[Outage], kills: Iterable[Kill]
) -> None:
    """Raises BadPlan for an outage outside the replayed time, or a kill that no run follows: it would test nothing."""
    for outage in outages:
        if not any(
            _on(w.session.date, outage.start) <= w.end and _on(w.session.date, outage.end) > w.start for w in replayed
        ):
            raise BadPlan(
                f"outage of {outage.service} from {outage.start:%H:%M} to {outage.end:%H:%M} lies outside the replayed"
                f" time ({_shown(replayed)})"
            )
    for kill in kills:
        if not any(_hits(window, kill, catalog, outages) for window in replayed):
            raise BadPlan(
                f"kill of {kill.service} at {kill.at:%H:%M}: no run of it follows in the replayed time"
                f" ({catalog[kill.service].rate}, {_shown(replayed)})"
            )


def _hits(window: Window, kill: Kill, catalog: Catalog, outages: Iterable[Outage]) -> bool:
    service = catalog[kill.service]
    runs = (at for at in _runs(catalog, kill.service, [window]) if not is_out(service, at, outages))
    return _on(window.session.date, kill.at) >= window.start and any(kill_due(service, at, [kill]) for at in runs)


def _runs(catalog: Catalog, name: str, replayed: Iterable[Window]) -> Iterator[datetime]:
    return (at for window in replayed for at in ticks(window) if catalog[name] in due(catalog, at))


def _shown(replayed: Sequence[Window]) -> str:
    first = replayed[0]
    return f"{first.session.date} from {_new_york(first.start)} to {_new_york(first.end)}"


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

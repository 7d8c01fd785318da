"""The vendor's view of the exchange calendar: `/v2/clock` and `/v2/calendar`, from the sessions table."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

from ops.local.exchange.market import NEW_YORK
from ops.local.exchange.wire import Answer, Request, as_json, refusal
from pipeline import sessions

AHEAD = timedelta(days=14)  # longer than any closure since 1914


def clock(now: datetime) -> Answer:
    """GET /v2/clock."""
    running = sessions.at(now)
    later = next(s for s in sessions.between(now, now + AHEAD) if s.open > now)
    return as_json(
        {
            "timestamp": _eastern(now),
            "is_open": running is not None,
            "next_open": _eastern(later.open),
            "next_close": _eastern((running or later).close),
        }
    )


def calendar(request: Request) -> Answer:
    """GET /v2/calendar: the sessions of [start, end] in New York's dates; the whole table without them."""
    first, last = sessions.covered()
    start, end = _date(request, "start") or first, _date(request, "end") or last
    if end < start:
        raise refusal(422, "end should not be before start", 42210000)
    since = datetime.combine(max(start, first), time(), UTC)
    until = datetime.combine(min(end, last), time(23, 59), UTC)
    return as_json([_day(session) for session in sessions.between(since, until)])


def _day(session: sessions.Session) -> dict[str, str]:
    opens, closes = (ts.astimezone(NEW_YORK) for ts in (session.open, session.close))
    return {
        "date": session.date.isoformat(),
        "open": f"{opens:%H:%M}",
        "close": f"{closes:%H:%M}",
        "session_open": "0400",
        "session_close": "2000",
    }


def _date(request: Request, name: str) -> date | None:
    text = request.query.get(name, "")
    try:
        return datetime.fromisoformat(text).date() if text else None
    except ValueError:
        raise refusal(
            422,
            f"{name} is in an invalid format. Consider formatting your timestamp more explicitly, like:"
            " '2006-01-02T15:04:05Z'",
            40010001,
        ) from None


def _eastern(ts: datetime) -> str:
    return ts.astimezone(NEW_YORK).isoformat()

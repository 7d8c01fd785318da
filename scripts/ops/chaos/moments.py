"""Times as scenarios write them: New York's clock on the day that is played, or whole instants."""

from __future__ import annotations

from datetime import UTC, date, datetime

from ops.replay_plan import NEW_YORK, parse_time


def on(day: date, text: str) -> datetime:
    """The instant (UTC) of 10:12 in New York on that day, or of ISO 8601 text. Raises ValueError."""
    if len(text) > len("23:59"):
        instant = datetime.fromisoformat(text.upper().replace("Z", "+00:00"))
        if instant.tzinfo is None:
            raise ValueError(f"{text!r} has no time zone; write 2026-01-26T15:12:00Z")
        return instant.astimezone(UTC)
    return datetime.combine(day, parse_time(text), NEW_YORK).astimezone(UTC)


def clock(at: datetime) -> str:
    """10:12, as New York reads it."""
    return at.astimezone(NEW_YORK).strftime("%H:%M")

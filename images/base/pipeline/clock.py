"""What time it is for a run: the wall clock, or locally a virtual instant. Nothing else calls now()."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from pipeline.errors import ConfigInvalid

Clock = Callable[[], datetime]

VIRTUAL_NOW = "VIRTUAL_NOW"
ENVIRONMENT = "ENVIRONMENT"


def wall() -> datetime:
    """The present instant, UTC and aware."""
    return datetime.now(UTC)


def parse(text: str) -> datetime:
    """An aware UTC instant from ISO 8601 text. Raises ConfigInvalid for anything else, naive times included."""
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigInvalid(f"{text!r} is not a time like 2026-01-26T14:31:00Z") from None
    if instant.tzinfo is None:
        raise ConfigInvalid(f"{text!r} has no time zone; write 2026-01-26T14:31:00Z")
    return instant.astimezone(UTC)


def from_environment(environment: Mapping[str, str]) -> Clock:
    """The wall clock, or the instant in VIRTUAL_NOW, which only ENVIRONMENT=local may set.

    A stray virtual clock on a real account would trade on the past: it refuses to start."""
    if VIRTUAL_NOW not in environment:
        return wall
    if environment.get(ENVIRONMENT) != "local":
        raise ConfigInvalid(f"{VIRTUAL_NOW} is set but {ENVIRONMENT} is not 'local'; remove {VIRTUAL_NOW}")
    instant = parse(environment[VIRTUAL_NOW])
    return lambda: instant

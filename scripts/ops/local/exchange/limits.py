"""How many requests a key may make in a minute, and the headers that say so."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from threading import Lock

WINDOW_SECONDS = 60
UNLIMITED = 1_000_000


class RateLimit:
    """Fixed one-minute windows on a clock of the caller's choice, a count per key and API (data, trading).

    X-RateLimit-Reset is the window's end in epoch seconds on that same clock, as is the Date header: `Reset − Date` is
    the wait on any clock.
    """

    def __init__(self, per_minute: int | None, clock: Callable[[], datetime]) -> None:
        self.per_minute = per_minute
        self.clock = clock
        self._counts: dict[tuple[str, bool], tuple[int, int]] = {}
        self._lock = Lock()

    def count(self, key_id: str, about_data: bool) -> tuple[bool, dict[str, str]]:
        """Whether one more request is allowed, and the three headers to send with either answer."""
        limit = UNLIMITED if self.per_minute is None else self.per_minute
        window = int(self.clock().timestamp()) // WINDOW_SECONDS
        with self._lock:
            seen, used = self._counts.get((key_id, about_data), (window, 0))
            used = used + 1 if seen == window else 1
            self._counts[key_id, about_data] = (window, min(used, limit + 1))
        return used <= limit, {
            "X-RateLimit-Limit": str(limit),
            "X-RateLimit-Remaining": str(max(0, limit - used)),
            "X-RateLimit-Reset": str((window + 1) * WINDOW_SECONDS),
        }

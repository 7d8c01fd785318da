"""The virtual time of the emulator's process: set from outside, ticking on from there, and waited for."""

from __future__ import annotations

import threading
from datetime import UTC, datetime

import time_machine


class Clock:
    """Until the first `set` there is no virtual time: then the wall clock counts and nothing can be waited for."""

    def __init__(self) -> None:
        self.waiting = 0
        self._changed = threading.Condition()
        self._at: datetime | None = None
        self._traveller: time_machine.Traveller | None = None

    @property
    def at(self) -> datetime | None:
        """What it was last set to."""
        return self._at

    def now(self) -> datetime | None:
        """What it was last set to and the wall seconds since."""
        return datetime.now(UTC) if self._at else None

    def set(self, at: datetime) -> None:
        """From now on every clock of this process shows `at`, and goes on from there; who waits for it, wakes."""
        with self._changed:
            destination = at.timestamp()  # a datetime of UTC would make time-machine change the time zone as well
            if self._traveller:
                self._traveller.move_to(destination)
            else:
                self._traveller = time_machine.travel(destination, tick=True).start()
            self._at = at.astimezone(UTC)
            self._changed.notify_all()

    def wait(self, until: datetime, seconds: float) -> bool:
        """Waits `seconds` of wall time at most; True once the virtual time has been set to `until` or later."""
        with self._changed:
            self.waiting += 1
            try:
                return self._changed.wait_for(lambda: self._at is not None and self._at >= until, seconds)
            finally:
                self.waiting -= 1

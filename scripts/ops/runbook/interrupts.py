"""Ctrl-C and SIGTERM: heard at any time, obeyed between acts, while waiting, and at a prompt."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any, Self

from ops.runbook.errors import Interrupted

NAMES = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM"}


class Interrupts:
    """Within `with`, the two signals no longer end the process; `stop_if_asked` and `breakable` say where they may."""

    def __init__(self) -> None:
        self.asked = ""
        self._breakable = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        self._before = {signum: signal.signal(signum, self._heard) for signum in NAMES}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for signum, handler in self._before.items():
            signal.signal(signum, handler)

    def stop_if_asked(self) -> None:
        """Raises Interrupted if somebody asked meanwhile."""
        if self.asked:
            raise Interrupted(f"stopped by {self.asked}")

    @contextmanager
    def breakable(self) -> Iterator[None]:
        """Within it nothing is half done: an interruption raises at once."""
        self._breakable = True
        try:
            self.stop_if_asked()
            yield
        finally:
            self._breakable = False

    def _heard(self, signum: int, frame: FrameType | None) -> None:
        self.asked = NAMES[signal.Signals(signum)]
        if self._breakable:
            raise Interrupted(f"stopped by {self.asked}")
        # not by print: the main thread may be in the middle of one
        os.write(sys.stderr.fileno(), f"\n{self.asked}: I finish this act and then stop.\n".encode())

"""What a tired person reads: short lines with the time that has passed, and what happens next at each prompt."""

from __future__ import annotations

import getpass
import sys
import textwrap
import time
from typing import TextIO

from ops.runbook.errors import Interrupted
from ops.runbook.secrecy import Veil

INDENT, WIDTH = " " * 12, 118
NOBODY = "nobody is there to answer (no terminal)"


class Voice:
    """Speaks through the veil. `seconds` are wall seconds since it was made."""

    def __init__(self, veil: Veil, out: TextIO | None = None) -> None:
        self.veil = veil
        self.out = out or sys.stdout
        self._began = time.monotonic()
        self._last_waiting = ""
        self._open_line = False

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began

    def line(self, text: str = "") -> None:
        """A line as it is."""
        self._end_line()
        print(self.veil.over(text), file=self.out, flush=True)

    def step(self, number: int, of: int, name: str) -> None:
        """A step begins."""
        self.line(f"{self._clock()} {number}/{of} {name}")

    def detail(self, text: str) -> None:
        """Something about the step under way."""
        if self.out.isatty():
            text = textwrap.fill(text, WIDTH, initial_indent=INDENT, subsequent_indent=INDENT).lstrip()
        self.line(f"{INDENT}{text}")

    def waiting(self, text: str, waited: float, most: float) -> None:
        """That one waits: on a terminal one line that counts, elsewhere a line whenever the text changes."""
        shown = f"{INDENT}{self.veil.over(text)}"
        if self.out.isatty():
            counted = f" ({waited:.0f} of {most:.0f} s)"  # overwritten as it counts, which one line alone can be
            told = textwrap.shorten(shown, WIDTH - len(INDENT) - len(counted), placeholder=" …")
            print(f"\r\x1b[K{INDENT}{told}{counted}", end="", file=self.out, flush=True)
            self._open_line = True
        elif shown != self._last_waiting:
            print(f"{shown} (at most {most:.0f} s)", file=self.out, flush=True)
        self._last_waiting = shown

    def ask(self, question: str) -> str:
        """A typed line. Raises Interrupted where no person is there."""
        self._end_line()
        self._require_person()
        print(f"{INDENT}{self.veil.over(question)} ", end="", file=self.out, flush=True)
        try:
            return input().strip()
        except EOFError as error:
            raise Interrupted("the terminal was closed") from error

    def ask_secret(self, what: str) -> str:
        """A line typed without echo, as it was typed. Raises Interrupted where no person is there."""
        self._end_line()
        self._require_person()
        try:
            return getpass.getpass(f"{INDENT}{what} (not shown): ")
        except EOFError as error:
            raise Interrupted("the terminal was closed") from error

    def _require_person(self) -> None:
        if not sys.stdin.isatty():
            raise Interrupted(NOBODY)

    def _end_line(self) -> None:
        if self._open_line:
            print(file=self.out)
            self._open_line = False

    def _clock(self) -> str:
        minutes, seconds = divmod(int(self.seconds), 60)
        return f"[{minutes:02d}:{seconds:02d}]"

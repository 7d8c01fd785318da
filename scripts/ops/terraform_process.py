"""One terraform command as a process group that leaves nobody behind, and its errors in words."""

from __future__ import annotations

import codecs
import ctypes
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, TextIO

PARENT_DEATH_SIGNAL = 1  # prctl's PR_SET_PDEATHSIG
LOCK_HELD = "Error acquiring the state lock"
EVERY_SECONDS = 0.05  # how soon a line is shown
STALE = ("Saved plan is stale", "Saved plan does not match the given state")


@dataclass(frozen=True, kw_only=True)
class Ended:
    """A terraform command that ended: its exit code and what it wrote where we kept it."""

    code: int
    stdout: str
    stderr: str

    @property
    def lock_held(self) -> str | None:
        """Who holds the state lock, if that was why it failed."""
        if LOCK_HELD not in self.stderr:
            return None
        fields = dict(re.findall(r"^\W*(ID|Who|Operation|Created):\s*(.+?)\s*$", self.stderr, re.MULTILINE))
        return (
            f"{fields.get('Who', 'somebody')} has been at it since {fields.get('Created', '?')} "
            f"({fields.get('Operation', '?').removeprefix('OperationType')}, lock {fields.get('ID', '?')})"
        )

    @property
    def stale(self) -> bool:
        """Whether the plan file is older than the state."""
        return any(words in self.stderr for words in STALE)


def run(
    command: Sequence[str],
    environ: Mapping[str, str],
    cwd: Path,
    *,
    quiet: bool = False,
    finish: bool = False,
    out: TextIO | None = None,
    err: TextIO | None = None,
) -> Ended:
    """Runs it to its end. `quiet` keeps its output for the caller; else it is shown, and the errors kept as well.

    Ctrl-C and SIGTERM are passed on, so that terraform stops at a safe point and gives its lock back. If we are killed,
    it gets SIGINT; if it is killed, the provider processes that it leaves are ended. With `finish` it goes on to its
    end, whatever happens to us: a provider that is stopped drops calls under way, and what those made no state knows.
    """
    over = threading.Event()
    stdout, stderr = (
        _Output(over, None if quiet else out or sys.stdout),
        _Output(over, None if quiet else err or sys.stderr),
    )
    process = subprocess.Popen(
        command,
        cwd=cwd,
        env=dict(environ),
        stdin=subprocess.DEVNULL,
        stdout=stdout.written,
        stderr=stderr.written,
        start_new_session=True,
        preexec_fn=_interrupt_on_parents_death if sys.platform == "linux" and not finish else None,
    )
    with nullcontext() if finish else _passing_signals_to(process), stdout, stderr:
        code = process.wait()
        _sweep(process.pid)
        over.set()
    return Ended(code=code, stdout=stdout.text, stderr=stderr.text)


class _Output:
    """What a command writes, followed while it runs; all of it at the end of the `with`.

    It goes to a file: a terraform whose reader is killed would die of the broken pipe, and its lock would stay."""

    def __init__(self, over: threading.Event, shown: TextIO | None) -> None:
        self.over, self.shown = over, shown
        self.written, name = tempfile.mkstemp(prefix="ops-terraform-")
        self.file = Path(name).open("rb")  # noqa: SIM115 (until the `with` ends); a place in it of its own
        Path(name).unlink()
        self.parts: list[str] = []
        self.thread = threading.Thread(target=self._follow, name="terraform-output")

    @property
    def text(self) -> str:
        return "".join(self.parts)

    def __enter__(self) -> None:
        os.close(self.written)  # it is the command's now
        self.thread.start()

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.thread.join()
        self.file.close()

    def _follow(self) -> None:
        decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        last = False
        while not last:
            last = self.over.wait(EVERY_SECONDS)  # and then once more, for what came before the end
            self._take(decode(self.file.read(), last))

    def _take(self, text: str) -> None:
        self.parts.append(text)
        if self.shown and text:
            self.shown.write(text)
            self.shown.flush()


def _interrupt_on_parents_death() -> None:
    ctypes.CDLL(None).prctl(PARENT_DEATH_SIGNAL, signal.SIGINT)


def _sweep(group: int) -> None:
    """Ends what is left of the group: providers of a terraform that could not say good-bye."""
    with suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


class _passing_signals_to:  # noqa: N801 - reads as the phrase it is in a `with`
    """While within, SIGINT and SIGTERM reach the process group instead of us; the second time it is killed."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self.asked = 0
        self.before: dict[int, Any] = {}

    def __enter__(self) -> None:
        if threading.current_thread() is threading.main_thread():
            self.before = {number: signal.signal(number, self._pass) for number in (signal.SIGINT, signal.SIGTERM)}

    def __exit__(self, *_: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def _pass(self, number: int, frame: FrameType | None) -> None:
        self.asked += 1
        with suppress(ProcessLookupError):
            if self.asked > 1:
                os.killpg(self.process.pid, signal.SIGKILL)
            else:
                os.kill(self.process.pid, signal.SIGINT)  # terraform tells its providers itself

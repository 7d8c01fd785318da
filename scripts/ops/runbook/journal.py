"""What happened, written down before and after each act, so that a killed run can be taken up again."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from ops.runbook.errors import Refused
from ops.runbook.secrecy import Veil

MODE = 0o600


@dataclass(kw_only=True)
class Past:
    """What a journal tells: the options and facts of its run, and how far each step came.

    `begun` and `ended` are steps by name with the time; `passed` are gates."""

    run: str = ""
    runbook: str = ""
    environment: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    begun: dict[str, str] = field(default_factory=dict)
    ended: dict[str, str] = field(default_factory=dict)
    passed: dict[str, str] = field(default_factory=dict)
    finished: bool = False
    lines: int = 0

    def tell(self, entry: Mapping[str, Any]) -> None:
        """Takes in one line."""
        self.lines += 1
        step, at = entry.get("step", ""), entry.get("at", "")
        match entry.get("event"):
            case "run":
                self.run, self.runbook = entry["run"], entry["runbook"]
                self.environment, self.options = entry["env"], entry["options"]
            case "fact":
                self.facts.update(entry["facts"])
            case "act":
                self.begun[step] = at
                self.ended.pop(step, None)
            case "done":
                self.ended[step] = at
            case "passed":
                self.passed[step] = at
            case "undone":
                self.begun.pop(step, None)
                self.ended.pop(step, None)
            case "finished":
                self.finished = True


def read(path: Path) -> Past:
    """What the journal at `path` tells; a last line that was torn by a crash is left out. Raises Refused."""
    past = Past()
    *lines, _torn = path.read_bytes().split(b"\n")
    for number, line in enumerate(lines, start=1):
        try:
            past.tell(json.loads(line))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise Refused(f"{path}: line {number} is no line of a journal ({error}); begin anew without it") from error
    if not past.run:
        raise Refused(f"{path}: no run is told of here; begin anew without it")
    return past


def newest_unfinished(folder: Path, runbook: str, environment: str) -> Path | None:
    """The journal to resume where none is named."""
    found = sorted(folder.glob(f"{runbook}-{environment}-*.jsonl"), key=lambda path: path.stat().st_mtime, reverse=True)
    return next((path for path in found if not _finished(path)), None)


def _finished(path: Path) -> bool:
    try:
        return read(path).finished
    except Refused:  # it ended before its first line was written
        return True


class Journal:
    """The file, open for one run. Every line is on the disk before the call returns, and no line holds a secret."""

    def __init__(self, path: Path, veil: Veil, now: Callable[[], datetime]) -> None:
        self.path = path
        self._veil, self._now = veil, now
        self._file = -1
        self.past = Past()

    def open(self) -> Past:
        """Creates the file, or opens one to be resumed; returns what it tells. Raises Refused where it is in use."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, MODE)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Refused(f"{self.path}: another process writes this journal; wait until it has ended") from error
        os.fchmod(self._file, MODE)
        self._cut_torn_line()
        if os.fstat(self._file).st_size:
            self.past = read(self.path)
        _sync_folder(self.path.parent)
        return self.past

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def write(self, event: str, step: str = "", **more: Any) -> None:
        """One line, on the disk."""
        entry = {"at": self._now().isoformat(timespec="milliseconds"), "event": event}
        entry |= ({"step": step} if step else {}) | self._veil.over(more)
        self.past.tell(entry)
        os.write(self._file, json.dumps(entry, default=str).encode() + b"\n")
        os.fsync(self._file)

    def fact(self, facts: Mapping[str, Any]) -> None:
        """Facts for later steps."""
        self.write("fact", facts=dict(facts))

    def _cut_torn_line(self) -> None:
        size = os.fstat(self._file).st_size
        written = os.pread(self._file, size, 0)
        os.ftruncate(self._file, written.rfind(b"\n") + 1)


def _sync_folder(folder: Path) -> None:
    """A new file's name is on the disk only once its folder is."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

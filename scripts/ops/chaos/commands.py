"""Shell commands beside the cloud: each in a process group of its own, in virtual time as far as it waits there."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO

from ops.chaos.actions import Command
from ops.chaos.market import ROOT
from pipeline.clock import VIRTUAL_NOW

STOP_SECONDS = 5
OUTPUT_BYTES = 6_000


@dataclass(kw_only=True)
class Running:
    """A command under way."""

    command: Command
    line: int
    started: datetime
    process: subprocess.Popen[bytes]
    log: IO[bytes]

    @property
    def ended(self) -> bool:
        return self.process.poll() is not None

    def overdue(self, now: datetime) -> bool:
        """Whether its virtual time is up."""
        return (now - self.started).total_seconds() >= self.command.timeout_seconds

    def end(self) -> None:
        """Ends it and all that it started: first asked, then not."""
        for signum in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signum)
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(STOP_SECONDS)
                break
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)  # children that did not listen

    def output(self) -> str:
        """The end of what it said."""
        self.log.flush()
        size = self.log.seek(0, os.SEEK_END)
        self.log.seek(max(0, size - OUTPUT_BYTES))
        return self.log.read().decode("utf-8", errors="replace").strip()

    def close(self) -> None:
        self.log.close()


def start(command: Command, line: int, now: datetime, environment: Mapping[str, str]) -> Running:
    """Starts a command in the project's folder."""
    log = tempfile.TemporaryFile()  # noqa: SIM115 (it lives as long as the command)
    process = subprocess.Popen(
        ["/bin/bash", "-c", command.command],
        cwd=ROOT,
        env=surroundings(environment, now),
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    return Running(command=command, line=line, started=now, process=process, log=log)


def surroundings(environment: Mapping[str, str], now: datetime) -> dict[str, str]:
    """The cloud's environment, the virtual minute, and this Python's programs first on the path."""
    programs = str(Path(sys.executable).parent)
    path = os.pathsep.join(filter(None, (programs, environment.get("PATH"))))
    return {**environment, "PATH": path, VIRTUAL_NOW: now.isoformat()}


def wait_for(process: subprocess.Popen[bytes], seconds: float) -> bool:
    """Whether it ends within so many wall seconds."""
    deadline = time.monotonic() + seconds
    while process.poll() is None:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True

"""A world in which a runbook runs as the process that an operator would start, while the minutes pass beside it."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from plane_world import World

from ops.local.cloud import machine
from pipeline import catalog

ROOT = Path(__file__).resolve().parent.parent
PATIENCE_SECONDS = 60
KEY_ID, SECRET_KEY = "alpaca_key_id", "alpaca_secret_key"


@dataclass(frozen=True, kw_only=True)
class Ended:
    """A runbook that has ended: its exit code, all that it printed, its report."""

    code: int
    output: str
    report: Mapping[str, Any]

    def state(self, step: str) -> str:
        """The state of the step whose name begins so."""
        return next(str(each["state"]) for each in self.report["steps"] if each["name"].startswith(step))


class RunbookWorld(World):
    """As World; `perform` runs a runbook to its end and plays a minute whenever it waits for one."""

    def begin(self) -> None:
        """Leaves the service alone that fetches bars, and lets it run once."""
        (self.ingestor,) = (service.name for service in catalog.load().writers("bars"))
        self.keep(self.ingestor)
        self.minute(alarms=False)

    @property
    def environment(self) -> dict[str, str]:
        """What an operator's shell has."""
        return {
            **self.aws.environment(os.environ),
            **machine(self.exchange),
            "DATABASE_URL": self.database.url,
            "OPS_CLOCK_URL": self.aws.url,
        }

    def start(
        self, runbook: str, *arguments: str, environment: Mapping[str, str] | None = None, stdin: str | None = None
    ) -> subprocess.Popen[str]:
        """The runbook as a process; its report lies where its journal will."""
        process = subprocess.Popen(
            [sys.executable, "-m", f"ops.runbook.{runbook.replace('-', '_')}", *arguments],
            cwd=ROOT,
            env={**self.environment, **(environment or {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert process.stdin
        process.stdin.write(stdin or "")
        process.stdin.close()
        return process

    def follow(self, process: subprocess.Popen[str], meanwhile: Callable[[], object] = lambda: None) -> str:
        """Plays a minute each time the process waits for one, until it has ended; what it printed."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while process.poll() is None:
            if self.aws.waiting():
                meanwhile()
                self.minute(alarms=False)
            elif time.monotonic() > deadline:
                process.kill()
            time.sleep(0.01)
        assert process.stdout
        with process.stdout:
            return process.stdout.read()

    def perform(
        self,
        runbook: str,
        *arguments: str,
        folder: Path,
        environment: Mapping[str, str] | None = None,
        stdin: str | None = None,
        meanwhile: Callable[[], object] = lambda: None,
    ) -> Ended:
        """Runs it to its end."""
        report = folder / "report.json"
        report.unlink(missing_ok=True)
        process = self.start(
            runbook, *arguments, "--report", str(report), environment=environment, stdin=stdin
        )
        output = self.follow(process, meanwhile)
        told = json.loads(report.read_text()) if report.is_file() else {}
        return Ended(code=process.returncode, output=output, report=told)

    def parameter(self, name: str) -> str | None:
        """What the store holds, or None."""
        path = f"/ops-pipeline/{name}"
        found = self.client("ssm").get_parameters(Names=[path], WithDecryption=True)["Parameters"]
        return found[0]["Value"] if found else None


@dataclass(frozen=True, kw_only=True)
class KeyPair:
    """A pair as Alpaca makes them."""

    key_id: str
    secret_key: str

    @property
    def environment(self) -> dict[str, str]:
        """How CI gives it to the runbook."""
        return {"ALPACA_NEW_KEY_ID": self.key_id, "ALPACA_NEW_SECRET_KEY": self.secret_key}


def new_pair() -> KeyPair:
    """One that nobody has seen."""
    return KeyPair(key_id="PK" + secrets.token_hex(9).upper(), secret_key=secrets.token_urlsafe(30))


def kill(process: subprocess.Popen[str]) -> None:
    """As `kill -9`."""
    process.send_signal(signal.SIGKILL)
    process.wait()

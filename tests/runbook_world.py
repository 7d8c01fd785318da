"""A world in which a runbook runs as the process that an operator would start, while the minutes pass beside it."""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nursery import Child
from ops.local.aws.environment import ACCOUNT, REGION
from ops.local.cloud import machine
from pipeline import catalog
from plane_world import World

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


def journal(folder: Path) -> Path:
    """Where the tests' runs write it."""
    return folder / "journal.jsonl"


def events(folder: Path) -> list[dict[str, Any]]:
    """The journal's lines."""
    return [json.loads(line) for line in journal(folder).read_text().splitlines()]


class RunbookWorld(World):
    """As World; `perform` runs a runbook to its end and plays a minute whenever it waits for one."""

    patience_seconds = PATIENCE_SECONDS

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
            **self.trust,
            "DATABASE_URL": self.database.url,
            "OPS_CLOCK_URL": self.aws.url,
        }

    def start(
        self,
        runbook: str,
        *arguments: str,
        folder: Path,
        environment: Mapping[str, str] | None = None,
        stdin: str = "",
    ) -> Child:
        """The runbook as a process; journal and report lie in the folder."""
        module = f"ops.runbook.{runbook.replace('-', '_')}"
        folder.mkdir(exist_ok=True)
        files = ("--journal", str(folder / "journal.jsonl"), "--report", str(folder / "report.json"))
        (folder / "report.json").unlink(missing_ok=True)
        (folder / "output").unlink(missing_ok=True)
        surroundings = {**self.environment, **(environment or {})}
        return Child(module, [*arguments, *files], surroundings, folder / "output", stdin)

    def follow(self, child: Child, meanwhile: Callable[[], object] = lambda: None) -> Ended:
        """Plays a minute each time the process waits for one, until it has ended."""
        deadline = time.monotonic() + self.patience_seconds
        while child.poll() is None:
            if self.aws.waiting():
                meanwhile()
                self.minute(alarms=False)
            elif time.monotonic() > deadline:
                child.kill()
                raise AssertionError(f"not done after {self.patience_seconds} s:\n{child.output.read_text()}")
            time.sleep(0.005)
        report = child.output.with_name("report.json")
        told = json.loads(report.read_text()) if report.is_file() else {}
        return Ended(code=child.wait(), output=child.output.read_text(), report=told)

    def until_waiting(self, child: Child, words: str) -> None:
        """Plays minutes until the runbook says that it waits for that."""
        while f"waiting for {words}" not in (child.output.read_text() if child.output.exists() else ""):
            assert child.poll() is None, child.output.read_text()
            if self.aws.waiting():
                self.minute(alarms=False)

    def perform(
        self,
        runbook: str,
        *arguments: str,
        folder: Path,
        environment: Mapping[str, str] | None = None,
        stdin: str = "",
        meanwhile: Callable[[], object] = lambda: None,
    ) -> Ended:
        """Runs it to its end."""
        child = self.start(runbook, *arguments, folder=folder, environment=environment, stdin=stdin)
        return self.follow(child, meanwhile)

    # ── to read ──────────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def port(self) -> int:
        """Where the local AWS listens."""
        return self.aws.load().port

    @property
    def records(self) -> str:
        """The bucket of journals and lock."""
        return f"ops-pipeline-records-{ACCOUNT}-{REGION}"

    @property
    def lock(self) -> dict[str, Any]:
        """The environment's lock as it lies in the bucket."""
        body = self.client("s3").get_object(Bucket=self.records, Key="runbooks/lock.json")["Body"]
        return dict(json.loads(body.read()))

    def parameter(self, name: str) -> str | None:
        """What the store holds, or None."""
        found = self._parameter(name)
        return str(found["Value"]) if found else None

    def version(self, name: str) -> int | None:
        """Which version of it, or None."""
        found = self._parameter(name)
        return int(found["Version"]) if found else None

    def put_parameter(self, name: str, value: str) -> None:
        """As an operator would by hand."""
        self.client("ssm").put_parameter(Name=f"/ops-pipeline/{name}", Value=value, Type="SecureString", Overwrite=True)

    def _parameter(self, name: str) -> dict[str, Any] | None:
        path = f"/ops-pipeline/{name}"
        found = self.client("ssm").get_parameters(Names=[path], WithDecryption=True)["Parameters"]
        return dict(found[0]) if found else None

    def versions(self, execution_id: str) -> dict[str, str]:
        """The fingerprints of a run's parameters, from its record."""
        with self.database.connect() as connection:
            row = connection.execute(
                "select parameter_versions from task_runs where execution_id = %s", (execution_id,)
            ).fetchone()
        return dict(row[0]) if row else {}

    def failed_runs(self) -> list[dict[str, Any]]:
        """Runs of the service that failed since `begin`."""
        return [run for run in self.runs(self.ingestor) if run["outcome"] == "FAILED"]


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

"""Runs a service as its container does, `python -m <service>` in its own environment, and reads its run record."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline import catalog, store

ROOT = Path(__file__).resolve().parents[1]
SECRETS = {"alpaca_key_id": "PKTEST", "alpaca_secret_key": "secret-of-the-tests"}


@dataclass(frozen=True, kw_only=True)
class Record:
    """The run's row in `task_runs`."""

    outcome: str | None
    rows_in: int
    rows_out: int
    counts: dict[str, int]
    error: str | None
    error_code: str | None
    attempts: int


@dataclass(frozen=True, kw_only=True)
class Finished:
    """A run that has ended; `record` is None where it could not even reach its database."""

    exit_code: int
    output: str
    record: Record | None

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.output.splitlines()]


def service_environment(service: str, database: Any, *, now: str, **overrides: str | None) -> dict[str, str]:
    """What the task definition would give the container; an override of None takes a variable away."""
    entry = catalog.load()[service]
    environment: dict[str, str | None] = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": f"{ROOT / 'images'}{os.pathsep}{ROOT / 'images' / 'base'}",
        "ENVIRONMENT": "local",
        "DATABASE_URL": database.url,
        "VIRTUAL_NOW": now,
        "EXECUTION_ID": str(uuid.uuid4()),
        **{p.env: SECRETS.get(p.name, p.initial) for p in entry.environment},
        **overrides,
    }
    return {name: value for name, value in environment.items() if value is not None}


def run_service(service: str, database: Any, *, now: str, timeout: float = 60, **overrides: str | None) -> Finished:
    """Runs the service once and waits for its end."""
    environment = service_environment(service, database, now=now, **overrides)
    ended = subprocess.run(
        [sys.executable, "-m", service],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout,
        check=False,
    )
    record = find_record(database, service, environment["EXECUTION_ID"]) if "DATABASE_URL" in environment else None
    return Finished(exit_code=ended.returncode, output=ended.stdout, record=record)


def find_record(database: Any, service: str, execution_id: str) -> Record | None:
    """The run's record, if the database can be asked for it."""
    query = b"""select outcome, rows_in, rows_out, counts, error, error_code, attempts
        from task_runs where service = %s and execution_id = %s"""
    with store.connect(database.url, name="tests") as connection:
        row = connection.execute(query, (service, execution_id)).fetchone()
    names: Mapping[str, Any] = Record.__dataclass_fields__
    return Record(**dict(zip(names, row, strict=True))) if row else None

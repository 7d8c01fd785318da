"""Asks scripts/diagnose, as an operator would, and reads its report."""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from ops.chaos import commands
from ops.chaos.market import ROOT
from ops.chaos.record import Diagnosis

SCRIPT = ROOT / "scripts" / "diagnose"
SECONDS = 120
ENDED = (0, 3)  # nothing wrong, something wrong


def missing() -> str | None:
    """Why nobody can be asked; None where somebody can."""
    return None if SCRIPT.is_file() else f"{SCRIPT.relative_to(ROOT)} does not exist; nobody can be asked for causes"


def ask(at: datetime, environment: Mapping[str, str]) -> Diagnosis:
    """One diagnosis of the cloud as it is; its `error` tells where there is none."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="ops-diagnosis-") as folder:
        report = Path(folder) / "report.json"
        try:
            ended = subprocess.run(
                [str(SCRIPT), "--report", str(report)],
                cwd=ROOT,
                env=commands.surroundings(environment, at),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=SECONDS,
            )
        except subprocess.TimeoutExpired:
            return Diagnosis(at=at, error=f"no answer within {SECONDS} s")
        if ended.returncode not in ENDED or not report.is_file():
            last = (ended.stderr or ended.stdout).strip().rpartition("\n")[2]
            return Diagnosis(at=at, error=f"exit code {ended.returncode}: {last[:300]}")
        return read(at, report.read_text(encoding="utf-8"), time.monotonic() - began)


def read(at: datetime, text: str, seconds: float) -> Diagnosis:
    """A diagnosis from its report."""
    try:
        told: Any = json.loads(text)
        return Diagnosis(
            at=at,
            verdict=told["verdict"],
            causes=told["causes"],
            cleared=told["cleared"],
            consequences=told.get("consequences", ()),
            unknown=told.get("unknown", ()),
            seconds=told.get("seconds", round(seconds, 2)),
        )
    except (ValueError, KeyError, TypeError) as error:
        return Diagnosis(at=at, error=f"its report cannot be read: {type(error).__name__}: {error}")

"""Asking scripts/diagnose whether a symptom has another cause than the one that a runbook is for."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ops import clock
from ops.runbook.errors import Refused
from ops.runbook.finding import Finding
from ops.runbook.reading import Look
from pipeline.clock import VIRTUAL_NOW

ROOT = Path(__file__).resolve().parents[3]
SCRIPT = ROOT / "scripts" / "diagnose"
SECONDS = 120
ENDED = (0, 3)  # nothing wrong, something wrong
HEALTHY, CLOSED = "healthy", "market_closed"


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """What a runbook goes by: (code, subject) of causes, what could not be looked at, the verdict."""

    verdict: str
    causes: tuple[tuple[str, str], ...]
    unknown: tuple[str, ...]


def ask(look: Look) -> Diagnosis:
    """The account's diagnosis now. Raises Refused where there is none to be had."""
    if not SCRIPT.is_file():
        raise Refused("scripts/diagnose does not exist in this checkout; --planned goes on without asking it")
    with tempfile.TemporaryDirectory(prefix="ops-diagnosis-") as folder:
        report = Path(folder) / "report.json"
        try:
            ended = subprocess.run(
                [str(SCRIPT), "--report", str(report)],
                env=_environment(look),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=SECONDS,
            )
        except subprocess.TimeoutExpired as error:
            raise Refused(f"scripts/diagnose gave no answer within {SECONDS} s; run it by hand") from error
        if ended.returncode not in ENDED or not report.is_file():
            last = (ended.stderr or ended.stdout).strip().rpartition("\n")[2]
            raise Refused(f"scripts/diagnose failed (exit code {ended.returncode}: {last[:200]}); run it by hand")
        return read(report.read_text(encoding="utf-8"))


def read(text: str) -> Diagnosis:
    """A diagnosis from its report. Raises Refused."""
    try:
        told: Any = json.loads(text)
        return Diagnosis(
            verdict=str(told["verdict"]),
            causes=tuple((str(each["code"]), str(each["subject"])) for each in told["causes"]),
            unknown=tuple(_words(each) for each in told.get("unknown", ())),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Refused(
            f"scripts/diagnose wrote a report that cannot be read: {type(error).__name__}: {error}"
        ) from error


def judge(found: Diagnosis, ours: Collection[str], beside: Collection[str], what: str) -> Finding:
    """Whether one of `ours` is a cause and nothing else is; causes in `beside` explain nothing of the symptom."""
    named = [f"{code} ({subject})" for code, subject in found.causes]
    mine = [text for text, (code, _) in zip(named, found.causes, strict=True) if code in ours]
    others = [t for t, (code, _) in zip(named, found.causes, strict=True) if code not in ours and code not in beside]
    if others:
        return Finding.no(
            f"something else explains it: {', '.join(others)}; repair that first, and it may have been all"
        )
    if not mine:
        seen = f"the verdict is {found.verdict}" + (f", unknown: {', '.join(found.unknown)}" if found.unknown else "")
        return Finding.no(f"nothing says that it is {what} ({seen}); after a leak or by the calendar add --planned")
    return Finding.yes(f"the diagnosis names {', '.join(mine)} and nothing else")


def _environment(look: Look) -> dict[str, str]:
    """The account's, and the virtual minute where one is kept."""
    virtual = {VIRTUAL_NOW: look.now().isoformat()} if look.environ.get(clock.URL) else {}
    return {**look.environ, **virtual}


def _words(each: Any) -> str:
    return " ".join(str(value) for value in each.values()) if isinstance(each, dict) else str(each)

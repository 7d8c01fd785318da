"""The end of a rebuild: somebody hears the alarms, the schedules start, every job has run, validate finds nothing."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ops.runbook import account_database, region_terraform, schedules_recovery
from ops.runbook.acting import Hands
from ops.runbook.errors import Failed, Remains
from ops.runbook.finding import Finding
from ops.runbook.reading import Look
from ops.terraform_workspace import ROOT

EVERY_SECONDS, CONFIRM_SECONDS, VALIDATE_SECONDS = 30.0, 1800.0, 3600
LINES = 12


def is_started(look: Look) -> Finding:
    """Whether everyone who is to hear of alarms has agreed, and every schedule is enabled that is to be."""
    if waiting := _unconfirmed(look):
        return Finding.no(f"{', '.join(waiting)} has not yet confirmed to be told of alarms")
    wanted = {each.name for each in look.catalog if not each.is_paused(look.now())}
    enabled = {
        each["GroupName"]
        for page in look.client("scheduler").get_paginator("list_schedules").paginate(State="ENABLED")
        for each in page["Schedules"]
    }
    if missing := sorted(wanted - enabled):
        return Finding.no(f"{len(wanted) - len(missing)} of {len(wanted)} schedules are enabled")
    return Finding.yes(f"all {len(wanted)} schedules are enabled, and everyone is told of alarms")


def _unconfirmed(look: Look) -> list[str]:
    topic = f"arn:aws:sns:{look.region}:{look.account}:{look.catalog.project}-alarms"
    pages = look.client("sns").get_paginator("list_subscriptions").paginate()
    found = [each for page in pages for each in page["Subscriptions"] if each["TopicArn"] == topic]
    return [str(each["Endpoint"]) for each in found if each["SubscriptionArn"] == "PendingConfirmation"]


def start(hands: Hands) -> None:
    """Waits for who has to confirm, then applies everything as declared. Raises Remains where nobody confirms."""
    look = hands.look
    try:
        hands.wait(
            "those who are to be told of alarms", lambda: _heard(look), every_seconds=EVERY_SECONDS,
            most_seconds=CONFIRM_SECONDS,
        )  # fmt: skip
    except Failed as error:
        raise Remains(f"{error}; nothing runs that nobody hears of") from error
    if "repaired_at" not in look.facts:
        hands.note(repaired_at=look.now().isoformat())
    region_terraform.apply_running(hands)


def _heard(look: Look) -> Finding:
    waiting = _unconfirmed(look)
    return Finding(holds=not waiting, saw=f"{', '.join(waiting)} has a mail of AWS to answer" if waiting else "all are")


def have_run(look: Look) -> Finding:
    """Whether each due service has completed a run that its own schedule started."""
    if account_database.find(look) is None:
        return Finding.no("there is no database yet that could tell of runs")
    return schedules_recovery.have_run(look)


# ── the proof ────────────────────────────────────────────────────────────────────────────────────────────────────────


def is_proven(look: Look) -> Finding:
    """Whether scripts/validate finds nothing, has heard of a run of everyone, and a plan changes nothing."""
    if not is_started(look).holds:
        return Finding.no("the schedules are not started yet")
    found = _validate(look, "--no-wait")
    if found.code != 0:
        return Finding.no(found.why)
    if found.unheard:
        return Finding.no(f"CloudWatch tells of no run since their last change of: {', '.join(found.unheard)}")
    if pending := region_terraform.pending(look):
        return Finding.no(f"a plan would still {', '.join(pending[:5])}{' …' if len(pending) > 5 else ''}")
    return Finding.yes("scripts/validate finds nothing, and the plan is empty")


def prove(hands: Hands) -> None:
    """Lets validate wait for a run of everyone. Raises Failed with its last lines."""
    found = _validate(hands.look)
    if found.code != 0:
        raise Failed(found.why)


@dataclass(frozen=True, kw_only=True)
class _Validation:
    """How scripts/validate ended: its exit code, its last lines, and of whom it has heard no run."""

    code: int
    told: str
    unheard: tuple[str, ...]

    @property
    def why(self) -> str:
        return f"scripts/validate ended with {self.code}: {self.told}"


def _validate(look: Look, *arguments: str) -> _Validation:
    with tempfile.TemporaryDirectory(prefix="ops-validation-") as folder:
        report = Path(folder) / "report.json"
        command = [sys.executable, "-P", "-m", "ops", "validate", "--report", str(report), *arguments]
        ended = subprocess.run(
            command, cwd=ROOT, env=dict(look.environ), stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=VALIDATE_SECONDS,
        )  # fmt: skip
        unheard = json.loads(report.read_text(encoding="utf-8"))["unheard"] if report.is_file() else ()
    lines = (ended.stdout + ended.stderr).strip().splitlines()
    told = " | ".join(line.strip() for line in lines[-LINES:])
    return _Validation(code=ended.returncode, told=told, unheard=tuple(unheard))


def measures(look: Look) -> Mapping[str, Any]:
    """From when the data are, and how long the last service took to run after the schedules were started."""
    found = {"data as of (UTC)": look.facts["taken"]} if "taken" in look.facts else {}
    return {**found, **schedules_recovery.measures(look)}

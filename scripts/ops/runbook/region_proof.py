"""The end of a rebuild: somebody hears the alarms, the schedules start, every job has run, validate finds nothing."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ops.runbook import account_database, region_terraform, schedules_recovery
from ops.runbook.acting import Hands
from ops.runbook.errors import Failed, Remains
from ops.runbook.finding import Finding
from ops.runbook.reading import Look
from ops.terraform_workspace import ROOT

EVERY_SECONDS, CONFIRM_SECONDS, VALIDATE_SECONDS = 30.0, 1800.0, 600
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
    valid = _is_valid(look)
    if not valid.holds:
        return valid
    if pending := region_terraform.pending(look):
        return Finding.no(f"a plan would still {', '.join(pending[:5])}{' …' if len(pending) > 5 else ''}")
    return Finding.yes("scripts/validate finds nothing, and the plan is empty")


def prove(hands: Hands) -> None:
    """Waits as long as the slowest service may take to be heard of. Raises Failed with what is found then."""
    hands.wait(
        "the proof",
        lambda: _is_valid(hands.look),
        every_seconds=schedules_recovery.EVERY_SECONDS,
        most_seconds=schedules_recovery.patience_seconds(hands.look),
        else_="run scripts/diagnose",
    )


def _is_valid(look: Look) -> Finding:
    """By the command's own report; without one, by its last lines."""
    with tempfile.TemporaryDirectory(prefix="ops-validation-") as folder:
        report = Path(folder) / "report.json"
        command = [sys.executable, "-P", "-m", "ops", "validate", "--no-wait", "--report", str(report)]
        ended = subprocess.run(
            command, cwd=ROOT, env=dict(look.environ), stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=VALIDATE_SECONDS,
        )  # fmt: skip
        found = json.loads(report.read_text(encoding="utf-8")) if report.is_file() else {}
    if findings := found.get("findings"):
        named = ", ".join(f"{each['code']} ({each['subject']})" for each in findings)
        return Finding.no(f"scripts/validate finds {named}")
    if unheard := found.get("unheard"):
        return Finding.no(f"scripts/validate has heard of no run since the last change of {', '.join(unheard)}")
    if ended.returncode != 0:
        lines = (ended.stdout + ended.stderr).strip().splitlines()
        told = " | ".join(line.strip() for line in lines[-LINES:])
        return Finding.no(f"scripts/validate ended with {ended.returncode}: {told}")
    return Finding.yes("scripts/validate finds nothing")


def measures(look: Look) -> Mapping[str, Any]:
    """From when the data are, and how long the last service took to run after the schedules were started."""
    found = {"data as of (UTC)": look.facts["taken"]} if "taken" in look.facts else {}
    return {**found, **schedules_recovery.measures(look)}

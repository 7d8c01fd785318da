"""The stack of `local` on the emulator: a cold apply, an empty plan, a restart from the snapshot."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from applied_stack import workspace
from many_services import undeployed
from stack_life import live, timed

GROWN = (12, 50, 200)


def run() -> dict[str, Any]:
    """Wall seconds of each step, and how many resources were made."""
    grown = {f"{count}_services": planned(count) for count in GROWN}
    with tempfile.TemporaryDirectory() as folder:
        life = live(workspace("local", Path(folder)))
    return {
        "what": "the whole root for ENV=local against the emulator",
        "target": "apply ≤ 75 s, empty plan ≤ 15 s, restored ≤ 10 s",
        "resources": life.planned.counts["create"],
        "apply_seconds": round(life.applied.seconds, 1),
        "empty_plan_seconds": round(life.again.seconds, 1),
        "restore_seconds": round(life.restored.seconds, 1),
        "first_plan_of": grown,
    }


def planned(count: int) -> dict[str, float]:
    """A first plan of so many services by the catalogue alone."""
    with tempfile.TemporaryDirectory() as folder:
        account = undeployed(count, Path(folder))
        assert account.aws
        with account.aws:
            account.ready()
            plan = timed(account.plan)
    return {"resources": plan.value.counts["create"], "seconds": round(plan.seconds, 1)}

"""The stack of `local` on the emulator: a cold apply, an empty plan, a restart from the snapshot."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from applied_stack import workspace
from stack_life import live


def run() -> dict[str, Any]:
    """Wall seconds of each step, and how many resources were made."""
    with tempfile.TemporaryDirectory() as folder:
        life = live(workspace("local", Path(folder)))
    return {
        "what": "the whole root for ENV=local against the emulator",
        "target": "apply ≤ 75 s, empty plan ≤ 15 s, restored ≤ 10 s",
        "resources": life.planned.counts["create"],
        "apply_seconds": round(life.applied.seconds, 1),
        "empty_plan_seconds": round(life.again.seconds, 1),
        "restore_seconds": round(life.restored.seconds, 1),
    }

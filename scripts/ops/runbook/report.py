"""What a run has come to, step by step: for the screen's last lines and for a file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from ops.runbook.errors import DONE, FAILED, REFUSED, REMAINS

State = Literal["done before", "done", "to do", "passed", "failed", "refused", "undone", "not reached"]
VERDICTS: Mapping[int, str] = {DONE: "done", FAILED: "failed", REMAINS: "work remains", REFUSED: "refused"}


@dataclass(kw_only=True)
class StepReport:
    """One step: its state, what was seen, the wall seconds that it took."""

    name: str
    state: State = "not reached"
    saw: str = ""
    seconds: float = 0.0
    disagreement: str = ""


@dataclass(kw_only=True)
class Report:
    """One run of a runbook. `why` is what ended it early, `needs` what the command that goes on must say, `undone` what
    was taken back or why that was impossible, `standing` the steps that could have been and were not."""

    runbook: str
    environment: str
    mode: Literal["rehearsal", "apply"]
    run: str
    began: datetime
    steps: list[StepReport]
    exit_code: int = DONE
    why: str = ""
    needs: tuple[str, ...] = ()
    undone: list[str] = field(default_factory=list)
    standing: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    measures: dict[str, Any] = field(default_factory=dict)
    journal: str = ""
    seconds: float = 0.0

    def of(self, name: str) -> StepReport:
        """The step of that name."""
        return next(step for step in self.steps if step.name == name)

    @property
    def left(self) -> list[str]:
        """The steps that have something to do yet."""
        return [step.name for step in self.steps if step.state not in ("done before", "done", "passed")]

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "verdict": VERDICTS[self.exit_code]}

    def write(self, path: Path, veiled: Mapping[str, Any]) -> None:
        """As JSON; `veiled` is it without its secrets."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(veiled, indent=2, default=str) + "\n", encoding="utf-8")

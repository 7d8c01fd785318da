"""What a validation came to, as a value and as its report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from healthcheck.checks import Report
from healthcheck.diagnosis.shape import plain
from healthcheck.finding import Finding, merge
from ops.inventories import Inventories, compared

DONE, FAILED, FOUND = 0, 1, 3


@dataclass(frozen=True, kw_only=True)
class Result:
    """`beaten`: service → its first run that counts. `unheard`: not beaten yet, and not waited for any longer.
    `skipped`: service → why it was not waited for. `left_out`: why part of the checks was not made."""

    now: datetime
    environment: str
    report: Report
    findings: tuple[Finding, ...]
    seconds: float
    inventories: Inventories = field(default_factory=dict)
    beaten: Mapping[str, datetime] = field(default_factory=dict)
    unheard: tuple[str, ...] = ()
    skipped: Mapping[str, str] = field(default_factory=dict)
    left_out: str | None = None

    @property
    def open(self) -> tuple[Finding, ...]:
        """One for each key, those of the checks first; without those that can wait for the market to open."""
        return tuple(each for each in merge(self.findings).values() if each.opens)

    @property
    def exit_code(self) -> int:
        return FOUND if self.open else DONE

    def as_json(self) -> dict[str, Any]:
        """The report; times as ISO 8601."""
        unjudged = {check.name for check in self.report.unjudged}
        return {
            "verdict": "faulty" if self.open else "healthy",
            "environment": self.environment,
            "now": self.now.isoformat(),
            "seconds": round(self.seconds, 2),
            "checks": [
                {
                    "name": check.name,
                    "question": check.question,
                    "answer": self.answer(check.name, check.codes, unjudged),
                }
                for check in (*self.report.judged, *self.report.unjudged)
            ],
            "findings": [
                {key: plain(value) for key, value in vars(each).items() if key != "opens"} for each in self.open
            ],
            "inventories": {title: sorted(names) for title, names in self.inventories.items()},
            "differences": [plain(vars(pair)) for pair in compared(self.inventories)],
            "beaten": plain(self.beaten),
            "unheard": list(self.unheard),
            "not_waited_for": dict(self.skipped),
            "left_out": self.left_out,
        }

    def answer(self, name: str, codes: tuple[str, ...], unjudged: set[str]) -> str:
        """yes, no or unknown: to the check's question. A code of two checks speaks against both."""
        if name in unjudged:
            return "unknown"
        return "no" if any(each.code in codes for each in self.open) else "yes"

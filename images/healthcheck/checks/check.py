"""What a check is: a question, the evidence it needs, the codes it may answer with, and a pure function."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from healthcheck.finding import Finding
from healthcheck.snapshot import Snapshot

DIAGNOSE = "scripts/diagnose"
MIGRATE = "scripts/migrate"
BACKFILL = "scripts/backfill"
HEAL = "scripts/fix-missing-schedulers --apply"


@dataclass(frozen=True, kw_only=True)
class Check:
    """`name` is the subject of the finding that says the question could not be answered; `codes` are all that `find`
    may use, the likeliest first."""

    name: str
    question: str
    codes: tuple[str, ...]
    needs: tuple[type, ...]
    find: Callable[[Snapshot], Iterable[Finding]]

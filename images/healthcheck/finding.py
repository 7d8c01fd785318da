"""What a check says is wrong, and how such findings open, last and clear from one healthcheck to the next."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

# One clean check may be luck (a thin minute, a run in between); two in a row are not.
CLEAN_CHECKS_TO_CLEAR = 2


class Severity(StrEnum):
    """How much it matters; `unknown` is what could not be judged, which is neither good nor bad."""

    CRITICAL = "critical"
    WARNING = "warning"
    INFO = "info"
    UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that is wrong. Key: (code, subject), code one of SPEC §6; `repair` is the command that mends it.

    The subject is the broken thing: the service, where the thing is the service's own, else its name on AWS; the
    evidence's `services` then lists those that it hits. `since`: when it began, where anything tells. `opens` False:
    keeps a finding that is open, but opens none (what is not judged while the market is closed)."""

    code: str
    subject: str
    severity: Severity
    summary: str
    repair: str
    evidence: Mapping[str, Any] = field(default_factory=dict)
    since: datetime | None = None
    opens: bool = True

    @property
    def key(self) -> tuple[str, str]:
        return self.code, self.subject


@dataclass(frozen=True, kw_only=True)
class Open:
    """An open row of the table findings."""

    id: int
    code: str
    subject: str
    severity: Severity
    last_seen: datetime
    misses: int

    @property
    def key(self) -> tuple[str, str]:
        return self.code, self.subject


@dataclass(frozen=True, kw_only=True)
class Change:
    """What a healthcheck does to the table: findings to open, rows seen again, rows missed once, rows to clear."""

    opened: tuple[Finding, ...]
    kept: tuple[tuple[Open, Finding], ...]
    missed: tuple[Open, ...]
    cleared: tuple[Open, ...]
    untouched: tuple[Open, ...]
    remembered: bool = True
    """Whether the table could be read and will hold this; without a database every finding is new each time."""

    def severities(self) -> list[Severity]:
        """The severity of every finding that is open afterwards."""
        return [
            *(finding.severity for finding in self.opened),
            *(finding.severity for _, finding in self.kept),
            *(row.severity for row in (*self.missed, *self.untouched)),
        ]


def reconcile(rows: Iterable[Open], found: Iterable[Finding], unjudged: Collection[str], now: datetime) -> Change:
    """The change that brings the open rows in line with what was found at `now`.

    1. A row last seen after `now` is left alone: time only moves forward.
    2. A row that was found again is kept.
    3. A row whose code could not be judged is left alone: not seen is not gone.
    4. Any other row has been missed; the second miss in a row clears it.
    5. What was found and has no row is opened.
    """
    wanted = merge(found)
    listed = list(rows)
    future = [row for row in listed if row.last_seen > now]
    present = [row for row in listed if row.last_seen <= now]
    absent = [row for row in present if row.key not in wanted]
    missed = [row for row in absent if row.code not in unjudged]
    return Change(
        opened=tuple(f for f in wanted.values() if f.opens and f.key not in {row.key for row in listed}),
        kept=tuple((row, wanted[row.key]) for row in present if row.key in wanted),
        missed=tuple(row for row in missed if row.misses + 1 < CLEAN_CHECKS_TO_CLEAR),
        cleared=tuple(row for row in missed if row.misses + 1 >= CLEAN_CHECKS_TO_CLEAR),
        untouched=(*future, *(row for row in absent if row.code in unjudged)),
    )


def merge(found: Iterable[Finding]) -> dict[tuple[str, str], Finding]:
    """Key → finding; of two with one key the first, so a check names its gravest first."""
    merged: dict[tuple[str, str], Finding] = {}
    for finding in found:
        merged.setdefault(finding.key, finding)
    return merged

"""What a diagnosis is, as a value and as the report that scripts and runbooks read."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from healthcheck.finding import Finding, Severity


class Verdict(StrEnum):
    """`faulty` also where so much could not be looked at that nothing may be called healthy."""

    HEALTHY = "healthy"
    MARKET_CLOSED = "market_closed"
    FAULTY = "faulty"


@dataclass(frozen=True, kw_only=True)
class Cause:
    """A finding that nothing else explains. `explains`: its consequences, as code:subject, most upstream first."""

    code: str
    subject: str
    severity: Severity
    summary: str
    since: datetime | None
    evidence: Mapping[str, Any]
    explains: tuple[str, ...]
    repair: str

    @property
    def name(self) -> str:
        return f"{self.code}:{self.subject}"


@dataclass(frozen=True, kw_only=True)
class Consequence:
    """A finding that one or more causes explain; `causes` as code:subject, most upstream first."""

    code: str
    subject: str
    summary: str
    since: datetime | None
    causes: tuple[str, ...]

    @property
    def name(self) -> str:
        return f"{self.code}:{self.subject}"


@dataclass(frozen=True, kw_only=True)
class Cleared:
    """A suspect that was tested and is innocent."""

    code: str
    subject: str
    suspected_because: str
    evidence: str


@dataclass(frozen=True, kw_only=True)
class Unknown:
    """What could not be looked at or decided: `codes` cannot be excluded; `test` is what would decide."""

    codes: tuple[str, ...]
    subject: str
    reason: str
    test: str


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """All root causes, most upstream first, and what became of every other finding and suspect."""

    now: datetime
    environment: str
    verdict: Verdict
    causes: tuple[Cause, ...]
    consequences: tuple[Consequence, ...]
    cleared: tuple[Cleared, ...]
    unknown: tuple[Unknown, ...]
    checked: int
    seconds: float = field(default=0.0, compare=False)

    def as_json(self) -> dict[str, Any]:
        """The report; times as ISO 8601."""
        return {
            "verdict": str(self.verdict),
            "now": self.now.isoformat(),
            "environment": self.environment,
            "checked": self.checked,
            "seconds": round(self.seconds, 2),
            "causes": [_plain(cause) for cause in self.causes],
            "consequences": [{"cause": each.causes[0], **_plain(each)} for each in self.consequences],
            "cleared": [_plain(each) for each in self.cleared],
            "unknown": [{"code": each.codes[0] if each.codes else None, **_plain(each)} for each in self.unknown],
        }


def name(finding: Finding) -> str:
    """As explanations name a finding."""
    return f"{finding.code}:{finding.subject}"


def _plain(value: object) -> dict[str, Any]:
    return {key: plain(each) for key, each in vars(value).items()}


def plain(value: Any) -> Any:
    """A value as JSON can hold it."""
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, set | frozenset):
        return sorted(plain(each) for each in value)
    if isinstance(value, Collection) and not isinstance(value, str | bytes):
        return [plain(each) for each in value]
    if isinstance(value, datetime):
        return value.isoformat()
    return value if isinstance(value, bool | int | float | None) else str(value)

"""What a finding of drift says, how bad each kind of thing is, and what repairs it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ops.drift_compare import Secret, Unknown

CHANGED, PENDING, UNDECLARED = "changed", "pending", "undeclared"
KINDS = (CHANGED, PENDING, UNDECLARED)
CRITICAL, WARNING, INFO = "critical", "warning", "info"
SEVERITIES = (CRITICAL, WARNING, INFO)
EXISTS = "exists"  # the attribute of a thing that is missing, or that should not be there

# Without these a job does not start, may do too much or too little, or nobody is told.
VITAL = re.compile(
    r"aws_(scheduler_schedule|iam_|ecs_|lambda_|cloudwatch_event|cloudwatch_(metric|composite)_alarm|sns_topic"
    r"|ssm_parameter|kms_key|sqs_queue|security_group|vpc_security_group|default_security_group|route|db_instance)"
)
# Words and labels: nothing works differently for them.
COSMETIC = re.compile(r"(tags|tags_all|description|alarm_description|name_prefix)\b")


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One difference. `address` is Terraform's, or the ARN of what nobody declared; `resource` is AWS's own name.

    `since` is the last change that CloudTrail knows of (ISO 8601), `by` who made it; both None where it knows nothing.
    """

    kind: str
    address: str
    attribute: str
    expected: Any
    actual: Any
    severity: str
    repair: str
    resource: str = ""
    since: str | None = None
    by: str | None = None

    def as_json(self) -> dict[str, Any]:
        """The finding as the report has it; sensitive values stay hidden."""
        return {**vars(self), "expected": shown(self.expected), "actual": shown(self.actual)}


@dataclass(frozen=True, kw_only=True)
class Unchecked:
    """A part that could not be looked at: it counts neither as drift nor as none."""

    part: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Report:
    """Everything that one check found, the worst first."""

    env: str
    checked_at: datetime
    findings: Sequence[Finding]
    unchecked: Sequence[Unchecked] = field(default_factory=tuple)

    @property
    def counts(self) -> dict[str, int]:
        """Findings by kind, every kind named."""
        found = Counter(finding.kind for finding in self.findings)
        return {kind: found[kind] for kind in KINDS}

    def as_json(self) -> dict[str, Any]:
        """What `--report` writes."""
        return {
            "env": self.env,
            "checked_at": self.checked_at.isoformat(timespec="seconds"),
            "findings": [finding.as_json() for finding in self.findings],
            "counts": self.counts,
            "unchecked": [vars(part) for part in self.unchecked],
        }


def severity(kind: str, resource_type: str, attribute: str, *, missing: bool = False) -> str:
    """How bad a difference is: what stops jobs, opens doors or silences alarms is critical.

    Code that merely waits to be applied is a warning, unless something vital does not exist at all.
    """
    if COSMETIC.match(attribute):
        return INFO
    if not VITAL.match(resource_type):
        return WARNING
    return WARNING if kind == PENDING and not missing else CRITICAL


def shown(value: Any) -> Any:
    """A value as JSON may have it."""
    if isinstance(value, Secret | Unknown):
        return repr(value)
    if isinstance(value, dict):
        return {str(key): shown(part) for key, part in value.items()}
    if isinstance(value, list | tuple | set):
        return [shown(part) for part in value]
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def by_weight(findings: Sequence[Finding]) -> list[Finding]:
    """The worst first, then by kind and address."""
    return sorted(findings, key=lambda f: (SEVERITIES.index(f.severity), KINDS.index(f.kind), f.address, f.attribute))

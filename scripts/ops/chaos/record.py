"""What happened while a scenario was played, as plain data: the judge and the report read nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

# Kinds of events, in the words of the report.
STEP, STEP_FAILED, NOTE, COMMAND, ALARM, FINDING, CLEARED = (
    "step",
    "step_failed",
    "note",
    "command",
    "alarm",
    "finding",
    "finding_cleared",
)
NOTIFICATION, RUNS_FAIL, RUNS_RECOVER, DEAD_LETTER, DIAGNOSIS, BLIND = (
    "notification",
    "runs_fail",
    "runs_recover",
    "dead_letter",
    "diagnosis",
    "blind",
)


@dataclass(frozen=True, kw_only=True)
class Event:
    """One line of the timeline: at which virtual minute, after how many wall seconds, what."""

    virtual: datetime
    wall_seconds: float
    kind: str
    text: str
    more: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Found:
    """A finding as the healthcheck's table has it."""

    id: int
    code: str
    subject: str
    severity: str
    summary: str
    evidence: Any
    repair: str
    first_seen: datetime
    last_seen: datetime
    cleared_at: datetime | None

    @property
    def name(self) -> str:
        return f"{self.code}:{self.subject}"


@dataclass(frozen=True, kw_only=True)
class AlarmChange:
    """An alarm's change of state."""

    at: datetime
    name: str
    old: str
    new: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Mail:
    """A notification that was delivered."""

    at: datetime
    topic_arn: str
    subject: str
    message: str


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """What scripts/diagnose said at one minute; `error` where it could not be asked."""

    at: datetime
    verdict: str | None = None
    causes: Sequence[Mapping[str, Any]] = ()
    cleared: Sequence[Mapping[str, Any]] = ()
    consequences: Sequence[Mapping[str, Any]] = ()
    unknown: Sequence[Any] = ()
    seconds: float | None = None
    error: str | None = None


@dataclass(frozen=True, kw_only=True)
class Invoked:
    """One attempt of a trigger: `service` is the group or name that it stands for."""

    at: datetime
    name: str
    service: str
    result: str
    error_code: str = ""
    error_message: str = ""


@dataclass(frozen=True, kw_only=True)
class Stopped:
    """A task or a function's run that ended."""

    at: datetime
    service: str
    stop_code: str
    reason: str
    exit_code: int | None


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A step that could not be done as the scenario says."""

    at: datetime
    line: int
    text: str


@dataclass(frozen=True, kw_only=True)
class CommandEnd:
    """A shell command and how it ended; `exit_code` None where it had to be ended. `held`: as the scenario expects."""

    command: str
    line: int
    started: datetime
    ended: datetime
    exit_code: int | None
    expected: tuple[int, ...] | None
    output: str

    @property
    def held(self) -> bool:
        return self.expected is None or self.exit_code in self.expected


@dataclass(frozen=True, kw_only=True)
class Bars:
    """The window's bars: those that the exchange served by the end, and what became of them. `late_until`: when the
    last of those that were missing for more than a run came in; None where none was."""

    expected: int
    stored: int
    lost: int
    duplicated: int
    lost_examples: Sequence[str] = ()
    late: int = 0
    late_until: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Counts of what came of the bars."""

    signals: int
    dispatches: int
    dispatches_duplicated: int


@dataclass(kw_only=True)
class Record:
    """All of it, growing while the scenario is played. What the database tells is None where it could not be read."""

    started: datetime
    timeline: list[Event] = field(default_factory=list)
    alarms: list[AlarmChange] = field(default_factory=list)
    mails: list[Mail] = field(default_factory=list)
    findings: list[Found] | None = None
    diagnoses: list[Diagnosis] = field(default_factory=list)
    no_diagnosis: str | None = None
    invocations: list[Invoked] = field(default_factory=list)
    stopped: list[Stopped] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    commands: list[CommandEnd] = field(default_factory=list)
    first_fault: datetime | None = None
    ended: datetime | None = None
    runs: Mapping[str, Mapping[str, int]] | None = None
    bars: Bars | None = None
    rows: Rows | None = None
    plan_changes: Sequence[str] | None = None
    alarm_names: Sequence[str] = ()
    wall_seconds: float = 0.0
    cloud_seconds: float = 0.0
    peak_rss_mb: float = 0.0

    @property
    def first_alarm(self) -> AlarmChange | None:
        """The first change to ALARM."""
        return next((change for change in self.alarms if change.new == "ALARM"), None)

    @property
    def first_finding(self) -> Found | None:
        """The first finding."""
        return min(self.findings or (), key=lambda found: found.first_seen, default=None)

    @property
    def open_findings(self) -> list[Found]:
        return [found for found in self.findings or () if found.cleared_at is None]

    @property
    def seconds_to_detect(self) -> float | None:
        """From the first fault to the first finding or alarm after it; None without either."""
        if self.first_fault is None:
            return None
        told = [found.first_seen for found in self.findings or ()]
        told += [change.at for change in self.alarms if change.new == "ALARM"]
        after = [at for at in told if at >= self.first_fault]
        return (min(after) - self.first_fault).total_seconds() if after else None

    @property
    def seconds_to_recover(self) -> float | None:
        """From the first fault until the last missing bar was there; where none was missing, until the last finding was
        cleared. None while something is lost, or found and open."""
        if self.first_fault is None or self.bars is None or self.findings is None or self.bars.lost:
            return None
        if self.bars.late_until:
            return (self.bars.late_until - self.first_fault).total_seconds()
        if self.open_findings:
            return None
        ends = [found.cleared_at for found in self.findings if found.cleared_at]
        return max(((end - self.first_fault).total_seconds() for end in ends if end > self.first_fault), default=0.0)

"""What a scenario expects, as values: each with its key, what must be seen, and until when."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any

from ops.chaos import codes, moments
from ops.chaos.market import Day
from ops.chaos.steps import outside
from ops.document import Complaints, Mistake, remedy
from pipeline.catalog import Catalog
from pipeline.ledger import Outcome

KILLED = "KILLED"
OUTCOMES = (*(outcome.value for outcome in Outcome), KILLED)
RESULTS = ("started", "failed", "dead_letter", "dropped")
BY_TIME = frozenset({"findings_by", "findings_gone_by", "causes_by", "alarms_by", "notified_by"})
OF_CODES = frozenset({"findings", "not_findings", "causes", "not_causes", "cleared", "findings_by", "findings_gone_by"})
OF_CODES |= {"causes_by"}
COUNTS = frozenset(
    {
        "bars_expected",
        "bars_stored",
        "bars_lost",
        "bars_duplicated",
        "signals",
        "dispatches",
        "dispatches_duplicated",
        "dead_letters",
    }
)
BY_NAME = {"runs": OUTCOMES, "invocations": RESULTS}


@dataclass(frozen=True, kw_only=True)
class CodePattern:
    """A code, alone or with a pattern for its subject; both may hold `*`."""

    text: str

    def matches(self, code: str, subject: str | None) -> bool:
        wanted, colon, wanted_subject = self.text.partition(":")
        return fnmatchcase(code, wanted) and (not colon or fnmatchcase(subject or "", wanted_subject))


@dataclass(frozen=True, kw_only=True)
class Range:
    """So many, at least and at most."""

    min: int = 0
    max: int | None = None

    def holds(self, count: int | None) -> bool:
        return count is not None and self.min <= count and (self.max is None or count <= self.max)


@dataclass(frozen=True, kw_only=True)
class Expectation:
    """One thing that must hold. `of` names whose (a service's, say), `by` until when."""

    key: str
    expected: Any
    wanted: Any
    line: int
    by: datetime | None = None
    of: str | None = None

    @property
    def name(self) -> str:
        """As people read it: `findings_by 10:17`, `runs dispatcher`."""
        return " ".join(filter(None, (self.key, self.of, moments.clock(self.by) if self.by else None)))


def read(complaints: Complaints, day: Day, catalog: Catalog) -> tuple[Expectation, ...]:
    """Every expectation, in the file's order."""
    return tuple(_Reader(complaints, day, catalog).all())


class _Reader:
    def __init__(self, complaints: Complaints, day: Day, catalog: Catalog) -> None:
        self.complaints = complaints
        self.day = day
        self.catalog = catalog

    def all(self) -> Iterator[Expectation]:
        raw: Mapping[str, Any] = self.complaints.document.content.get("expect", {})
        for key, value in raw.items():
            if key in BY_TIME:
                for text, patterns in value.items():
                    yield self._one(key, patterns, text, by=self._time(key, text))
            elif key in BY_NAME:
                for name, counts in value.items():
                    self._check_name(key, name)
                    yield from self._counts(key, name, counts)
            else:
                yield self._one(key, value)

    def _one(self, key: str, value: Any, *place: str, by: datetime | None = None) -> Expectation:
        wanted = value
        if key in OF_CODES:
            wanted = tuple(CodePattern(text=text) for text in value)
            for index, text in enumerate(value):
                with self.complaints.collecting("expect", key, *place, index):
                    _require_code(text)
        elif key in COUNTS:
            wanted = _range(value)
            self._check_range(wanted, key, *place)
        return Expectation(key=key, expected=value, wanted=wanted, line=self._line(key, *place), by=by)

    def _time(self, key: str, text: str) -> datetime:
        at = moments.on(self.day.date, text)
        if not self.day.start < at <= self.day.end:
            self.complaints.add(f"{text} {outside(self.day)}", "expect", key, text)
        return at

    def _counts(self, key: str, name: str, counts: Any) -> Iterator[Expectation]:
        """The one count of a name, or one for each outcome."""
        if isinstance(counts, int) or set(counts) <= {"min", "max"}:
            wanted = _range(counts)
            self._check_range(wanted, key, name)
            yield Expectation(key=key, of=name, expected=counts, wanted=(None, wanted), line=self._line(key, name))
            return
        for outcome, count in counts.items():
            if outcome not in BY_NAME[key]:
                text = f"{outcome!r} is no outcome; {remedy(outcome, BY_NAME[key])}"
                self.complaints.add(text, "expect", key, name, outcome)
            wanted = _range(count)
            self._check_range(wanted, key, name, outcome)
            line = self._line(key, name, outcome)
            yield Expectation(key=key, of=f"{name} {outcome}", expected=count, wanted=(outcome, wanted), line=line)

    def _check_name(self, key: str, name: str) -> None:
        if key == "runs" and name not in self.catalog.services:
            self.complaints.add(
                f"there is no service {name!r}; {remedy(name, self.catalog.services)}", "expect", key, name
            )

    def _check_range(self, wanted: Range, *place: str) -> None:
        if wanted.max is not None and wanted.max < wanted.min:
            self.complaints.add(f"min {wanted.min} is above max {wanted.max}", "expect", *place)

    def _line(self, *place: str) -> int:
        return self.complaints.document.line("expect", *place)


def _range(value: int | Mapping[str, int]) -> Range:
    return Range(min=value, max=value) if isinstance(value, int) else Range(**value)


def _require_code(text: str) -> None:
    """Raises Mistake for a code that SPEC §6 does not have, or a pattern that fits none."""
    code = text.partition(":")[0]
    if not any(fnmatchcase(known, code) for known in codes.ALL):
        raise Mistake(f"there is no cause code {code!r}; {remedy(code, codes.ALL)}")

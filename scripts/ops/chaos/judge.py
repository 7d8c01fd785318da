"""Whether what was expected has been seen: pure, over the record of a play."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any

from ops.chaos import codes, moments
from ops.chaos.expectations import CodePattern, Expectation
from ops.chaos.record import Found, Invoked, Record
from ops.document import remedy

UNKNOWN = "unknown: the database could not be read"
SHOWN = 12


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """One expectation: what was expected, what was seen, whether it holds."""

    name: str
    expected: Any
    seen: Any
    held: bool
    line: int


Seen = tuple[bool, Any]


def judge(record: Record, expected: Sequence[Expectation]) -> list[Verdict]:
    """Every expectation, and beside them that each step could be done and each command ended as it was to."""
    found = [_verdict(each, *JUDGES[each.key](record, each, expected)) for each in expected]
    found += [
        Verdict(name="step done", expected="done", seen=failure.text, held=False, line=failure.line)
        for failure in record.failures
    ]
    found += [
        Verdict(
            name=f"exit code of {end.command}",
            expected=list(end.expected or ()),
            seen=end.exit_code if end.exit_code is not None else "ended when its time was up",
            held=end.held,
            line=end.line,
        )
        for end in record.commands
        if end.expected is not None
    ]
    return found


def _verdict(expectation: Expectation, held: bool, seen: Any) -> Verdict:
    return Verdict(name=expectation.name, expected=expectation.expected, seen=seen, held=held, line=expectation.line)


# ── findings ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _lacking(patterns: Sequence[CodePattern], names: Iterable[tuple[str, str | None]]) -> list[str]:
    """The patterns for which nothing is left; each takes one of the (code, subject)s, the narrowest first."""
    left = list(names)
    lacking = []
    for pattern in sorted(patterns, key=lambda each: (":" not in each.text, "*" in each.text)):
        taken = next((name for name in left if pattern.matches(*name)), None)
        if taken is None:
            lacking.append(pattern.text)
        else:
            left.remove(taken)
    return lacking


def _findings(record: Record, expectation: Expectation, _: Sequence[Expectation]) -> Seen:
    """Opened, by a time where one is given; twice the same code needs two findings."""
    if record.findings is None:
        return False, UNKNOWN
    by = expectation.by
    found = [each for each in record.findings if by is None or each.first_seen <= by]
    lacking = _lacking(expectation.wanted, {(each.code, each.subject) for each in found})
    return not lacking, _told(found, lacking)


def _gone(record: Record, expectation: Expectation, _: Sequence[Expectation]) -> Seen:
    if record.findings is None or expectation.by is None:
        return False, UNKNOWN
    by = expectation.by
    still = [
        each
        for each in record.findings
        if each.first_seen <= by and (each.cleared_at is None or each.cleared_at > by)
        if any(pattern.matches(each.code, each.subject) for pattern in expectation.wanted)
    ]
    return not still, [each.name for each in still[:SHOWN]] or "none open"


def _not_findings(record: Record, expectation: Expectation, _: Sequence[Expectation]) -> Seen:
    if record.findings is None:
        return False, UNKNOWN
    found = [each for each in record.findings if any(p.matches(each.code, each.subject) for p in expectation.wanted)]
    return not found, _told(found, []) if found else "none of them"


def _no_other_findings(record: Record, _: Expectation, expected: Sequence[Expectation]) -> Seen:
    if record.findings is None:
        return False, UNKNOWN
    named = _patterns(expected, "findings", "findings_by")
    strange = [each for each in record.findings if not any(p.matches(each.code, each.subject) for p in named)]
    return not strange, _told(strange, []) if strange else "no other"


def _no_findings(record: Record, _: Expectation, __: Sequence[Expectation]) -> Seen:
    if record.findings is None:
        return False, UNKNOWN
    return not record.findings, _told(record.findings, []) if record.findings else "none"


def _patterns(expected: Sequence[Expectation], *keys: str) -> list[CodePattern]:
    return [pattern for each in expected if each.key in keys for pattern in each.wanted]


def _told(found: Sequence[Found], lacking: Sequence[str]) -> Any:
    names = [f"{each.name} {moments.clock(each.first_seen)}" for each in found[:SHOWN]]
    return {"lacking": list(lacking), "seen": names} if lacking else names


# ── causes ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _blind(record: Record) -> str | None:
    """Why no diagnosis can be judged; None where there is one."""
    if record.no_diagnosis:
        return record.no_diagnosis
    if not record.diagnoses:
        return "no diagnosis was made"
    if all(each.error for each in record.diagnoses):
        return f"every diagnosis failed: {record.diagnoses[-1].error}"
    return None


def _named(record: Record, by: datetime | None, key: str = "causes") -> set[tuple[str, str | None]]:
    """(code, subject) of what any diagnosis named by then; a verdict that is no fault counts as its code."""
    made = [each for each in record.diagnoses if by is None or each.at <= by]
    named = {(str(cause.get("code")), cause.get("subject")) for each in made for cause in getattr(each, key)}
    if key == "causes":
        named |= {(each.verdict, None) for each in made if each.verdict in codes.NO_FAULT}
    return named


def _causes(record: Record, expectation: Expectation, _: Sequence[Expectation]) -> Seen:
    if why := _blind(record):
        return False, why
    named = _named(record, expectation.by)
    lacking = _lacking(expectation.wanted, named)
    return not lacking, _listed(named, lacking)


def _not_causes(record: Record, expectation: Expectation, _: Sequence[Expectation]) -> Seen:
    if why := _blind(record):
        return False, why
    found = {name for name in _named(record, None) if any(p.matches(*name) for p in expectation.wanted)}
    return not found, _listed(found, []) or "none of them"


def _no_other_causes(record: Record, _: Expectation, expected: Sequence[Expectation]) -> Seen:
    if why := _blind(record):
        return False, why
    known = _patterns(expected, "causes", "causes_by")
    named = {name for name in _named(record, None) if name[0] not in codes.NO_FAULT}
    strange = {name for name in named if not any(pattern.matches(*name) for pattern in known)}
    return not strange, _listed(strange, []) or "no other"


def _cleared(record: Record, expectation: Expectation, _: Sequence[Expectation]) -> Seen:
    if why := _blind(record):
        return False, why
    named = _named(record, None, "cleared")
    lacking = _lacking(expectation.wanted, named)
    return not lacking, _listed(named, lacking)


def _last_verdict(record: Record, expectation: Expectation, _: Sequence[Expectation]) -> Seen:
    if why := _blind(record):
        return False, why
    last = record.diagnoses[-1]
    return last.verdict == expectation.wanted, last.verdict or last.error


def _listed(named: Iterable[tuple[str, str | None]], lacking: Sequence[str]) -> Any:
    names = sorted(code if subject is None else f"{code}:{subject}" for code, subject in named)[:SHOWN]
    return {"lacking": list(lacking), "seen": names} if lacking else names


# ── alarms, notifications, patterns ──────────────────────────────────────────────────────────────────────────────────


def _alarms(record: Record, expectation: Expectation, _: Sequence[Expectation]) -> Seen:
    by = expectation.by
    rung = [each for each in record.alarms if each.new == "ALARM" and (by is None or each.at <= by)]
    lacking = [pattern for pattern in expectation.wanted if not any(fnmatchcase(each.name, pattern) for each in rung)]
    seen = [f"{each.name} {moments.clock(each.at)}" for each in rung[:SHOWN]]
    if not lacking:
        return True, seen
    unknown = [each for each in lacking if not any(fnmatchcase(name, each) for name in record.alarm_names)]
    hint = {each: f"no alarm is called so; {remedy(each, record.alarm_names)}" for each in unknown}
    return False, {"lacking": lacking, "seen": seen, **({"unknown": hint} if hint else {})}


def _not_alarms(record: Record, expectation: Expectation, _: Sequence[Expectation]) -> Seen:
    patterns = ["*"] if expectation.wanted is True else expectation.wanted
    rung = [
        f"{each.name} {moments.clock(each.at)}"
        for each in record.alarms
        if each.new == "ALARM" and any(fnmatchcase(each.name, pattern) for pattern in patterns)
    ]
    return not rung, rung[:SHOWN] or "none"


def _notified(record: Record, expectation: Expectation, _: Sequence[Expectation]) -> Seen:
    by = expectation.by
    mails = [each for each in record.mails if by is None or each.at <= by]
    lacking = [
        words for words in expectation.wanted if not any(_says(f"{m.subject}\n{m.message}", words) for m in mails)
    ]
    seen = [f"{each.subject} {moments.clock(each.at)}" for each in mails[:SHOWN]]
    return not lacking, {"lacking": lacking, "seen": seen} if lacking else seen


def _says(text: str, pattern: str) -> bool:
    return fnmatchcase(text.lower(), f"*{pattern.lower()}*")


def _letters(record: Record) -> list[Invoked]:
    return [each for each in record.invocations if each.result == "dead_letter"]


def _letter_codes(record: Record, expectation: Expectation, _: Sequence[Expectation]) -> Seen:
    return _patterns_seen({each.error_code for each in _letters(record)}, expectation)


def _stopped(record: Record, expectation: Expectation, _: Sequence[Expectation]) -> Seen:
    reasons = {f"{each.stop_code}: {each.reason}" for each in record.stopped if each.stop_code or each.reason}
    lacking = [words for words in expectation.wanted if not any(_says(reason, words) for reason in reasons)]
    return not lacking, sorted(reasons)[:SHOWN]


def _patterns_seen(seen: set[str], expectation: Expectation) -> Seen:
    lacking = [pattern for pattern in expectation.wanted if not any(fnmatchcase(each, pattern) for each in seen)]
    return not lacking, sorted(seen)[:SHOWN]


# ── numbers ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def numbers(record: Record) -> dict[str, int | None]:
    """What is counted, by the expectation's key; None where it could not be."""
    bars, rows = record.bars, record.rows
    return {
        "bars_expected": bars.expected if bars else None,
        "bars_stored": bars.stored if bars else None,
        "bars_lost": bars.lost if bars else None,
        "bars_duplicated": bars.duplicated if bars else None,
        "signals": rows.signals if rows else None,
        "dispatches": rows.dispatches if rows else None,
        "dispatches_duplicated": rows.dispatches_duplicated if rows else None,
        "dead_letters": len(_letters(record)),
    }


def _count(record: Record, expectation: Expectation, _: Sequence[Expectation]) -> Seen:
    count = numbers(record)[expectation.key]
    return expectation.wanted.holds(count), UNKNOWN if count is None else count


def _runs(record: Record, expectation: Expectation, _: Sequence[Expectation]) -> Seen:
    if record.runs is None:
        return False, UNKNOWN
    outcome, wanted = expectation.wanted
    service = str(expectation.of).split()[0]
    counts = record.runs.get(service, {})
    count = sum(counts.values()) if outcome is None else counts.get(outcome, 0)
    return wanted.holds(count), count


def _invocations(record: Record, expectation: Expectation, _: Sequence[Expectation]) -> Seen:
    result, wanted = expectation.wanted
    whose = str(expectation.of).split()[0]
    count = sum(
        1 for each in record.invocations if whose in (each.name, each.service) and result in (None, each.result)
    )
    return wanted.holds(count), count


def _detect(record: Record, expectation: Expectation, _: Sequence[Expectation]) -> Seen:
    return _within(record.seconds_to_detect, expectation, record)


def _recover(record: Record, expectation: Expectation, _: Sequence[Expectation]) -> Seen:
    return _within(record.seconds_to_recover, expectation, record)


def _within(seconds: float | None, expectation: Expectation, record: Record) -> Seen:
    if record.first_fault is None:
        return False, "no step is a fault; mark one with fault: true"
    if seconds is None:
        return False, "never"
    return seconds <= expectation.wanted * 60, f"{seconds / 60:g} minutes"


def _plan(record: Record, _: Expectation, __: Sequence[Expectation]) -> Seen:
    if record.plan_changes is None:
        return False, "no plan was made"
    return not record.plan_changes, list(record.plan_changes[:SHOWN]) or "empty"


JUDGES: Mapping[str, Callable[[Record, Expectation, Sequence[Expectation]], Seen]] = {
    "findings": _findings,
    "findings_by": _findings,
    "findings_gone_by": _gone,
    "not_findings": _not_findings,
    "no_other_findings": _no_other_findings,
    "no_findings": _no_findings,
    "causes": _causes,
    "causes_by": _causes,
    "not_causes": _not_causes,
    "no_other_causes": _no_other_causes,
    "cleared": _cleared,
    "verdict": _last_verdict,
    "alarms": _alarms,
    "alarms_by": _alarms,
    "not_alarms": _not_alarms,
    "no_alarms": _not_alarms,
    "notified_by": _notified,
    "dead_letter_codes": _letter_codes,
    "stopped_reasons": _stopped,
    "runs": _runs,
    "invocations": _invocations,
    "detect_within_minutes": _detect,
    "recover_within_minutes": _recover,
    "plan_empty": _plan,
    **dict.fromkeys(("bars_expected", "bars_stored", "bars_lost", "bars_duplicated", "signals", "dispatches"), _count),
    **dict.fromkeys(("dispatches_duplicated", "dead_letters"), _count),
}


def as_text(value: Any) -> str:
    """An expected or seen value for people."""
    if isinstance(value, Mapping) and "lacking" in value:
        return f"lacking {', '.join(value['lacking'])}; seen {', '.join(value['seen']) or 'none'}"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "none"
    return value if isinstance(value, str) else json.dumps(value, default=str)

"""The report of a scenario: what was expected and seen, and all that happened, as plain JSON."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from ops.chaos import judge, moments
from ops.chaos.judge import Verdict
from ops.chaos.record import Event, Record
from ops.chaos.scenario import Scenario

HELD, CLOUD_FAILED, UNUSABLE, NOT_HELD = 0, 1, 2, 3


def exit_code(verdicts: Sequence[Verdict], failed: str | None = None) -> int:
    """0: every expectation holds; 3: one does not; 1: the cloud itself failed."""
    if failed:
        return CLOUD_FAILED
    return HELD if all(verdict.held for verdict in verdicts) else NOT_HELD


def build(scenario: Scenario, record: Record, failed: str | None = None) -> dict[str, Any]:
    """The report; `failed` is why the play ended before its time."""
    verdicts = judge.judge(record, scenario.expectations)
    bars, rows = record.bars, record.rows
    return {
        "scenario": scenario.name,
        "description": scenario.description,
        "file": str(scenario.path),
        "market": _market(scenario),
        "exit": exit_code(verdicts, failed),
        "failed": failed,
        "expectations": [asdict(verdict) for verdict in verdicts],
        "first_fault": _stamp(record.first_fault),
        "first_alarm": asdict(record.first_alarm) if record.first_alarm else None,
        "first_finding": asdict(record.first_finding) if record.first_finding else None,
        "seconds_to_detect": record.seconds_to_detect,
        "seconds_to_recover": record.seconds_to_recover,
        "findings": None if record.findings is None else [asdict(found) for found in record.findings],
        "causes": _causes(record),
        "cleared": _over_time(record, "cleared"),
        "verdict": next((each.verdict for each in reversed(record.diagnoses) if each.verdict), None),
        "diagnoses": [asdict(diagnosis) for diagnosis in record.diagnoses],
        "no_diagnosis": record.no_diagnosis,
        "alarms": [asdict(change) for change in record.alarms],
        "notifications": [asdict(mail) for mail in record.mails],
        "runs": record.runs,
        "invocations": _invocations(record),
        "tasks_stopped": dict(Counter(stopped.stop_code or "-" for stopped in record.stopped)),
        "stopped_reasons": _reasons(record),
        "dead_letters": sum(1 for each in record.invocations if each.result == "dead_letter"),
        "dead_letters_by_code": dict(
            Counter(each.error_code for each in record.invocations if each.result == "dead_letter")
        ),
        "bars_expected": bars.expected if bars else None,
        "bars_stored": bars.stored if bars else None,
        "bars_lost": bars.lost if bars else None,
        "bars_lost_examples": list(bars.lost_examples) if bars else [],
        "bars_late": bars.late if bars else None,
        "bars_duplicated": bars.duplicated if bars else None,
        "signals": rows.signals if rows else None,
        "dispatches": rows.dispatches if rows else None,
        "dispatches_duplicated": rows.dispatches_duplicated if rows else None,
        "commands": [{**asdict(end), "held": end.held} for end in record.commands],
        "steps_failed": [asdict(failure) for failure in record.failures],
        "plan_changes": record.plan_changes,
        "timeline": [_line(event) for event in record.timeline],
        "wall_seconds": round(record.wall_seconds, 2),
        "cloud_seconds": round(record.cloud_seconds, 2),
        "peak_rss_mb": record.peak_rss_mb,
    }


def as_text(report: dict[str, Any]) -> str:
    """The report as JSON."""
    return json.dumps(report, indent=2, default=_plain) + "\n"


def _plain(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _stamp(at: datetime | None) -> str | None:
    return at.isoformat() if at else None


def _market(scenario: Scenario) -> dict[str, Any]:
    day = scenario.day
    session = {"open": _stamp(day.session.open), "close": _stamp(day.session.close)} if day.session else None
    return {
        "date": str(day.date),
        "from": moments.clock(day.start),
        "to": moments.clock(day.end),
        "symbols": list(day.market.symbols),
        "session": session,
        "rows_rejected": len(day.market.rejected),
    }


def _causes(record: Record) -> list[dict[str, Any]]:
    """Every cause that a diagnosis named, with the first and the last time."""
    return _over_time(record, "causes")


def _over_time(record: Record, key: str) -> list[dict[str, Any]]:
    found: dict[tuple[Any, Any], dict[str, Any]] = {}
    for diagnosis in record.diagnoses:
        for told in getattr(diagnosis, key):
            known = found.setdefault((told.get("code"), told.get("subject")), {"first_named": _stamp(diagnosis.at)})
            known.update({**told, "last_named": _stamp(diagnosis.at)})
    return list(found.values())


def _invocations(record: Record) -> dict[str, dict[str, int]]:
    """Attempts by trigger and result."""
    found: dict[str, Counter[str]] = {}
    for each in record.invocations:
        found.setdefault(each.name, Counter())[each.result] += 1
    return {name: dict(counts) for name, counts in sorted(found.items())}


def _reasons(record: Record) -> dict[str, int]:
    reasons = (f"{each.service}: {each.stop_code} {each.reason}".strip() for each in record.stopped if each.reason)
    return dict(Counter(reasons).most_common(50))


def _line(event: Event) -> dict[str, Any]:
    return {
        "virtual": _stamp(event.virtual),
        "new_york": moments.clock(event.virtual),
        "wall_seconds": event.wall_seconds,
        "kind": event.kind,
        "text": event.text,
        **event.more,
    }

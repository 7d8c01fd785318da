"""What holds and what does not, over records of plays that never were: each expectation can be met, and missed."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ops.chaos import report
from ops.chaos.judge import as_text, judge
from ops.chaos.record import (
    AlarmChange,
    Bars,
    CommandEnd,
    Diagnosis,
    Failure,
    Found,
    Invoked,
    Mail,
    Record,
    Rows,
    Stopped,
)
from ops.chaos.scenario import Scenario, load

MARKET = 'market: {synthetic: {symbols: [AAPL], seed: 1}, date: 2026-01-26, from: "10:00", to: "10:30"}\n'
TEN = datetime(2026, 1, 26, 15, 0, tzinfo=UTC)  # 10:00 in New York


def at(minute: int) -> datetime:
    return TEN + timedelta(minutes=minute)


def finding(code: str, subject: str, seen: int, cleared: int | None = None) -> Found:
    return Found(
        id=1,
        code=code,
        subject=subject,
        severity="critical",
        summary="",
        evidence={},
        repair="",
        first_seen=at(seen),
        last_seen=at(seen),
        cleared_at=None if cleared is None else at(cleared),
    )


def invoked(name: str, result: str, code: str = "") -> Invoked:
    return Invoked(at=at(1), name=name, service="dispatcher", result=result, error_code=code)


def incident() -> Record:
    """A fault at 10:12, found at 10:14, alarmed at 10:15 and told, named at 10:15, repaired at 10:20."""
    return Record(
        started=TEN,
        first_fault=at(12),
        ended=at(30),
        findings=[
            finding("schedule_missing", "classifier", 14, 21),
            finding("schedule_missing", "rss_ingest", 14),
            finding("bars_gap", "bars", 16, 21),
        ],
        alarms=[
            AlarmChange(at=at(15), name="ops-pipeline-down", old="OK", new="ALARM", reason=""),
            AlarmChange(at=at(21), name="ops-pipeline-down", old="ALARM", new="OK", reason=""),
        ],
        alarm_names=["ops-pipeline-down", "ops-pipeline-blind"],
        mails=[Mail(at=at(15), topic_arn="t", subject='ALARM: "ops-pipeline-down"', message="No bars come in")],
        diagnoses=[
            Diagnosis(
                at=at(15),
                verdict="faulty",
                causes=[{"code": "schedule_missing", "subject": "classifier"}],
                cleared=[{"code": "key_rejected", "subject": "provider"}],
            ),
            Diagnosis(at=at(29), verdict="healthy"),
        ],
        invocations=[invoked("ops-pipeline-dispatcher", "started")] * 3
        + [invoked("ops-pipeline-dispatcher", "dead_letter", "AccessDeniedException")],
        stopped=[
            Stopped(at=at(3), service="dispatcher", stop_code="TaskFailedToStart", reason="no secret", exit_code=None)
        ],
        runs={"dispatcher": {"OK": 2, "FAILED": 1}},
        bars=Bars(expected=30, stored=30, lost=0, duplicated=0, late=4, late_until=at(20)),
        rows=Rows(signals=2, dispatches=1, dispatches_duplicated=0),
        plan_changes=(),
    )


def scenario(folder: Path, expect: str) -> Scenario:
    path = folder / "scenario.yaml"
    path.write_text(f"{MARKET}steps:\n  - {{at: '10:12', do: {{note: x}}}}\nexpect: {expect}\n", encoding="utf-8")
    return load(path)


def holds(folder: Path, record: Record, expect: str) -> bool:
    [verdict] = judge(record, scenario(folder, expect).expectations)
    assert as_text(verdict.seen)
    return verdict.held


MET = {
    "findings": "{findings: [bars_gap, 'schedule_missing:rss_ingest']}",
    "twice the same code": "{findings: [schedule_missing, schedule_missing]}",
    "findings by": "{findings_by: {'10:14': [schedule_missing]}}",
    "findings gone": "{findings_gone_by: {'10:21': [bars_gap]}}",
    "not findings": "{not_findings: [key_rejected]}",
    "causes": "{causes: ['schedule_missing:class*']}",
    "causes by": "{causes_by: {'10:15': [schedule_missing]}}",
    "not causes": "{not_causes: [key_rejected]}",
    "cleared": "{cleared: [key_rejected]}",
    "verdict": "{verdict: healthy}",
    "alarms": "{alarms: ['*-down']}",
    "alarms by": "{alarms_by: {'10:15': [ops-pipeline-down]}}",
    "not alarms": "{not_alarms: [ops-pipeline-blind]}",
    "notified by": "{notified_by: {'10:15': ['*no bars*']}}",
    "letters": "{dead_letters: 1}",
    "codes of letters": "{dead_letter_codes: [AccessDenied*]}",
    "reasons": "{stopped_reasons: ['TaskFailedToStart: *secret*']}",
    "runs": "{runs: {dispatcher: {FAILED: 1}}}",
    "all runs": "{runs: {dispatcher: {min: 3}}}",
    "invocations": "{invocations: {ops-pipeline-dispatcher: {started: 3}}}",
    "detected": "{detect_within_minutes: 2}",
    "recovered": "{recover_within_minutes: 8}",
    "bars": "{bars_lost: 0}",
    "rows": "{signals: {min: 1, max: 2}}",
    "plan": "{plan_empty: true}",
}
MISSED = {
    "findings": "{findings: [key_rejected]}",
    "three times the same code": "{findings: [schedule_missing, schedule_missing, schedule_missing]}",
    "findings by": "{findings_by: {'10:13': [schedule_missing]}}",
    "findings gone": "{findings_gone_by: {'10:21': [schedule_missing]}}",
    "not findings": "{not_findings: [bars_gap]}",
    "no findings": "{no_findings: true}",
    "causes": "{causes: ['schedule_missing:rss_ingest']}",
    "causes by": "{causes_by: {'10:14': [schedule_missing]}}",
    "not causes": "{not_causes: [schedule_missing]}",
    "no other causes": "{no_other_causes: true}",
    "cleared": "{cleared: [db_unreachable]}",
    "verdict": "{verdict: faulty}",
    "alarms": "{alarms: [ops-pipeline-blind]}",
    "an alarm that is none": "{alarms: [ops-pipeline-dwon]}",
    "alarms by": "{alarms_by: {'10:14': [ops-pipeline-down]}}",
    "not alarms": "{not_alarms: ['*-down']}",
    "no alarms": "{no_alarms: true}",
    "notified by": "{notified_by: {'10:14': ['*no bars*']}}",
    "letters": "{dead_letters: 0}",
    "codes of letters": "{dead_letter_codes: [ThrottlingException]}",
    "reasons": "{stopped_reasons: [OutOfMemory*]}",
    "runs": "{runs: {dispatcher: {FAILED: 0}}}",
    "runs of another": "{runs: {classifier: {min: 1}}}",
    "invocations": "{invocations: {ops-pipeline-dispatcher: {started: 4}}}",
    "detected": "{detect_within_minutes: 1}",
    "recovered": "{recover_within_minutes: 7}",
    "bars": "{bars_stored: 29}",
    "rows": "{dispatches: {min: 2}}",
}


@pytest.mark.parametrize("expect", MET.values(), ids=MET.keys())
def test_what_was_seen_holds(tmp_path: Path, expect: str) -> None:
    assert holds(tmp_path, incident(), expect)


@pytest.mark.parametrize("expect", MISSED.values(), ids=MISSED.keys())
def test_what_was_not_seen_does_not_hold(tmp_path: Path, expect: str) -> None:
    assert not holds(tmp_path, incident(), expect)


def test_only_what_was_asked_for_may_be_found_beside_it(tmp_path: Path) -> None:
    asked = scenario(tmp_path, "{findings: [bars_gap], no_other_findings: true, causes: [schedule_missing], "
                     "no_other_causes: true}")  # fmt: skip
    held = {verdict.name: verdict.held for verdict in judge(incident(), asked.expectations)}
    assert held == {"findings": True, "no_other_findings": False, "causes": True, "no_other_causes": True}


def test_a_mistyped_alarm_is_told_with_those_that_there_are(tmp_path: Path) -> None:
    [verdict] = judge(incident(), scenario(tmp_path, "{alarms: [ops-pipeline-dwon]}").expectations)
    assert "ops-pipeline-down" in verdict.seen["unknown"]["ops-pipeline-dwon"]


def blinded(change: Callable[[Record], None]) -> Record:
    record = incident()
    change(record)
    return record


@pytest.mark.parametrize(
    "expect",
    ["{no_findings: true}", "{not_findings: [bars_gap]}", "{bars_lost: 0}", "{signals: 0}", "{runs: {dispatcher: 0}}"],
)
def test_what_no_database_could_tell_never_holds(tmp_path: Path, expect: str) -> None:
    def away(record: Record) -> None:
        record.findings = record.bars = record.rows = record.runs = None

    assert not holds(tmp_path, blinded(away), expect)


@pytest.mark.parametrize("expect", ["{not_causes: [key_rejected]}", "{no_other_causes: true}", "{verdict: healthy}"])
def test_no_diagnosis_names_no_cause_and_clears_none_either(tmp_path: Path, expect: str) -> None:
    failed = blinded(lambda record: record.diagnoses.__setitem__(slice(None), [Diagnosis(at=at(15), error="killed")]))
    assert not holds(tmp_path, failed, expect)
    assert not holds(tmp_path, blinded(lambda record: record.diagnoses.clear()), expect)


def test_what_is_still_lost_was_never_recovered(tmp_path: Path) -> None:
    def lose(record: Record) -> None:
        record.bars = Bars(expected=30, stored=29, lost=1, duplicated=0)

    assert not holds(tmp_path, blinded(lose), "{recover_within_minutes: 60}")


def test_steps_that_failed_and_commands_that_ended_otherwise_do_not_hold(tmp_path: Path) -> None:
    record = incident()
    record.failures.append(Failure(at=at(12), line=4, text="no such schedule"))
    end = {"line": 5, "started": at(12), "ended": at(13), "expected": (0,), "output": ""}
    record.commands += [
        CommandEnd(command="scripts/gaps", exit_code=0, **end),
        CommandEnd(command="scripts/backfill", exit_code=None, **end),
    ]
    held = {verdict.name: verdict.held for verdict in judge(record, ())}
    assert held == {
        "step done": False,
        "exit code of scripts/gaps": True,
        "exit code of scripts/backfill": False,
    }


def test_a_report_tells_times_causes_and_its_exit_code_as_json(tmp_path: Path) -> None:
    told = json.loads(report.as_text(report.build(scenario(tmp_path, "{bars_lost: 0}"), incident())))
    assert (told["exit"], told["seconds_to_detect"], told["seconds_to_recover"]) == (0, 120, 480)
    assert told["first_alarm"]["name"] == "ops-pipeline-down"
    assert told["first_finding"]["code"] == "schedule_missing"
    assert [cause["first_named"] for cause in told["causes"]] == [at(15).isoformat()]
    assert told["invocations"] == {"ops-pipeline-dispatcher": {"started": 3, "dead_letter": 1}}
    assert told["dead_letters_by_code"] == {"AccessDeniedException": 1}
    assert told["verdict"] == "healthy"


def test_the_exit_code_tells_what_did_not_hold_from_a_cloud_that_failed(tmp_path: Path) -> None:
    missed = scenario(tmp_path, "{bars_lost: 5}")
    assert report.build(missed, incident())["exit"] == 3
    assert report.build(missed, incident(), "the emulator died")["exit"] == 1

"""What scripts/drift says and with which exit code, without any AWS."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from ops import drift
from ops.drift_finding import Finding, Report, Unchecked, by_weight, severity

NOW = datetime(2026, 1, 26, 15, 0, tzinfo=UTC)


def finding(**changed: Any) -> Finding:
    given = {
        "kind": "changed",
        "address": 'module.service["x"].aws_scheduler_schedule.this',
        "attribute": "state",
        "expected": "ENABLED",
        "actual": "DISABLED",
        "severity": "critical",
        "repair": "make plan apply ENV=paper",
    }
    return Finding(**(given | changed))


def report(*findings: Finding, unchecked: tuple[Unchecked, ...] = ()) -> Report:
    return Report(env="paper", checked_at=NOW, findings=findings, unchecked=unchecked)


def printed(told: Report) -> str:
    out = StringIO()
    drift.show(told, Console(file=out, width=160))
    return out.getvalue()


BLIND = (Unchecked(part="queues", reason="AccessDenied"),)


@pytest.mark.parametrize(
    ("told", "code"),
    [
        (report(), drift.NONE),
        (report(finding()), drift.FOUND),
        (report(unchecked=BLIND), drift.UNABLE),
        (report(finding(), unchecked=BLIND), drift.FOUND),
    ],
    ids=["nothing", "found", "blind", "found and blind"],
)
def test_the_exit_code_tells_findings_from_blindness(told: Report, code: int) -> None:
    assert drift.exit_code(told) == code


def test_the_report_is_plain_json_with_every_kind_counted() -> None:
    told = json.loads(json.dumps(report(finding(since="2026-01-26T14:31:00+00:00", by="kim")).as_json()))
    assert {key: told[key] for key in ("env", "checked_at", "counts", "unchecked")} == {
        "env": "paper",
        "checked_at": "2026-01-26T15:00:00+00:00",
        "counts": {"changed": 1, "pending": 0, "undeclared": 0},
        "unchecked": [],
    }
    keys = {"kind", "address", "attribute", "expected", "actual", "severity", "since", "repair"}
    assert keys <= told["findings"][0].keys()


def test_people_see_where_what_and_how_to_repair_it_once() -> None:
    text = printed(report(finding(), finding(attribute="target.arn")))
    assert 'module.service["x"]' in text.replace("\n", "")
    assert text.count("make plan apply ENV=paper") == 1
    assert "2 changed, 0 pending, 0 undeclared" in text


def test_what_was_not_checked_is_said_aloud() -> None:
    text = printed(report(unchecked=BLIND))
    assert "not checked queues: AccessDenied" in text
    assert "INCOMPLETE" in text


def test_the_worst_comes_first() -> None:
    told = by_weight([finding(severity="info"), finding(severity="critical", kind="undeclared"), finding()])
    assert [(each.severity, each.kind) for each in told] == [
        ("critical", "changed"),
        ("critical", "undeclared"),
        ("info", "changed"),
    ]


@pytest.mark.parametrize(
    ("kind", "resource", "attribute", "missing", "expected"),
    [
        ("changed", "aws_scheduler_schedule", "state", False, "critical"),
        ("changed", "aws_cloudwatch_metric_alarm", "alarm_actions", False, "critical"),
        ("changed", "aws_cloudwatch_metric_alarm", "alarm_description", False, "info"),
        ("changed", "aws_cloudwatch_log_group", "retention_in_days", False, "warning"),
        ("pending", "aws_scheduler_schedule", "state", False, "warning"),
        ("pending", "aws_scheduler_schedule", "exists", True, "critical"),
        ("changed", "aws_cloudwatch_dashboard", "dashboard_body", False, "warning"),
    ],
)
def test_what_stops_jobs_or_silences_alarms_is_critical(
    kind: str, resource: str, attribute: str, missing: bool, expected: str
) -> None:
    assert severity(kind, resource, attribute, missing=missing) == expected


def command(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr("sys.argv", ["drift", *arguments])
    with pytest.raises(SystemExit) as ended:
        drift.main()
    return int(ended.value.code or 0)


def test_an_unknown_environment_is_a_usage_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(monkeypatch, "--env", "moon") == drift.USAGE
    assert "there are: local, paper, production" in capsys.readouterr().err


def test_an_account_that_the_shell_leads_elsewhere_is_not_checked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    assert command(monkeypatch, "--env", "paper") == drift.UNABLE
    assert "could not check" in capsys.readouterr().err

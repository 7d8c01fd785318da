"""scripts/alarm-lint: worst-case seconds to page, objectives, and what else no alarm may be."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from alarm_world import TOPIC, alarm, book, composite, history, play
from ops.local.alarms import Metric
from ops.local.alarms.definition import load
from ops.local.alarms.lint import Report, from_live, lint, main
from ops.local.alarms.worst_case import schedule_period_seconds

SERVICE = [{"Name": "Service", "Value": "one"}]
EVERY_MINUTE = {"Name": "one-1m", "GroupName": "one", "ScheduleExpression": "rate(1 minute)", "State": "ENABLED"}
EVERY_FIVE = {**EVERY_MINUTE, "ScheduleExpression": "rate(5 minutes)"}


def silent(periods: int = 3, expression: str = "FILL(runs, 0)", **changes: Any) -> dict[str, Any]:
    """The silence alarm that Terraform deploys for a job."""
    single = ("Namespace", "MetricName", "Dimensions", "Statistic", "Period")
    metric = {"Namespace": "OpsPipeline", "MetricName": "RunsCompleted", "Dimensions": SERVICE}
    return {
        **{key: value for key, value in alarm().items() if key not in single},
        "AlarmName": "silent",
        "ComparisonOperator": "LessThanThreshold",
        "Threshold": 1,
        "EvaluationPeriods": periods,
        "DatapointsToAlarm": periods,
        "TreatMissingData": "breaching",
        "Metrics": [
            {"Id": "beats", "Expression": expression, "ReturnData": True},
            {"Id": "runs", "MetricStat": {"Metric": metric, "Period": 60, "Stat": "Sum"}, "ReturnData": False},
        ],
        **changes,
    }


def plain(**changes: Any) -> dict[str, Any]:
    """The same without FILL."""
    entry = {"AlarmName": "silent", "Namespace": "OpsPipeline", "MetricName": "RunsCompleted", "Statistic": "Sum"}
    settings = {"ComparisonOperator": "LessThanThreshold", "Threshold": 1, "TreatMissingData": "breaching"}
    return alarm(**{**entry, **settings, **changes})


def report(*alarms: dict[str, Any], schedule: dict[str, Any] = EVERY_MINUTE) -> Report:
    metric_alarms = [entry for entry in alarms if "AlarmRule" not in entry]
    return lint({"MetricAlarms": metric_alarms, "CompositeAlarms": [e for e in alarms if "AlarmRule" in e]}, [schedule])


def codes(found: Report) -> set[tuple[str, str]]:
    return {(finding.subject, finding.code) for finding in found.findings}


def worst(found: Report, name: str = "silent") -> tuple[int | None, int]:
    row = next(row for row in found.rows if row.alarm == name)
    return row.worst_seconds, row.objective_seconds


def test_a_one_minute_job_that_is_filled_pages_within_five_minutes() -> None:
    found = report(silent())

    assert (worst(found), codes(found)) == ((300, 300), set())


def test_aws_further_wait_for_missing_data_is_too_late() -> None:
    found = report(plain())

    assert worst(found) == (480, 300)
    assert codes(found) == {("silent", "late")}
    assert "pages 480 s after the fault at worst (silence), its objective is 300 s" in found.findings[0].text


def test_the_worst_case_is_what_the_evaluation_does() -> None:
    """The last beat at the first second of minute 9, then silence: the page must come within the seconds computed."""
    runs = Metric.of("OpsPipeline", "RunsCompleted", {"Service": "one"})
    for entry in (silent(), plain()):
        seconds, _ = worst(report(entry))
        alarmed = history(play(book(entry), [*[1.0] * 10, *[None] * 20], runs), "silent")[-1][0]
        assert seconds is not None
        # `play` evaluates at the very end of a minute; CloudWatch may take another one.
        assert (alarmed - 9) * 60 == seconds - 60


def test_a_five_minute_job_has_twenty_minutes() -> None:
    found = report(silent(periods=11), schedule=EVERY_FIVE)

    assert (worst(found), codes(found)) == ((780, 1200), set())


def test_a_tag_sets_another_objective() -> None:
    assert codes(report(plain(Tags=[{"Key": "PageWithinSeconds", "Value": "480"}]))) == set()
    assert codes(report(silent(Tags=[{"Key": "PageWithinSeconds", "Value": "299"}]))) == {("silent", "late")}


def test_a_market_hours_alarm_is_judged_while_the_market_is_open() -> None:
    found = report(silent(expression="IF(DAY(runs) < 6 AND HOUR(runs) >= 13 AND HOUR(runs) < 21, FILL(runs, 0), 1)"))

    assert (worst(found), codes(found)) == ((300, 300), set())


@pytest.mark.parametrize("treatment", ["notBreaching", "ignore", "missing"])
def test_silence_that_can_never_page_is_found(treatment: str) -> None:
    found = report(plain(TreatMissingData=treatment))

    assert codes(found) == {("silent", "never_pages"), ("one", "job_unwatched")}
    assert worst(found)[0] is None


def test_insufficient_data_that_pages_counts() -> None:
    found = report(
        plain(TreatMissingData="missing", InsufficientDataActions=[TOPIC], EvaluationPeriods=1, DatapointsToAlarm=1)
    )

    assert worst(found) == (360, 300)
    assert codes(found) == {("silent", "late")}


def test_a_filler_that_looks_healthy_never_pages() -> None:
    assert ("silent", "never_pages") in codes(report(silent(expression="FILL(runs, 1)")))


def failing(**changes: Any) -> dict[str, Any]:
    """Failed runs in 2 of 3 minutes."""
    settings = {"AlarmName": "failing", "Namespace": "OpsPipeline", "MetricName": "RunsFailed", "Statistic": "Sum"}
    return alarm(**{**settings, "Threshold": 0, "DatapointsToAlarm": 2, "TreatMissingData": "notBreaching", **changes})


def test_failures_are_counted_from_the_next_run_to_the_page() -> None:
    found = report(silent(), failing())

    assert worst(found, "failing") == (300, 300)
    assert codes(found) == set()


def test_a_window_shorter_than_the_jobs_period_is_found() -> None:
    found = report(silent(periods=11), failing(), schedule=EVERY_FIVE)
    assert codes(found) == {("failing", "window_short")}

    found = report(silent(periods=3), schedule=EVERY_FIVE)
    assert codes(found) == {("silent", "window_short")}


def test_bad_runs_that_never_meet_in_the_window_never_page() -> None:
    found = report(silent(periods=61), failing(), schedule={**EVERY_MINUTE, "ScheduleExpression": "rate(30 minutes)"})

    assert ("failing", "never_pages") in codes(found)


def test_a_slow_queue_metric_is_within_what_watches_no_job() -> None:
    queue = {"Namespace": "AWS/SQS", "MetricName": "Visible", "Dimensions": [{"Name": "QueueName", "Value": "dead"}]}
    found = report(silent(), alarm(**queue, EvaluationPeriods=1, DatapointsToAlarm=1))

    assert worst(found, "slow") == (1080, 1200)


def test_what_pages_no_one_is_found() -> None:
    assert ("silent", "no_action") in codes(report(silent(AlarmActions=[])))
    assert ("silent", "disabled") in codes(report(silent(ActionsEnabled=False)))
    assert ("one", "job_unwatched") in codes(report(failing()))
    assert ("one", "job_unwatched") in codes(report(silent(AlarmActions=[])))


def test_a_composite_alarm_pages_for_its_children() -> None:
    down = composite("down", "ALARM(group)", AlarmDescription="Run: scripts/diagnose")
    group = composite("group", "ALARM(silent)", AlarmActions=[])
    found = report(silent(AlarmActions=[]), group, down)

    assert codes(found) == set()
    assert worst(found, "down") == (300, 300)


def test_a_suppressors_wait_makes_a_composite_alarm_late() -> None:
    down = composite("down", "ALARM(silent)", AlarmDescription="Run: make drift", ActionsSuppressor="silent")
    found = report(silent(), {**down, "ActionsSuppressorWaitPeriod": 60})

    assert codes(found) == {("down", "late")}


def test_a_child_that_does_not_exist_is_found() -> None:
    down = composite("down", "ALARM(silent) OR ALARM(gone)", AlarmDescription="Run: scripts/diagnose")

    assert codes(report(silent(), down)) == {("down", "child_missing")}


def test_a_description_that_does_not_say_what_to_run_is_found() -> None:
    assert codes(report(silent(AlarmDescription="Something is wrong."))) == {("silent", "no_runbook")}


@pytest.mark.parametrize(
    ("expression", "seconds"),
    [
        ("rate(1 minute)", 60),
        ("rate(2 hours)", 7200),
        ("cron(* 9-16 ? * MON-FRI *)", 60),
        ("cron(0/5 9-16 ? * MON-FRI *)", 300),
        ("cron(0 9-17 ? * MON-FRI *)", 3600),
        ("cron(30 6 * * ? *)", 86400),
        ("at(2013-10-07T10:00:00)", None),
    ],
)
def test_a_schedules_period_is_read(expression: str, seconds: int | None) -> None:
    assert schedule_period_seconds(expression) == seconds


def plan(folder: Path, entry: dict[str, Any]) -> Path:
    path = folder / "plan.json"
    path.write_text(json.dumps({"MetricAlarms": [entry]}))
    return path


def test_the_command_tells_by_its_exit_code(tmp_path: Path) -> None:
    runner = CliRunner()

    fine = runner.invoke(main, ["--plan", str(plan(tmp_path, silent()))])
    assert (fine.exit_code, "1 alarms, 0 findings" in fine.output) == (0, True)
    late = runner.invoke(
        main, ["--plan", str(plan(tmp_path, plain(Tags=[{"Key": "PageWithinSeconds", "Value": "60"}])))]
    )
    assert (late.exit_code, "silent: late: pages 480 s" in late.output) == (3, True)
    broken = runner.invoke(main, ["--plan", str(plan(tmp_path, alarm(Period=45)))])
    assert (broken.exit_code, "its period is 45 s" in broken.output) == (1, True)
    nothing = runner.invoke(main, ["--plan", str(tmp_path / "none.json")])
    assert (nothing.exit_code, "run make plan" in nothing.output) == (1, True)
    both = runner.invoke(main, ["--plan", "x", "--endpoint", "http://127.0.0.1:1"])
    assert both.exit_code == 2


def test_the_report_can_be_json(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["--json", "--plan", str(plan(tmp_path, silent()))])

    assert json.loads(result.output)["rows"][0]["alarm"] == "silent"


@pytest.mark.slow
def test_a_running_aws_is_read_with_tags_and_schedules() -> None:
    import boto3

    from ops.local.aws import LocalAws

    keys = {"aws_access_key_id": "local", "aws_secret_access_key": "local", "region_name": "us-west-2"}
    with LocalAws(None) as aws:
        cloudwatch = boto3.client("cloudwatch", endpoint_url=aws.url, **keys)
        entry = {key: value for key, value in silent().items() if key != "AlarmArn"}
        cloudwatch.put_metric_alarm(**entry, Tags=[{"Key": "PageWithinSeconds", "Value": "200"}])
        scheduler = boto3.client("scheduler", endpoint_url=aws.url, **keys)
        scheduler.create_schedule_group(Name="one")
        role = "arn:aws:iam::123456789012:role/scheduler"
        scheduler.create_schedule(
            Name="one-1m",
            GroupName="one",
            ScheduleExpression="rate(1 minute)",
            FlexibleTimeWindow={"Mode": "OFF"},
            Target={"Arn": "arn:aws:ecs:us-west-2:123456789012:cluster/x", "RoleArn": role},
        )

        found = lint(*from_live(aws.url))

    assert worst(found) == (300, 200)
    assert codes(found) == {("silent", "late")}


def test_an_aws_that_is_not_there_is_told() -> None:
    result = CliRunner().invoke(main, ["--endpoint", "not a url"])

    assert (result.exit_code, "is it up (scripts/local-aws status)?" in result.output) == (1, True)


def test_the_deployed_silence_alarms_take_the_seconds_that_terraform_promises() -> None:
    """`worst_seconds_to_page` of terraform/modules/catalog/alarms.tf: bucket × (buckets + 1) + 60."""
    for job_minutes in (1, 2, 5, 15, 30):
        buckets = 2 * job_minutes + 1
        entry = silent(periods=buckets)
        assert load({"MetricAlarms": [entry]})
        schedule = {**EVERY_MINUTE, "ScheduleExpression": f"rate({job_minutes} minutes)"}
        found = report(entry, schedule=schedule)
        assert worst(found)[0] == timedelta(minutes=buckets + 1).total_seconds() + 60
        assert codes(found) == set()

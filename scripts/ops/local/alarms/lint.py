"""The command scripts/alarm-lint: what no alarm may be, above all later than its objective."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click

from ops.local.alarms import composite, terraform_plan
from ops.local.alarms.book import AlarmBook
from ops.local.alarms.definition import Alarm, CompositeAlarm, MetricAlarm, State
from ops.local.alarms.testing import response_of
from ops.local.alarms.worst_case import Job, WorstCase, job_of, jobs, objective_seconds, worst_case
from ops.local.aws import environment
from pipeline.errors import PipelineError

ROOT = Path(__file__).resolve().parents[4]
PLAN = ROOT / ".local" / "local" / "plan.json"
# A description says what to run when it names one of our commands.
RUNBOOK = re.compile(r"\b(?:scripts|runbooks)/\w|\bmake \w")


class LintFailed(PipelineError):
    """There is nothing to look at; the text says why."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing wrong with an alarm (or a job): its name, a code, and what to do."""

    subject: str
    code: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Row:
    """An alarm beside its objective. `worst_seconds` None: it never pages."""

    alarm: str
    job: str
    worst_seconds: int | None
    objective_seconds: int
    path: str


@dataclass(frozen=True, kw_only=True)
class Report:
    """Every alarm's worst case, and what is wrong."""

    rows: list[Row]
    findings: list[Finding]


def lint(response: Mapping[str, Any], schedules: Iterable[Mapping[str, Any]]) -> Report:
    """Looks at all alarms of a DescribeAlarms response beside the schedules of the jobs."""
    book = AlarmBook()
    book.load(response)
    known = jobs(schedules)
    pages = _paging(book)
    cases = {alarm.name: worst_case(alarm, job_of(alarm, known)) for alarm in book.metric_alarms.values()}
    watched = _silences(book, known, cases, pages)
    rows = [_row(alarm, job_of(alarm, known), cases[alarm.name], watched) for alarm in book.metric_alarms.values()]
    by_name = {row.alarm: row for row in rows}
    rows += [_composite_row(alarm, book, by_name) for alarm in book.composite_alarms.values()]
    findings = [
        *(finding for alarm in book.metric_alarms.values() for finding in _of_metric(alarm, known, cases[alarm.name])),
        *(finding for alarm in _all(book) for finding in _of_any(alarm, pages)),
        *(finding for alarm in book.composite_alarms.values() for finding in _of_composite(alarm, book)),
        *_late(rows),
        *_unwatched(known, watched),
    ]
    return Report(rows=rows, findings=sorted(findings, key=lambda finding: (finding.subject, finding.code)))


def _all(book: AlarmBook) -> list[Alarm]:
    return [*book.metric_alarms.values(), *book.composite_alarms.values()]


def _paging(book: AlarmBook) -> set[str]:
    """The alarms that page, themselves or through a composite alarm that goes to ALARM with them."""
    found = {alarm.name for alarm in _all(book) if alarm.pages}
    rules = {name: composite.parse(alarm.rule) for name, alarm in book.composite_alarms.items()}
    for _ in rules:  # a chain of composite alarms is at most so long
        for name, rule in rules.items():
            if name in found:
                found |= {child.name for child in rule.children if child.wanted and child.state is State.ALARM}
    return found


def _silences(
    book: AlarmBook, known: Mapping[str, Job], cases: Mapping[str, WorstCase], pages: set[str]
) -> dict[str, int]:
    """By job: the seconds after which its silence pages, by the fastest alarm on its beats."""
    found: dict[str, int] = {}
    for alarm in book.metric_alarms.values():
        job, case = job_of(alarm, known), cases[alarm.name]
        if job and case.beats and case.silence_seconds is not None and alarm.name in pages:
            found[job.name] = min(case.silence_seconds, found.get(job.name, case.silence_seconds))
    return found


def _row(alarm: MetricAlarm, job: Job | None, case: WorstCase, watched: Mapping[str, int]) -> Row:
    """The path that counts: the slower one; but a job's silence is judged by the alarm on its beats, if it has one."""
    paths = {"value": case.value_seconds, "silence": case.silence_seconds}
    if not case.beats and (job and job.name in watched):
        del paths["silence"]
    worst, path = max(
        ((seconds, path) for path, seconds in paths.items() if seconds is not None), default=(None, "never")
    )
    return Row(
        alarm=alarm.name,
        job=job.name if job else "",
        worst_seconds=worst,
        objective_seconds=objective_seconds(alarm, job),
        path=path,
    )


def _composite_row(alarm: CompositeAlarm, book: AlarmBook, rows: Mapping[str, Row]) -> Row:
    """As slow as the slowest alarm below it, and as slow as that may be; its own wait for a suppressor comes on top."""
    below = [rows[name] for name in sorted(_leaves(alarm, book)) if name in rows]
    slowest = max((row.worst_seconds for row in below if row.worst_seconds is not None), default=None)
    return Row(
        alarm=alarm.name,
        job="",
        worst_seconds=None if slowest is None else slowest + (alarm.wait_seconds if alarm.suppressor else 0),
        objective_seconds=max((row.objective_seconds for row in below), default=objective_seconds(alarm, None)),
        path="composite",
    )


def _leaves(alarm: CompositeAlarm, book: AlarmBook) -> set[str]:
    """The metric alarms that can bring a composite alarm to ALARM."""
    found: set[str] = set()
    seen, open_ = {alarm.name}, [alarm]
    while open_:
        for child in composite.parse(open_.pop().rule).children:
            if not child.wanted or child.state is not State.ALARM or child.name in seen:
                continue
            seen.add(child.name)
            below = book.composite_alarms.get(child.name)
            open_ += [below] if below else []
            found |= set() if below else {child.name}
    return found


def _late(rows: Iterable[Row]) -> Iterator[Finding]:
    for row in rows:
        if row.worst_seconds is not None and row.worst_seconds > row.objective_seconds:
            text = (
                f"pages {row.worst_seconds} s after the fault at worst ({row.path}), its objective is "
                f"{row.objective_seconds} s; use a shorter period, fewer datapoints, or FILL instead of missing data"
            )
            yield Finding(subject=row.alarm, code="late", text=text)


def _of_any(alarm: Alarm, pages: set[str]) -> Iterator[Finding]:
    """What any alarm needs."""
    if not alarm.actions_enabled:
        yield Finding(subject=alarm.name, code="disabled", text="its actions are disabled; run enable-alarm-actions")
    elif alarm.name not in pages:
        text = "it has no ALARM action, nor has a composite alarm above it; give it the topic"
        yield Finding(subject=alarm.name, code="no_action", text=text)
    if alarm.pages and not RUNBOOK.search(alarm.description):
        text = f"its description does not say what to run ({alarm.description!r:.80}); end it with 'Run: scripts/…'"
        yield Finding(subject=alarm.name, code="no_runbook", text=text)


def _of_metric(alarm: MetricAlarm, known: Mapping[str, Job], case: WorstCase) -> Iterator[Finding]:
    """Missing data that can never page, and periods that do not cover the job's."""
    job = job_of(alarm, known)
    if case.beats and case.silence_seconds is None:
        text = (
            f"too few of a count is silence, but its missing data is {alarm.missing} and it never pages; "
            f"treat it as breaching, or wrap the metric in FILL(…, 0)"
        )
        yield Finding(subject=alarm.name, code="never_pages", text=text)
    if not case.beats and case.value_seconds is None:
        text = (
            f"{alarm.datapoints_to_alarm} breaching datapoints never meet in {alarm.evaluation_periods} periods of "
            f"{alarm.period_seconds} s, with a run every {job.period_seconds if job else 60} s; use a longer period"
        )
        yield Finding(subject=alarm.name, code="never_pages", text=text)
    window = alarm.period_seconds * (alarm.datapoints_to_alarm if case.beats else alarm.evaluation_periods)
    if job and window < job.period_seconds:
        consequence = "alarms between two healthy runs" if case.beats else "forgets a bad run before the next one"
        text = f"it looks at {window} s, its job runs every {job.period_seconds} s: it {consequence}; look at more"
        yield Finding(subject=alarm.name, code="window_short", text=text)


def _of_composite(alarm: CompositeAlarm, book: AlarmBook) -> Iterator[Finding]:
    """Children that are not there."""
    mentioned = [child.name for child in composite.parse(alarm.rule).children]
    mentioned += [composite.alarm_name(alarm.suppressor)] if alarm.suppressor else []
    for name in dict.fromkeys(name for name in mentioned if name not in book.standings):
        yield Finding(
            subject=alarm.name, code="child_missing", text=f"it asks {name}, which does not exist; correct the rule"
        )


def _unwatched(known: Mapping[str, Job], watched: Mapping[str, int]) -> Iterator[Finding]:
    """Jobs whose silence pages no one."""
    for job in known.values():
        if job.name not in watched:
            text = f"nothing pages when {job.schedule} does not run; alarm on its RunsCompleted, missing data breaching"
            yield Finding(subject=job.name, code="job_unwatched", text=text)


# --- where alarms come from ------------------------------------------------------------------------------------------


def from_file(path: Path) -> tuple[Mapping[str, Any], Sequence[Mapping[str, Any]]]:
    """Alarms and schedules of a Terraform plan, or alarms alone of describe-alarms' output."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise LintFailed(f"{path}: {error.strerror}; run make plan ENV=local, or give --plan or --endpoint") from error
    except ValueError as error:
        raise LintFailed(f"{path} is no JSON: {error}; make it with `terraform show -json`") from error
    response = response_of(found, path)
    return response, terraform_plan.schedules(found) if terraform_plan.is_terraform(found) else []


def from_live(endpoint: str) -> tuple[Mapping[str, Any], Sequence[Mapping[str, Any]]]:
    """Alarms (with tags) and schedules of the AWS at `endpoint`; "aws" is the real one of the environment."""
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    local = {"aws_access_key_id": "local", "aws_secret_access_key": "local", "region_name": environment.REGION}
    try:
        session = boto3.Session(**({} if endpoint == "aws" else local))
        at = {} if endpoint == "aws" else {"endpoint_url": endpoint}
        alarms = session.client("cloudwatch", **at)
        response: dict[str, list[dict[str, Any]]] = {"MetricAlarms": [], "CompositeAlarms": []}
        for page in alarms.get_paginator("describe_alarms").paginate(AlarmTypes=["MetricAlarm", "CompositeAlarm"]):
            for kind, kept in response.items():
                kept += page.get(kind) or []
        for alarm in (alarm for kept in response.values() for alarm in kept):
            alarm["Tags"] = alarms.list_tags_for_resource(ResourceARN=alarm["AlarmArn"])["Tags"]
        scheduler = session.client("scheduler", **at)
        schedules = [
            scheduler.get_schedule(Name=entry["Name"], GroupName=entry["GroupName"])
            for page in scheduler.get_paginator("list_schedules").paginate()
            for entry in page["Schedules"]
        ]
    except (BotoCoreError, ClientError, ValueError) as error:
        raise LintFailed(f"{endpoint} does not answer as AWS: {error}; is it up (scripts/local-aws status)?") from error
    return response, schedules


def table(report: Report) -> Iterator[str]:
    """The report for people: latest first within its objective, then what is wrong."""
    width = max((len(row.alarm) for row in report.rows), default=5)
    late = {finding.subject for finding in report.findings}
    yield f"{'alarm':<{width}}  {'worst s':>7}  {'allowed':>7}  by"
    for row in sorted(report.rows, key=lambda row: (-(row.worst_seconds or 0) / row.objective_seconds, row.alarm)):
        worst = "never" if row.worst_seconds is None else row.worst_seconds
        mark = "  ✗" if row.alarm in late else ""
        yield f"{row.alarm:<{width}}  {worst:>7}  {row.objective_seconds:>7}  {row.path}{mark}"
    for finding in report.findings:
        yield f"{finding.subject}: {finding.code}: {finding.text}"


@click.command()
@click.option(
    "--plan",
    type=click.Path(path_type=Path),
    help="A plan or state as JSON, or describe-alarms' output. [default: .local/local/plan.json]",
)
@click.option(
    "--endpoint", metavar="URL", help="Look at a running AWS instead: the emulator's URL, or `aws` for the real one."
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def main(plan: Path | None, endpoint: str | None, as_json: bool) -> None:
    """Compute every alarm's worst-case seconds from fault to page, and what else is wrong with it.

    Exit codes: 0 all is well, 1 could not look, 2 usage, 3 an alarm is later than its objective or otherwise wrong.
    Objectives: a one-minute job pages within 5 minutes, others within four of their periods, what watches no job within
    20 minutes; a tag PageWithinSeconds on the alarm says otherwise.
    """
    if plan and endpoint:
        raise click.UsageError("give --plan or --endpoint, not both")
    try:
        report = lint(*(from_live(endpoint) if endpoint else from_file(plan or PLAN)))
    except PipelineError as error:
        click.echo(f"alarm-lint: {error}", err=True)
        sys.exit(1)
    if as_json:
        click.echo(json.dumps(asdict(report), indent=2))
    else:
        click.echo("\n".join(table(report)))
        click.echo(f"{len(report.rows)} alarms, {len(report.findings)} findings")
    sys.exit(3 if report.findings else 0)


if __name__ == "__main__":
    main()

"""The command scripts/fix-missing-schedulers: every job is started as declared again, and seen to run."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import click
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console
from rich.markup import escape

from ops import clock, heal_declared
from ops.drift_live import Clients
from ops.heal_plan import Healer, Item
from ops.state_bucket import name as state_bucket_name
from pipeline import catalog, sessions
from pipeline.catalog import Service
from pipeline.errors import PipelineError

DONE, FAILED, USAGE, REMAINS = 0, 1, 2, 3
POLL_SECONDS = 60
# To start a task and to measure it, beside its period and its deadline.
START_SECONDS = 180
NAMESPACE, BEAT = "OpsPipeline", "RunsCompleted"


@dataclass(kw_only=True)
class Outcome:
    """What came of a repair: (item, error) of those that failed or are another tool's, and who beat since."""

    items: list[Item]
    mended: list[Item] = field(default_factory=list)
    failed: list[tuple[Item, str]] = field(default_factory=list)
    beaten: dict[str, datetime] = field(default_factory=dict)
    silent: list[str] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """0 when nothing is left to do and everyone beat."""
        return REMAINS if self.failed or self.silent else DONE


Say = Callable[[str], None]


def repair(items: Sequence[Item], say: Say) -> Outcome:
    """Does every item that can be done; one that fails is said and never keeps the next from its turn."""
    outcome = Outcome(items=list(items))
    for item in items:
        problem = _do(item)
        if problem:
            outcome.failed.append((item, problem))
            say(f"[red]failed[/]  {item.kind} {escape(item.name)}: {escape(problem)}")
        else:
            outcome.mended.append(item)
            say(f"[green]done[/]    {item.kind} {escape(item.name)}: {item.what}, read again and right")
    return outcome


def _do(item: Item) -> str | None:
    """None when it is done and was read again as it should be; else what stands in the way."""
    if item.act is None:
        return f"{item.what}; run: {item.remedy}"
    try:
        item.act()
        return None if item.right() else "written, but read again it is not as declared"
    except (ClientError, BotoCoreError) as error:
        return str(error)


def wait_for_beats(clients: Clients, services: Iterable[Service], began: datetime, outcome: Outcome, say: Say) -> None:
    """Waits until each service has completed a run since the repair `began`; where nothing was repaired, one within
    the time that a job takes at most is enough."""
    waiting = {service.name: service for service in services}
    since = began if outcome.mended else began - max(map(patience, waiting.values()), default=timedelta())
    while waiting:
        now = clock.now()
        for name, at in beats(clients("cloudwatch"), waiting, since, now).items():
            outcome.beaten[name] = at
            say(f"[green]beats[/]   {name} completed a run at {at:%H:%M} UTC")
            del waiting[name]
        for name in [name for name, service in waiting.items() if now > began + patience(service)]:
            outcome.silent.append(name)
            say(f"[red]silent[/]  {name} has completed no run since {since:%H:%M} UTC; run: scripts/diagnose")
            del waiting[name]
        if waiting:
            clock.sleep(POLL_SECONDS)


def patience(service: Service) -> timedelta:
    """How long a job that works may take from the repair to its first beat."""
    return service.period + timedelta(seconds=service.deadline_seconds + START_SECONDS)


def beats(cloudwatch: Any, names: Iterable[str], since: datetime, now: datetime) -> dict[str, datetime]:
    """Service → when it completed a run since; by CloudWatch, which is reached from where the database is not."""
    queries = [
        {
            "Id": f"m{number}",
            "Label": name,
            "MetricStat": {
                "Metric": {
                    "Namespace": NAMESPACE,
                    "MetricName": BEAT,
                    "Dimensions": [{"Name": "Service", "Value": name}],
                },
                "Period": 60,
                "Stat": "Sum",
            },
        }
        for number, name in enumerate(names)
    ]
    start = since.replace(second=0, microsecond=0)
    found: dict[str, datetime] = {}
    for page in range(0, len(queries), 500):
        answer = cloudwatch.get_metric_data(
            MetricDataQueries=queries[page : page + 500], StartTime=start, EndTime=now + timedelta(minutes=1)
        )
        for result in answer["MetricDataResults"]:
            times = [at for at, value in zip(result["Timestamps"], result["Values"], strict=True) if value > 0]
            later = [at for at in times if at >= since]
            if later:
                found[result["Label"]] = min(later)
    return found


def render(items: Sequence[Item]) -> Iterable[str]:
    """The plan, a line an item and a line a difference."""
    for item in items:
        yield f"[yellow]{item.kind}[/] {escape(item.name)}: {item.what}" + (f" ({item.remedy})" if item.remedy else "")
        for place, (expected, actual) in item.differences.items():
            yield f"    {place}: {_short(actual)} → {_short(expected)}"


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return escape(text if len(text) <= 90 else f"{text[:87]}…")


def report_of(outcome: Outcome, *, applied: bool) -> Mapping[str, Any]:
    """As JSON: what differed, what was mended, what was not and why, who beats."""
    return {
        "applied": applied,
        "items": [
            {"kind": item.kind, "name": item.name, "what": item.what, "differences": item.differences}
            for item in outcome.items
        ],
        "mended": [f"{item.kind} {item.name}" for item in outcome.mended],
        "failed": [{"item": f"{item.kind} {item.name}", "why": why} for item, why in outcome.failed],
        "beaten": outcome.beaten,
        "silent": outcome.silent,
        "exit": outcome.exit_code if applied else (REMAINS if outcome.items else DONE),
    }


@click.command()
@click.option("--apply", "applied", is_flag=True, help="Do it; without this it is a rehearsal that changes nothing.")
@click.option("--env", "environment", metavar="ENV", help="Environment [default: the one that the account holds].")
@click.option("--delete-undeclared", "remove", is_flag=True, help="Delete undeclared triggers instead of disabling.")
@click.option("--no-wait", is_flag=True, help="Do not wait for the first runs.")
@click.option("--report", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Write what was done.")
def main(applied: bool, environment: str | None, remove: bool, no_wait: bool, report: Path | None) -> None:
    """Make every job start as Terraform declared it: schedules, groups, roles, rules and their targets.

    A rehearsal by default. With --apply each item is mended by itself and read again; one that fails never keeps the
    others from their turn. Undeclared schedules and rules on our jobs are disabled. At the end the first run of each
    job is waited for. Exit codes: 0 all is as declared and runs · 1 failed · 2 usage · 3 work remains.
    """
    console = Console(stderr=False, highlight=False, soft_wrap=True)
    clients = clients_of_shell()
    declared = heal_declared.read(clients, state_bucket(clients), environment)
    items = Healer(clients=clients, declared=declared, remove=remove).plan()
    outcome = Outcome(items=items)
    console.print(
        f"{declared.environment}: {len(items)} things differ from what was applied"
        if items
        else f"{declared.environment}: every schedule, role and rule is as it was applied"
    )
    for line in render(items):
        console.print(line)
    if applied:
        began = clock.now()
        outcome = repair(items, console.print)
        if not no_wait:
            console.print("waiting for a run of every job …")
            wait_for_beats(clients, _due(), began, outcome, console.print)
    elif items:
        console.print("\nNothing was changed. To do it: scripts/fix-missing-schedulers --apply")
    found = report_of(outcome, applied=applied)
    if report:
        report.write_text(json.dumps(found, indent=2, default=str) + "\n", encoding="utf-8")
    sys.exit(found["exit"])


def _due() -> list[Service]:
    """The services that are to run now: one that is paused on purpose, or rests outside market hours, is not."""
    session = sessions.at(clock.now())
    return [service for service in catalog.load() if session is not None or not service.market_hours_only]


def clients_of_shell() -> Clients:
    """Clients of the shell's account, in its region or the catalogue's."""
    import boto3

    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or catalog.load().region
    return Clients(make=boto3.session.Session(region_name=region).client)


def state_bucket(clients: Clients) -> str:
    """terraform/bootstrap's bucket in the account of the shell's credentials. Raises StateUnreadable."""
    try:
        account = clients("sts").get_caller_identity()["Account"]
    except (ClientError, BotoCoreError) as error:
        raise heal_declared.StateUnreadable(
            f"no AWS account: {error}; log in (aws sso login), or lead the shell to the local AWS: "
            'eval "$(scripts/local-aws env)"'
        ) from error
    return state_bucket_name(catalog.load(), account, clients("sts").meta.region_name)


def run() -> None:
    """Maps a failure to its exit code; an error is one line."""
    try:
        main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (PipelineError, ClientError, BotoCoreError) as error:
        click.echo(f"fix-missing-schedulers: {error}", err=True)
        sys.exit(FAILED)


if __name__ == "__main__":
    run()

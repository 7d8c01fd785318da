"""What `make demo` shows a newcomer: the deployed system on one machine, the incident once more, and how it ends."""

from __future__ import annotations

import os
import sys
import time
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import psycopg
from rich.console import Console

from ops import demo_rows
from ops.chaos import live, report
from ops.chaos.engine import Play
from ops.chaos.judge import judge
from ops.chaos.record import Record
from ops.chaos.scenario import Scenario, load
from ops.demo_view import View, scoreboard
from ops.document import DocumentInvalid
from ops.local import applied
from ops.local.cloud import MINUTE, Cloud, open_cloud
from ops.terraform_workspace import Workspace
from pipeline import catalog, store
from pipeline.errors import PipelineError

SCENARIO = Path(__file__).with_name("demo.yaml")
INTERRUPTED = 130  # as a shell says it


def main() -> None:
    """Plays the incident and prints the score; exit code as scripts/chaos. KEEP=1 leaves everything running."""
    console = Console()
    keep = bool(os.environ.get("KEEP"))
    try:
        scenario = load(SCENARIO)
        _announce(scenario, console)
        sys.exit(_play(scenario, console, keep))
    except (PipelineError, DocumentInvalid, psycopg.Error, OSError) as error:
        console.print(f"demo: {' '.join(str(error).split())}", style="red", highlight=False)
        sys.exit(1)
    except KeyboardInterrupt:
        console.print("demo: stopped; nothing that it started runs on")
        sys.exit(INTERRUPTED)


def _announce(scenario: Scenario, console: Console) -> None:
    symbols = ", ".join(scenario.day.market.symbols)
    console.print(
        f"[bold]The incident of {scenario.day.date}, once more.[/bold]\n"
        "The real Terraform is applied to a private AWS on this machine. All its schedules fire on a virtual clock,\n"
        f"over a made-up market for {symbols}.\n"
        "At 10:12 New York four of eight schedules are deleted; in the same minute the API key is rotated.\n",
        highlight=False,
        soft_wrap=True,
    )
    if not applied.is_kept("local", applied.images_of_checkout()):
        console.print(
            "Applying Terraform: some 200 resources, about a minute; next time it is there in seconds.\n",
            soft_wrap=True,
        )


def _play(scenario: Scenario, console: Console, keep: bool) -> int:
    began, record = time.monotonic(), Record(started=scenario.day.start)
    view = View(scenario.day, catalog.load(), console)
    account: AbstractContextManager[Workspace | None] = applied.here() if keep else nullcontext()
    with account as workspace, _cloud(scenario, workspace) as cloud:
        record.cloud_seconds = time.monotonic() - began
        view.cloud = cloud
        play = Play(scenario=scenario, cloud=cloud, record=record, audience=view, began=began)
        try:
            with view:
                play.all()
            record.wall_seconds = time.monotonic() - began
            told = report.build(scenario, record)
            live.show(judge(record, scenario.expectations), told, console)
            with store.connect(cloud.database_url, name="demo") as connection:
                demo_rows.show(connection, console)
            console.print(scoreboard(told))
            _where_next(console)
            if keep:
                _go_on(play, cloud, console)
        finally:
            play.close()
    return int(told["exit"])


def _cloud(scenario: Scenario, workspace: Workspace | None) -> AbstractContextManager[Cloud]:
    day = scenario.day
    return open_cloud(
        day.market, day.news, start=day.start + MINUTE, parameters=scenario.parameters, workspace=workspace
    )


def _where_next(console: Console) -> None:
    console.print(
        "\n[bold]Where to look next[/bold]\n"
        "  make demo KEEP=1      the same, and it goes on: aws, psql, boto3 work with it\n"
        "  scripts/chaos --help  your own faults and days: docs/scenarios.md\n"
        "  scripts/replay --help the services alone over your own bars\n"
        "  services.yaml         the catalogue that everything is derived from\n"
        "  README.md             what it means, how to add a service, the tests",
        highlight=False,
    )


def _go_on(play: Play, cloud: Cloud, console: Console) -> None:
    """A virtual minute a minute until Ctrl-C, reached by what scripts/local-aws env prints."""
    with cloud.published():
        console.print(
            "\nEverything goes on, a virtual minute a minute, until you press Ctrl-C. In another shell:\n"
            '  eval "$(scripts/local-aws env)"\n'
            "  aws scheduler list-schedules      psql      scripts/gaps      scripts/drift --env local",
            highlight=False,
        )
        while True:
            time.sleep(MINUTE.total_seconds())
            play.minute()


if __name__ == "__main__":
    main()

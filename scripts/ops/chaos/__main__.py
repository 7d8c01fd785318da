"""The command scripts/chaos: reads a scenario, plays it on a cloud of its own, tells what held."""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path
from typing import NoReturn

import click
import psycopg
from rich.console import Console

from ops import replay
from ops.chaos import judge, live, report
from ops.chaos.engine import Play
from ops.chaos.live import Live
from ops.chaos.record import Record
from ops.chaos.scenario import RUNTIMES, Scenario, load
from ops.document import DocumentInvalid
from ops.local.aws.environment import exports
from ops.local.cloud import MINUTE, Cloud, open_cloud
from ops.replay_plan import BadPlan
from pipeline.errors import PipelineError

INTERRUPTED, TERMINATED = 130, 143  # as a shell says it


@click.command()
@click.option(
    "--scenario", "path", required=True, metavar="FILE.yaml", type=click.Path(path_type=Path), help="What is played."
)
@click.option(
    "--report", "report_file", type=click.Path(dir_okay=False, path_type=Path), help="Write the report as JSON."
)
@click.option("--speed", default="max", show_default=True, metavar="max|N", help="Virtual seconds a second.")
@click.option(
    "--runtime", type=click.Choice(RUNTIMES), help="How runs are started [default: the scenario's, else fork]."
)
@click.option("--seed", type=click.IntRange(min=0), help="Overrules the seed of a made-up market, and of all chance.")
@click.option("--keep", is_flag=True, help="Go on at the pace of real time after the end, until Ctrl-C.")
@click.option("--check", is_flag=True, help="Only read the scenario and say what is wrong with it.")
def main(
    path: Path, report_file: Path | None, speed: str, runtime: str | None, seed: int | None, keep: bool, check: bool
) -> None:
    """Play a scenario against the local cloud: what Terraform deploys, on one machine, in virtual time.

    docs/scenarios.md tells what a scenario may hold. Exit codes: 0 the expectations hold, 3 one does not, 1 the cloud
    itself failed, 2 the scenario cannot be used.
    """
    signal.signal(signal.SIGTERM, _terminate)  # what was started must not outlive the command
    try:
        pace = replay.parse_speed(speed)
        if report_file:
            replay.require_writable(report_file)
        scenario = load(path, seed=seed)
    except DocumentInvalid as error:
        _end(report.UNUSABLE, str(error))
    except (BadPlan, PipelineError) as error:
        raise click.UsageError(str(error)) from error
    if check:
        click.echo(f"{path}: {len(scenario.steps)} steps, {len(scenario.expectations)} expectations; nothing is wrong")
        return
    sys.exit(_play(scenario, runtime or scenario.runtime or "fork", seed, pace, keep, report_file))


def _play(
    scenario: Scenario, runtime: str, seed: int | None, speed: float | None, keep: bool, report_file: Path | None
) -> int:
    """Plays, shows and writes; the exit code."""
    console = Console()
    record, began, failed = Record(started=scenario.day.start), time.monotonic(), None
    try:
        with Live(scenario.day, console) as audience:
            _on_a_cloud(scenario, record, audience, runtime, seed, speed, keep, began)
    except (PipelineError, psycopg.Error, OSError, TimeoutError) as error:
        failed = " ".join(str(error).split()) or type(error).__name__
    except KeyboardInterrupt:
        _end(INTERRUPTED, "stopped; nothing that it started runs on")
    record.wall_seconds = time.monotonic() - began
    told = report.build(scenario, record, failed)
    live.show(judge.judge(record, scenario.expectations), told, console)
    if report_file:
        report_file.write_text(report.as_text(told), encoding="utf-8")
    return int(told["exit"])


def _on_a_cloud(
    scenario: Scenario,
    record: Record,
    audience: Live,
    runtime: str,
    seed: int | None,
    speed: float | None,
    keep: bool,
    began: float,
) -> None:
    day = scenario.day
    # The minute before the first step is the last that is not looked at.
    cloud_of = open_cloud(
        day.market,
        day.news,
        start=day.start + MINUTE,
        runtime=runtime,
        seed=1 if seed is None else seed,
        parameters=scenario.parameters,
        variables=scenario.variables,
        environment=scenario.environment,
    )
    with cloud_of as cloud:
        record.cloud_seconds = time.monotonic() - began
        play = Play(scenario=scenario, cloud=cloud, record=record, audience=audience, speed=speed, began=began)
        try:
            play.all()
            if keep:
                _keep(play, cloud)
        finally:
            play.close()


def _keep(play: Play, cloud: Cloud) -> None:
    """Goes on at the pace of real time until Ctrl-C."""
    click.echo("\nThe cloud goes on, a virtual minute a minute, until Ctrl-C. In another shell:\n")
    click.echo(exports({}, cloud.aws.url))
    click.echo(f"export DATABASE_URL='{cloud.database_url}' OPS_CLOCK_URL='{cloud.aws.url}' ENVIRONMENT=local")
    try:
        while True:
            time.sleep(MINUTE.total_seconds())
            play.minute()
    except KeyboardInterrupt:
        click.echo("stopped; nothing that it started runs on")


def _end(code: int, text: str) -> NoReturn:
    click.echo(f"chaos: {text}", err=True)
    sys.exit(code)


def _terminate(signum: int, frame: object) -> NoReturn:
    sys.exit(TERMINATED)


if __name__ == "__main__":
    main()

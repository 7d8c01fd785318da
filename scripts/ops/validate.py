"""The command scripts/validate: before a deployment what its plan would do, after it what is live and who beats."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click
import psycopg
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console

from ops import validate_live, validate_plan, validate_view
from ops.surroundings import Surroundings
from ops.validate_result import FAILED
from pipeline.errors import PipelineError


@click.command()
@click.option(
    "--plan",
    "file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Validate a plan (terraform show -json) instead of what is live.",
)
@click.option("--report", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Write it as JSON.")
@click.option("--no-wait", is_flag=True, help="Do not wait for the first runs; say who has not been heard.")
def main(file: Path | None, report: Path | None, no_wait: bool) -> None:
    """Validate the pipeline: every check over the account, the database and the provider, then a run of every service.

    A service counts once it has completed a run since it was last changed; it is waited for until its time is up.
    Exit codes: 0 valid · 1 failed · 2 usage · 3 findings.
    """
    console = Console(highlight=False, soft_wrap=True)
    surroundings = Surroundings()
    if file:
        result, title = validate_plan.validate(surroundings, file), "the plan for"
    else:
        with validate_view.Watching(console) as watching:
            result = validate_live.validate(surroundings, watching, waits=not no_wait)
        title = "what is live in"
    if report:
        report.write_text(json.dumps(result.as_json(), indent=2) + "\n", encoding="utf-8")
    validate_view.show(console, result, title=title)
    sys.exit(result.exit_code)


def run() -> None:
    """Maps a failure to its exit code; an error is one line."""
    try:
        main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (PipelineError, ClientError, BotoCoreError, psycopg.Error, OSError) as error:
        click.echo(f"validate: {' '.join(str(error).split())}", err=True)
        sys.exit(FAILED)


if __name__ == "__main__":
    run()

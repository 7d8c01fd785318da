"""The command scripts/diagnose: every root cause, what each one explains, who is innocent, and what nobody knows."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import psycopg
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console

from healthcheck import checks
from healthcheck.diagnosis import diagnose as reasoning
from healthcheck.diagnosis.shape import Diagnosis, Verdict
from ops import diagnose_read, diagnose_view
from ops.surroundings import Surroundings
from pipeline.errors import PipelineError

DONE, FAILED, FOUND = 0, 1, 3
UNITS = {"m": "minutes", "h": "hours", "d": "days"}


class Since(click.ParamType):
    """An age like 90m, 6h or 2d, or an ISO time (UTC where it names no zone)."""

    name = "since"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> timedelta | datetime:
        if value[:-1].isdigit() and value[-1:] in UNITS:
            return timedelta(**{UNITS[value[-1]]: int(value[:-1])})
        try:
            at = datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is neither an age like 90m, 6h, 2d nor a time like 2026-01-26T10:00", param, ctx)
        return at if at.tzinfo else at.replace(tzinfo=UTC)


def diagnosis(surroundings: Surroundings, since: timedelta | datetime | None = None) -> Diagnosis:
    """Reads everything and reasons over it."""
    began = time.monotonic()
    taken = diagnose_read.take(surroundings)
    report = checks.evaluate(taken.snapshot, checks.ALL)
    history = diagnose_read.ask(taken.clients, taken.snapshot.now, reasoning.wanted(report))
    bound = taken.snapshot.now - since if isinstance(since, timedelta) else since
    found = reasoning.diagnose(taken.snapshot, report, history, bound)
    return replace(found, seconds=time.monotonic() - began)


@click.command()
@click.option("--report", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Write it as JSON.")
@click.option(
    "--since",
    type=Since(),
    metavar="AGE|TIME",
    help="Only changes since then are suspects: 90m, 6h, 2d, or a time [default: a day before the first finding].",
)
@click.option("--env", "environment", metavar="ENV", help="Refuse where the account holds another environment.")
@click.option("--all", "everything", is_flag=True, help="Print all evidence, and every suspect by itself.")
def main(report: Path | None, since: timedelta | datetime | None, environment: str | None, everything: bool) -> None:
    """Name every root cause of what is wrong, most upstream first, each with its evidence and the command that repairs.

    It only reads. Exit codes: 0 nothing is wrong · 1 failed · 2 usage · 3 causes found, or not all could be seen.
    """
    found = diagnosis(Surroundings(), since)
    if environment and found.environment not in (environment, "unknown"):
        raise click.UsageError(f"the account holds {found.environment}, not {environment}; log in to the other one")
    if report:
        report.write_text(json.dumps(found.as_json(), indent=2) + "\n", encoding="utf-8")
    diagnose_view.show(Console(highlight=False, soft_wrap=True), found, everything=everything)
    sys.exit(FOUND if found.verdict is Verdict.FAULTY else DONE)


def run() -> None:
    """Maps a failure to its exit code; an error is one line."""
    try:
        main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (PipelineError, ClientError, BotoCoreError, psycopg.Error, OSError) as error:
        click.echo(f"diagnose: {' '.join(str(error).split())}", err=True)
        sys.exit(FAILED)


if __name__ == "__main__":
    run()

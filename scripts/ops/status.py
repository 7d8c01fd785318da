"""The command scripts/status: the picture of the status page in the terminal, read anew, live with --watch."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import click
import psycopg
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console
from rich.live import Live

from healthcheck import checks, page
from healthcheck.diagnosis import diagnose as reasoning
from healthcheck.page import recent
from healthcheck.page.states import State
from healthcheck.page.view import View
from healthcheck.snapshot import Scope, Unreadable
from ops import diagnose_read, status_view
from ops.surroundings import Surroundings
from pipeline import store
from pipeline.errors import ConfigInvalid, DatabaseUnreachable, PipelineError

DONE, FAILED, FOUND = 0, 1, 3
GOOD = (State.OK, State.RESTING)


def look(surroundings: Surroundings) -> View:
    """The pipeline as it is now; what cannot be read is unknown in it."""
    taken = diagnose_read.take(surroundings)
    seen = replace(taken.snapshot, parts={**taken.snapshot.parts, **_beside(surroundings, taken.snapshot.scope)})
    report = checks.evaluate(seen, checks.ALL)
    history = diagnose_read.ask(taken.clients, seen.now, reasoning.wanted(report))
    return page.build(seen, report, reasoning.diagnose(seen, report, history))


def _beside(surroundings: Surroundings, scope: Scope) -> Mapping[type, object]:
    """What is shown and not judged, read with the watcher's rights."""
    (watcher,) = surroundings.catalog.writers("findings")
    try:
        with store.connect(surroundings.database_url(watcher.name), role=watcher.name, name="status") as connection:
            return page.read(connection, scope)
    except (DatabaseUnreachable, ConfigInvalid, psycopg.Error) as error:
        return dict.fromkeys(recent.READERS, Unreadable(reason=" ".join(str(error).split()), code=None))


@click.command()
@click.option("--watch", is_flag=True, help="Look again and again, until Ctrl-C.")
@click.option("--every", type=click.FloatRange(1), default=10.0, show_default=True, help="Seconds between two looks.")
@click.option("--report", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Write it as JSON.")
@click.option("--page", "file", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Write the page.")
def main(watch: bool, every: float, report: Path | None, file: Path | None) -> None:
    """Show each service with the links of its start, how new its rows are, what is wrong and what to run.

    It only reads. Exit codes: 0 all is well · 1 failed · 2 usage · 3 something is wrong or unknown.
    """
    console = Console(highlight=False)
    seen = look(Surroundings())
    _write(seen, report, file)
    if not watch:
        console.print(status_view.shown(seen))
        sys.exit(DONE if seen.state in GOOD else FOUND)
    with Live(status_view.shown(seen), console=console, screen=console.is_terminal, auto_refresh=False) as live:
        while True:
            time.sleep(every)
            seen = look(Surroundings())
            _write(seen, report, file)
            live.update(status_view.shown(seen), refresh=True)


def _write(seen: View, report: Path | None, file: Path | None) -> None:
    if report:
        report.write_text(json.dumps(seen.as_json(), indent=2) + "\n", encoding="utf-8")
    if file:
        file.write_text(page.render(seen), encoding="utf-8")


def run() -> None:
    """Maps a failure to its exit code; an error is one line."""
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(DONE)
    except (PipelineError, ClientError, BotoCoreError, psycopg.Error, OSError) as error:
        click.echo(f"status: {' '.join(str(error).split())}", err=True)
        sys.exit(FAILED)


if __name__ == "__main__":
    run()

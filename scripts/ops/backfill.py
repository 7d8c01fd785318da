"""The command scripts/backfill: what the gap ledger lacks is fetched, stored, and its features computed again."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import click
import psycopg
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from ops import clock
from ops.surroundings import Surroundings
from pipeline import sessions, settings, store
from pipeline.errors import ConfigInvalid, PipelineError
from pipeline.store import Connection
from telemetry_ingestor import alpaca, backfill
from telemetry_ingestor.backfill import Filled, Share

DONE, FAILED, USAGE, REMAINS = 0, 1, 2, 3
NEW_YORK = ZoneInfo("America/New_York")
# As far back as the ledger is looked at where no range is given.
LEDGER_YEARS = timedelta(days=366)
# How long the features' own schedule may take to follow.
FEATURES_PATIENCE = timedelta(minutes=10)
POLL_SECONDS = 60
WAITING = "select count(*) from bars_changed"


@dataclass(kw_only=True)
class Done:
    """What a backfill came to."""

    shares: int = 0
    asked: int = 0
    inserted: int = 0
    updated: int = 0
    missing: int = 0
    errors: list[str] = field(default_factory=list)
    features_waiting: int | None = None

    def add(self, share: Share, filled: Filled) -> None:
        self.shares += 1
        self.asked += share.minutes
        self.inserted += filled.inserted
        self.updated += filled.updated
        self.missing += filled.missing
        self.errors += [f"{share.session.date}: {type(error).__name__}: {error}" for error in filled.errors]

    @property
    def exit_code(self) -> int:
        """0 where nothing is left; 1 where nothing came for an error; 3 where a part is left."""
        if self.errors and not self.inserted + self.updated:
            return FAILED
        return REMAINS if self.errors or self.missing or self.features_waiting else DONE


def moment(text: str, *, end: bool = False) -> datetime:
    """A day (its begin, or its end), or a minute, in New York time; raises click.BadParameter."""
    try:
        if len(text) == 10:
            day = date.fromisoformat(text) + (timedelta(days=1) if end else timedelta())
            return datetime.combine(day, time(), NEW_YORK).astimezone(UTC)
        found = datetime.fromisoformat(text)
    except ValueError:
        raise click.BadParameter(
            f"{text!r} is neither a day like 2026-01-26 nor a minute like 2026-01-26T10:12"
        ) from None
    return (found if found.tzinfo else found.replace(tzinfo=NEW_YORK)).astimezone(UTC)


def shares(connection: Connection, followed: Sequence[str], options: dict[str, Any], now: datetime) -> list[Share]:
    """What is to be fetched: by the ledger, or with --all every minute of the stretch. Raises click.UsageError."""
    first = moment(options["start"]) if options["start"] else now - LEDGER_YEARS
    last = min(moment(options["end"], end=True) if options["end"] else now, now - backfill.SETTLED_AFTER)
    symbols = settings.parse_symbols(options["symbols"], where="--symbols") if options["symbols"] else None
    first = max(first, datetime.combine(sessions.covered()[0], time(), UTC))
    if first >= last:
        raise click.UsageError(f"from {first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M} UTC there is nothing")
    if options["whole"]:
        if not options["start"]:
            raise click.UsageError("--all needs --from: every minute since then is fetched again")
        return backfill.stretch(symbols or followed, first=first, last=last)
    return backfill.owed(connection, first=first, last=last, symbols=symbols)


def render(found: Sequence[Share]) -> Table:
    """A line a session."""
    table = Table("session", "symbols", "from", "to", "minutes")
    for share in found:
        a, b = share.first.astimezone(NEW_YORK), share.last.astimezone(NEW_YORK)
        names = ", ".join(share.symbols[:8]) + (f" and {len(share.symbols) - 8} more" if share.symbols[8:] else "")
        table.add_row(str(share.session.date), names, f"{a:%H:%M}", f"{b:%H:%M}", f"{share.minutes:,}")
    return table


def fill_all(surroundings: Surroundings, connection: Connection, found: Sequence[Share], console: Console) -> Done:
    """Each share in its own transaction; a provider that refuses everything ends it."""
    service = surroundings.catalog.writers("bars")[0].name
    values = surroundings.values_of(service)
    url = surroundings.environ.get("ALPACA_DATA_URL", alpaca.DATA_URL)
    done = Done()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("sessions", total=len(found))
        for share in found:
            # a client a share: its patience is for one run's requests, its rate limit the provider's own headers
            with alpaca.Client(
                url,
                key_id=values.secret("alpaca_key_id"),
                secret_key=values.secret("alpaca_secret_key"),
                feed=values.text("alpaca_data_feed"),
            ) as client:
                filled = backfill.fill(
                    connection, client, share, feed=values.text("alpaca_data_feed"), now=clock.now(surroundings.environ)
                )
            done.add(share, filled)
            progress.update(task, advance=1, description=str(share.session.date))
            if filled.errors and any(error.code in ("key_rejected", "not_entitled") for error in filled.errors):
                break  # the next session would be refused for the same reason
    return done


def wait_for_features(surroundings: Surroundings) -> int:
    """How many changed stretches still wait for their features, after the features' own runs had time to follow."""
    service = surroundings.catalog.writers("features")[0].name
    deadline = clock.now(surroundings.environ) + FEATURES_PATIENCE
    with store.connect(surroundings.database_url(service), role=service, name="backfill") as connection:
        while (left := _waiting(connection)) and clock.now(surroundings.environ) < deadline:
            clock.sleep(POLL_SECONDS, surroundings.environ)
    return left


def _waiting(connection: Connection) -> int:
    row = connection.execute(WAITING.encode()).fetchone()
    return int(row[0]) if row else 0


@click.command()
@click.option("--from", "start", metavar="DAY|MINUTE", help="First day or minute, New York time [default: a year ago].")
@click.option("--to", "end", metavar="DAY|MINUTE", help="Last day, or the minute before which to end [default: now].")
@click.option("--symbols", metavar="SYMBOLS", help="Only these, comma-separated [default: all in the ledger].")
@click.option("--all", "whole", is_flag=True, help="Every minute of the stretch, not only what the ledger lacks.")
@click.option("--apply", "applied", is_flag=True, help="Do it; without this it only says what is missing.")
@click.option("--no-wait", is_flag=True, help="Do not wait until the features have followed.")
@click.option("--report", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Write what was done.")
def main(applied: bool, no_wait: bool, report: Path | None, **options: Any) -> None:
    """Fetch the bars that the gap ledger says are missing; what depends on them is computed again by its own runs.

    Nothing is dispatched for the past. It can be interrupted and started again at any time. Exit codes: 0 nothing is
    missing (any more) · 1 failed · 2 usage · 3 minutes are missing still, or would be fetched with --apply.
    """
    console = Console(highlight=False)
    surroundings = Surroundings()
    service = surroundings.catalog.writers("bars")[0].name
    followed = settings.parse_symbols(surroundings.value("tickers"))
    with store.connect(surroundings.database_url(service), role=service, name="backfill") as connection:
        found = shares(connection, followed, options, clock.now(surroundings.environ))
        done = Done()
        if not found:
            console.print("nothing is missing")
        elif not applied:
            console.print(render(found))
            console.print("Nothing was fetched. To do it: the same command with --apply")
        else:
            done = fill_all(surroundings, connection, found, console)
            if not no_wait:
                done.features_waiting = wait_for_features(surroundings)
            _tell(console, done)
    code = REMAINS if found and not applied else done.exit_code
    if report:
        missing = sum(share.minutes for share in found)
        document = {"applied": applied, "minutes_missing_before": missing, **asdict(done), "exit": code}
        report.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    sys.exit(code)


def _tell(console: Console, done: Done) -> None:
    console.print(
        f"{done.asked:,} minutes in {done.shares} sessions: {done.inserted:,} bars stored, {done.updated:,} corrected, "
        f"{done.asked - done.inserted - done.missing:,} had no trade or were there, {done.missing:,} still missing"
    )
    for error in dict.fromkeys(done.errors):
        console.print(f"[red]{error}[/]")
    if done.features_waiting:
        console.print(f"[yellow]{done.features_waiting} stretches still wait for features; run: scripts/diagnose[/]")


def run() -> None:
    """Maps a failure to its exit code; an error is one line."""
    try:
        main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except ConfigInvalid as error:
        click.echo(f"backfill: {error}", err=True)
        sys.exit(USAGE if "--symbols" in str(error) else FAILED)
    except (PipelineError, psycopg.Error) as error:
        click.echo(f"backfill: {' '.join(str(error).split())}", err=True)
        sys.exit(FAILED)


if __name__ == "__main__":
    run()

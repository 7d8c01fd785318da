"""The command scripts/gaps: how complete each symbol's sessions are, and why each missing minute is missing."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from datetime import date, datetime
from pathlib import Path

import click
import psycopg
from rich.console import Console
from rich.table import Table

from ops import clock
from ops.replay_report import sql
from ops.surroundings import Surroundings
from pipeline import sessions, settings, store
from pipeline.errors import PipelineError
from pipeline.store import Connection

DONE, FAILED, REMAINS = 0, 1, 3
SESSIONS = 5
OURS = ("our_outage", "feed_late", "rejected")


@dataclass(frozen=True, kw_only=True)
class Completeness:
    """One symbol's session. `why` counts missing minutes by class, those filled since apart; `unexplained` are minutes
    with neither bar nor row: nobody has looked yet."""

    session: date
    symbol: str
    expected: int
    bars: int
    why: dict[str, int]

    @property
    def missing(self) -> int:
        """Minutes that lack a bar which a later answer may bring."""
        return sum(self.why.get(name, 0) for name in OURS)

    @property
    def unexplained(self) -> int:
        """Minutes with neither bar nor row."""
        absent = sum(minutes for name, minutes in self.why.items() if not name.endswith("(filled)"))
        return max(0, self.expected - self.bars - absent)


def read(connection: Connection, symbols: tuple[str, ...], now: datetime, count: int) -> list[Completeness]:
    """The last `count` sessions, the running one up to the newest minute that is over."""
    windows = sessions.latest(now, count)
    values = {
        "symbols": list(symbols),
        "dates": [each.date for each in windows],
        "opens": [each.open for each in windows],
        "closes": [min(each.close, now.replace(second=0, microsecond=0)) for each in windows],
    }
    rows = connection.execute(sql("gaps_by_session"), values).fetchall()
    return [
        Completeness(session=day, symbol=symbol, expected=int(expected), bars=bars, why=why)
        for day, symbol, expected, bars, why in rows
    ]


def render(rows: list[Completeness]) -> Table:
    """A line a symbol and session; complete ones in grey."""
    table = Table("session", "symbol", "bars", "of", "missing", "why")
    for row in rows:
        told = [f"{minutes} {name}" for name, minutes in sorted(row.why.items())]
        told += [f"{row.unexplained} not looked at yet"] if row.unexplained else []
        style = "red" if row.missing else "yellow" if row.unexplained else "dim"
        table.add_row(
            str(row.session),
            row.symbol,
            f"{row.bars:,}",
            f"{row.expected:,}",
            str(row.missing),
            ", ".join(told),
            style=style,
        )
    return table


@click.command()
@click.option(
    "--sessions", "count", default=SESSIONS, show_default=True, metavar="N", help="How many, the newest last."
)
@click.option("--symbols", metavar="SYMBOLS", help="Only these, comma-separated [default: all that are followed].")
@click.option("--report", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Write it as JSON.")
def main(count: int, symbols: str | None, report: Path | None) -> None:
    """Show how complete each symbol's sessions are. Exit codes: 0 complete · 1 failed · 2 usage · 3 minutes missing."""
    surroundings = Surroundings()
    chosen = settings.parse_symbols(symbols or surroundings.value("tickers"), where="--symbols")
    service = surroundings.catalog.writers("bars")[0].name
    with store.connect(surroundings.database_url(service), role=service, name="gaps") as connection:
        rows = read(connection, chosen, clock.now(surroundings.environ), count)
    console = Console(highlight=False)
    console.print(render(rows))
    missing = sum(row.missing for row in rows)
    console.print(f"{missing:,} minutes missing" + ("; run: scripts/backfill --apply" if missing else ""))
    if report:
        document = [asdict(row) | {"missing": row.missing, "unexplained": row.unexplained} for row in rows]
        report.write_text(json.dumps(document, indent=2, default=str) + "\n", encoding="utf-8")
    sys.exit(REMAINS if missing else DONE)


def run() -> None:
    """Maps a failure to its exit code; an error is one line."""
    try:
        main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (PipelineError, psycopg.Error) as error:
        click.echo(f"gaps: {' '.join(str(error).split())}", err=True)
        sys.exit(FAILED)


if __name__ == "__main__":
    run()

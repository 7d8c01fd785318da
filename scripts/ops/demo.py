"""What `make demo` shows a newcomer: one session of a made-up market, an outage in its middle, and what came of it."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any

import psycopg
from rich.console import Console
from rich.table import Table

from ops import replay, replay_table
from ops.local.postgres import Postgres
from ops.replay_plan import NEW_YORK
from ops.replay_report import Report, sql
from pipeline import catalog, store
from pipeline.errors import PipelineError
from pipeline.store import Connection

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / ".local" / "postgres"
DATABASE = "demo"
# The incident's day. The outage is of the first service in a row's way, whose loss starves all others.
DAY = date(2026, 1, 26)
OUTAGE = "12:30-12:45"
SEED = 7
SHOWN = 12


def main() -> None:
    """Replays the session and prints the tables; exit code as scripts/replay. KEEP=1 leaves the database running."""
    console = Console()
    services = catalog.load()
    first = next(iter(services)).name
    symbols = services.parameters["tickers"].initial or ""
    market, sessions = replay.synthetic_session(symbols, DAY, SEED)
    plan = replay.plan_for(market, sessions, outages=[f"{first}={OUTAGE}"])
    console.print(
        f"[bold]The session of {DAY}[/bold], made up for {symbols.replace(',', ', ')}:"
        f" all {len(services)} services at their own rates,"
        f" and {first} out from {OUTAGE.replace('-', ' to ')} New York time.\n"
    )
    try:
        with Postgres(DATA, durable=True) as server:
            url = _fresh_database(server)
            report = replay.run_with_progress(replay.Replay(plan, url), console)
            with store.connect(url, name="demo") as connection:
                _show(report, connection, console)
            _where_next(url, console)
            if os.environ.get("KEEP"):
                _keep(url, console)
    except (PipelineError, psycopg.Error, OSError) as error:
        console.print(f"demo: {' '.join(str(error).split())}", style="red", highlight=False)
        sys.exit(1)
    except KeyboardInterrupt:
        console.print("demo: stopped; nothing that it started runs on")
        sys.exit(replay.INTERRUPTED)
    sys.exit(0 if report.clean else 3)


def _fresh_database(server: Postgres) -> str:
    """A new database in the place of an earlier demo's."""
    server.drop_database(DATABASE)
    return server.create_database(DATABASE).url


def _show(report: Report, connection: Connection, console: Console) -> None:
    replay_table.show(report, console)
    for table in (_signals(connection), _dispatches(connection), _gaps(connection), _findings(connection)):
        console.print()
        console.print(table)
    holds = ", ".join(
        f"{times:,} × {rule.removeprefix('hold_').replace('_', ' ')}"
        for rule, times in connection.execute(sql("demo_holds"))
    )
    console.print(f"\nWhy not more signals, counted per symbol and minute:\n{holds or 'no symbol was watched'}")


def _signals(connection: Connection) -> Table:
    rows = connection.execute(sql("demo_signals")).fetchall()
    table = _table(f"Signals ({len(rows)})", "time", "symbol", "side", "confidence", "because")
    for at, symbol, side, confidence, mean, headlines, ratio in rows[:SHOWN]:
        because = f"sentiment {mean:+.2f} ({headlines} news), volume {ratio:.1f} ×"
        table.add_row(_clock(at), symbol, side, f"{confidence:.2f}", because)
    return _cut(table, rows)


def _dispatches(connection: Connection) -> Table:
    rows = connection.execute(sql("demo_dispatches")).fetchall()
    table = _table(f"Dispatches ({len(rows)})", "time", "symbol", "side", "fill", "stop", "target", "came of it")
    for at, symbol, side, state, quantity, fill, stop, target, exit_reason, profit, failed, _ in rows[:SHOWN]:
        prices = [f"{quantity:.0f} @ {fill:.2f}", f"{stop:.2f}", f"{target:.2f}"] if fill else ["", "", ""]
        if fill:
            came = f"{exit_reason}, {profit:+,.0f} USD" if exit_reason else "open"
        else:
            came = f"{state.lower()}: {', '.join(failed)}" if failed else state.lower()
        table.add_row(_clock(at), symbol, side, *prices, came)
    return _cut(table, rows)


def _gaps(connection: Connection) -> Table:
    rows = connection.execute(sql("demo_gaps")).fetchall()
    table = _table("Gaps in the bars", "minutes", "class", "symbols", "filled")
    for first, last, kind, symbols, filled in rows[:SHOWN]:
        table.add_row(f"{_clock(first)}–{_clock(last)}", kind, str(symbols), _clock(filled) if filled else "no")
    table.caption = "a minute's bar comes in the minute after it"
    return _cut(table, rows)


def _findings(connection: Connection) -> Table:
    rows = connection.execute(sql("demo_findings")).fetchall()
    table = _table("What the healthcheck found", "from", "to", "severity", "code", "what")
    for first, cleared, severity, code, _, summary in rows[:SHOWN]:
        table.add_row(_clock(first), _clock(cleared) if cleared else "open", severity, code, summary)
    return _cut(table, rows)


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column)
    return table


def _cut(table: Table, rows: Sequence[Any]) -> Table:
    if len(rows) > SHOWN:
        table.caption = f"… and {len(rows) - SHOWN} more"
    return table


def _clock(at: datetime) -> str:
    return at.astimezone(NEW_YORK).strftime("%H:%M")


def _where_next(url: str, console: Console) -> None:
    console.print(
        "\n[bold]Where to look next[/bold]\n"
        "  make demo KEEP=1        the same, and its database stays up to look into\n"
        "  scripts/replay --help   your own bars, outages and kills\n"
        "  services.yaml           the catalogue that everything is derived from\n"
        "  README.md               what it all means, how to add a service, the tests",
        highlight=False,
    )


def _keep(url: str, console: Console) -> None:
    console.print(
        f"\nThe database is up until you press Ctrl-C:\n  export DATABASE_URL={url}\n  psql $DATABASE_URL",
        highlight=False,
    )
    signal.sigwait({signal.SIGINT, signal.SIGTERM})


if __name__ == "__main__":
    main()

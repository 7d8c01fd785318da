"""What the demo's rows came to: news by sentiment, signals with their reasons, dispatches with gates, gaps healed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from ops.chaos.moments import clock
from ops.replay_report import sql
from pipeline.store import Connection

SHOWN = 8


def show(connection: Connection, console: Console) -> None:
    """Prints the rows that the session left in the database."""
    for table in (_counts(connection), _signals(connection), _dispatches(connection), _gaps(connection)):
        console.print(table)
    holds = [
        f"{times:,} × {rule.removeprefix('hold_').replace('_', ' ')}"
        for rule, times in connection.execute(sql("demo_holds"))
    ]
    console.print(f"Why not more signals, counted per symbol and minute: {', '.join(holds) or 'none was watched'}\n")


def _counts(connection: Connection) -> Table:
    table = Table(title="Rows", title_justify="left", show_header=False)
    for what, count, kinds in connection.execute(sql("demo_counts")):
        table.add_row(what, f"{count or 0:,}", kinds)
    return table


def _signals(connection: Connection) -> Table:
    rows = connection.execute(sql("demo_signals")).fetchall()
    table = _table(f"Signals ({len(rows)})", "time", "symbol", "side", "confidence", "because")
    for at, symbol, side, confidence, mean, headlines, ratio in rows[:SHOWN]:
        because = f"sentiment {mean:+.2f} ({headlines} news), volume {ratio:.1f} ×"
        table.add_row(clock(at), symbol, side, f"{confidence:.2f}", because)
    return _cut(table, rows)


def _dispatches(connection: Connection) -> Table:
    rows = connection.execute(sql("demo_dispatches")).fetchall()
    table = _table(f"Dispatches ({len(rows)})", "time", "symbol", "side", "fill", "stop", "target", "came of it")
    for at, symbol, side, state, quantity, fill, stop, target, exit_reason, profit, failed, gates in rows[:SHOWN]:
        prices = [f"{quantity:.0f} @ {fill:.2f}", f"{stop:.2f}", f"{target:.2f}"] if fill else ["", "", ""]
        if fill:
            came = f"{exit_reason}, {profit:+,.0f} USD" if exit_reason else f"open, {gates} gates passed"
        else:
            came = f"{state.lower()}: {', '.join(failed)}" if failed else state.lower()
        table.add_row(clock(at), symbol, side, *prices, came)
    return _cut(table, rows)


def _gaps(connection: Connection) -> Table:
    rows = connection.execute(sql("demo_gaps")).fetchall()
    table = _table("Gaps in the bars", "minutes", "class", "symbols", "filled")
    for first, last, kind, symbols, filled in rows[:SHOWN]:
        table.add_row(f"{clock(first)}–{clock(last)}", kind, str(symbols), clock(filled) if filled else "no")
    return _cut(table, rows)


def _table(title: str, *columns: str) -> Table:
    return Table(*columns, title=title, title_justify="left")


def _cut(table: Table, rows: Sequence[Any]) -> Table:
    if len(rows) > SHOWN:
        table.caption = f"… and {len(rows) - SHOWN} more"
    return table

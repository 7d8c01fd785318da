"""A replay's report as a person wants to see it."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Console
from rich.table import Table

from ops.replay_report import Report
from pipeline import catalog
from pipeline.ledger import Outcome

OUTCOMES = (*(outcome.value for outcome in Outcome), "KILLED")


def show(report: Report, console: Console) -> None:
    """Prints the runs by outcome, then what became of the rows, then the verdict."""
    console.print(_runs(report))
    console.print(_rows(report))
    for failure in report.failures[:3]:
        console.print(f"[red]run failed[/red] {failure}", highlight=False, markup=True)
    console.print(_verdict(report))


def _runs(report: Report) -> Table:
    table = Table(title=f"Runs, session of {report.session['date']}", title_justify="left")
    table.add_column("service")
    shown = [o for o in OUTCOMES if any(o in counts for counts in report.runs.values())]
    for outcome in shown:
        table.add_column(outcome, justify="right")
    table.add_column("held back", justify="right")
    for service, counts in _in_a_rows_order(report.runs):
        held = report.runs_held_back.get(service, 0)
        table.add_row(service, *(str(counts.get(o, "")) for o in shown), str(held or ""))
    return table


def _in_a_rows_order(runs: Mapping[str, Mapping[str, int]]) -> list[tuple[str, Mapping[str, int]]]:
    return [(name, runs[name]) for name in catalog.load().services if name in runs]


def _rows(report: Report) -> Table:
    table = Table(title="Rows", title_justify="left", show_header=False)
    table.add_column("what")
    table.add_column("how many", justify="right")
    table.add_column("of which")
    bad = "[red]{}[/red]"
    table.add_row("session bars in the file", f"{report.session_bars_in_file:,}", ", ".join(report.symbols[:12]))
    table.add_row("session bars stored", f"{report.session_bars_stored:,}", "")
    table.add_row(
        "bars lost",
        bad.format(report.bars_lost) if report.bars_lost else "0",
        _list(report.bars_set_aside, "set aside: "),
    )
    table.add_row(
        "features", f"{report.features:,}", f"{report.features_wrong} wrong, {report.features_missing} missing"
    )
    table.add_row("news", f"{report.news:,}", f"of {report.news_in_file:,} in the file, {report.news_lost} lost")
    table.add_row("sentiments", f"{report.sentiments:,}", _list(report.sentiments_by_label))
    table.add_row("signals", f"{report.signals:,}", _list(report.signals_by_side))
    table.add_row("dispatches", f"{report.dispatches:,}", _list(report.dispatches_by_state))
    table.add_row("gap minutes", f"{sum(report.gaps.values()):,}", _list(report.gaps))
    table.add_row("  filled since", f"{sum(report.gaps_backfilled.values()):,}", _list(report.gaps_backfilled))
    return table


def _list(counts: Mapping[str, int], before: str = "") -> str:
    return before + ", ".join(f"{count:,} {name}" for name, count in counts.items()) if counts else ""


def _verdict(report: Report) -> str:
    runs = sum(map(_total, report.runs.values()))
    seconds = f"{runs:,} runs in {report.wall_seconds:.0f} s, verified in {report.verify_seconds:.0f} s"
    if report.clean:
        return f"[green]Nothing lost, duplicated, wrong or ahead of its time.[/green] {seconds}"
    return f"[red]{_list(report.faults)}[/red]. {seconds}"


def _total(counts: Mapping[str, int]) -> int:
    return sum(counts.values())

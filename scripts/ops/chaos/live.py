"""What a person sees while a scenario plays, and at its end: a bar of progress, the timeline, what held."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from ops.chaos import judge, moments
from ops.chaos import record as kinds
from ops.chaos.judge import Verdict
from ops.chaos.market import Day
from ops.chaos.record import Event, Record
from ops.local.cloud import MINUTE

COLOURS = {
    kinds.STEP: "cyan",
    kinds.STEP_FAILED: "bold red",
    kinds.COMMAND: "cyan",
    kinds.FINDING: "yellow",
    kinds.CLEARED: "green",
    kinds.NOTIFICATION: "magenta",
    kinds.RUNS_FAIL: "red",
    kinds.RUNS_RECOVER: "green",
    kinds.DEAD_LETTER: "red",
    kinds.BLIND: "red",
    kinds.DIAGNOSIS: "blue",
}
ALARM_COLOURS = {"ALARM": "bold red", "OK": "green"}


class Live:
    """Prints each line of the timeline as it comes; on a terminal above a bar of progress."""

    def __init__(self, day: Day, console: Console) -> None:
        self.day = day
        self.console = console
        self._progress: Progress | None = None

    def __enter__(self) -> Self:
        if self.console.is_terminal:
            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.completed}/{task.total} min"),
                TimeElapsedColumn(),
            )
            self._progress = Progress(*columns, console=self.console, transient=True)
            total = int((self.day.end - self.day.start) / MINUTE)
            self._task = self._progress.add_task("starting the cloud", total=total)
            self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._progress:
            self._progress.stop()

    def event(self, event: Event) -> None:
        """One line: virtual time, wall seconds, what."""
        colour = COLOURS.get(event.kind, "")
        if event.kind == kinds.ALARM:
            colour = ALARM_COLOURS.get(event.text.rpartition(" ")[2], "")
        head = f"{moments.clock(event.virtual)} {event.wall_seconds:7.1f} s  {event.kind:<15} "
        text = escape(f"{head}{event.text}")
        self.console.print(f"[{colour}]{text}[/]" if colour else text, highlight=False, soft_wrap=True)

    def minute(self, at: datetime, record: Record) -> None:
        """The bar moves on."""
        if self._progress:
            found = len(record.open_findings)
            told = f"{self.day.date} {moments.clock(at)} New York, {found} open findings"
            self._progress.update(self._task, advance=1, description=told)


def show(verdicts: Sequence[Verdict], report: Mapping[str, Any], console: Console) -> None:
    """The runs, the numbers that matter, and each expectation."""
    if report["runs"]:
        console.print(_runs(report["runs"]))
    console.print(_numbers(report))
    for verdict in verdicts:
        console.print(_line(verdict), highlight=False, soft_wrap=True)
    console.print(_summary(verdicts, report), highlight=False, soft_wrap=True)


def _runs(runs: Mapping[str, Mapping[str, int]]) -> Table:
    outcomes = sorted({outcome for counts in runs.values() for outcome in counts})
    table = Table(title="Runs", title_justify="left")
    table.add_column("service")
    for outcome in outcomes:
        table.add_column(outcome, justify="right")
    for service, counts in runs.items():
        table.add_row(service, *(str(counts.get(outcome, "")) for outcome in outcomes))
    return table


def _numbers(report: Mapping[str, Any]) -> Table:
    table = Table(show_header=False)
    table.add_column("what")
    table.add_column("how much", justify="right")
    for name, value in (
        ("detected after", _minutes(report["seconds_to_detect"])),
        ("recovered after", _minutes(report["seconds_to_recover"])),
        ("bars stored", f"{report['bars_stored']} of {report['bars_expected']}, {report['bars_late']} late"),
        ("bars lost", report["bars_lost"]),
        ("dispatches", f"{report['dispatches']}, {report['dispatches_duplicated']} duplicated"),
        ("dead letters", report["dead_letters"]),
        ("wall time", f"{report['wall_seconds']:.0f} s"),
    ):
        table.add_row(name, str(value))
    return table


def _minutes(seconds: float | None) -> str:
    return "–" if seconds is None else f"{seconds / 60:g} min"


def _line(verdict: Verdict) -> str:
    mark = "[green]held[/]    " if verdict.held else "[bold red]NOT HELD[/]"
    expected, seen = (escape(judge.as_text(value)) for value in (verdict.expected, verdict.seen))
    return f"{mark} {escape(verdict.name)}: expected {expected}; seen {seen}"


def _summary(verdicts: Sequence[Verdict], report: Mapping[str, Any]) -> str:
    failed = [verdict for verdict in verdicts if not verdict.held]
    if report["failed"]:
        return f"[bold red]the cloud failed:[/] {escape(report['failed'])}"
    if failed:
        return f"[bold red]{len(failed)} of {len(verdicts)} expectations do not hold[/]"
    return f"[green]all {len(verdicts)} expectations hold[/]" if verdicts else "[green]played; nothing was expected[/]"

"""How a validation reads: a line a question, what stands against it below, who beats, and what was not looked at."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from healthcheck.finding import Finding, Severity
from ops.inventories import compared
from ops.validate_result import Result
from ops.validate_wait import Waiting

MARKS = {"yes": "[green]✓[/]", "no": "[red]✗[/]", "unknown": "[yellow]?[/]"}
COLOURS = {Severity.CRITICAL: "red", Severity.WARNING: "yellow", Severity.UNKNOWN: "yellow"}


class Watching:
    """A bar that grows with every service that has beaten; on what is no terminal a line for each."""

    def __init__(self, console: Console) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self.console = console
        self.progress = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        self.task = self.progress.add_task("waiting for the first runs", total=None, visible=False)
        self.told: set[str] = set()

    def __enter__(self) -> Self:
        self.progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self.progress.stop()

    def __call__(self, waiting: Waiting) -> None:
        """Shows how far it is."""
        for name, at in sorted(waiting.beaten.items()):
            if name not in self.told:
                self.told.add(name)
                self.progress.console.print(f"[green]beats[/]   {name} completed a run at {at:%H:%M} UTC")
        for name in waiting.silent:
            if name not in self.told:
                self.told.add(name)
                since = waiting.since[name]
                self.progress.console.print(f"[red]silent[/]  {name} has completed no run since {since:%H:%M} UTC")
        left = waiting.left
        latest = max((waiting.by[name] for name in left), default=None)
        words = f"waiting for {', '.join(left[:3])}{' …' if len(left) > 3 else ''}"
        words += f" until {latest:%H:%M} UTC at most" if latest else ""
        self.progress.update(
            self.task,
            description=words,
            total=len(waiting.since),
            completed=len(waiting.since) - len(left),
            visible=bool(left),
        )


def show(console: Console, result: Result, *, title: str) -> None:
    """Prints it whole."""
    for line in lines(result, title):
        console.print(line)


def lines(result: Result, title: str) -> Iterator[str]:
    """The lines, with rich's markup."""
    unjudged = {check.name for check in result.report.unjudged}
    for check in (*result.report.judged, *result.report.unjudged):
        answer = result.answer(check.name, check.codes, unjudged)
        yield f"{MARKS[answer]} {check.question}" + ("" if answer == "yes" else f" [bold]{answer}[/]")
    for finding in result.open:
        yield from _finding(finding)
    for pair in compared(result.inventories):
        only = [f"only in {side}: {', '.join(names)}" for side, names in
                ((pair.left, pair.only_left), (pair.right, pair.only_right)) if names]  # fmt: skip
        yield f"[dim]{pair.left} × {pair.right}: {escape('; '.join(only))}[/]"
    yield from _runs(result)
    yield _verdict(result, title)


def _finding(finding: Finding) -> Iterator[str]:
    since = f" since {finding.since:%Y-%m-%d %H:%M} UTC" if finding.since else ""
    yield f"\n[bold {COLOURS.get(finding.severity, 'blue')}]{finding.code}[/] [bold]{escape(finding.subject)}[/]{since}"
    yield f"   {escape(finding.summary)}"
    yield f"   [bold]repair:[/] {escape(finding.repair)}"


def _runs(result: Result) -> Iterator[str]:
    if result.beaten:
        yield f"[green]{len(result.beaten)} services beat[/]: {', '.join(sorted(result.beaten))}"
    if result.unheard:
        yield f"[yellow]not heard yet, and not waited for[/]: {', '.join(result.unheard)}"
    for why, names in [] if result.left_out else _by_reason(result.skipped.items()):
        yield f"[dim]not waited for: {', '.join(names)} ({escape(why)})[/]"
    if result.left_out:
        yield f"[yellow]{escape(result.left_out)}[/]"


def _by_reason(skipped: Iterable[tuple[str, str]]) -> list[tuple[str, list[str]]]:
    found: dict[str, list[str]] = {}
    for name, why in skipped:
        found.setdefault(why, []).append(name)
    return list(found.items())


def _verdict(result: Result, title: str) -> str:
    count = len(result.open)
    words = f"[bold red]{count} finding{'s' if count > 1 else ''}[/]" if count else "[bold green]valid[/]"
    judged = len(result.report.judged)
    return f"{words}: {title} {result.environment}, {judged} checks in {result.seconds:.1f} s"

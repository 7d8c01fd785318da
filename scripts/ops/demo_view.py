"""What a newcomer sees of the demo: which schedules fire, what alarms and is found, what happened, and the score."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping
from datetime import datetime
from types import TracebackType
from typing import Any, Self

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from ops.chaos import moments
from ops.chaos import record as kinds
from ops.chaos.market import Day
from ops.chaos.record import Event, Record
from ops.local.cloud import MINUTE, Cloud
from pipeline.catalog import Catalog

LINES = 10
COLOURS = {
    kinds.STEP: "cyan",
    kinds.STEP_FAILED: "bold red",
    kinds.COMMAND: "bold cyan",
    kinds.ALARM: "bold red",
    kinds.FINDING: "yellow",
    kinds.CLEARED: "green",
    kinds.NOTIFICATION: "magenta",
    kinds.RUNS_FAIL: "red",
    kinds.DIAGNOSIS: "bold blue",
}
KEY_SUSPECTS = {"key_rejected", "key_swapped"}  # what the incident's key was blamed for
# Told by the alarm's own line already, or by no one asked for.
UNTOLD = (kinds.NOTIFICATION, kinds.RUNS_RECOVER)


class View:
    """On a terminal a table that changes; elsewhere the lines of the story."""

    def __init__(self, day: Day, services: Catalog, console: Console) -> None:
        self.day, self.services, self.console = day, services, console
        self.cloud: Cloud | None = None
        self.lines: deque[Text] = deque(maxlen=LINES)
        self.runs: Counter[str] = Counter()
        self.last: dict[str, datetime] = {}
        self.now = day.start
        self._live: Live | None = None

    def __enter__(self) -> Self:
        if self.console.is_terminal:
            self._live = Live(self._picture(), console=self.console, refresh_per_second=4, transient=True)
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    def event(self, event: Event) -> None:
        """A line of the story; what people were sent stands with the alarm or the finding that sent it."""
        calm = event.kind == kinds.ALARM and not event.text.endswith(" ALARM")
        if event.kind in UNTOLD or (calm and event.more.get("old") != "ALARM"):
            return
        colour = "green" if calm else COLOURS.get(event.kind, "")
        line = Text.from_markup(escape(f"{moments.clock(event.virtual)}  {event.kind:<8}  {_short(event.text)}"))
        line.stylize(colour)
        self.lines.append(line)
        if self._live:
            self._live.update(self._picture())
        else:
            self.console.print(line, highlight=False, soft_wrap=True)

    def minute(self, at: datetime, record: Record) -> None:
        """Counts what fired."""
        self.now = at
        for invocation in (each for each in reversed(record.invocations) if each.at == at):
            if invocation.result == "started":
                self.runs[invocation.service] += 1
                self.last[invocation.service] = at
        if self._live:
            self._live.update(self._picture(record))

    def _picture(self, record: Record | None = None) -> Group:
        total, done = (self.day.end - self.day.start) / MINUTE, (self.now - self.day.start) / MINUTE
        head = Table.grid(padding=(0, 2))
        head.add_row(
            Text(f"{self.day.date} {moments.clock(self.now)} New York", style="bold"),
            ProgressBar(total=total, completed=done, width=40),
            Text(f"{done:.0f} of {total:.0f} minutes"),
        )
        return Group(head, self._services(record), *self.lines)

    def _services(self, record: Record | None) -> Table:
        table = Table("service", "schedule", "runs", "last started", "alarms", "findings")
        live = self._schedules()
        alarms = _in_alarm(record)
        for service in self.services:
            there = live.get(service.schedule)
            state = (
                Text("missing", "bold red") if there is None else Text(there, "green" if there == "ENABLED" else "red")
            )
            silent = [name for name in alarms if service.name.replace("_", "-") in name]
            found = [each.code for each in (record.open_findings if record else ()) if each.subject == service.name]
            last = self.last.get(service.name)
            late = last is not None and self.now - last > 3 * service.period
            table.add_row(
                service.name,
                state,
                str(self.runs[service.name]),
                Text(moments.clock(last) if last else "–", "red" if late else ""),
                Text(", ".join(name.rsplit("-", 1)[-1] for name in silent), "bold red"),
                Text(", ".join(sorted(set(found))), "yellow"),
            )
        return table

    def _schedules(self) -> dict[str, str]:
        if self.cloud is None:
            return {service.schedule: "ENABLED" for service in self.services}
        found = self.cloud.plane.deployed.schedules()
        return {each.name: "ENABLED" if each.enabled else "DISABLED" for each in found}


def _in_alarm(record: Record | None) -> list[str]:
    states = {change.name: change.new for change in (record.alarms if record else ())}
    return [name for name, state in states.items() if state == "ALARM"]


def _short(text: str) -> str:
    return text if len(text) <= 150 else f"{text[:149]}…"


def scoreboard(report: Mapping[str, Any]) -> Table:
    """This run beside the incident of 2026-01-26, as its report tells it."""
    table = Table("", "2026-01-26, as it was", "here", title="The same incident, twice", title_justify="left")
    told = [each for each in report["notifications"] if report["first_fault"] and each["at"] >= _at(report)]
    causes = sorted({each["code"] for each in report["causes"]})
    cleared = sorted({each["code"] for each in report["cleared"]} & KEY_SUSPECTS)
    rows = (
        ("detected after", "11 min, by a person who looked", _detected(report)),
        ("people were told", "never", f"{len(told)} times" if told else "never"),
        ("blamed at first", "the new key", "the key" if KEY_SUSPECTS & set(causes) else "nobody"),
        ("named as the cause", "after 11 min, by hand", ", ".join(causes) or "–"),
        ("cleared", "the key, by a test by hand", f"the key: {', '.join(cleared)}" if cleared else "–"),
        ("recovered after", "15 min, the past given up", _minutes(report["seconds_to_recover"])),
        ("bars lost", "105", str(report["bars_lost"])),
        ("dispatched twice", "not known", str(report["dispatches_duplicated"])),
    )
    for row in rows:
        table.add_row(*row)
    return table


def _detected(report: Mapping[str, Any]) -> str:
    """How long it took, and whether a finding or an alarm was first."""
    alarm, finding = report["first_alarm"], report["first_finding"]
    told = [(str(alarm["at"]), f"the alarm {alarm['name']}")] if alarm else []
    told += [(str(finding["first_seen"]), f"the finding {finding['code']}")] if finding else []
    seconds = report["seconds_to_detect"]
    if seconds is None or not told:
        return "–"
    return f"{'at once' if seconds < MINUTE.total_seconds() else _minutes(seconds)}, by {min(told)[1]}"


def _at(report: Mapping[str, Any]) -> datetime:
    return datetime.fromisoformat(report["first_fault"])


def _minutes(seconds: float | None) -> str:
    return "–" if seconds is None else f"{seconds / 60:g} min"

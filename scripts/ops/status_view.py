"""How the pipeline's picture reads in a terminal: signs that need no colour, the worst in front of everything else."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from healthcheck.page.signs import TEXT, of_severity
from healthcheck.page.states import LINKS, Standing, State
from healthcheck.page.strips import Kind, Strip
from healthcheck.page.view import FindingView, Lacking, ServiceView, View

STYLES = {
    State.OK: "green",
    State.RESTING: "dim",
    State.UNKNOWN: "magenta",
    State.WARNING: "yellow",
    State.FAULTY: "bold red",
}
# Heads so short that all links of a start fit into eighty columns.
HEADS = dict(zip(LINKS, ("sched", "role", "targ", "img", "par", "net", "run", "alm"), strict=True))
# The last hour in so many signs.
CELLS = 12
MARKS = {
    Kind.DONE: ("▆", "green"),
    Kind.IDLE: ("▂", "dim"),
    Kind.PARTLY: ("▆", "yellow"),
    Kind.FAILED: ("✕", "bold red"),
    Kind.RUNNING: ("▷", "cyan"),
    Kind.MISSED: ("·", "bold red"),
    Kind.RESTED: ("‖", "dim"),
}
GRAVITY = (Kind.FAILED, Kind.MISSED, Kind.PARTLY, Kind.RUNNING, Kind.DONE, Kind.IDLE, Kind.RESTED)


def shown(view: View) -> RenderableType:
    """All of it."""
    return Group(
        Text.assemble((f"{TEXT[view.state]} {view.headline}", STYLES[view.state])),
        Text(f"{view.project} ({view.environment}), {view.market}; as of {_at(view.now)}", style="dim"),
        Text(),
        _services(view),
        Text(),
        _shared(view),
        Text(),
        _ages(view),
        *_findings(view),
        *_signals(view),
    )


def _services(view: View) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0))
    for head in ("", "service", "every", *HEADS.values(), "last hour", "last"):
        table.add_column(head, no_wrap=True)
    for each in view.services:
        links = {link.name: link for link in each.links}
        table.add_row(
            _sign(each.state),
            each.name,
            _short(each.rate),
            *(_sign(links[name].state) if name in links else Text("") for name in LINKS),
            *_hour(each, view.now),
        )
    return table


def _short(rate: str) -> str:
    """`5 min` of `rate(5 minutes)`."""
    count, unit = rate.removeprefix("rate(").removesuffix(")").split()
    return f"{count} min" if unit.startswith("min") else f"{count} {unit[0]}"


def _hour(service: ServiceView, now: datetime) -> tuple[Text, Text]:
    strip = service.strip
    if isinstance(strip, Lacking):
        return Text("?", STYLES[State.UNKNOWN]), Text("?", STYLES[State.UNKNOWN])
    last = f"{strip.last.started_at:%H:%M}" if strip.last else "none"
    return _strip(strip), Text(last)


def _strip(strip: Strip) -> Text:
    """Each cell shows the gravest of what lies in it."""
    text, width = Text(), (strip.until - strip.since) / CELLS
    for i in range(CELLS):
        start, end = strip.since + i * width, strip.since + (i + 1) * width
        kinds = [each.kind for each in strip.stretches if each.start < end and each.end > start]
        mark, style = MARKS[min(kinds, key=GRAVITY.index)] if kinds else (" ", "")
        text.append(mark, style)
    return text


def _shared(view: View) -> Text:
    return Text("  ").join(_named(each) for each in (*view.sources, *view.shared))


def _named(standing: Standing) -> Text:
    return Text.assemble(_sign(standing.state), f" {standing.name}")


def _ages(view: View) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0))
    for head in ("", "table", "newest", "how that stands"):
        table.add_column(head)
    for age in view.ages:
        table.add_row(_sign(age.state), age.table, _at(age.newest) if age.newest else "–", age.told)
    return table


def _findings(view: View) -> Iterator[Text]:
    for each in view.roots:
        yield Text()
        yield from _finding(each, sum(each.name in other.causes for other in view.findings))
    for unread in view.unread:
        yield Text()
        yield Text(f"{TEXT[State.UNKNOWN]} could not read: {', '.join(unread.parts)}", style=STYLES[State.UNKNOWN])
        yield Text(f"  {unread.reason}")
        yield Text(f"  leaves open: {', '.join(each.subject for each in unread.open)}", style="dim")
        yield Text(f"  run: {unread.open[0].repair}", style="bold")
    for each in view.over:
        ended = f", over at {_at(each.cleared_at)}" if each.cleared_at else ""
        yield Text(f"over  {each.code} {each.subject}{ended}", style="dim")


def _finding(found: FindingView, effects: int) -> Iterator[Text]:
    state = of_severity(found.severity)
    since = f", since {_at(found.since)}" if found.since else ""
    yield Text(f"{TEXT[state]} {found.code} {found.subject}{since}", style=STYLES[state])
    yield Text(f"  {found.summary}")
    if effects:
        yield Text(f"  explains {effects} other findings", style="dim")
    yield Text(f"  run: {found.repair}", style="bold")


def _signals(view: View) -> Iterator[RenderableType]:
    if isinstance(view.signals, Lacking):
        yield Text(f"signals unknown: {view.signals.reason}", style=STYLES[State.UNKNOWN])
        return
    if view.signals:
        table = Table(box=None, padding=(0, 1, 0, 0))
        for head in ("at", "symbol", "side", "confidence", "dispatch"):
            table.add_column(head)
        for each in view.signals:
            what = f"{each.state}: {', '.join(each.failed_gates)}" if each.failed_gates else each.state or "not taken"
            table.add_row(_at(each.created_at), each.symbol, each.side, f"{each.confidence:.2f}", what)
        yield table


def _sign(state: State) -> Text:
    return Text(TEXT[state], style=STYLES[state])


def _at(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"

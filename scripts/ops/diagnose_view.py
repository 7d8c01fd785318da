"""How a diagnosis reads on a screen at three in the morning: the cause, since when, how one knows, what to type."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.markup import escape

from healthcheck.diagnosis.shape import Cause, Cleared, Consequence, Diagnosis, Unknown, Verdict, plain
from healthcheck.finding import Severity

HEADS = {
    Verdict.HEALTHY: "[bold green]healthy[/]: every link of the pipeline was looked at, and works",
    Verdict.MARKET_CLOSED: "[bold green]market closed[/]: nothing new is due, and every link was looked at",
}
COLOURS = {Severity.CRITICAL: "red", Severity.WARNING: "yellow"}
# Evidence that the summary has told already, or that names only services.
TOLD = ("services",)
SHOWN = 6
LONG = 160


def show(console: Console, found: Diagnosis, *, everything: bool = False) -> None:
    """Prints it whole; `everything` adds all evidence and each suspect by itself."""
    for line in lines(found, everything=everything):
        console.print(line)


def lines(found: Diagnosis, *, everything: bool = False) -> Iterator[str]:
    """The lines, with rich's markup."""
    yield _head(found)
    looked = f"{found.environment} at {found.now:%Y-%m-%d %H:%M} UTC, {found.checked} checks in {found.seconds:.1f} s"
    yield f"[dim]{looked}[/]"
    for number, cause in enumerate(found.causes, start=1):
        yield ""
        yield from _cause(number, cause, found.consequences, everything)
    if found.cleared:
        yield ""
        yield "[bold]tested, and not to blame[/]"
        yield from _cleared(found.cleared, everything)
    if found.unknown:
        yield ""
        yield "[bold]not known[/]"
        for each in found.unknown:
            yield from _unknown(each)


def _head(found: Diagnosis) -> str:
    if found.verdict is not Verdict.FAULTY:
        return HEADS[found.verdict]
    count = len(found.causes)
    if not count:
        return "[bold yellow]blind[/]: no cause was found, but not everything could be looked at"
    return f"[bold red]faulty[/]: {count} cause{'s' if count > 1 else ''}" + (
        f", {len(found.consequences)} consequences" if found.consequences else ""
    )


def _cause(number: int, cause: Cause, consequences: Sequence[Consequence], everything: bool) -> Iterator[str]:
    colour = COLOURS.get(cause.severity, "blue")
    yield f"[bold {colour}]{number}. {cause.code}[/] [bold]{escape(cause.subject)}[/]{_since(cause.since)}"
    yield f"   {escape(cause.summary)}"
    evidence = {key: value for key, value in cause.evidence.items() if value not in (None, "", [], {}, ())}
    known = [(key, value) for key, value in evidence.items() if everything or key not in TOLD]
    for key, value in known if everything else known[:SHOWN]:
        yield f"   [dim]{escape(key)}: {escape(_text(value, everything))}[/]"
    yield f"   [bold]repair:[/] {escape(cause.repair)}"
    mine = [each for each in consequences if cause.name in each.causes]
    for each in mine:
        others = [name for name in each.causes if name != cause.name]
        also = f" [dim](also of {escape(', '.join(others))})[/]" if others else ""
        yield f"   └ {each.code} {escape(each.subject)}: {escape(each.summary)}{also}"


def _since(at: datetime | None) -> str:
    return f" since {at:%Y-%m-%d %H:%M} UTC" if at else ""


def _text(value: Any, everything: bool) -> str:
    if isinstance(value, Mapping) and {"event", "by", "at"} <= value.keys():
        return f"{value['event']} by {value['by'] or 'somebody'} at {value['at']:%Y-%m-%d %H:%M:%S} UTC"
    text = value if isinstance(value, str) else json.dumps(plain(value))
    return text if everything or len(text) <= LONG else f"{text[: LONG - 1]}…"


def _cleared(cleared: Sequence[Cleared], everything: bool) -> Iterator[str]:
    """Suspects that one reason points at, and one proof clears, stand in one line."""
    groups: dict[tuple[str, str], list[Cleared]] = {}
    for each in cleared:
        groups.setdefault((each.code, each.evidence if everything else each.code), []).append(each)
    for (code, _), members in groups.items():
        names = list(dict.fromkeys(each.subject for each in members))
        shown = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
        yield f" · [green]{code}[/] {escape(shown)} [dim]({escape(members[0].suspected_because)})[/]"
        yield f"   {escape(members[0].evidence)}"


def _unknown(each: Unknown) -> Iterator[str]:
    shown = ", ".join(each.codes[:SHOWN]) + (f" and {len(each.codes) - SHOWN} more" if len(each.codes) > SHOWN else "")
    yield f" · [yellow]{escape(each.subject)}[/]: {escape(each.reason)}"
    yield f"   not excluded: {shown}"
    yield f"   to decide: {escape(each.test)}"

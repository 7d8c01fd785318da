"""A runbook as a document for people: from its steps and nothing else, so that it cannot say what is not done."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

import click

from ops.runbook.step import Runbook, Step

WIDTH = 118
EXITS = "Exit codes: 0 done · 1 failed · 2 usage · 3 work remains · 4 refused."


def lines(runbook: Runbook) -> Iterator[str]:
    """The document, line by line."""
    command = f"runbooks/{runbook.name}"
    yield f"{runbook.name}: {runbook.title}"
    yield ""
    yield from _wrapped(f"When: {runbook.when}")
    yield ""
    begun = f"{command} --env ENV" + (f" {runbook.required}" if runbook.required else "")
    width = len(begun) + len(" --apply ")
    yield f"  {begun:<{width}} rehearse: looks, changes nothing"
    yield f"  {begun + ' --apply':<{width}} do it"
    yield f"  {command + ' --env ENV --resume':<{width}} go on after an interruption, a failure or a crash"
    for option in runbook.options:
        if isinstance(option, click.Option):
            yield f"  {_usage(option):<{width}} {option.help}{_default(option)}"
    yield ""
    for number, step in enumerate(runbook.steps, start=1):
        yield from _step(number, step, _undone_up_to(runbook, number))
    if runbook.after:
        yield ""
        yield from _wrapped(f"To go back: {runbook.after}")
    yield EXITS


def _usage(option: click.Option) -> str:
    name = option.opts[0]
    return name if option.is_flag else f"{name} {option.metavar or option.type.name.upper()}"


def _default(option: click.Option) -> str:
    return f" [default: {option.default:g}]" if isinstance(option.default, int | float) and not option.is_flag else ""


def _undone_up_to(runbook: Runbook, number: int) -> int:
    """The last step whose failure takes back what this one did."""
    settling = [at for at, step in enumerate(runbook.steps, start=1) if step.settles and at >= number]
    return settling[0] if settling else len(runbook.steps)


def _step(number: int, step: Step, undone_up_to: int) -> Iterator[str]:
    yield f"{number:>2}. {step.name}{'' if step.act else ' (a check: if it fails, nothing is begun)'}"
    for text in (step.why, step.told and f"You: {step.told}"):
        if text:
            yield from _wrapped(text, "    ")
    if step.irreversible:
        yield from _wrapped(f"POINT OF NO RETURN, the environment's name is typed first: {step.irreversible}", "    ")
    if step.undo:
        yield f"    Undone by itself if a step up to {undone_up_to} fails. Ctrl-C leaves it as it is, until --resume."


def _wrapped(text: str, indent: str = "") -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=indent, subsequent_indent=indent or "  ")

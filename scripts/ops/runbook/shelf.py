"""Which runbooks there are: for each executable in runbooks/ the module of the same name here, with its RUNBOOK."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from ops.runbook import explain
from ops.runbook.step import Runbook

FOLDER = Path(__file__).resolve().parents[3] / "runbooks"


def all_of_them() -> list[Runbook]:
    """The runbooks, by name."""
    names = sorted(path.name for path in FOLDER.iterdir() if path.is_file() and not path.suffix)
    return [load(name) for name in names]


def load(name: str) -> Runbook:
    """The runbook behind runbooks/NAME."""
    found: Runbook = import_module(f"ops.runbook.{name.replace('-', '_')}").RUNBOOK
    return found


def document() -> str:
    """What --explain prints of each, as Markdown."""
    parts = []
    for runbook in all_of_them():
        text = "\n".join(explain.lines(runbook))
        parts.append(f"## {runbook.name}\n\n```\n{text}\n```")
    return "\n\n".join(parts)

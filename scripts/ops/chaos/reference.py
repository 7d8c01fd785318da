"""The generated parts of docs/scenarios.md: all keys from the schema, all placeholders, all faults, the codes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from ops.chaos import codes, placeholders
from ops.chaos.scenario import SCHEMA
from ops.local import feed_faults
from ops.local.exchange import faults


def keys() -> str:
    """Every key of a scenario as a Markdown table, by the path that leads to it."""
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    rows = [f"| `{path}` | {_cell(text)} |" for path, text in _walk(schema, schema, "")]
    return "\n".join(["| key | what |", "|---|---|", *rows])


def _walk(node: Mapping[str, Any], schema: Mapping[str, Any], path: str) -> Iterator[tuple[str, str]]:
    for name, raw in node.get("properties", {}).items():
        target = _resolved(raw, schema)
        here = f"{path}.{name}" if path else name
        yield here, raw.get("description") or target.get("description", "")
        if name in ("do", "before"):
            continue  # told once, below steps
        items = _resolved(target.get("items", {}), schema)
        yield from _walk(items if items.get("properties") else target, schema, here)
    if path == "":
        action = schema["$defs"]["action"]
        yield from _walk(action, schema, "do")


def _resolved(raw: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    reference = raw.get("$ref", "")
    return schema["$defs"][reference.rsplit("/", 1)[-1]] if reference else raw


def stands_for() -> str:
    """Every placeholder as a Markdown table."""
    rows = [
        f"| `${{{name}{f':{known.argument}' if known.argument else ''}}}` | {_cell(known.meaning)} |"
        for name, known in placeholders.KNOWN.items()
    ]
    return "\n".join(["| placeholder | stands for |", "|---|---|", *rows])


def fault_kinds() -> str:
    """The faults of the exchange and of the feeds, in the words of their constructors."""
    rows = []
    for kind in faults.KINDS:
        told = (getattr(faults, kind).__doc__ or "").strip() if hasattr(faults, kind) else ""
        rows.append(f"| exchange | `{kind}` | {_cell(' '.join(told.split()))} |")
    for kind in feed_faults.KINDS:
        make = feed_faults.DRAWN.get(kind) or feed_faults.ENCODED.get(kind) or feed_faults.WIRE[kind]
        rows.append(f"| feeds | `{kind}` | {_cell(' '.join((make.__doc__ or '').split()))} |")
    return "\n".join(["| of | kind | what |", "|---|---|---|", *rows])


def cause_codes() -> str:
    """The codes that expectations may name."""
    return ", ".join(f"`{code}`" for code in sorted(codes.ALL))


def _cell(text: str) -> str:
    return text.replace("|", r"\|")

"""Runs the benchmarks of tests/bench and writes what they measured: bench-results/latest.json, docs/benchmarks.md."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "tests" / "bench"
RESULTS = ROOT / "bench-results" / "latest.json"
DOCUMENT = ROOT / "docs" / "benchmarks.md"


@click.command()
@click.argument("names", nargs=-1)
@click.option(
    "--write/--no-write",
    default=True,
    show_default=True,
    help="Write docs/benchmarks.md, once each benchmark was measured here.",
)
def main(names: tuple[str, ...], write: bool) -> None:
    """Run the benchmarks NAMES (default: all), each in a process of its own, one after the other.

    Those that are not named keep what was measured of them before."""
    known = {path.stem.removeprefix("bench_"): path for path in sorted(FOLDER.glob("bench_*.py"))}
    if unknown := set(names) - known.keys():
        raise click.UsageError(f"no benchmark {', '.join(sorted(unknown))}; there are: {', '.join(known)}")
    measured = _measured_before(known)
    console = Console()
    for name in names or known:
        with console.status(f"measuring {name}"):
            measured[name] = _in_own_process(known[name])
        console.print(_table(name, measured[name]))
    RESULTS.parent.mkdir(exist_ok=True)
    measured = dict(sorted(measured.items()))
    RESULTS.write_text(json.dumps({"machine": machine(), "measured": measured}, indent=2) + "\n", encoding="utf-8")
    if write and measured.keys() == known.keys():
        DOCUMENT.write_text(document(measured), encoding="utf-8")


def _measured_before(known: Collection[str]) -> dict[str, Any]:
    if not RESULTS.exists():
        return {}
    measured = json.loads(RESULTS.read_text(encoding="utf-8"))["measured"]
    return {name: figures for name, figures in measured.items() if name in known}


def _in_own_process(path: Path) -> dict[str, Any]:
    """What the benchmark's run() returns, when, and how many processes wanted a core on average of the last minute.

    Memory and caches of one benchmark must not colour the next."""
    command = [sys.executable, "-m", "ops.bench_one", str(path)]
    ended = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return {**found, "measured_at": now, "load_average": round(os.getloadavg()[0], 1)}


def machine() -> dict[str, Any]:
    """What the figures were measured on; absolute times mean little elsewhere."""
    return {
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
    }


def flat(values: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    """Nested figures as (dotted name, text) pairs."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", f"{value:,.4g}" if isinstance(value, float) else str(value)


def _table(name: str, measured: Mapping[str, Any]) -> Table:
    table = Table(title=name, title_justify="left", show_header=False)
    for figure, text in flat(measured):
        table.add_row(figure, text)
    return table


def document(measured: Mapping[str, Mapping[str, Any]]) -> str:
    """docs/benchmarks.md."""
    about = ", ".join(f"{name} {value}" for name, value in machine().items())
    lines = [
        "# Benchmarks",
        "",
        "Written by `make bench`; not by hand. Ratios are against a baseline of the same run; absolute times are of one"
        " machine that had other work too.",
        "",
        f"Measured on: {about}.",
    ]
    for name, figures in measured.items():
        lines += ["", f"## {name}", "", "| figure | measured |", "|---|---|"]
        lines += [f"| {figure} | {text} |" for figure, text in flat(figures)]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()

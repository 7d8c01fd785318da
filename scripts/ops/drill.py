"""Game days: a runbook run as an operator would, in the trouble that it is for, and what it cost in time and rows."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from ops.chaos import report as chaos_report

ROOT = Path(__file__).resolve().parents[2]
DRILLS = ROOT / "tests" / "drills"
EVIDENCE = ROOT / "drill-results"
TREND = ROOT / "docs" / "drills.md"
RUNBOOKS = ROOT / "runbooks"
RESTORED = re.compile(r"(?:restored to|data as of \(UTC\)): (\d{4}-\d\d-\d\d[ T][\d:]{8})")
LOST_RUNS = ("FAILED", "KILLED")

INTRODUCTION = """\
# Drills

Written by `make drill RUNBOOK=…`, a line each time: a scenario of tests/drills is played on the local cloud, and the
runbook is started in it as an operator would. All seconds but the last are virtual. RTO: from the fault until the last
missing bar was there, 0 where none was missing. RPO: in seconds, how much older than the fault the rows are that came
back from the database's backup (– where nothing was restored); in bars, what was lost for good after all was fetched
again. Runs failed and bars late are what the trouble and the repair cost together.
"""
COLUMNS: Mapping[str, Callable[[Mapping[str, Any]], Any]] = {
    "drill": lambda e: e["drill"],
    "on": lambda e: e["on"],
    "commit": lambda e: e["commit"],
    "holds": lambda e: "yes" if e["exit"] == chaos_report.HELD else "no",
    "seconds to detect": lambda e: _whole(e["seconds_to_detect"]),
    "RTO, seconds": lambda e: _whole(e["rto_seconds"]),
    "runbook, seconds": lambda e: _whole(e["runbook_seconds"]),
    "RPO, seconds": lambda e: _whole(e["rpo_seconds"]),
    "RPO, bars": lambda e: _whole(e["bars_lost"]),
    "bars late": lambda e: _whole(e["bars_late"]),
    "runs failed": lambda e: _whole(e["runs_failed"]),
    "dispatches twice": lambda e: _whole(e["dispatches_duplicated"]),
    "wall seconds": lambda e: _whole(e["wall_seconds"]),
}


@click.command()
@click.option("--runbook", required=True, metavar="NAME", help="The executable's name below runbooks/.")
@click.option(
    "--evidence", type=click.Path(file_okay=False, path_type=Path), default=EVIDENCE, help="Where evidence is written."
)
@click.option(
    "--trend", type=click.Path(dir_okay=False, path_type=Path), default=TREND, help="The table that gets a line."
)
def main(runbook: str, evidence: Path, trend: Path) -> None:
    """Drill a runbook: every scenario of tests/drills that is named after it.

    Exit codes: 0 every drill holds · 1 the cloud itself failed · 2 usage · 3 a drill does not hold.
    """
    found = drills(runbook)
    if not found:
        known = ", ".join(sorted({_runbook_of(path) for path in DRILLS.glob("*.yaml")}))
        raise click.UsageError(f"there is no drill of {runbook!r}; there are some of: {known}")
    worst = 0
    for path in found:
        told = play(path, evidence)
        record(told, trend)
        click.echo(_line(told))
        for each in told["not_held"]:
            click.echo(f"  does not hold: {each}")
        worst = worst or told["exit"]
    sys.exit(worst)


def drills(runbook: str) -> list[Path]:
    """The scenarios of a runbook, the plain one first."""
    return sorted(path for path in DRILLS.glob("*.yaml") if _runbook_of(path) == runbook)


def _runbook_of(path: Path) -> str:
    """The longest name of a runbook that the file's begins with."""
    names = [each.name for each in RUNBOOKS.iterdir() if not each.suffix and path.stem.startswith(each.name)]
    return max(names, key=len, default="")


def play(path: Path, folder: Path) -> dict[str, Any]:
    """Plays one; its figures, which lie with the whole report in the folder as its evidence.

    Raises ClickException where there is no report."""
    now = datetime.now(UTC)
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "report.json"
        command = [sys.executable, "-P", "-m", "ops.chaos", "--scenario", str(path), "--report", str(file)]
        ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        if not file.is_file():
            raise click.ClickException(f"{path.stem}: {(ended.stderr or ended.stdout).strip()[-2000:]}")
        report = json.loads(file.read_text(encoding="utf-8"))
    told = {"drill": path.stem, "on": f"{now:%Y-%m-%d}", "commit": _commit(), **figures(report)}
    folder.mkdir(parents=True, exist_ok=True)
    kept = folder / f"{path.stem}-{now:%Y%m%dT%H%M%SZ}.json"
    kept.write_text(json.dumps({**told, "report": report}, indent=1) + "\n", encoding="utf-8")
    return told


def figures(report: Mapping[str, Any]) -> dict[str, Any]:
    """What a drill measures, from the report of its play."""
    commands = [each for each in report["commands"] if "runbooks/" in each["command"]]
    runs = report["runs"] or {}
    return {
        "exit": report["exit"],
        "not_held": [each["name"] for each in report["expectations"] if not each["held"]],
        "seconds_to_detect": report["seconds_to_detect"],
        "rto_seconds": report["seconds_to_recover"] if report["bars_late"] or report["bars_lost"] else 0,
        "runbook_seconds": sum(_seconds(each["started"], each["ended"]) for each in commands),
        "rpo_seconds": _rpo(report["first_fault"], "\n".join(each["output"] for each in commands)),
        "bars_lost": report["bars_lost"],
        "bars_late": report["bars_late"],
        "runs_failed": sum(counts.get(outcome, 0) for counts in runs.values() for outcome in LOST_RUNS),
        "dispatches_duplicated": report["dispatches_duplicated"],
        "wall_seconds": report["wall_seconds"],
    }


def _seconds(started: str, ended: str) -> float:
    return (datetime.fromisoformat(ended) - datetime.fromisoformat(started)).total_seconds()


def _rpo(fault: str | None, told: str) -> float | None:
    """By the runbook's own measure of what its restored rows are of."""
    found = RESTORED.search(told)
    if not (fault and found):
        return None
    of = datetime.fromisoformat(found.group(1)).replace(tzinfo=UTC)
    return max(0.0, (datetime.fromisoformat(fault) - of).total_seconds())


def _commit() -> str:
    """What was played; the lines of drills before this one make it no other."""
    named = _git("rev-parse", "--short", "HEAD")
    changed = _git("status", "--porcelain", "--untracked-files=no", "--", ".", f":!{TREND.relative_to(ROOT)}")
    return f"{named}-dirty" if named and changed else named or "unknown"


def _git(*arguments: str) -> str:
    return subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True).stdout.strip()


# ── the trend ────────────────────────────────────────────────────────────────────────────────────────────────────────


def record(told: Mapping[str, Any], trend: Path) -> None:
    """Adds a line to the table; begins the table where there is none."""
    head = [f"| {' | '.join(COLUMNS)} |", f"|{'---|' * len(COLUMNS)}"]
    text = trend.read_text(encoding="utf-8") if trend.is_file() else "\n".join([INTRODUCTION, *head]) + "\n"
    trend.write_text(f"{text}| {' | '.join(str(shown(told)) for shown in COLUMNS.values())} |\n", encoding="utf-8")


def _line(told: Mapping[str, Any]) -> str:
    return "  ".join(f"{name}: {shown(told)}" for name, shown in COLUMNS.items() if name not in ("on", "commit"))


def _whole(value: float | None) -> str:
    return "–" if value is None else f"{value:.0f}"


if __name__ == "__main__":
    main()

"""Every scenario played, and what was found, named, wrongly blamed and how fast: the table of it."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import click
from rich.console import Console

ROOT = Path(__file__).resolve().parents[2]
SCENARIOS = ROOT / "tests" / "scenarios"
RESULTS = ROOT / "bench-results" / "score.json"
REPORTS = ROOT / "bench-results" / "scenarios"  # what scripts/chaos last said of each
DOCUMENT = ROOT / "docs" / "score.md"
# Folder below tests/scenarios → its heading; "." are those beside the folders.
GROUPS: Mapping[str, str] = {
    "faults": "Faults that really happened",
    "codes": "Every other code",
    "combinations": "Faults at once",
    "innocents": "Innocent situations",
    "whole": "Whole sessions without a fault",
    "blind": "Where something cannot be read",
    "alarms": "What the alarms see by themselves",
    ".": "The incident, and others",
}
NAMED, CLEARED, OTHERS = ("causes", "causes_by"), ("cleared",), ("no_other_causes", "not_causes")
FALSE_ALARMS = ("no_findings", "no_alarms", "not_findings", "not_alarms", "no_other_findings")
SAID_CHARACTERS = 2000


def scenarios(pattern: str = "*") -> list[Path]:
    """The scenarios whose path below tests/scenarios fits, in the order of the table."""
    found = sorted(SCENARIOS.rglob("*.yaml"), key=lambda path: (list(GROUPS).index(group(path)), path.name))
    return [path for path in found if fnmatch(key(path), pattern) or fnmatch(path.stem, pattern)]


def group(path: Path) -> str:
    return str(path.parent.relative_to(SCENARIOS))


def key(path: Path) -> str:
    return str(path.relative_to(SCENARIOS))


@click.command()
@click.option(
    "--only", default="*", metavar="GLOB", help="Only scenarios whose name or path fits: 'row0*', 'innocents/*'."
)
@click.option("--workers", default=2, show_default=True, type=click.IntRange(min=1), help="Scenarios at a time.")
@click.option("--afresh", is_flag=True, help="Play again what holds already.")
def main(only: str, workers: int, afresh: bool) -> None:
    """Play the scenarios and write docs/score.md.

    What holds is kept in bench-results/score.json until its file changes, so that an interrupted score goes on.
    Exit codes: 0 every one of them holds; 3 one does not; 2 no such scenario.
    """
    wanted = scenarios(only)
    if not wanted:
        raise click.UsageError(f"no scenario below {SCENARIOS.relative_to(ROOT)} fits {only!r}")
    results = _kept()
    waiting = [path for path in wanted if afresh or not _holds(results, path)]
    console = Console()
    console.print(f"{len(wanted)} scenarios, {len(wanted) - len(waiting)} of them played before")
    with ThreadPoolExecutor(workers) as pool:
        playing = {pool.submit(_play, path): path for path in waiting}
        for future in as_completed(playing):
            results[key(playing[future])] = future.result()
            _keep(results)
            console.print(_line(playing[future], future.result()), highlight=False, soft_wrap=True)
    DOCUMENT.write_text(document(results), encoding="utf-8")
    sys.exit(0 if all(results[key(path)]["exit"] == 0 for path in wanted) else 3)


# ── what is kept ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _kept() -> dict[str, Any]:
    """The results so far, less those of scenarios that are no more."""
    found = dict(json.loads(RESULTS.read_text(encoding="utf-8"))) if RESULTS.is_file() else {}
    return {name: result for name, result in found.items() if (SCENARIOS / name).is_file()}


def _holds(results: Mapping[str, Any], path: Path) -> bool:
    known = results.get(key(path), {})
    return known.get("exit") == 0 and known.get("digest") == digest(path)


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def _keep(results: Mapping[str, Any]) -> None:
    RESULTS.parent.mkdir(exist_ok=True)
    new = RESULTS.with_suffix(".new")
    new.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    new.replace(RESULTS)


# ── one scenario ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _play(path: Path) -> dict[str, Any]:
    """Plays one in a process of its own; its score, and its words where it does not hold."""
    file = REPORTS / f"{key(path).removesuffix('.yaml')}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.unlink(missing_ok=True)
    command = [sys.executable, "-m", "ops.chaos", "--scenario", str(path), "--report", str(file)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    scored = {"exit": ended.returncode, "digest": digest(path)}
    if file.is_file():
        scored |= score(json.loads(file.read_text(encoding="utf-8")))
    if ended.returncode != 0:
        scored["said"] = (ended.stderr or ended.stdout)[-SAID_CHARACTERS:]
    return scored


def score(report: Mapping[str, Any]) -> dict[str, Any]:
    """What a report of scripts/chaos says of finding and naming; None where the scenario does not ask for it."""
    expectations = report["expectations"]
    return {
        "named": _held(expectations, NAMED),
        "missing": [name for each in _of(expectations, NAMED) if not each["held"] for name in _lacking(each)],
        "blamed": [name for each in _of(expectations, OTHERS) if not each["held"] for name in _seen(each)],
        "cleared": _held(expectations, CLEARED),
        "alarmed": [name for each in _of(expectations, FALSE_ALARMS) if not each["held"] for name in _seen(each)],
        "not_held": [f"{each['name']}" for each in expectations if not each["held"]],
        "detect_seconds": report["seconds_to_detect"],
        "diagnose_seconds": max((each["seconds"] or 0.0 for each in report["diagnoses"]), default=None),
        "bars_lost": report["bars_lost"],
        "verdict": report["verdict"],
        "wall_seconds": report["wall_seconds"],
    }


def _of(expectations: Iterable[Mapping[str, Any]], keys: Sequence[str]) -> list[Mapping[str, Any]]:
    return [each for each in expectations if each["name"].split()[0] in keys]


def _held(expectations: Iterable[Mapping[str, Any]], keys: Sequence[str]) -> bool | None:
    asked = _of(expectations, keys)
    return all(each["held"] for each in asked) if asked else None


def _lacking(verdict: Mapping[str, Any]) -> list[str]:
    """What the expectation lacks; all that it asked for where nothing could be seen."""
    seen = verdict["seen"]
    return list(seen["lacking"]) if isinstance(seen, Mapping) else list(verdict["expected"])


def _seen(verdict: Mapping[str, Any]) -> list[str]:
    seen = verdict["seen"]
    return list(map(str, seen)) if isinstance(seen, list) else [str(seen)]


def _line(path: Path, result: Mapping[str, Any]) -> str:
    if result["exit"] == 0:
        return f"{key(path)}: holds, {result['wall_seconds']:.0f} s"
    return f"{key(path)}: exit {result['exit']}: {', '.join(result.get('not_held', ())) or result['said'][-200:]}"


# ── the table ────────────────────────────────────────────────────────────────────────────────────────────────────────

COLUMNS: Mapping[str, Callable[[Mapping[str, Any]], Any]] = {
    "named exactly": lambda r: _yes(r["named"]),
    "missing": lambda r: ", ".join(r["missing"]),
    "false blame": lambda r: ", ".join(r["blamed"]),
    "suspect cleared": lambda r: _yes(r["cleared"]),
    "false alarms": lambda r: ", ".join(r["alarmed"]),
    "seconds to detect": lambda r: _number(r["detect_seconds"], 0),
    "seconds to diagnose": lambda r: _number(r["diagnose_seconds"], 1),
    "bars lost": lambda r: _number(r["bars_lost"], 0),
    "wall": lambda r: _number(r["wall_seconds"], 0),
}

TOTALS = ("played", "hold", "causes asked", "named exactly", "false blame", "suspects asked", "cleared", "false alarms")


def document(results: Mapping[str, Any]) -> str:
    """docs/score.md."""
    lines = [
        "# The score",
        "",
        "Written by `make score`: each scenario of tests/scenarios played by `scripts/chaos` against the local cloud.",
        "Seconds to detect are virtual, from the first fault to the first finding or alarm; seconds to diagnose are",
        "real, the slowest `scripts/diagnose` of the scenario; wall is what the whole took, two at a time.",
        "",
        *_totals(results),
    ]
    for folder, heading in GROUPS.items():
        own = {name: found for name, found in sorted(results.items()) if str(Path(name).parent) == folder}
        lines += _table(heading, own) if own else []
    return "\n".join(lines) + "\n"


def _totals(results: Mapping[str, Any]) -> list[str]:
    rows = [f"| | {' | '.join(TOTALS)} |", f"|{'---|' * (1 + len(TOTALS))}"]
    for folder, heading in GROUPS.items():
        own = [found for name, found in results.items() if str(Path(name).parent) == folder and "named" in found]
        if own:
            asked, suspects = ([each[of] for each in own if each[of] is not None] for of in ("named", "cleared"))
            blamed, alarmed = (sum(len(each[of]) for each in own) for of in ("blamed", "alarmed"))
            hold = sum(each["exit"] == 0 for each in own)
            counts = (len(own), hold, len(asked), sum(asked), blamed, len(suspects), sum(suspects), alarmed)
            rows.append(f"| {heading} | {' | '.join(map(str, counts))} |")
    return rows


def _table(heading: str, own: Mapping[str, Any]) -> list[str]:
    head = ["scenario", *COLUMNS, "exit"]
    lines = ["", f"## {heading}", "", f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    for name, result in own.items():
        values = [shown(result) if "named" in result else "" for shown in COLUMNS.values()]
        lines.append(f"| {' | '.join(map(str, [Path(name).stem, *values, result['exit']]))} |")
    return lines


def _yes(held: bool | None) -> str:
    return "" if held is None else "yes" if held else "no"


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"


if __name__ == "__main__":
    main()

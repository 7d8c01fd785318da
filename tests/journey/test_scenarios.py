"""Scenarios played whole on the local cloud: each row of the fault list once, some faults at once, some innocents.

What takes hours stays with `make score`, which plays all of them."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from ops.score import SCENARIOS, key, scenarios

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
ROWS = 28  # of the list of faults that really happened
TIMEOUT_SECONDS = 900


def chosen() -> list[Path]:
    """The first scenario of each row; combinations whose faults hide each other; what once was blamed falsely."""
    rows: dict[str, Path] = {}
    for path in scenarios("faults/row*"):
        rows.setdefault(path.name[:5], path)
    others = (
        "combinations/cluster_yaml",
        "combinations/revoked_network",
        "innocents/first_hour",
        "innocents/quiet_news",
    )
    return [*rows.values(), *(SCENARIOS / f"{name}.yaml" for name in others)]


def test_every_row_of_the_fault_list_has_a_scenario() -> None:
    rows = {int(found[1]) for path in chosen() if (found := re.match(r"row(\d\d)_", path.name))}
    assert rows == set(range(1, ROWS + 1))


def test_there_are_combinations_and_innocents_enough() -> None:
    assert len(scenarios("combinations/*")) >= 20
    assert len(scenarios("innocents/*")) >= 15


@pytest.mark.parametrize("path", chosen(), ids=key)
def test_a_scenario_holds(path: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    command = [str(ROOT / "scripts" / "chaos"), "--scenario", str(path), "--report", str(report)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=TIMEOUT_SECONDS)
    assert report.is_file(), ended.stderr[-3000:]
    told = json.loads(report.read_text(encoding="utf-8"))
    lines = [f"{each['name']}: expected {each['expected']}, seen {each['seen']}" for each in told["expectations"]
             if not each["held"]]  # fmt: skip
    assert ended.returncode == 0, "\n".join([*lines, str(told["failed"] or ""), ended.stdout[-3000:]])

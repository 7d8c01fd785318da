"""Game days: each runbook with a drill can be drilled, and its evidence tells what the trouble cost."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from ops import drill
from ops.chaos.scenario import load

ROOT = Path(__file__).resolve().parents[2]
DRILLED = ("rebuild-region", "recover-schedules", "restore-database", "rotate-alpaca-keys", "rotate-database-password")


@pytest.mark.parametrize("runbook", DRILLED)
def test_a_runbook_has_drills_whose_scenarios_can_be_read(runbook: str) -> None:
    assert (ROOT / "runbooks" / runbook).is_file()
    found = drill.drills(runbook)
    assert found
    for path in found:
        assert load(path).expectations
        asked = " ".join(path.read_text().split())
        assert re.search(rf"runbooks/{runbook} (\S+ )*--apply", asked)


def test_no_drill_is_of_nothing() -> None:
    assert {path for name in DRILLED for path in drill.drills(name)} == set(drill.DRILLS.glob("*.yaml"))


def drilled(folder: Path, runbook: str) -> subprocess.CompletedProcess[str]:
    command = [str(ROOT / "scripts/ops/run"), "drill", "--runbook", runbook]
    command += ["--evidence", str(folder / "evidence"), "--trend", str(folder / "drills.md")]
    return subprocess.run(command, cwd=ROOT, env=os.environ, capture_output=True, text=True, timeout=900)


def test_a_runbook_without_a_drill_is_told_those_that_have_one(tmp_path: Path) -> None:
    ended = drilled(tmp_path, "rotate")
    assert ended.returncode == 2, ended.stdout
    assert all(name in ended.stderr for name in DRILLED)


@pytest.mark.slow
def test_a_drill_leaves_its_evidence_and_a_line_in_the_table(tmp_path: Path) -> None:
    ended = drilled(tmp_path, "recover-schedules")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    (file,) = (tmp_path / "evidence").glob("recover-schedules-*.json")
    evidence = json.loads(file.read_text())
    assert evidence["bars_lost"] == evidence["dispatches_duplicated"] == 0
    assert evidence["bars_late"] > 0
    assert 0 < evidence["runbook_seconds"] < evidence["rto_seconds"] <= 15 * 60
    assert "Done." in evidence["report"]["commands"][-1]["output"]
    last = (tmp_path / "drills.md").read_text().splitlines()[-1]
    assert last.startswith(f"| recover-schedules | {evidence['on']} | {evidence['commit']} | yes |")

"""What a runbook says of itself is read at night: two screens, no more; and of what it was asked wrongly, one line."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

RUNBOOKS = Path(__file__).resolve().parents[2] / "runbooks"
SCREENS = 2
LINES, COLUMNS = 24, 120


KNOWN = sorted(path.name for path in RUNBOOKS.iterdir() if not path.suffix)


def said(runbook: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([RUNBOOKS / runbook, *arguments], capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("runbook", KNOWN)
def test_it_fits_two_screens(runbook: str) -> None:
    told = said(runbook, "--explain")
    assert told.returncode == 0, told.stderr
    lines = told.stdout.splitlines()
    assert len(lines) <= SCREENS * LINES
    assert max(map(len, lines)) <= COLUMNS
    assert f"runbooks/{runbook} --env ENV --resume" in told.stdout


@pytest.mark.parametrize("runbook", KNOWN)
def test_an_environment_that_is_none_is_named_with_those_that_are(runbook: str) -> None:
    told = said(runbook, "--env", "nonsense")
    assert told.returncode == 2
    assert "nonsense: there is local, paper, production" in told.stderr
    assert "Traceback" not in told.stderr


def test_a_run_that_ends_before_its_report_leaves_no_empty_one(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    assert said("recover-schedules", "--report", str(report), "--env", "nonsense").returncode == 2
    assert not report.exists()


def test_a_report_that_cannot_be_written_is_told_before_anything_is_done(tmp_path: Path) -> None:
    told = said("recover-schedules", "--report", str(tmp_path / "no-such-folder" / "report.json"))
    assert told.returncode == 2
    assert "cannot be written (No such file or directory)" in told.stderr
    assert "Traceback" not in told.stderr

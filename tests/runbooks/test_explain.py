"""What a runbook says of itself is read at night: two screens, no more."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

RUNBOOKS = Path(__file__).resolve().parents[2] / "runbooks"
SCREENS = 2
LINES, COLUMNS = 24, 120


@pytest.mark.parametrize("runbook", sorted(path.name for path in RUNBOOKS.iterdir() if not path.suffix))
def test_it_fits_two_screens(runbook: str) -> None:
    told = subprocess.run([RUNBOOKS / runbook, "--explain"], capture_output=True, text=True, timeout=60)
    assert told.returncode == 0, told.stderr
    lines = told.stdout.splitlines()
    assert len(lines) <= SCREENS * LINES
    assert max(map(len, lines)) <= COLUMNS
    assert f"runbooks/{runbook} --env ENV --resume" in told.stdout

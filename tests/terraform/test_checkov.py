"""Checkov's judgement of the Terraform: nothing fails, and what is skipped is skipped for a reason that is said."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
INSTALLED = ROOT / ".local" / "checkov" / "bin" / "checkov"  # by .ci/checkov

UNREASONED = "No comment provided"  # what checkov says for a skip without one


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    command = str(INSTALLED) if INSTALLED.is_file() else shutil.which("checkov")
    if command is None:
        pytest.skip("checkov is not installed; install it with: .ci/checkov")
    # .checkov.yaml is for people: it is quiet about what is skipped.
    arguments = [
        command,
        "--directory",
        str(ROOT / "terraform"),
        "--framework",
        "terraform",
        "--skip-download",
        "--output",
        "json",
    ]
    ended = subprocess.run(arguments, cwd=tmp_path_factory.getbasetemp(), capture_output=True, text=True, timeout=300)
    assert ended.stdout, ended.stderr
    found: dict[str, Any] = json.loads(ended.stdout)
    return found


def test_no_check_fails(judged: dict[str, Any]) -> None:
    failed = [f"{each['check_id']} {each['resource']}" for each in judged["results"]["failed_checks"]]
    assert failed == []
    assert judged["summary"]["parsing_errors"] == 0
    assert judged["summary"]["passed"] > 400


def test_every_skip_has_its_reason(judged: dict[str, Any]) -> None:
    skipped = judged["results"]["skipped_checks"]
    assert len(skipped) == judged["summary"]["skipped"] > 0
    bare = [each["resource"] for each in skipped if each["check_result"]["suppress_comment"] in ("", UNREASONED)]
    assert bare == []

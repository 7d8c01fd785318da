"""GitHub's workflows take roles that trust them, and call nothing but make targets that exist."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
ROLE = re.compile(r"AWS_([A-Z]+)_ROLE_ARN_([A-Z]+)")
TARGET = re.compile(r"^([a-z-]+):.*## ", re.MULTILINE)
TRUSTED_FOR = {"plan": "pull_request", "drift": "main", "push": "main"}  # as terraform/modules/delivery/github.tf says


def jobs(path: Path) -> dict[str, Any]:
    return dict(yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"])


def test_there_are_the_four() -> None:
    assert [path.stem for path in WORKFLOWS] == ["ci", "drift", "game-days", "release"]


def test_every_runbook_has_its_game_day() -> None:
    asked = jobs(ROOT / ".github/workflows/game-days.yml")["drill"]["strategy"]["matrix"]["runbook"]
    assert set(asked) == {path.name for path in (ROOT / "runbooks").iterdir() if not path.suffix}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_job_takes_a_role_that_trusts_its_trigger(path: Path) -> None:
    """A pull request's token is refused by the roles of main, and main's by that of pull requests."""
    for job in jobs(path).values():
        trigger = "pull_request" if "pull_request" in str(job.get("if", "")) else "main"
        for role, _ in ROLE.findall(yaml.safe_dump(job)):
            assert TRUSTED_FOR[role.lower()] == trigger, f"{path.name} takes the role {role.lower()} on {trigger}"


def test_the_trust_is_as_this_test_believes() -> None:
    text = (ROOT / "terraform/modules/delivery/github.tf").read_text(encoding="utf-8")
    assert re.search(r'plan\s*= \["repo:\$\{var\.github_repository\}:pull_request"\]', text)
    assert re.search(r"drift = local\.main\n\s*push\s*= local\.main", text)


def test_a_plan_of_a_pull_request_asks_for_no_secret_and_no_lock() -> None:
    [plan] = [job for job in jobs(ROOT / ".github/workflows/ci.yml").values() if "AWS_PLAN_ROLE" in yaml.safe_dump(job)]
    arguments = [step["env"]["TF_CLI_ARGS_plan"] for step in plan["steps"] if "TF_CLI_ARGS_plan" in step.get("env", {})]
    assert arguments == ["-lock=false -refresh=false"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_what_ci_makes_can_be_made_by_hand(path: Path) -> None:
    targets = set(TARGET.findall((ROOT / "Makefile").read_text(encoding="utf-8")))
    commands = [step["run"] for job in jobs(path).values() for step in job["steps"] if "run" in step]
    made = {name for text in commands for name in re.findall(r"(?m)^\s*make ((?:[a-z-]+ ?)+)", text)}
    assert made or path.stem == "ci"
    assert {each for names in made for each in names.split()} <= targets

"""Only the plan that was reviewed is applied."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ops import terraform_plan
from ops.terraform_plan import PlanFiles, PlanRefused

NOW = datetime(2026, 1, 26, 15, 12, tzinfo=UTC)
INPUTS = {"terraform": "a", "services.yaml": "b"}


def change(address: str, *actions: str, mode: str = "managed") -> dict[str, Any]:
    """One resource of a plan's JSON."""
    return {"address": address, "mode": mode, "change": {"actions": list(actions)}}


@pytest.fixture
def files(tmp_path: Path) -> PlanFiles:
    """A plan that was made and recorded."""
    made = PlanFiles(folder=tmp_path)
    made.plan.write_bytes(b"the plan")
    changes = [
        change("a", "create"),
        change("b", "create"),
        change("c", "delete", "create"),
        change("d", "no-op"),
        change("e", "read", mode="data"),
    ]
    made.json.write_text(json.dumps({"resource_changes": changes, "applyable": True}))
    terraform_plan.write_record(made, "paper", INPUTS, NOW, destroy=False)
    return made


def test_a_plan_is_counted_in_words(files: PlanFiles) -> None:
    record = terraform_plan.load_reviewed(files, "paper", INPUTS)
    assert record.summary == "2 to create, 1 to replace"


def test_a_plan_whose_inputs_changed_is_stale_and_names_them(files: PlanFiles) -> None:
    with pytest.raises(PlanRefused, match=r"stale, changed since: services\.yaml; run: make plan ENV=paper"):
        terraform_plan.load_reviewed(files, "paper", INPUTS | {"services.yaml": "c"})


def test_a_plan_that_depends_on_something_new_is_stale(files: PlanFiles) -> None:
    with pytest.raises(PlanRefused, match="variable allow_removal"):
        terraform_plan.load_reviewed(files, "paper", INPUTS | {"variable allow_removal": "d"})


def test_another_file_than_the_reviewed_one_is_refused(files: PlanFiles) -> None:
    files.plan.write_bytes(b"another plan")
    with pytest.raises(PlanRefused, match="not the file that was reviewed"):
        terraform_plan.load_reviewed(files, "paper", INPUTS)


def test_a_plan_that_was_applied_is_gone(files: PlanFiles) -> None:
    files.forget()
    with pytest.raises(PlanRefused, match="there is no plan for paper"):
        terraform_plan.load_reviewed(files, "paper", INPUTS)


def test_a_plan_of_destruction_is_not_for_apply(files: PlanFiles) -> None:
    terraform_plan.write_record(files, "paper", INPUTS, NOW, destroy=True)
    with pytest.raises(PlanRefused, match="one of destruction"):
        terraform_plan.load_reviewed(files, "paper", INPUTS)


def test_code_settings_and_files_are_inputs_and_tests_are_not(tmp_path: Path) -> None:
    folder, catalogue = tmp_path / "terraform", tmp_path / "services.yaml"
    (folder / "environments").mkdir(parents=True)
    (folder / "tests").mkdir()
    (folder / "main.tf").write_text("a")
    (folder / "environments" / "paper.tfvars").write_text("b")
    catalogue.write_text("c")

    def inputs() -> dict[str, str]:
        return terraform_plan.inputs(folder, "paper", [catalogue], {})

    before = inputs()
    (folder / "tests" / "shape.tftest.hcl").write_text("d")
    (folder / "environments" / "production.tfvars").write_text("e")
    assert inputs() == before
    for path, name in (
        (folder / "main.tf", "terraform"),
        (folder / "environments" / "paper.tfvars", "environments/paper"),
        (catalogue, "services.yaml"),
    ):
        path.write_text("changed")
        now = inputs()
        assert {key for key in now if now[key] != before[key]} == {name}
        before = now

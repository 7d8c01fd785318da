"""scripts/new-service, tried as a newcomer would: what it adds works as it is, and what it refuses leaves no trace."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from ops import new_service
from pipeline import catalog

ROOT = Path(__file__).resolve().parents[2]
PURPOSE = "Counts the bars of each session."
ASKED = ("bar_counter", "--purpose", PURPOSE, "--reads", "bars", "--writes", "bar_counts")


def add(root: Path, *arguments: str) -> Result:
    return CliRunner().invoke(new_service.main, [*arguments, "--root", str(root)])


def content(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """As much of a checkout as new-service reads: the catalogue, the migrations and one image."""
    (tmp_path / "tests" / "images").mkdir(parents=True)
    shutil.copy(ROOT / catalog.FILE_NAME, tmp_path)
    for folder in (new_service.MIGRATIONS, Path("images", "dispatcher")):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of every tracked file, as they stand."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def python(root: Path, *arguments: str) -> str:
    """Runs a module with the copy's packages before the installed ones; returns what it says."""
    folders = [root / "images", root / "images" / "base", root / "scripts"]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    ended = subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=root,
        env=inherited | {"PYTHONPATH": os.pathsep.join(map(str, folders))},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def test_a_new_service_passes_its_own_test_the_contracts_and_a_replay(checkout: Path) -> None:
    added = add(checkout, *ASKED)
    assert added.exit_code == 0, added.output

    python(checkout, "ops.schema")
    own = ["tests/images/bar_counter", "tests/contracts/test_one_catalogue.py", "tests/pipeline/test_catalog.py"]
    said = python(checkout, "pytest", "-q", "-p", "no:cacheprovider", *own, "tests/images/healthcheck/test_schema.py")
    assert "passed" in said
    report = checkout / "report.json"
    asked = ["--synthetic", "AAPL", "--date", "2026-01-26", "--to", "09:36", "--report", str(report)]
    python(checkout, "ops.replay", *asked)
    assert json.loads(report.read_text())["runs"]["bar_counter"] == {"NO_INPUT": 1}


def test_what_it_adds_is_formatted_typed_and_documented(checkout: Path) -> None:
    assert add(checkout, *ASKED).exit_code == 0
    python(checkout, "ops.docs")

    assert "`bar_counter`" in (checkout / "README.md").read_text()
    python(checkout, "ruff", "format", "--check", "images/bar_counter", "tests/images/bar_counter")
    python(checkout, "ruff", "check", "images/bar_counter", "tests/images/bar_counter")
    python(checkout, "mypy", "images/bar_counter")


def test_its_image_is_built_as_its_neighbours_are(house: Path) -> None:
    assert add(house, *ASKED).exit_code == 0

    def without_first_line(root: Path, name: str) -> list[str]:
        lines = (root / "images" / name / "Dockerfile").read_text().replace(name, "NAME").splitlines()
        return lines[1:]

    assert without_first_line(house, "bar_counter") == without_first_line(ROOT, "watchlist_engine")


def test_the_entry_says_what_was_asked_for(house: Path) -> None:
    assert add(house, *ASKED, "--every", "1 hour").exit_code == 0
    entry = catalog.parse(yaml.safe_load((house / catalog.FILE_NAME).read_text()))["bar_counter"]
    assert (entry.purpose, entry.rate, entry.reads, entry.writes) == (
        PURPOSE,
        "rate(1 hour)",
        ("bars",),
        ("bar_counts",),
    )


def test_a_purpose_that_yaml_would_read_otherwise_is_kept_to_the_letter(house: Path) -> None:
    purpose = "Counts two things: bars # and gaps."
    assert add(house, "bar_counter", "--purpose", purpose).exit_code == 0
    assert catalog.parse(yaml.safe_load((house / catalog.FILE_NAME).read_text()))["bar_counter"].purpose == purpose


def test_only_new_tables_get_a_migration_and_it_has_the_next_number(house: Path) -> None:
    before = sorted((house / new_service.MIGRATIONS).iterdir())
    assert add(house, "gap_filler", "--purpose", PURPOSE, "--reads", "bars", "--writes", "gaps").exit_code == 0
    assert sorted((house / new_service.MIGRATIONS).iterdir()) == before

    said = add(house, *ASKED)
    new = set((house / new_service.MIGRATIONS).iterdir()) - set(before)
    assert [path.name for path in new] == [f"{len(before) + 1:04d}_bar_counter.sql"]
    assert new.pop().name in said.output and "make schema" in said.output


@pytest.mark.parametrize(
    ("arguments", "exit_code", "reason"),
    [
        (("BarCounter", "--purpose", PURPOSE), 2, "not a name like bar_counter"),
        (("bar-counter", "--purpose", PURPOSE), 2, "not a name like bar_counter"),
        (("../bars", "--purpose", PURPOSE), 2, "not a name like bar_counter"),
        (("b" * 41, "--purpose", PURPOSE), 2, "at most 40"),
        (("bar_counter", "--purpose", "counts bars"), 2, "must be a sentence"),
        (("bar_counter", "--purpose", 'Counts """bars""".'), 2, "none of them"),
        (("bar_counter", "--purpose", "Counts bars" + " and bars" * 12 + "."), 2, "at most 100"),
        (("bar_counter", "--purpose", PURPOSE, "--every", "1 minutes"), 2, "rate(1 minutes)"),
        (("bar_counter", "--purpose", PURPOSE, "--every", "now"), 2, "rate(now)"),
        (("bar_counter", "--purpose", PURPOSE, "--reads", "barz"), 2, "no table barz; there are: task_runs, bars"),
        (("bar_counter", "--purpose", PURPOSE, "--writes", "Bar Counts"), 2, "not a table's name"),
        (("bar_counter",), 2, "--purpose"),
        (("dispatcher", "--purpose", PURPOSE), 4, "images/dispatcher exists already"),
        (("base", "--purpose", PURPOSE), 4, "images/base exists already"),
        (("pipeline", "--purpose", PURPOSE), 4, "would be hidden"),
        (("json", "--purpose", PURPOSE), 4, "would be hidden"),
        (("class", "--purpose", PURPOSE), 4, "has a meaning"),
        (("pg_counter", "--purpose", PURPOSE), 4, "has a meaning"),
    ],
)
def test_a_refusal_names_its_reason_and_writes_nothing(
    house: Path, arguments: tuple[str, ...], exit_code: int, reason: str
) -> None:
    before = content(house)
    refused = add(house, *arguments)
    assert (refused.exit_code, content(house)) == (exit_code, before)
    assert reason in " ".join(refused.output.split())


def test_a_service_cannot_be_added_twice(house: Path) -> None:
    assert add(house, *ASKED).exit_code == 0
    before = content(house)
    assert add(house, *ASKED).exit_code == 4
    assert content(house) == before


def test_a_file_that_cannot_be_written_takes_back_the_others(house: Path) -> None:
    shutil.rmtree(house / "tests")
    (house / "tests").write_text("in the way")
    before = content(house)

    failed = add(house, *ASKED)
    assert (failed.exit_code, content(house)) == (1, before)
    assert "nothing was added" in failed.output
    assert not (house / "images" / "bar_counter").exists()

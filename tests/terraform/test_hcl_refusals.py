"""What Terraform refuses, by name: modules/catalog over generated catalogues, without any provider."""

from __future__ import annotations

import copy
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from ops import terraform_cli
from pipeline import catalog
from pipeline.errors import ConfigInvalid

ROOT = Path(__file__).parents[2]
Change = Callable[[dict[str, Any]], object]


class CatalogModule:
    """modules/catalog alone, as a root of its own, planned over any catalogue."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.terraform = terraform_cli.find()
        self.raw: dict[str, Any] = yaml.safe_load((ROOT / "services.yaml").read_text())
        for source in (ROOT / "terraform" / "modules" / "catalog").glob("*.tf"):
            shutil.copy(source, folder)
        self._run("init", "-backend=false")

    def plan(self, change: Change, **variables: object) -> subprocess.CompletedProcess[str]:
        """The plan over the project's catalogue after `change`."""
        changed = copy.deepcopy(self.raw)
        change(changed)
        file = self.folder / "changed.yaml"
        file.write_text(yaml.safe_dump(changed, sort_keys=False))
        given = {"catalog_file": str(file), "schema_file": str(ROOT / "services.schema.json"), **variables}
        values = [f"-var={name}={_text(value)}" for name, value in given.items()]
        return self._run("plan", "-input=false", "-no-color", *values)

    def problems(self, change: Change, **variables: object) -> str:
        """The text of the refusal, in one line; fails where nothing was refused."""
        ended = self.plan(change, **variables)
        assert ended.returncode == 1, ended.stdout
        return " ".join(ended.stderr.split())

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        environ = os.environ | {"TF_CLI_CONFIG_FILE": os.devnull, "TF_IN_AUTOMATION": "1"}
        return subprocess.run(
            [*self.terraform, f"-chdir={self.folder}", *arguments],
            env=environ,
            capture_output=True,
            text=True,
            timeout=120,
        )


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


@pytest.fixture(scope="module")
def module(tmp_path_factory: pytest.TempPathFactory) -> CatalogModule:
    try:
        return CatalogModule(tmp_path_factory.mktemp("catalog"))
    except terraform_cli.TerraformMissing as missing:
        pytest.skip(str(missing))


def unchanged(raw: dict[str, Any]) -> None:
    """The project's own catalogue."""


def put(path: str, value: object) -> Change:
    """Sets 'services.x.key'; a value of None takes the key away."""

    def change(raw: dict[str, Any]) -> None:
        *folders, key = path.split(".")
        place = raw
        for folder in folders:
            place = place[folder]
        if value is None:
            del place[key]
        else:
            place[key] = value

    return change


def test_the_projects_own_catalogue_passes(module: CatalogModule) -> None:
    ended = module.plan(unchanged)
    assert ended.returncode == 0, ended.stderr


# Path, value, what the refusal must say.
BOTH_READERS_REFUSE = [
    ("colour", "red", "colour"),
    ("defaults.colour", "red", "colour"),
    ("services.classifier.colour", "red", "services.classifier"),
    ("parameters.tickers.colour", "red", "parameters.tickers"),
    ("secrets.alpaca_key_id.initial", "abc", "secrets.alpaca_key_id"),
    ("cluster", None, "cluster"),
    ("defaults.cpu", None, "cpu"),
    ("services.classifier.purpose", None, "services.classifier"),
    ("services.classifier.when_silent", None, "services.classifier"),
    ("services.classifier.rate", None, "services.classifier"),
    ("services.classifier.rate", "rate(1 minutes)", "services.classifier"),
    ("services.classifier.rate", "rate(0 minutes)", "services.classifier"),
    ("services.classifier.rate", "every minute", "services.classifier"),
    ("services.classifier.deadline_seconds", 300, "services.classifier.deadline_seconds: 300 is not shorter"),
    ("services.classifier.parameters", ["ticker"], "services.classifier.parameters: ticker"),
    ("services.classifier.secrets", ["alpaca_api_key"], "services.classifier.secrets: alpaca_api_key"),
    ("services.classifier.schedule", "ops-pipeline-rss-ingest", "ops-pipeline-rss-ingest"),
    ("services.classifier.task_definition", "dispatcher", "dispatcher"),
]


@pytest.mark.parametrize(("path", "value", "says"), BOTH_READERS_REFUSE)
def test_a_catalogue_that_python_refuses_is_refused_by_terraform_too(
    module: CatalogModule, path: str, value: object, says: str
) -> None:
    assert says in module.problems(put(path, value))
    raw = copy.deepcopy(module.raw)
    put(path, value)(raw)
    with pytest.raises(ConfigInvalid):
        catalog.parse(raw)


# What only a deployment can get wrong.
TERRAFORM_REFUSES = [
    ("services.classifier.when_silent", " ", "services.classifier: schedule ops-pipeline-classifier has no"),
    (
        "services.classifier.rate",
        "rate(96 hours)",
        "services.classifier: schedule ops-pipeline-classifier has no",
    ),
    ("services.classifier.memory", 768, "services.classifier: 512 CPU units with 768 MiB is no Fargate size"),
    ("services.classifier.kind", "server", "services.classifier.kind: 'server'"),
    ("services.classifier.retries", 185, "services.classifier.retries: 185"),
]


@pytest.mark.parametrize(("path", "value", "says"), TERRAFORM_REFUSES)
def test_what_aws_would_get_wrong_is_refused(module: CatalogModule, path: str, value: object, says: str) -> None:
    assert says in module.problems(put(path, value))


def test_a_removed_service_is_refused_by_name_with_the_way_to_allow_it(module: CatalogModule) -> None:
    text = module.problems(put("services.classifier", None), recorded_services=["classifier", "dispatcher"])
    assert "services.classifier: deployed, but gone" in text
    assert "--allow-removal classifier" in text
    assert "services.dispatcher" not in text


def test_a_renamed_service_is_a_removed_one(module: CatalogModule) -> None:
    def rename(raw: dict[str, Any]) -> None:
        raw["services"]["grader"] = raw["services"].pop("classifier")

    assert "services.classifier: deployed" in module.problems(rename, recorded_services=["classifier"])


def test_a_removal_that_is_meant_passes(module: CatalogModule) -> None:
    ended = module.plan(
        put("services.classifier", None), recorded_services=["classifier"], allow_removal=["classifier"]
    )
    assert ended.returncode == 0, ended.stderr


def test_all_problems_are_told_at_once(module: CatalogModule) -> None:
    def spoil(raw: dict[str, Any]) -> None:
        put("services.classifier.colour", "red")(raw)
        put("services.dispatcher.deadline_seconds", 61)(raw)

    text = module.problems(spoil)
    assert "services.classifier: unknown key colour" in text
    assert "services.dispatcher.deadline_seconds: 61" in text


def test_an_unreadable_catalogue_is_named(module: CatalogModule) -> None:
    assert "nowhere.yaml: cannot be read" in module.problems(unchanged, catalog_file="/nowhere.yaml")


def test_two_hundred_services_compute_in_time_that_grows_linearly(module: CatalogModule) -> None:
    def grown_to(count: int) -> Change:
        def change(raw: dict[str, Any]) -> None:
            for number in range(count - len(raw["services"])):
                raw["services"][f"extra_{number}"] = raw["services"]["classifier"] | {
                    "schedule": f"ops-pipeline-extra-{number}",
                    "task_definition": f"extra-{number}",
                }

        return change

    def seconds(count: int) -> float:
        started = time.perf_counter()
        ended = module.plan(grown_to(count))
        assert ended.returncode == 0, ended.stderr
        assert ended.stdout.count("worst_seconds_to_page") == count
        return time.perf_counter() - started

    few, many = seconds(12), seconds(200)
    assert many < few * 200 / 12 + 5

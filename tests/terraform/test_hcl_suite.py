"""Terraform's own judgement of the Terraform: format, validity, and the tests under terraform/tests."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from ops import terraform_cli

ROOT = Path(__file__).parents[2]


class Terraform:
    """A copy of terraform/ with its provider, so that no test writes into the checkout."""

    def __init__(self, folder: Path) -> None:
        self.command = terraform_cli.find()
        self.folder = folder / "terraform"
        shutil.copytree(ROOT / "terraform", self.folder, ignore=shutil.ignore_patterns(".terraform"))
        for name in ("services.yaml", "services.schema.json", "images.lock.json"):
            shutil.copy(ROOT / name, folder)
        self.environ = os.environ | {
            "TF_CLI_CONFIG_FILE": str(terraform_cli.config_file(folder / "cli")),
            "TF_IN_AUTOMATION": "1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def run(self, *arguments: str, where: str = ".") -> subprocess.CompletedProcess[str]:
        command = [*self.command, f"-chdir={self.folder / where}", *arguments, "-no-color"]
        return subprocess.run(command, env=self.environ, capture_output=True, text=True, timeout=600)


@pytest.fixture(scope="module")
def terraform(tmp_path_factory: pytest.TempPathFactory) -> Terraform:
    try:
        terraform = Terraform(tmp_path_factory.mktemp("root"))
    except terraform_cli.TerraformMissing as missing:
        pytest.skip(str(missing))
    for where in (".", "bootstrap"):
        ended = terraform.run("init", "-backend=false", where=where)
        if ended.returncode:
            pytest.skip(f"no AWS provider to be had: {ended.stderr.strip()[-300:]}")
    return terraform


def test_the_code_is_formatted(terraform: Terraform) -> None:
    ended = terraform.run("fmt", "-check", "-recursive", "-diff")
    assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.mark.parametrize("where", [".", "bootstrap"])
def test_the_code_is_valid(terraform: Terraform, where: str) -> None:
    ended = terraform.run("validate", where=where)
    assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.mark.slow
def test_terraforms_own_tests_pass(terraform: Terraform) -> None:
    ended = terraform.run("test")
    assert ended.returncode == 0, ended.stdout[-5000:] + ended.stderr[-5000:]
    assert " passed, 0 failed" in ended.stdout


def test_every_variable_and_output_is_described(terraform: Terraform) -> None:
    blocks = [
        (path.relative_to(terraform.folder), block)
        for path in terraform.folder.rglob("*.tf")
        for kind in ("variable", "output")
        for block in path.read_text().split(f'\n{kind} "')[1:]
    ]
    bare = [
        f"{path}: {block.split(chr(34))[0]}" for path, block in blocks if "description" not in block.split("\n}")[0]
    ]
    assert blocks and not bare

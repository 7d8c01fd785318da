"""terraform is found, and its provider taken from whatever mirror the machine has."""

from __future__ import annotations

import platform
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ops import terraform_cli
from ops.terraform_cli import TerraformMissing

MACHINE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine().lower(), platform.machine().lower())
TARGET = f"{platform.system().lower()}_{MACHINE}"


def mirror(folder: Path, version: str = "5.100.0") -> Path:
    """A folder with an unpacked provider."""
    package = folder / "registry.terraform.io" / "hashicorp" / "aws" / version / TARGET
    package.mkdir(parents=True)
    (package / f"terraform-provider-aws_v{version}").touch()
    return folder


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    """An environment with an empty home."""
    (tmp_path / "home").mkdir()
    return {"HOME": str(tmp_path / "home"), "PATH": "", "XDG_DATA_DIRS": str(tmp_path / "share")}


@pytest.mark.parametrize(
    "place",
    [
        "home/.terraform.d/plugins",
        "home/.local/share/terraform/plugins",
        "share/terraform/plugins",
        "opt",
        "opt/tf-plugins",
        "opt/hashicorp/mirror",
    ],
)
def test_a_mirror_is_found_wherever_mirrors_lie(tmp_path: Path, home: dict[str, str], place: str) -> None:
    expected = mirror(tmp_path / place)
    assert terraform_cli.find_mirror(home, add_ons=tmp_path / "opt") == expected


@pytest.mark.parametrize("variable", ["OPS_TF_MIRROR", "TF_PLUGIN_DIR"])
def test_a_mirror_that_the_environment_names_comes_first(tmp_path: Path, home: dict[str, str], variable: str) -> None:
    mirror(tmp_path / "opt")
    named = mirror(tmp_path / "named")
    assert terraform_cli.find_mirror(home | {variable: str(named)}, add_ons=tmp_path / "opt") == named


@pytest.mark.parametrize("version", ["5.99.1", "6.0.0", "4.100.0"])
def test_a_mirror_of_another_version_is_none(tmp_path: Path, home: dict[str, str], version: str) -> None:
    mirror(tmp_path / "opt", version)
    assert terraform_cli.find_mirror(home, add_ons=tmp_path / "opt") is None


def test_a_packed_provider_is_a_mirror_too(tmp_path: Path, home: dict[str, str]) -> None:
    folder = tmp_path / "opt" / "registry.terraform.io" / "hashicorp" / "aws"
    folder.mkdir(parents=True)
    (folder / f"terraform-provider-aws_5.101.0_{TARGET}.zip").touch()
    assert terraform_cli.find_mirror(home, add_ons=tmp_path / "opt") == tmp_path / "opt"


def test_a_configuration_that_is_named_but_missing_is_survived(tmp_path: Path, home: dict[str, str]) -> None:
    opt = mirror(tmp_path / "opt")
    environ = home | {"TF_CLI_CONFIG_FILE": str(tmp_path / "missing.tfrc")}
    written = terraform_cli.config_file(tmp_path / "work", environ, add_ons=opt)
    assert f'path    = "{opt}"' in written.read_text()


def test_a_configuration_of_the_users_own_gains_the_mirror(tmp_path: Path, home: dict[str, str]) -> None:
    opt = mirror(tmp_path / "opt")
    theirs = tmp_path / "theirs.tfrc"
    theirs.write_text('credentials "app.terraform.io" {\n  token = "t"\n}\n')
    written = terraform_cli.config_file(tmp_path / "work", home | {"TF_CLI_CONFIG_FILE": str(theirs)}, add_ons=opt)
    assert written.read_text().startswith(theirs.read_text())
    assert "filesystem_mirror" in written.read_text()
    assert written.stat().st_mode & 0o077 == 0


def test_a_configuration_that_says_where_providers_come_from_is_used_as_it_is(
    tmp_path: Path, home: dict[str, str]
) -> None:
    opt = mirror(tmp_path / "opt")
    theirs = Path(home["HOME"]) / ".terraformrc"
    theirs.write_text("provider_installation {\n  direct {}\n}\n")
    assert terraform_cli.config_file(tmp_path / "work", home, add_ons=opt) == theirs


def test_without_a_mirror_terraform_downloads(tmp_path: Path, home: dict[str, str]) -> None:
    written = terraform_cli.config_file(tmp_path / "work", home, add_ons=tmp_path / "opt")
    assert "provider_installation" not in written.read_text()


def test_two_threads_at_once_both_have_their_configuration(tmp_path: Path, home: dict[str, str]) -> None:
    def write(_: int) -> Path:
        return terraform_cli.config_file(tmp_path / "work", home, add_ons=tmp_path / "opt")

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(write, range(400))) == {tmp_path / "work" / "terraform.tfrc"}
    assert [path.name for path in (tmp_path / "work").iterdir()] == ["terraform.tfrc"]


def test_a_machine_without_terraform_says_where_to_get_it(
    home: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(terraform_cli, "_has_wheel", lambda: False)
    with pytest.raises(TerraformMissing, match="https://developer"):
        terraform_cli.find(home)


def test_the_wheel_steps_in_where_there_is_no_terraform(home: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terraform_cli, "_has_wheel", lambda: True)
    assert terraform_cli.find(home)[1:] == ["-m", "ops.terraform_wheel"]


def test_an_old_terraform_is_refused_with_its_version(tmp_path: Path) -> None:
    old = tmp_path / "terraform"
    old.write_text('#!/bin/sh\necho \'{"terraform_version": "1.9.8"}\'\n')
    old.chmod(0o755)
    with pytest.raises(TerraformMissing, match=r"terraform 1\.9\.8; 1\.11 or later"):
        terraform_cli.version([str(old)], {})

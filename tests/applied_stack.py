"""The whole stack, applied once to a local AWS and kept by what it was made from; every test gets it in seconds."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ops import images_lock, terraform_plan
from ops.local.aws import LocalAws
from ops.terraform_workspace import TERRAFORM, Workspace
from pipeline import catalog

ROOT = Path(__file__).resolve().parents[1]
CACHE = ROOT / ".local" / "applied-stacks"
KEPT = 2  # of each environment: a branch and what it came from


def workspace(environment: str, folder: Path) -> Workspace:
    """An environment on a local AWS whose state, plans and provider links all lie in `folder`.

    Its image digests are made up, so that editing a service does not change the stack.
    """
    folder.mkdir(parents=True, exist_ok=True)
    digests = {
        service.name: f"sha256:{hashlib.sha256(service.name.encode()).hexdigest()}" for service in catalog.load()
    }
    images = {
        name: {"repository": name, "digest": digest, "git_sha": "", "built_at": ""} for name, digest in digests.items()
    }
    images_lock.write(images, folder / "images.lock.json")
    return Workspace(
        environment=environment,
        aws=LocalAws(folder / "aws"),
        work=folder,
        terraform=TERRAFORM,
        variables={"images_lock_file": str(folder / "images.lock.json")},
        shown=False,
    )


@contextmanager
def applied(environment: str, folder: Path) -> Iterator[Workspace]:
    """The applied environment on an AWS of the caller's own in `folder`; it ends with the `with`."""
    shutil.copytree(_kept(environment), folder, symlinks=True, dirs_exist_ok=True)
    found = workspace(environment, folder)
    assert found.aws
    with found.aws:
        found.ready()
        yield found


def _kept(environment: str) -> Path:
    """The folder with the snapshot of the applied environment; the first who asks applies it (one to two minutes)."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"{environment}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        folder = CACHE / f"{environment}-{_digest(environment)}"
        if not (folder / "done").is_file():
            shutil.rmtree(folder, ignore_errors=True)
            _apply(environment, folder)
            (folder / "done").touch()
            _forget_old(environment)
        return folder


def _apply(environment: str, folder: Path) -> None:
    fresh = workspace(environment, folder)
    assert fresh.aws
    with fresh.aws:
        fresh.plan()
        fresh.apply()


def _digest(environment: str) -> str:
    """Of everything that an apply depends on: Terraform's code, the catalogue, the emulator."""
    files = [
        *sorted(TERRAFORM.glob("*.tf")),
        *sorted((TERRAFORM / "modules").rglob("*.tf")),
        *sorted((TERRAFORM / "environments").glob(f"{environment}.*")),
        *sorted((ROOT / "scripts" / "ops" / "local" / "aws").rglob("*.py")),
        ROOT / "services.yaml",
        ROOT / "services.schema.json",
    ]
    return terraform_plan.file_digest(files)[:16]


def _forget_old(environment: str) -> None:
    made = sorted(CACHE.glob(f"{environment}-*/done"), key=lambda done: done.stat().st_mtime, reverse=True)
    for done in made[KEPT:]:
        shutil.rmtree(done.parent)

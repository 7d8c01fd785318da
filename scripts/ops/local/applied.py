"""The whole stack, applied once to a local AWS and kept by what it was made from; whoever asks gets it in seconds."""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ops import images_lock, terraform_plan
from ops.local.aws import LocalAws, LocalAwsFailed
from ops.terraform_workspace import TERRAFORM, Workspace
from pipeline import catalog

ROOT = Path(__file__).resolve().parents[3]
CACHE = ROOT / ".local" / "applied-stacks"
KEPT = 3  # of each environment: a branch, what it came from, and one with other variables
# When what is applied was made, by the emulator's clock: before any session that could be played, on a whole minute.
BORN = datetime(2000, 1, 3, tzinfo=UTC)

Images = Mapping[str, Mapping[str, Any]]
Variables = Mapping[str, Any]
NO_VARIABLES: Variables = {}


def images_of_checkout() -> dict[str, dict[str, Any]]:
    """Each service's lock entry by the content of its folder."""
    return {service.name: images_lock.by_content(service.name) for service in catalog.load()}


def workspace(environment: str, folder: Path, images: Images, variables: Variables = NO_VARIABLES) -> Workspace:
    """An environment on a local AWS whose state, plans and provider links all lie in `folder`. `variables` are those
    that differ from the environment's file."""
    folder.mkdir(parents=True, exist_ok=True)
    images_lock.write({name: dict(entry) for name, entry in images.items()}, folder / "images.lock.json")
    return Workspace(
        environment=environment,
        aws=LocalAws(folder / "aws"),
        work=folder,
        terraform=TERRAFORM,
        variables={**variables, "images_lock_file": str(folder / "images.lock.json")},
        shown=False,
    )


@contextmanager
def applied(environment: str, folder: Path, images: Images, variables: Variables = NO_VARIABLES) -> Iterator[Workspace]:
    """The applied environment on an AWS of the caller's own in `folder`; it ends with the `with`.

    Raises TerraformFailed where it could not be applied."""
    shutil.copytree(kept(environment, images, variables), folder, symlinks=True, dirs_exist_ok=True)
    found = workspace(environment, folder, images, variables)
    assert found.aws
    with found.aws:
        found.ready()
        yield found


@contextmanager
def here() -> Iterator[Workspace]:
    """ENV=local of this checkout as applied, so that every command finds it; what was saved there is put back after.

    Raises LocalAwsFailed where it is up already."""
    found = Workspace(environment="local", aws=LocalAws(), shown=False)
    assert found.aws
    running = found.aws.find()
    if running:
        raise LocalAwsFailed(f"the local AWS is up already (pid {running.pid}); scripts/local-aws down stops it")
    snapshot = found.aws.snapshot_path
    aside = snapshot.with_name(f"{snapshot.name}.aside")
    source = kept("local", images_of_checkout()) / "aws" / snapshot.name
    snapshot.parent.mkdir(parents=True, exist_ok=True)
    if snapshot.exists() and not aside.exists():
        snapshot.rename(aside)
    shutil.copy(source, snapshot)
    try:
        with found.aws:
            found.ready()
            yield found
    finally:
        snapshot.unlink(missing_ok=True)
        if aside.exists():
            aside.rename(snapshot)


def is_kept(environment: str, images: Images, variables: Variables = NO_VARIABLES) -> bool:
    """Whether nothing has to be applied first, which takes about a minute."""
    return (_folder(environment, images, variables) / "done").is_file()


def kept(environment: str, images: Images, variables: Variables = NO_VARIABLES) -> Path:
    """The folder with the snapshot of the applied environment; the first who asks applies it."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"{environment}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        folder = _folder(environment, images, variables)
        if not (folder / "done").is_file():
            shutil.rmtree(folder, ignore_errors=True)
            _apply(workspace(environment, folder, images, variables))
            (folder / "done").touch()
            _forget_old(environment)
        return folder


def _apply(fresh: Workspace) -> None:
    assert fresh.aws
    with fresh.aws:
        fresh.aws.set_now(BORN)
        fresh.plan()
        fresh.apply()
        fresh.aws.confirm_subscriptions()
        fresh.aws.save()


def _folder(environment: str, images: Images, variables: Variables) -> Path:
    return CACHE / f"{environment}-{_digest(environment, images, variables)}"


def _digest(environment: str, images: Images, variables: Variables) -> str:
    """Of everything that an apply depends on: Terraform's code, the catalogue, the images, the emulator."""
    files = [
        *sorted(TERRAFORM.glob("*.tf")),
        *sorted((TERRAFORM / "modules").rglob("*.tf")),
        *sorted((TERRAFORM / "environments").glob(f"{environment}.*")),
        *sorted((ROOT / "scripts" / "ops" / "local" / "aws").rglob("*.py")),
        Path(__file__),
        ROOT / "services.yaml",
        ROOT / "services.schema.json",
    ]
    digests = " ".join(f"{name}={entry['digest']}" for name, entry in sorted(images.items()))
    given = json.dumps(variables, sort_keys=True) if variables else ""
    return hashlib.sha256(f"{terraform_plan.file_digest(files)} {digests}{given}".encode()).hexdigest()[:16]


def _forget_old(environment: str) -> None:
    made = sorted(CACHE.glob(f"{environment}-*/done"), key=lambda done: done.stat().st_mtime, reverse=True)
    for done in made[KEPT:]:
        shutil.rmtree(done.parent)

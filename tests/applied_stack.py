"""The applied stack with images that are made up, so that editing a service does not change it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ops.local import applied as kept_stacks
from ops.terraform_workspace import Workspace
from pipeline import catalog


def _images() -> dict[str, dict[str, str]]:
    digests = {
        service.name: f"sha256:{hashlib.sha256(service.name.encode()).hexdigest()}" for service in catalog.load()
    }
    return {
        name: {"repository": name, "digest": digest, "git_sha": "", "built_at": ""} for name, digest in digests.items()
    }


def workspace(environment: str, folder: Path) -> Workspace:
    """An environment on a local AWS whose state, plans and provider links all lie in `folder`."""
    return kept_stacks.workspace(environment, folder, _images())


@contextmanager
def applied(environment: str, folder: Path) -> Iterator[Workspace]:
    """The applied environment on an AWS of the caller's own in `folder`; it ends with the `with`."""
    with kept_stacks.applied(environment, folder, _images()) as found:
        yield found

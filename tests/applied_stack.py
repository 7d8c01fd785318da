"""The applied stack with images that are made up, so that editing a service does not change it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ops.local import applied as kept_stacks
from ops.local.aws import LocalAws
from ops.terraform_workspace import Workspace
from pipeline import catalog


def _images() -> dict[str, dict[str, str]]:
    digests = {
        service.name: f"sha256:{hashlib.sha256(_manifest(service.name).encode()).hexdigest()}"
        for service in catalog.load()
    }
    return {
        name: {"repository": f"ops-pipeline/{name}", "digest": digest, "git_sha": "", "built_at": ""}
        for name, digest in digests.items()
    }


def _manifest(service: str) -> str:
    kind = "application/vnd.oci.image.manifest.v1+json"
    return json.dumps({"schemaVersion": 2, "mediaType": kind, "made_up_for": service})


def push_images(aws: LocalAws) -> None:
    """What `make push` does, with the made-up images."""
    ecr = aws.client("ecr")
    for name, entry in _images().items():
        ecr.put_image(repositoryName=entry["repository"], imageManifest=_manifest(name))


def workspace(environment: str, folder: Path) -> Workspace:
    """An environment on a local AWS whose state, plans and provider links all lie in `folder`."""
    return kept_stacks.workspace(environment, folder, _images())


@contextmanager
def applied(environment: str, folder: Path) -> Iterator[Workspace]:
    """The applied environment on an AWS of the caller's own in `folder`; it ends with the `with`."""
    with kept_stacks.applied(environment, folder, _images()) as found:
        yield found

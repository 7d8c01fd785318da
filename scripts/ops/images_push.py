"""Sends built images to an environment's ECR and reads their digests back; what is there already is not sent again."""

from __future__ import annotations

import base64
import hashlib
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import ClientError

from ops import images_source
from ops.images_build import Built, repository
from ops.images_engine import Engine, EngineFailed
from ops.local.registry import Refused as ManifestRefused
from ops.local.registry import Registry
from pipeline.errors import PipelineError

MEDIA_TYPES = [
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
]


class PushRefused(PipelineError):
    """What was asked would push something that no commit has, or that cannot be told apart later."""


class PushFailed(PipelineError):
    """An image did not arrive; nothing was written."""


@dataclass(frozen=True, kw_only=True)
class Stored:
    """An image in the registry. `config` is its content without its packing: equal for equal images."""

    digest: str
    pushed_at: str
    config: str


@dataclass(frozen=True, kw_only=True)
class Pushed:
    """What became of an image: `new`, or already there; `same` is False where there it has another content."""

    built: Built
    stored: Stored
    new: bool
    same: bool

    @property
    def entry(self) -> dict[str, Any]:
        """Its line of images.lock.json. `built_at` is when the registry got it."""
        source = self.built.source
        return {
            "repository": repository(source.name),
            "digest": self.stored.digest,
            "git_sha": source.git_sha,
            "built_at": self.stored.pushed_at,
        }


def require_committed(built: Sequence[Built], *, allow_dirty: bool) -> None:
    """Raises PushRefused unless every image can be made again from a commit of a whole history."""
    dirty = [each.source.name for each in built if each.source.dirty]
    if dirty and not allow_dirty:
        raise PushRefused(f"uncommitted changes are in {', '.join(dirty)}; commit them, or say --allow-dirty")
    if images_source.shallow():
        raise PushRefused("this clone is shallow: which commit changed an image is unknown; git fetch --unshallow")


def push_all(
    engine: Engine, ecr: Any, host: str, built: Sequence[Built], tell: Callable[[Pushed], None]
) -> dict[str, dict[str, Any]]:
    """Pushes them to the registry at `host`, the ECR whose other half `ecr` is; their lock entries by service.

    One after the other: the second finds the first one's layers there.
    """
    pushed = []
    for each in built:
        pushed.append(_push(engine, ecr, host, each))
        tell(pushed[-1])
    return {each.built.source.name: each.entry for each in pushed}


def _push(engine: Engine, ecr: Any, host: str, built: Built) -> Pushed:
    name, tag = repository(built.source.name), built.source.tag
    there = find(ecr, name, tag)
    if there is None:
        try:
            engine.push(built.reference, f"{host}/{name}:{tag}")
        except EngineFailed as error:
            raise PushFailed(f"{name}:{tag} was not pushed: {error}") from error
    stored = there or find(ecr, name, tag)
    if stored is None:
        raise PushFailed(f"{name}:{tag} was pushed, and ECR does not have it; push again")
    # which of the two an engine calls an image's id depends on its store
    same = f"sha256:{built.image.id}" in (stored.config, stored.digest)
    return Pushed(built=built, stored=stored, new=there is None, same=same)


def find(ecr: Any, name: str, tag: str) -> Stored | None:
    """The image of that tag in ECR. Raises PushFailed where its repository does not exist."""
    wanted = {"repositoryName": name, "imageIds": [{"imageTag": tag}]}
    try:
        detail = ecr.describe_images(**wanted)["imageDetails"][0]
        image = ecr.batch_get_image(**wanted, acceptedMediaTypes=MEDIA_TYPES)["images"][0]
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code == "ImageNotFoundException":
            return None
        if code == "RepositoryNotFoundException":
            raise PushFailed(f"ECR has no repository {name}; make plan and make apply make it") from error
        raise PushFailed(f"ECR: {error}") from error
    return Stored(
        digest=detail["imageDigest"],
        pushed_at=detail["imagePushedAt"].isoformat(timespec="seconds"),
        config=json.loads(image["imageManifest"]).get("config", {}).get("digest", ""),
    )


@contextmanager
def logged_in(engine: Engine, ecr: Any, host: str | None = None) -> Iterator[tuple[Engine, str]]:
    """The engine with ECR's password for twelve hours, and ECR's address; forgotten at the end.

    podman and buildah keep it in a file of this command's own, docker wherever it keeps passwords.
    """
    user, password, address = credentials(ecr)
    with tempfile.TemporaryDirectory(prefix="ops-login-") as folder:
        environ = {**engine.environ, "REGISTRY_AUTH_FILE": str(Path(folder) / "auth.json")}
        own = replace(engine, environ=environ)
        own.login(host or address, user, password)
        try:
            yield own, host or address
        finally:
            with suppress(EngineFailed):
                own.logout(host or address)


def credentials(ecr: Any) -> tuple[str, str, str]:
    """User, password and host that ECR gives."""
    try:
        data: Mapping[str, str] = ecr.get_authorization_token()["authorizationData"][0]
    except ClientError as error:
        raise PushFailed(f"ECR gives no password: {error}") from error
    user, _, password = base64.b64decode(data["authorizationToken"]).decode().partition(":")
    return user, password, urlsplit(data["proxyEndpoint"]).netloc


def local_registry(ecr: Any, folder: Path) -> Registry:
    """The half of ECR that the local AWS lacks, at its side: every manifest that comes here it is told of."""

    def record(name: str, tag: str | None, manifest: bytes, media_type: str) -> None:
        if tag is None:
            return
        try:
            ecr.put_image(
                repositoryName=name, imageTag=tag, imageManifest=manifest.decode(), imageManifestMediaType=media_type,
                imageDigest=digest_of(manifest),
            )  # fmt: skip
        except ClientError as error:
            raise ManifestRefused(str(error)) from error

    return Registry(folder, password=credentials(ecr)[1], on_manifest=record)


def digest_of(manifest: bytes) -> str:
    """What a registry calls a manifest."""
    return f"sha256:{hashlib.sha256(manifest).hexdigest()}"

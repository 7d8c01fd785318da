"""images.lock.json: which digest of its image each service runs; for a local plan also without any image built."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pipeline.errors import PipelineError

ROOT = Path(__file__).resolve().parents[2]
COMMITTED = ROOT / "images.lock.json"
LOCAL = ROOT / ".local" / "images.lock.json"
SCHEMA = 1
CONTENT = "content"  # the origin of a digest that no engine made
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LEFT_OUT = {"__pycache__", ".mypy_cache", ".ruff_cache"}


class LockUnreadable(PipelineError):
    """images.lock.json is there but is not what `make push` writes."""


def load(path: Path = COMMITTED) -> dict[str, dict[str, Any]]:
    """The images by service; empty where no lock has been written yet. Raises LockUnreadable."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document["schema"] != SCHEMA:
            raise LockUnreadable(f"{path}: schema {document['schema']}, this code reads {SCHEMA}")
        return dict(document["images"])
    except FileNotFoundError:
        return {}
    except (ValueError, KeyError, TypeError) as error:
        raise LockUnreadable(f"{path}: {type(error).__name__}: {error}; `make push` writes it anew") from error


def write(images: dict[str, dict[str, Any]], path: Path) -> None:
    """Writes the lock, sorted, whole or not at all, also where two do it at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f"{path.name}.{os.getpid()}-{threading.get_ident()}.new")
    new.write_text(json.dumps({"schema": SCHEMA, "images": images}, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    new.replace(path)


def complete(
    services: Iterable[str],
    committed: Mapping[str, dict[str, Any]],
    built_here: Mapping[str, dict[str, Any]],
    root: Path = ROOT,
) -> dict[str, dict[str, Any]]:
    """The lock of ENV=local: what was built and pushed here, else what is committed, else the folder's content.

    A digest of content changes exactly when the image would, so that a plan works without an engine and says the truth.
    """
    built = {name: entry for name, entry in built_here.items() if entry.get("origin") != CONTENT}
    return {name: built.get(name) or committed.get(name) or by_content(name, root) for name in services}


def by_content(service: str, root: Path = ROOT) -> dict[str, Any]:
    """A lock entry for an image that nobody built, with the manifest that stands for it in a registry."""
    manifest = content_manifest(service, root)
    return {
        "repository": f"ops-pipeline/{service}",
        "digest": _digest(manifest),
        "git_sha": "",
        "built_at": "",
        "origin": CONTENT,
        "manifest": manifest,
    }


def content_manifest(service: str, root: Path = ROOT) -> str:
    """The manifest of an image that nobody built: no layer, and a config whose digest is that of the folder's content.

    A registry takes it as any other, so that what is deployed by its digest is also there to be pulled.
    """
    sources = [root / "images" / "base", root / "images" / service, root / "services.yaml"]
    size = sum(path.stat().st_size for source in sources for path in _files(source))
    config = {"mediaType": CONFIG, "digest": f"sha256:{content_digest(sources, root)}", "size": size}
    return json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": []}, sort_keys=True)


def push_content(ecr: Any, images: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Pushes each image by content that its repository lacks, where there is one; the services whose were.

    By the entry's own manifest: the folder may have changed since the plan that is applied was made.
    """
    pushed = []
    deployed = {each["repositoryName"] for each in ecr.describe_repositories(maxResults=1000)["repositories"]}
    for service, entry in images.items():
        if entry.get("origin") != CONTENT or entry["repository"] not in deployed or _is_there(ecr, entry):
            continue
        ecr.put_image(repositoryName=entry["repository"], imageManifest=entry["manifest"])
        pushed.append(service)
    return pushed


def _is_there(ecr: Any, entry: Mapping[str, Any]) -> bool:
    wanted = [{"imageDigest": entry["digest"]}]
    return bool(ecr.batch_get_image(repositoryName=entry["repository"], imageIds=wanted)["images"])


def _digest(manifest: str) -> str:
    return f"sha256:{hashlib.sha256(manifest.encode()).hexdigest()}"


def content_digest(sources: Iterable[Path], root: Path) -> str:
    """SHA-256 over names and bytes of all files below `sources`, in the order of their names."""
    digest = hashlib.sha256()
    for path in sorted(path for source in sources for path in _files(source)):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(root).as_posix()}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


def _files(source: Path) -> list[Path]:
    if source.is_file():
        return [source]
    return [path for path in source.rglob("*") if path.is_file() and not LEFT_OUT & set(path.parts)]

"""What an image is made from: which files, and the commit that changed them last."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from ops.images_lock import ROOT, content_digest
from pipeline import catalog

BASE = "base"
# The base brings the runtime and the catalogue; what .dockerignore lets through is a matter of every image.
COMMON = (f"images/{BASE}", catalog.FILE_NAME, ".dockerignore")


@dataclass(frozen=True, kw_only=True)
class Source:
    """An image's files as they are now.

    `revision` is the last commit that changed any of them, not the checkout's: an image whose files did not change
    stays the same image, bit for bit, and is not deployed anew. `epoch` is that commit's time. `dirty`: there are
    changes that no commit has.
    """

    name: str
    content: str
    revision: str
    epoch: int
    dirty: bool

    @property
    def git_sha(self) -> str:
        """The revision as image and run record tell it."""
        return f"{self.revision}-dirty" if self.dirty else self.revision

    @property
    def tag(self) -> str:
        """Names exactly this content: tags in the registry never move."""
        return f"{self.revision}-dirty-{self.content[:12]}" if self.dirty else self.revision


def read(names: Iterable[str], root: Path = ROOT) -> dict[str, Source]:
    """The sources of the base and of these services, by name, the base first."""
    return {name: _read(name, root) for name in (BASE, *names)}


def _read(name: str, root: Path) -> Source:
    paths = list(COMMON) if name == BASE else [*COMMON, f"images/{name}"]
    revision, epoch = _last_commit(paths, root)
    return Source(
        name=name,
        content=content_digest([root / path for path in paths if (root / path).exists()], root),
        revision=revision or "unknown",
        epoch=epoch,
        dirty=not revision or bool(_git(root, "status", "--porcelain", "--", *paths)),
    )


def _last_commit(paths: Sequence[str], root: Path) -> tuple[str, int]:
    """Its hash and time; none and 0 outside a repository."""
    revision, _, epoch = _git(root, "log", "-1", "--format=%H %ct", "--", *paths).partition(" ")
    return revision, int(epoch or 0)


def shallow(root: Path = ROOT) -> bool:
    """Whether the history is cut off: the last commit that changed a file may then not be known."""
    return _git(root, "rev-parse", "--is-shallow-repository") == "true"


def address(root: Path = ROOT) -> str:
    """Where the repository lies, without a password; the project's name where it lies nowhere."""
    remote = _git(root, "remote", "get-url", "origin")
    parts = urlsplit(remote)
    if parts.scheme in ("http", "https") and parts.hostname:
        return f"{parts.scheme}://{parts.hostname}{parts.path}"
    return remote if remote.startswith(("git@", "ssh://")) else catalog.load().project


def inputs(source: Source, base_id: str) -> str:
    """Changes with whatever would change the image: its files, its revision, what it is built on."""
    return hashlib.sha256(f"{source.content} {source.git_sha} {source.epoch} {base_id}".encode()).hexdigest()


def _git(root: Path, *arguments: str) -> str:
    """git's answer; empty where there is no git or no repository."""
    try:
        ended = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return ended.stdout.strip() if ended.returncode == 0 else ""

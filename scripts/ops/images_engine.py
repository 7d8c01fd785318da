"""The container engines that may be there, and how each is told the same few things."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.errors import PipelineError

CHOICE = "OPS_IMAGE_ENGINE"
NAMES = ("docker", "podman", "buildah")  # in the order in which they are taken
PLATFORM = "linux/amd64"  # what the task definitions ask for
TAIL_LINES = 25
PROBE_SECONDS = 20


class NoEngine(PipelineError):
    """Nothing on this machine can build an image."""


class EngineFailed(PipelineError):
    """The engine ended with an error; the text ends with what it said."""


@dataclass(frozen=True, kw_only=True)
class Image:
    """An image in the engine's own store. `size` is in bytes, unpacked; 0 where the engine does not tell."""

    id: str
    labels: Mapping[str, str]
    size: int


@dataclass(frozen=True, kw_only=True)
class Order:
    """What to build: a Dockerfile in a context, under which names, dated `epoch` (seconds, for equal bytes)."""

    dockerfile: Path
    context: Path
    names: Sequence[str]
    arguments: Mapping[str, str]
    labels: Mapping[str, str]
    epoch: int


@dataclass(frozen=True, kw_only=True)
class Engine:
    """An engine that answers. All its failures are EngineFailed."""

    name: str
    version: str
    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))

    def __str__(self) -> str:
        return f"{self.name} {self.version}"

    def local(self, name: str) -> str:
        """An image's name in this store: podman and buildah would look elsewhere for one without a host."""
        return name if self.name == "docker" else f"localhost/{name}"

    def command(self, *arguments: str) -> list[str]:
        """What to execute."""
        return [self.name, *arguments]

    def call(self, *arguments: str, text: str | None = None) -> str:
        """Runs the engine to its end; its standard output."""
        ended = subprocess.run(
            self.command(*arguments), env=dict(self.environ), input=text, capture_output=True, text=True, check=False
        )
        if ended.returncode:
            raise EngineFailed(_said(self.command(*arguments), ended))
        return ended.stdout

    def find(self, reference: str) -> Image | None:
        """The image of that name in the store."""
        try:
            return _READ_IMAGE[self.name](self, reference)
        except EngineFailed:
            return None

    def pull(self, reference: str) -> None:
        """Fetches it from its registry."""
        self.call("pull", "--quiet", *self._platform(), reference)

    def build(self, order: Order) -> str:
        """Builds it, cached by step; what the engine said meanwhile."""
        words = [*(f"--tag={name}" for name in order.names), *self._dated(order.epoch), *self._platform()]
        words += [f"--build-arg={key}={value}" for key, value in order.arguments.items()]
        words += [f"--label={key}={value}" for key, value in order.labels.items()]
        environ = {**self.environ, "SOURCE_DATE_EPOCH": str(order.epoch), "BUILDX_NO_DEFAULT_ATTESTATIONS": "1"}
        command = self.command("build", *words, f"--file={order.dockerfile}", str(order.context))
        ended = subprocess.run(
            command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        if ended.returncode:
            raise EngineFailed(_said(command[:2] + command[-2:], ended))
        return ended.stdout

    def _dated(self, epoch: int) -> list[str]:
        if self.name == "docker":
            return [f"--build-arg=SOURCE_DATE_EPOCH={epoch}"]
        return ["--layers", f"--timestamp={epoch}"]

    def _platform(self) -> list[str]:
        return [] if platform.machine() in ("x86_64", "AMD64") else [f"--platform={PLATFORM}"]

    def python(self, reference: str, code: str) -> str:
        """Runs Python code in the image, without network; its output."""
        if self.name == "buildah":
            return self._python_by_buildah(reference, code)
        return self.call("run", "--rm", "--network=none", "--entrypoint=python", reference, "-c", code)

    def _python_by_buildah(self, reference: str, code: str) -> str:
        container = self.call("from", "--pull-never", reference).strip()
        try:
            return self.call("run", container, "--", "python", "-c", code)
        finally:
            self.call("rm", container)

    def login(self, host: str, user: str, password: str) -> None:
        """Logs in; the password goes through standard input."""
        self.call("login", *self._transport(host), f"--username={user}", "--password-stdin", host, text=password)

    def logout(self, host: str) -> None:
        """Forgets the password."""
        self.call("logout", host)

    def push(self, reference: str, address: str) -> None:
        """Sends the image to a registry under another name."""
        if self.name == "docker":
            self.call("tag", reference, address)
            self.call("push", "--quiet", address)
            return
        self.call("push", "--quiet", *self._transport(address), reference, address)

    def _transport(self, address: str) -> list[str]:
        """Docker itself knows that a registry on loopback has no TLS."""
        plain = address.startswith("127.0.0.1:") and self.name != "docker"
        return ["--tls-verify=false"] if plain else []


def choose(environ: Mapping[str, str] = os.environ) -> Engine:
    """The first engine that answers, or the one that OPS_IMAGE_ENGINE names. Raises NoEngine with the remedy."""
    forced = environ.get(CHOICE)
    if forced and forced not in NAMES:
        raise NoEngine(f"{CHOICE}={forced}: choose one of {', '.join(NAMES)}")
    reasons = []
    for name in [forced] if forced else NAMES:
        found = _probe(name, environ)
        if isinstance(found, Engine):
            return found
        reasons.append(f"{name}: {found}")
    raise NoEngine(
        f"no engine can build images here ({'; '.join(reasons)}); install one: apt-get install -y podman, "
        "brew install podman, or https://docs.docker.com/engine/install"
    )


def _probe(name: str, environ: Mapping[str, str]) -> Engine | str:
    """The engine, or why it cannot be used."""
    if shutil.which(name, path=environ.get("PATH")) is None:
        return "not on the PATH"
    # docker's client may be there without its engine
    question = ("version", "--format={{.Server.Version}}") if name == "docker" else ("--version",)
    try:
        ended = subprocess.run(
            [name, *question], env=dict(environ), capture_output=True, text=True, timeout=PROBE_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return f"no answer within {PROBE_SECONDS} s"
    if ended.returncode:
        return " ".join(ended.stderr.split()) or f"exit code {ended.returncode}"
    version = next((word for word in ended.stdout.split() if word[0].isdigit()), "?")
    return Engine(name=name, version=version, environ=dict(environ))


def _read_image(engine: Engine, reference: str) -> Image:
    found = json.loads(engine.call("image", "inspect", reference))[0]
    return Image(id=_bare(found["Id"]), labels=found["Config"].get("Labels") or {}, size=int(found["Size"]))


def _read_image_by_buildah(engine: Engine, reference: str) -> Image:
    found: dict[str, Any] = json.loads(engine.call("inspect", "--type=image", reference))
    return Image(id=_bare(found["FromImageID"]), labels=found["OCIv1"]["config"].get("Labels") or {}, size=0)


_READ_IMAGE: dict[str, Callable[[Engine, str], Image]] = {
    "docker": _read_image,
    "podman": _read_image,
    "buildah": _read_image_by_buildah,
}


def _bare(digest: str) -> str:
    return digest.removeprefix("sha256:")


def _said(command: Sequence[str], ended: subprocess.CompletedProcess[str]) -> str:
    lines = [*(ended.stdout or "").splitlines(), *(ended.stderr or "").splitlines()]
    return "\n".join([f"{' '.join(command)}: exit code {ended.returncode}", *lines[-TAIL_LINES:]])

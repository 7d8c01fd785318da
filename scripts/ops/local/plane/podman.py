"""Tasks as containers of the built images, by the engine that is there: as they will run on Fargate."""

from __future__ import annotations

import subprocess
import uuid
from collections.abc import Iterable, Mapping

from ops import images_engine, images_offline
from ops.images_engine import Engine
from ops.local.plane.containers import Command, Container, Containers
from pipeline import catalog
from pipeline.errors import PipelineError

RUNNERS = ("podman", "docker")
# As the task definitions have it: nothing can be written, and no right beyond the user's own.
CONFINED = ("--network=host", "--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges")


class NoImages(PipelineError):
    """An image was not built on this machine, or no engine is there that could run it."""


class PodmanContainers(Containers):
    """Starts the newest image that `make build-images` made of each task. Raises NoImages.

    A function's handler runs as a process all the same: what Lambda puts around it is in no image. Memory is not
    limited; not every machine lets an engine do so.
    """

    def __init__(self, packages: Iterable[str]) -> None:
        super().__init__("process", packages)
        self._engine = _engine()
        tasks = [service.name for service in catalog.load() if service.kind == "task"]
        self._images = {name: self._engine.local(f"{catalog.load().project}/{name}:latest") for name in tasks}
        missing = [name for name, image in self._images.items() if self._engine.find(image) is None]
        if missing:
            raise NoImages(f"{self._engine} holds no image of {', '.join(missing)}; run: make build-images")

    def start(self, container: Container) -> Command:
        """The container's process; its environment is the container's and nothing else."""
        name = f"{container.package}-{uuid.uuid4().hex[:12]}"
        image = self._images.get(container.package, container.image)
        first, *rest = (*container.entry_point, *container.command) if container.entry_point else ("",)
        entry = (f"--entrypoint={first}",) if first else ()
        given = [f"--env={key}" for key in container.environment]
        words = [*CONFINED, f"--name={name}", *given, *entry, image, *(rest if first else container.command)]
        return Contained(self._engine, name, self._engine.command("run", "--rm", *words), container.environment)


class Contained(Command):
    """`podman run`, going or ended."""

    def __init__(self, engine: Engine, name: str, argv: list[str], environment: Mapping[str, str]) -> None:
        super().__init__(argv, {**engine.environ, **environment})
        self._engine = engine
        self._name = name

    def kill(self, signum: int = 9) -> None:
        """Sends the signal to the container's first process, not to the engine that waits for it."""
        command = self._engine.command("kill", f"--signal={signum}", self._name)
        subprocess.run(command, env=dict(self._engine.environ), capture_output=True, check=False)


def _engine() -> Engine:
    environ = images_offline.environment()
    for name in RUNNERS:
        try:
            return images_engine.choose({**environ, images_engine.CHOICE: name})
        except images_engine.NoEngine:
            continue
    raise NoImages("there is neither podman nor docker on this machine; install one, then: make build-images")

"""A container as a process of this machine: the image's own command, with exactly the container's environment."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import psutil

from ops.local.runtime import IMAGE_FOLDERS, LATE_IMPORTS, READ_ONCE, REPOSITORY, ForkRuntime, ProcessRuntime, Run

# Serves Lambda's part inside a process, as the runtime interface client does in the image.
LAMBDA_FOLDER = Path(__file__).with_name("lambda_runtime")
ROOTS = (*IMAGE_FOLDERS, LAMBDA_FOLDER)
# Below this a forked run, which counts the modules that it shares, cannot be told from one that needs too much.
WATCHED_BELOW_MIB = 160
WATCH_SECONDS = 0.01
KILLED_BY_MEMORY = 137

SDK_DATA = "sdk_data:keep"  # in the folder of lambda_bootstrap


class Process(Protocol):
    """A container's process: what ops.local.runtime.Run has."""

    def wait(self, timeout: float | None = None) -> int: ...
    def kill(self, signum: int = signal.SIGKILL) -> None: ...
    @property
    def output(self) -> str: ...


@dataclass(frozen=True, kw_only=True)
class Container:
    """What is to run. `package` is the folder that the image was built from, the last part of its repository."""

    name: str
    package: str
    image: str
    environment: Mapping[str, str]
    entry_point: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    memory_mib: int = 0


class Containers:
    """Starts containers, within `with`. `kind` is fork or process; podman's are in `podman.PodmanContainers`."""

    def __init__(self, kind: str, packages: Iterable[str]) -> None:
        self._fresh = ProcessRuntime(roots=ROOTS)
        self._forks = (
            ForkRuntime([*packages, "lambda_bootstrap"], modules=(*LATE_IMPORTS, *READ_ONCE, SDK_DATA), roots=ROOTS)
            if kind == "fork"
            else None
        )

    def start(self, container: Container) -> Process:
        """The container's process; its environment is the container's and nothing else."""
        environment = dict(container.environment) | {"PATH": os.environ.get("PATH", os.defpath)}
        argv = command_line(container)
        if argv is not None:
            return Command(argv, environment)
        watched = 0 < container.memory_mib < WATCHED_BELOW_MIB
        runtime = self._fresh if watched or self._forks is None else self._forks
        run = runtime.start(container.package, environment)
        return Watched(run, container.memory_mib) if watched else run

    def start_module(self, module: str, environment: Mapping[str, str]) -> Run:
        """`python -m module` beside the images' folders (the Lambda runtime)."""
        runtime = self._forks or self._fresh
        return runtime.start(module, dict(environment) | {"PATH": os.environ.get("PATH", os.defpath)})

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends all that still runs."""
        for runtime in (self._forks, self._fresh):
            if runtime:
                runtime.close()


def exists(package: str) -> bool:
    """Whether this checkout has the folder that the image was built from."""
    return (REPOSITORY / "images" / package / "__main__.py").is_file()


def command_line(container: Container) -> list[str] | None:
    """The command where the definition or an override changes the image's own, None where it does not.

    The images' entry point is `python -m <package>`; a command is appended to it, an entry point replaces it.
    """
    if not container.entry_point and not container.command:
        return None
    argv = [*(container.entry_point or ("python", "-m", container.package)), *container.command]
    return [sys.executable if argv[0] in ("python", "python3") else argv[0], *argv[1:]]


def lambda_handler(package: str) -> str:
    """`module.function` as the image's CMD names it."""
    lines = (REPOSITORY / "images" / package / "Dockerfile").read_text(encoding="utf-8").splitlines()
    commands = [json.loads(line.removeprefix("CMD")) for line in lines if line.startswith("CMD")]
    return str(commands[-1][-1])


class Watched:
    """A run that is killed when it takes more memory than its container has."""

    def __init__(self, run: Run, memory_mib: int) -> None:
        self._run = run
        self._limit = memory_mib * 2**20
        self.out_of_memory = False
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        try:
            process = psutil.Process(self._run.pid)
            while self._run.poll() is None:
                if process.memory_info().rss > self._limit:
                    self.out_of_memory = True
                    self._run.kill()
                    return
                time.sleep(WATCH_SECONDS)
        except psutil.Error:
            return

    def wait(self, timeout: float | None = None) -> int:
        code = self._run.wait(timeout)
        return KILLED_BY_MEMORY if self.out_of_memory else code

    def kill(self, signum: int = signal.SIGKILL) -> None:
        self._run.kill(signum)

    @property
    def output(self) -> str:
        return self._run.output


class Command:
    """Any other command as a child process."""

    def __init__(self, argv: Sequence[str], environment: Mapping[str, str]) -> None:
        self._sink = tempfile.TemporaryFile()  # noqa: SIM115 (closed with the object)
        path = os.pathsep.join(str(root) for root in IMAGE_FOLDERS)
        try:
            self._process: subprocess.Popen[bytes] | None = subprocess.Popen(
                argv,
                env={**environment, "PYTHONPATH": path},
                stdin=subprocess.DEVNULL,
                stdout=self._sink,
                stderr=self._sink,
                start_new_session=True,
            )
        except OSError as error:
            self._process = None
            self._sink.write(f"exec: {json.dumps(argv[0])}: {error.strerror}\n".encode())

    def wait(self, timeout: float | None = None) -> int:
        if self._process is None:
            return 127
        try:
            return self._process.wait(timeout)
        except subprocess.TimeoutExpired as error:
            raise TimeoutError(str(error)) from error

    def kill(self, signum: int = signal.SIGKILL) -> None:
        if self._process and self._process.poll() is None:
            os.killpg(self._process.pid, signum)

    def __del__(self) -> None:
        self._sink.close()

    @property
    def output(self) -> str:
        size = os.fstat(self._sink.fileno()).st_size
        return os.pread(self._sink.fileno(), size, 0).decode(errors="replace")


def out_of_memory(process: Any) -> bool:
    """Whether the container was killed for its memory."""
    return bool(getattr(process, "out_of_memory", False))

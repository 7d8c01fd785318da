"""The images as the tests have them: built for real with the engine that is there, or that can be installed here."""

from __future__ import annotations

import fcntl
import json
import queue
import re
import subprocess
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from ops import images_build, images_engine, images_offline
from ops.images_build import Built
from ops.images_engine import Engine, NoEngine
from pipeline import catalog

RUN_SECONDS = 90
INVOKE_SECONDS = 30
# As the task definition has it: nothing can be written, nothing is allowed beyond the user's own rights.
CONFINED = ("--network=host", "--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges")

# Runs in the image: who am I, what may I write, what lacks its .pyc file, how long does the service take to load.
PROBE = r"""
import importlib.metadata, importlib.util, json, os, pathlib, sys, sysconfig, time
begin = time.perf_counter()
importlib.import_module(sys.argv[1] + ".__main__")
loaded = time.perf_counter() - begin

def writable(folder):
    try:
        pathlib.Path(folder, "probe").write_text("")
    except OSError as error:
        return False
    return True

folders = {"/app", sysconfig.get_path("purelib")} | {os.path.dirname(os.__file__)}
sources = [m.__file__ for m in list(sys.modules.values()) if (getattr(m, "__file__", None) or "").endswith(".py")]
sources += [str(path) for path in pathlib.Path("/app").rglob("*.py")]
print(json.dumps({
    "uid": os.getuid(),
    "writable": [folder for folder in ("/", "/app", "/tmp", "/var/tmp", "/root", *folders) if writable(folder)],
    "uncompiled": sorted({s for s in sources if not os.path.exists(importlib.util.cache_from_source(s))}),
    "modules": len(sources),
    "packages": [d.name for d in importlib.metadata.distributions()],
    "load_seconds": round(loaded, 3),
}))
"""


def require_engine() -> Engine:
    """An engine and the image that all are built on, installed and made here where that can be; skips elsewhere."""
    environ = images_offline.environment()
    try:
        if _docker_answers(environ) or not images_offline.possible():
            return images_engine.choose(environ)
    except NoEngine as error:
        pytest.skip(f"no container engine, and not root on Debian, where one could be installed: {error}")
    engine = images_engine.choose({**images_offline.prepare(), images_engine.CHOICE: "podman"})
    images_offline.make_base(engine)
    return engine


def _docker_answers(environ: Mapping[str, str]) -> bool:
    try:
        images_engine.choose({**environ, images_engine.CHOICE: "docker"})
    except NoEngine:
        return False
    return True


@dataclass(kw_only=True)
class Images:
    """The built images, by name."""

    engine: Engine
    built: dict[str, Built]
    prepare_seconds: float
    build_seconds: float

    def run(
        self, name: str, *arguments: str, entrypoint: str | None = None, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Runs a container to its end, confined as its task definition confines it."""
        words = self.run_words(name, *arguments, entrypoint=entrypoint, **environment)
        return subprocess.run(
            words, env=dict(self.engine.environ), capture_output=True, text=True, timeout=RUN_SECONDS, check=False
        )

    def run_words(self, name: str, *arguments: str, entrypoint: str | None, **environment: str) -> list[str]:
        # podman alone would mount some writable folders over a read-only image
        strict = ["--read-only-tmpfs=false"] if self.engine.name == "podman" else []
        variables = [f"--env={key}={value}" for key, value in environment.items()]
        entry = [f"--entrypoint={entrypoint}"] if entrypoint else []
        words = ["run", "--rm", *CONFINED, *strict, *variables, *entry, self.built[name].reference, *arguments]
        return self.engine.command(*words)

    def probe(self, name: str) -> dict[str, Any]:
        """What PROBE finds; `container_seconds` is the whole of it, container and interpreter included."""
        begin = time.monotonic()
        ended = self.run(name, "-c", PROBE, name, entrypoint="python")
        assert ended.returncode == 0, ended.stderr
        found: dict[str, Any] = json.loads(ended.stdout)
        return {**found, "container_seconds": round(time.monotonic() - begin, 2)}


def build() -> Images:
    """Builds them; where several workers ask at once, one does and the others find it done."""
    images_build.WORK.mkdir(parents=True, exist_ok=True)
    with (images_build.WORK / "tests.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        begin = time.monotonic()
        engine = require_engine()
        prepared = time.monotonic()
        built = images_build.build_all(engine, list(catalog.load().services))
        return Images(
            engine=engine,
            built=built,
            prepare_seconds=round(prepared - begin, 1),
            build_seconds=round(time.monotonic() - prepared, 1),
        )


@dataclass(kw_only=True)
class LambdaRuntime:
    """The HTTP interface that Lambda's service gives a container: hands out events, takes answers and errors."""

    events: queue.Queue[dict[str, Any]] = field(default_factory=queue.Queue)
    answers: queue.Queue[tuple[str, str, Any]] = field(default_factory=queue.Queue)
    address: str = ""

    def invoke(self, event: dict[str, Any], timeout: float = INVOKE_SECONDS) -> tuple[str, Any]:
        """("response" | "error", what the function answered)."""
        request = uuid.uuid4().hex
        self.events.put({"request": request, "event": event})
        answered, kind, body = self.answers.get(timeout=timeout)
        assert answered == request
        return kind, body


@contextmanager
def lambda_runtime() -> Iterator[LambdaRuntime]:
    """Serves it on loopback."""
    runtime = LambdaRuntime()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: Any) -> None:
            pass

        def do_GET(self) -> None:
            given = runtime.events.get()
            self._answer(
                200,
                json.dumps(given.get("event")).encode(),
                {
                    "Lambda-Runtime-Aws-Request-Id": given.get("request", ""),
                    "Content-Type": "application/json",  # without it and a trace awslambdaric ends in SIGSEGV
                    "Lambda-Runtime-Trace-Id": "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700",
                    "Lambda-Runtime-Deadline-Ms": str(int((time.time() + 60) * 1000)),
                    "Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:us-west-2:123456789012:function:test",
                },
            )

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            *_, request, kind = self.path.split("/")
            runtime.answers.put((request, kind, json.loads(body)))
            self._answer(202, b"{}", {})

        def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    runtime.address = f"127.0.0.1:{server.server_address[1]}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield runtime
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def running(images: Images, name: str, *arguments: str, **environment: str) -> Iterator[None]:
    """A container that stays up meanwhile."""
    container = f"ops-test-{uuid.uuid4().hex}"
    words = images.run_words(name, *arguments, entrypoint=None, **environment)
    words.insert(2, f"--name={container}")
    process = subprocess.Popen(words, env=dict(images.engine.environ), stdout=subprocess.DEVNULL)
    try:
        yield
    finally:
        subprocess.run(images.engine.command("kill", container), env=dict(images.engine.environ), capture_output=True)
        process.wait(RUN_SECONDS)


def without_path(environment: Mapping[str, str]) -> dict[str, str]:
    """A service's environment as a container gets it: where its Python and code lie is the image's own matter."""
    return {name: value for name, value in environment.items() if name not in ("PATH", "PYTHONPATH")}


def locked_packages(requirements: Sequence[str]) -> set[str]:
    """The names in the lines of a requirements.txt."""
    return {normal(line.partition("==")[0].partition("[")[0]) for line in requirements if "==" in line}


def normal(name: str) -> str:
    """A distribution's name as PyPI compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()

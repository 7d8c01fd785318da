"""Runs of services on this machine: `python -m <service>` with an environment, an exit code and what it printed.

Two kinds, one meaning. ProcessRuntime starts a fresh interpreter for each run, as the container does. ForkRuntime forks
it off a process that has the services' modules loaded, in milliseconds; it differs in what happens at import time: that
was done once, earlier, in another environment, and from the files as they were then.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from pipeline.errors import PipelineError

REPOSITORY = Path(__file__).resolve().parents[3]
IMAGE_FOLDERS = (REPOSITORY / "images", REPOSITORY / "images" / "base")
ZYGOTE = Path(__file__).with_name("zygote.py")
# What libraries import only once they resolve a name, connect, compare arrays or open a zip: half of a run's time.
LATE_IMPORTS = ("encodings.ascii", "encodings.cp437", "encodings.idna", "netrc", "numpy.ma", "psycopg")
# What every run reads first: the catalogue, the list of migrations, the sessions table. 5 ms of a run's 15.
READ_ONCE = ("pipeline.catalog:load", "pipeline.store.migrations:known", "pipeline.sessions:covered")
START_SECONDS = 60
CLOSE_SECONDS = 10


class RuntimeFailed(PipelineError):
    """A run could not be started, or was lost with the process that started it."""


class Run:
    """One run of a service, going or ended. Its methods may be called from any thread."""

    def __init__(self, service: str, sink: BinaryIO) -> None:
        self.service = service
        self.pid = 0
        self.peak_rss_mb: float | None = None
        """Resident memory at its highest, once ended; a forked run's counts what it shares (see ForkRuntime)."""
        self.cpu_seconds: float | None = None
        self._sink = sink
        self._output_start = os.fstat(sink.fileno()).st_size
        self._text: str | None = None
        self._code: int | None = None
        self._error: str | None = None
        self._started = threading.Event()
        self._ended = threading.Event()
        self._lock = threading.Lock()

    def wait(self, timeout: float | None = None) -> int:
        """The exit code, negative for a signal (−9 for SIGKILL). Raises TimeoutError after `timeout` seconds."""
        if not self._ended.wait(timeout):
            raise TimeoutError(f"{self.service} (pid {self.pid}) still runs after {timeout:g} s")
        code = self.poll()
        assert code is not None
        return code

    def poll(self) -> int | None:
        """The exit code, or None while it runs. Raises RuntimeFailed where it was lost."""
        if self._error:
            raise RuntimeFailed(self._error)
        return self._code

    def kill(self, signum: int = signal.SIGKILL) -> None:
        """Sends the signal; nothing happens where the run has ended."""
        with self._lock:
            if not self._ended.is_set():
                with suppress(ProcessLookupError):
                    os.kill(self.pid, signum)

    @property
    def output(self) -> str:
        """What it has written so far to standard output and error (into a shared log: others' lines between)."""
        with self._lock:
            return self._text if self._text is not None else self._read()

    def _read(self) -> str:
        fd = self._sink.fileno()
        length = os.fstat(fd).st_size - self._output_start
        return os.pread(fd, max(0, length), self._output_start).decode(errors="replace")

    def _begin(self, pid: int) -> None:
        self.pid = pid
        self._started.set()

    def _end(self, *, code: int | None = None, error: str | None = None) -> None:
        with self._lock:
            self._text = self._read()
            self._sink.close()  # thousands of runs may be kept; their files may not
            self._code, self._error = code, error
            self._started.set()
            self._ended.set()


class Runtime:
    """Starts runs and follows them, within `with`. Thread-safe. Use one of the two kinds below."""

    def __init__(self, *, fresh: bool, services: Iterable[str], modules: Iterable[str], roots: Sequence[Path]) -> None:
        self._python_path = os.pathsep.join(str(root) for root in roots)
        self._runs: dict[int, Run] = {}
        self._count = 0
        self._skipped: dict[str, str] = {}
        self._ready = threading.Event()
        self._lost: str | None = None
        self._lock = threading.Lock()
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115 (closed in close)
        self._control, theirs = socket.socketpair()
        wanted = {"fresh": fresh, "services": list(services), "modules": list(modules)}
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", str(ZYGOTE), str(theirs.fileno()), json.dumps(wanted)],
                pass_fds=[theirs.fileno()],
                env=self._own_environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._complaints,
                start_new_session=True,
            )
        self._reader = threading.Thread(target=self._follow, name="runtime", daemon=True)
        self._reader.start()

    def _own_environment(self) -> dict[str, str]:
        """Nothing of the caller's that a module could pick up; one thread for numpy, since threads do not survive."""
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "PYTHONPATH": self._python_path,
            "OPENBLAS_NUM_THREADS": "1",
            "OMP_NUM_THREADS": "1",
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start(
        self, service: str, env: Mapping[str, str], *, output: Path | None = None, cwd: Path | None = None
    ) -> Run:
        """Starts `python -m service` with exactly `env` (and PYTHONPATH); returns at once, its pid known.

        `output` is appended to; without it what is printed is kept in memory. `cwd` is this process's by default.
        """
        sink = output.open("ab+") if output else tempfile.TemporaryFile()  # noqa: SIM115 (Run closes it)
        run = Run(service, sink)
        request = {
            "service": service,
            "env": {**env, "PYTHONPATH": self._python_path},
            "cwd": str(cwd or Path.cwd()),
        }
        try:
            self._send(run, request, sink)
        except RuntimeFailed as error:
            run._end(error=str(error))
            raise
        run._started.wait()
        if not run.pid:
            run.poll()
        return run

    def _send(self, run: Run, request: dict[str, Any], sink: BinaryIO) -> None:
        with self._lock:
            if self._lost:
                raise RuntimeFailed(self._lost)
            self._count += 1
            line = json.dumps({**request, "id": self._count}).encode() + b"\n"
            self._runs[self._count] = run
            try:
                sent = socket.send_fds(self._control, [line], [sink.fileno()])
                self._control.sendall(line[sent:])
            except OSError as error:
                del self._runs[self._count]
                raise RuntimeFailed(f"the process that starts runs is gone: {error.strerror}") from error

    def wait_ready(self, timeout: float = START_SECONDS) -> dict[str, str]:
        """Returns when modules are loaded: those that could not be, with the reason. `start` needs no such wait."""
        if not self._ready.wait(timeout):
            raise RuntimeFailed(f"the process that starts runs was not ready after {timeout:g} s")
        if self._lost:
            raise RuntimeFailed(self._lost)
        return dict(self._skipped)

    def _follow(self) -> None:
        """Reads what the zygote tells, until it is gone."""
        with self._control.makefile("rb") as lines, suppress(ConnectionError):  # killed with requests unread
            for line in lines:
                self._note(json.loads(line))
        self._note_loss()

    def _note(self, message: dict[str, Any]) -> None:
        if "ready" in message:
            self._skipped = message["skipped"]
            self._ready.set()
        elif "pid" in message:
            self._runs[message["id"]]._begin(message["pid"])
        else:
            with self._lock:
                run = self._runs.pop(message["id"])
            run.peak_rss_mb, run.cpu_seconds = message.get("rss_mb"), message.get("cpu_seconds")
            run._end(code=message.get("code"), error=message.get("error"))

    def _note_loss(self) -> None:
        code = self._process.wait()
        said = os.pread(self._complaints.fileno(), 1 << 16, 0).decode(errors="replace").strip().splitlines()
        with self._lock:
            self._lost = f"the process that starts runs has ended (exit code {code})" + (
                f": {said[-1]}" if said else ""
            )
            lost = list(self._runs.values())
            self._runs.clear()
        for run in lost:
            run._end(error=f"{run.service} (pid {run.pid or 'none yet'}) was lost: {self._lost}")
        self._ready.set()

    def close(self) -> None:
        """Kills the runs still going and ends; their `wait` gives −9."""
        if self._complaints.closed:
            return
        with suppress(OSError):  # it may be gone already
            self._control.shutdown(socket.SHUT_WR)
        self._reader.join(CLOSE_SECONDS)
        if self._reader.is_alive():
            self._process.kill()
            self._reader.join()
        self._control.close()
        self._complaints.close()


class ProcessRuntime(Runtime):
    """A fresh interpreter for each run.

    They are forked off a small process rather than off this one, because on Linux the peak memory that a run is told
    to have had begins with that of the process it was forked off.
    """

    def __init__(self, *, roots: Sequence[Path] = IMAGE_FOLDERS) -> None:
        super().__init__(fresh=True, services=(), modules=(), roots=roots)


class ForkRuntime(Runtime):
    """Runs forked off a process that has imported `services` (all but their `__main__`) and `modules`.

    Loading begins at once and takes about a second; create it early. `peak_rss_mb` of a run counts all loaded modules,
    though their pages are shared: some 100 MB more than the run itself takes.
    """

    def __init__(
        self, services: Iterable[str], *, modules: Iterable[str] = LATE_IMPORTS, roots: Sequence[Path] = IMAGE_FOLDERS
    ) -> None:
        super().__init__(fresh=False, services=services, modules=modules, roots=roots)

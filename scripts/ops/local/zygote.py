"""The small single-threaded process that starts runs for `ops.local.runtime`: by fork, or by fork and exec.

Run as a file (`python -P zygote.py FD JSON`), so that nothing of `ops` is loaded in what it forks. On the socket FD
come requests, a JSON line and a file descriptor for the output each: {"id", "service", "env", "cwd"}. Back go
{"ready": true, "skipped": {module: reason}}, then for each run {"id", "pid"} or {"id", "error"}, and at its end
{"id", "code", "rss_mb", "cpu_seconds"}. When the socket closes, runs still going are killed.
"""

from __future__ import annotations

import ast
import atexit
import ctypes
import gc
import importlib
import importlib.util
import json
import os
import pkgutil
import runpy
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn

PR_SET_PDEATHSIG = 1
ON_LINUX = sys.platform == "linux"
RSS_UNIT_BYTES = 1024 if ON_LINUX else 1
FD_LIMIT = 16
CANNOT_START = 127  # as a shell says it
FLUSH_FAILED = 120  # the interpreter's own code for output that could not be written
# What Python ignores for itself and a new program must not inherit ignored.
RESTORED_FOR_EXEC = (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT, signal.SIGCHLD)

_libc = ctypes.CDLL(None)


class Zygote:
    """Forks on request and collects what ends. `fresh` runs get a new interpreter, others this one's modules."""

    def __init__(self, control: socket.socket, *, fresh: bool) -> None:
        self.control = control
        self.fresh = fresh
        self.runs: dict[int, int] = {}  # pid → id
        self.received = b""
        self.sinks: list[int] = []
        self.woken, self.waker = os.pipe()
        for fd in (self.woken, self.waker):
            os.set_blocking(fd, False)

    def serve(self) -> None:
        """Until the other side is gone."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the starter's to handle
        signal.signal(signal.SIGCHLD, lambda signum, frame: None)
        signal.set_wakeup_fd(self.waker, warn_on_full_buffer=False)
        try:
            while True:
                readable, _, _ = select.select([self.control.fileno(), self.woken], [], [])
                if self.woken in readable:
                    os.read(self.woken, 4096)
                    self.collect(os.WNOHANG)
                if self.control.fileno() in readable and not self.receive():
                    break
        finally:
            self.end_all()

    def receive(self) -> bool:
        """Takes what has come and starts what is complete; False at the end of the stream."""
        try:
            data, fds, _, _ = socket.recv_fds(self.control, 1 << 16, FD_LIMIT)
        except ConnectionError:
            return False
        self.sinks.extend(fds)
        *lines, self.received = (self.received + data).split(b"\n")
        for line in lines:
            self.start(json.loads(line), self.sinks.pop(0))
        return bool(data)

    def start(self, request: dict[str, Any], sink: int) -> None:
        try:
            pid = os.fork()
        except OSError as error:
            self.tell({"id": request["id"], "error": f"fork: {error.strerror}"})
            return
        finally:
            if os.getpid() == ZYGOTE_PID:
                os.close(sink)
        if pid == 0:
            self.become(request, sink)
        self.runs[pid] = request["id"]
        self.tell({"id": request["id"], "pid": pid})

    def become(self, request: dict[str, Any], sink: int) -> NoReturn:
        """In the child: everything of the zygote's is undone, then the service runs. Never back into the loop."""
        try:
            _die_with_parent()
            signal.set_wakeup_fd(-1)
            for fd in (self.woken, self.waker, *self.sinks):
                os.close(fd)
            self.control.close()
            _redirect(sink)
            os.chdir(request["cwd"])
            if self.fresh:
                _exec(request)
            _set_environment(request["env"])
            _reset_interpreter(request["cwd"])
            run(request["service"])
        except OSError as error:
            os.write(2, f"cannot start {request['service']}: {error}\n".encode())
        finally:
            os._exit(CANNOT_START)

    def collect(self, options: int) -> None:
        """Reports the runs that have ended."""
        while self.runs:
            pid, status, usage = os.wait4(-1, options)
            if pid == 0:
                return
            self.tell(
                {
                    "id": self.runs.pop(pid),
                    "code": os.waitstatus_to_exitcode(status),
                    "rss_mb": usage.ru_maxrss * RSS_UNIT_BYTES / 2**20,
                    "cpu_seconds": usage.ru_utime + usage.ru_stime,
                }
            )

    def end_all(self) -> None:
        for pid in self.runs:
            os.kill(pid, signal.SIGKILL)
        self.collect(0)

    def tell(self, message: dict[str, Any]) -> None:
        try:
            self.control.sendall(json.dumps(message).encode() + b"\n")
        except ConnectionError:
            return  # nobody is left to be told; the end of the stream is next


ZYGOTE_PID = os.getpid()


def _die_with_parent() -> None:
    """A zygote that is killed takes its runs along (Linux; elsewhere they end by themselves)."""
    if ON_LINUX:
        _libc.prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL))
        if os.getppid() != ZYGOTE_PID:  # it died before we asked
            os._exit(1)


def _redirect(sink: int) -> None:
    """Input from nowhere, output and errors to the sink."""
    nowhere = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nowhere, 0), (sink, 1), (sink, 2)):
        os.dup2(source, target)
    for fd in {nowhere, sink} - {0, 1, 2}:
        os.close(fd)


def _exec(request: dict[str, Any]) -> NoReturn:
    for signum in RESTORED_FOR_EXEC:
        signal.signal(signum, signal.SIG_DFL)
    os.execve(sys.executable, [sys.executable, "-m", request["service"]], request["env"])


def _set_environment(env: dict[str, str]) -> None:
    os.environ.clear()
    os.environ.update(env)
    time.tzset()


def _reset_interpreter(cwd: str) -> None:
    """What a fresh interpreter would have of its own: signal handlers, exit functions, path, random numbers."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    atexit._clear()
    if logging := sys.modules.get("logging"):
        atexit.register(logging.shutdown)
    sys.path.insert(0, cwd)
    if numpy_random := sys.modules.get("numpy.random"):
        numpy_random.seed()  # Python's own generator reseeds itself after a fork


def run(service: str) -> NoReturn:
    """`python -m service` in this process, from its first line to its exit code; returns to nobody."""
    code = 0
    try:
        runpy.run_module(service, run_name="__main__", alter_sys=True)
    except SystemExit as error:
        code = _exit_code(error)
    except KeyboardInterrupt as error:
        code = -_show(error, signal.SIGINT)
    except BaseException as error:  # noqa: BLE001 (this is where an interpreter ends)
        code = _show(error, 1)
    _end(code)


def _exit_code(error: SystemExit) -> int:
    if error.code is None or isinstance(error.code, int):
        return (error.code or 0) & 0xFF
    print(error.code, file=sys.stderr)
    return 1


def _show(error: BaseException, code: int) -> int:
    """Shows an uncaught exception as the interpreter does, without this file's own frame."""
    trace: TracebackType | None = error.__traceback__.tb_next if error.__traceback__ else None
    sys.excepthook(type(error), error.with_traceback(trace), trace)
    return code


def _end(code: int) -> NoReturn:
    """The interpreter's own order of ending; then the process is gone, without the zygote's clean-up."""
    threading._shutdown()  # type: ignore[attr-defined]  # waits for the service's threads
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            code = code or FLUSH_FAILED
    if code < 0:  # an uncaught Ctrl-C ends as the signal, so that a shell sees it
        signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)


def preload(services: list[str], modules: list[str]) -> dict[str, str]:
    """Imports the modules, and of each service all but `__main__`; returns what could not be, with the reason.

    An entry "module:function" is called as well, so that what it caches is there. What cannot be imported is left to
    the run that needs it, which then fails as it would in a fresh interpreter.
    """
    skipped: dict[str, str] = {}
    for name in [*modules, *(name for service in services for name in _modules_of(service))]:
        module, _, function = name.partition(":")
        try:
            imported = importlib.import_module(module)
            if function:
                getattr(imported, function)()
        except Exception as error:  # noqa: BLE001 (a module's top level may raise anything; its own run will show it)
            skipped[name] = f"{type(error).__name__}: {error}"
    return skipped


def _modules_of(service: str) -> Iterator[str]:
    """The package, its submodules, and what `__main__` imports at its top level."""
    spec = importlib.util.find_spec(service)
    yield service
    for folder in (spec and spec.submodule_search_locations) or ():
        main = Path(folder) / "__main__.py"
        if main.is_file():
            yield from _imported_by(main)
        yield from _submodules(folder, service)


def _submodules(folder: str, package: str) -> Iterator[str]:
    for _, name, is_package in pkgutil.iter_modules([folder]):
        if name != "__main__":
            yield f"{package}.{name}"
            if is_package:
                yield from _submodules(str(Path(folder) / name), f"{package}.{name}")


def _imported_by(path: Path) -> Iterator[str]:
    try:
        tree = ast.parse(path.read_bytes())
    except SyntaxError:
        return  # its run will tell
    for node in tree.body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (name for a in node.names if _is_module(name := f"{node.module}.{a.name}"))


def _is_module(name: str) -> bool:
    """Whether `from package import name` takes a module rather than something in one."""
    try:
        return importlib.util.find_spec(name) is not None
    except ImportError:  # its parent is no package, or cannot be imported
        return False


def main() -> None:
    control = socket.socket(fileno=int(sys.argv[1]))
    control.set_inheritable(False)
    wanted = json.loads(sys.argv[2])
    skipped = preload(wanted["services"], wanted["modules"])
    task = Path("/proc/self/task")
    threads = len(list(task.iterdir())) if task.is_dir() else threading.active_count()
    if threads > 1:
        sys.exit(f"the preloaded modules started {threads - 1} threads; a fork would copy their locks but not them")
    gc.collect()
    gc.freeze()  # later collections in the children leave these pages, and so the sharing of them, alone
    zygote = Zygote(control, fresh=wanted["fresh"])
    zygote.tell({"ready": True, "skipped": skipped})
    zygote.serve()


if __name__ == "__main__":
    main()

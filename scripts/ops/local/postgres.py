"""PostgreSQL as a part of this process: a server of our own that starts with us, ends with us and leaves no orphan."""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote, urlsplit, urlunsplit

import psutil
import psycopg
from psycopg import sql

from ops.local.postgres_binaries import (
    Account,
    PostgresFailed,
    ServerBinaries,
    account_for,
    find,
    reaches,
    runnable_by,
    spawn_options,
)
from pipeline import store

__all__ = ["Database", "External", "Postgres", "PostgresFailed", "Server", "ServerBinaries", "find", "serve"]

SUPERUSER = "ops"
HOST = "127.0.0.1"
LOG_NAME = "server.log"
LOG_TAIL_LINES = 12
START_SECONDS = 60  # crash recovery of a demo's data takes a few
STOP_SECONDS = 30
ORPHAN_SECONDS = 10  # a killed session's server is stopped by its guard within that time
PORT_ATTEMPTS = 5
ROOM_BYTES = 150 * 2**20  # a fresh data folder is 40 MB, its first write-ahead log 16 to 64
SCRATCH_ROOM_BYTES = 2 * 2**30  # max_wal_size and a test run's data
SHARED_MEMORY = Path("/dev/shm")
INITDB_OPTIONS = ("--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions")

SETTINGS: Mapping[str, str] = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "shared_buffers": "128MB",
    "max_connections": "100",
    "max_wal_size": "1GB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "lc_messages": "C",  # we read its log
    # a run that is killed gives up its locks within half a second, even in the middle of a long statement
    "client_connection_check_interval": "500ms",
    "jit": "off",
    "autovacuum": "on",
    "log_line_prefix": "%m [%p] %q%u@%d ",
}
# What a power cut would break; a killed server recovers all the same.
NOT_DURABLE: Mapping[str, str] = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}

# Ends the server ($1) and removes its scratch folder ($2) when our end of the pipe closes without the word `done`:
# the kernel closes it whatever ends us, SIGKILL included, and (unlike a parent-death signal) no thread's end does.
GUARD = """
read -r word && [ "$word" = done ] && exit 0
kill -INT "$1"
tries=0
while kill -0 "$1" 2>/dev/null && [ $tries -lt 100 ]; do sleep 0.1; tries=$((tries + 1)); done
[ -n "$2" ] && rm -rf -- "$2"
exit 0
"""


class Server:
    """A PostgreSQL server on which databases can be made and dropped."""

    def url(self, database: str = "postgres") -> str:
        """The superuser's address of one of its databases."""
        raise NotImplementedError

    def execute(self, statement: sql.Composed | sql.SQL) -> None:
        """Runs one statement outside any transaction, as superuser."""
        with store.connect(self.url(), name="ops") as connection:
            connection.execute(statement)

    def create_database(self, name: str, template: str | None = None) -> Database:
        """Makes a database, as a copy of `template` where given (which nobody may be connected to)."""
        base = template or "template1"
        self.execute(
            sql.SQL("create database {} template {} strategy file_copy").format(
                sql.Identifier(name), sql.Identifier(base)
            )
        )
        return Database(server=self, name=name)

    def drop_database(self, name: str) -> None:
        """Drops a database if it is there, ending its connections."""
        self.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))


@dataclass(frozen=True, kw_only=True)
class Database:
    """One database of a server."""

    server: Server
    name: str

    @property
    def url(self) -> str:
        """The superuser's address; asked of the server each time, since a restart may change the port."""
        return self.server.url(self.name)

    def connect(self, role: str | None = None) -> store.Connection:
        """An autocommit connection, as superuser or with a role's grants."""
        return store.connect(self.url, role=role)

    def drop(self) -> None:
        """Drops it, ending its connections."""
        self.server.drop_database(self.name)


@dataclass(frozen=True)
class External(Server):
    """A server that somebody else runs, at an address that may name a database."""

    address: str

    def url(self, database: str = "postgres") -> str:
        return urlunsplit(urlsplit(self.address)._replace(path=f"/{quote(database)}"))


class Postgres(Server):
    """A server of our own on loopback, within `with`.

    `data_dir` lasts (made where it is missing or empty); None is a scratch folder, in memory if there is room, gone at
    the end. `durable=False` trades a power cut's safety for speed. `settings` override SETTINGS; `port` is taken where
    it is free. Anyone on this machine may connect: the data are a demo's. Raises PostgresFailed from `start()`. Not for
    use by two threads at once.
    """

    def __init__(
        self,
        data_dir: Path | None = None,
        *,
        durable: bool = True,
        settings: Mapping[str, str] | None = None,
        port: int | None = None,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        self.binaries = find(environ)
        self.account = account_for(data_dir) if data_dir else account_for(Path(os.devnull))
        self.scratch = make_scratch(self.account) if data_dir is None else None
        self.data_dir = self.scratch / "data" if self.scratch else _place(data_dir or Path(), self.account)
        self.settings = {**SETTINGS, **({} if durable else NOT_DURABLE), **(settings or {})}
        self._process: subprocess.Popen[bytes] | None = None
        self._guard: subprocess.Popen[bytes] | None = None
        self._port = port
        self._owner = os.getpid()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int | None:
        """The postmaster's process id while it runs."""
        return self._process.pid if self._process and self._process.poll() is None else None

    @property
    def port(self) -> int:
        """Where it listens; raises PostgresFailed before the first start."""
        if self._port is None:
            raise PostgresFailed("the embedded PostgreSQL was not started")
        return self._port

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://{SUPERUSER}@{HOST}:{self.port}/{quote(database)}"

    def start(self) -> None:
        """Starts the server and returns once it answers; after `kill()` on the same port where it is still free."""
        if self.pid:
            return
        try:
            binaries = runnable_by(self.account, self.binaries)
            if not (self.data_dir / "PG_VERSION").exists():
                _init(self.data_dir, binaries, self.account)
            _require_version(self.data_dir, self.binaries)
            _require_room(self.data_dir, ROOM_BYTES)
            _clear_stale_pid(self.data_dir)
            self._listen(binaries)
        except OSError as error:
            self.stop()
            where = error.filename or self.data_dir
            raise PostgresFailed(
                f"no PostgreSQL in {self.data_dir}: {where}: {error.strerror}; choose a folder that can be written"
            ) from error
        except PostgresFailed:
            self.stop()
            raise

    def move(self, port: int | None) -> None:
        """Restarts a running server on another port: that one where it is free, any where None."""
        self.stop()
        self._port = port
        self.start()

    def _listen(self, binaries: ServerBinaries) -> None:
        """Starts on a free port; between finding and taking it somebody may be faster, then the next is tried."""
        for attempt in range(PORT_ATTEMPTS):
            port = self._port if self._port and attempt == 0 else _free_port()
            log_start = self._launch(binaries, port)
            if self._wait_ready(port, log_start) and self._is_ours(port):
                self._port = port
                return
            self._end_process()
        raise PostgresFailed(f"PostgreSQL found its port taken {PORT_ATTEMPTS} times; what takes ports on {HOST}?")

    def _launch(self, binaries: ServerBinaries, port: int) -> int:
        """Starts server and guard; returns where in the log this start begins."""
        options = [f"--{key}={value}" for key, value in {**self.settings, "port": str(port)}.items()]
        path = self.data_dir / LOG_NAME
        with path.open("ab") as log:
            os.fchown(log.fileno(), self.account.uid, self.account.gid)
            start = log.tell()
            self._process = subprocess.Popen(
                [binaries.folder / "postgres", "-D", str(self.data_dir), *options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=_environment(),
                **spawn_options(self.account),
            )
        assert self._process
        self._guard = subprocess.Popen(
            ["/bin/sh", "-c", GUARD, "postgres-guard", str(self._process.pid), str(self.scratch or "")],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=_environment(),
            **spawn_options(self.account),
        )
        atexit.register(self.stop)
        return start

    def _wait_ready(self, port: int, log_start: int) -> bool:
        """True once the server takes connections, False where its port was taken; raises when it fails otherwise."""
        assert self._process
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            code = self._process.poll()
            if code is not None:
                log = _tail(self.data_dir / LOG_NAME, log_start)
                if "could not bind" in log or "Address already in use" in log:
                    return False
                raise PostgresFailed(f"PostgreSQL did not start (exit code {code}){_remedy(log)}; its log ends:\n{log}")
            lines = _pid_file(self.data_dir)
            if len(lines) >= 8 and lines[0] == str(self._process.pid) and lines[7].strip() == "ready":
                return lines[3] == str(port)
            time.sleep(0.005)
        log = _tail(self.data_dir / LOG_NAME, log_start)
        raise PostgresFailed(f"PostgreSQL was not ready after {START_SECONDS} s; its log ends:\n{log}")

    def _is_ours(self, port: int) -> bool:
        """Whether it is our server that answers on the port: only ours serves this data folder."""
        address = f"postgresql://{SUPERUSER}@{HOST}:{port}/postgres"
        try:
            with psycopg.connect(address, connect_timeout=10) as connection:
                row = connection.execute("show data_directory").fetchone()
        except psycopg.OperationalError:
            return False
        return row is not None and Path(row[0]) == self.data_dir

    def stop(self) -> None:
        """A fast shutdown (clients are cut off, nothing committed is lost); removes a scratch folder."""
        if os.getpid() != self._owner:
            return  # a forked child inherits the object, not the server
        atexit.unregister(self.stop)
        self._end_process()
        if self.scratch:
            shutil.rmtree(self.scratch, ignore_errors=True)

    def _end_process(self) -> None:
        for signum, seconds in ((signal.SIGINT, STOP_SECONDS), (signal.SIGQUIT, 5)):
            if self._process and self.pid:
                self._process.send_signal(signum)
                with suppress(subprocess.TimeoutExpired):
                    self._process.wait(seconds)
        self.kill()

    def kill(self) -> None:
        """Ends the whole server at once with SIGKILL, as a lost machine would; `start()` brings it back."""
        if self._process and self.pid:
            self._process.send_signal(signal.SIGSTOP)  # so that it forks no more
            family = psutil.Process(self._process.pid).children(recursive=True)
            for process in family:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
            self._process.kill()
            self._process.wait()
            _wait_gone(family)
        self._process = None
        self._dismiss_guard()

    def _dismiss_guard(self) -> None:
        if self._guard:
            with suppress(BrokenPipeError, subprocess.TimeoutExpired):
                self._guard.communicate(b"done\n", timeout=5)
        self._guard = None


@contextmanager
def serve(
    data_dir: Path | None = None, *, durable: bool = True, environ: Mapping[str, str] = os.environ
) -> Iterator[Server]:
    """The server of DATABASE_URL where that is set, else one of our own for the time of the `with`."""
    if address := environ.get("DATABASE_URL"):
        yield External(address)
        return
    with Postgres(data_dir, durable=durable, environ=environ) as server:
        yield server


def make_scratch(account: Account) -> Path:
    """A folder of the account's own, in memory if there is room for a test run."""
    in_memory = SHARED_MEMORY.is_dir() and shutil.disk_usage(SHARED_MEMORY).free >= SCRATCH_ROOM_BYTES
    for parent in (SHARED_MEMORY if in_memory else Path(tempfile.gettempdir()), Path("/var/tmp")):
        if os.access(parent, os.W_OK) and reaches(account, parent):
            folder = Path(tempfile.mkdtemp(prefix="ops-postgres-", dir=parent))
            os.chown(folder, account.uid, account.gid)
            return folder
    raise PostgresFailed(f"no temporary folder for PostgreSQL: {tempfile.gettempdir()} and /var/tmp are closed to it")


def _place(data_dir: Path, account: Account) -> Path:
    """The real folder of the data; below one that is closed to the account (/root, say) it becomes a link out of it.

    The folders above are left as they are: opening them up would be a change that nobody asked for.
    """
    try:
        data_dir.absolute().parent.mkdir(parents=True, exist_ok=True)
        folder = data_dir.resolve()
        if reaches(account, folder.parent) or (folder.exists() and any(folder.iterdir())):
            return folder
        outside = Path(tempfile.mkdtemp(prefix="ops-postgres-", dir="/var/tmp"))
        os.chown(outside, account.uid, account.gid)
        if folder.is_dir():
            folder.rmdir()
        data_dir.absolute().symlink_to(outside)
        return outside
    except OSError as error:
        raise PostgresFailed(
            f"no PostgreSQL in {data_dir}: {error.filename}: {error.strerror}; choose a folder that can be written"
        ) from error


def _init(data_dir: Path, binaries: ServerBinaries, account: Account) -> None:
    """Makes the data folder beside its place and moves it there whole, so that an interrupted start leaves no half."""
    if data_dir.exists() and any(data_dir.iterdir()):
        raise PostgresFailed(f"{data_dir} is neither empty nor PostgreSQL's data; name another folder, or empty it")
    _require_room(data_dir.parent, ROOM_BYTES)
    new = Path(tempfile.mkdtemp(prefix=f".{data_dir.name}-", dir=data_dir.parent))
    try:
        os.chown(new, account.uid, account.gid)
        made = subprocess.run(
            [binaries.folder / "initdb", "-D", str(new), "-U", SUPERUSER, *INITDB_OPTIONS],
            capture_output=True,
            text=True,
            env=_environment(),
            **spawn_options(account),
        )
        if made.returncode != 0:
            told = "\n".join(f"{made.stdout}{made.stderr}".splitlines()[-LOG_TAIL_LINES:])
            raise PostgresFailed(f"initdb failed in {data_dir}{_remedy(told)}; it said:\n{told}")
        new.replace(data_dir)
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _require_version(data_dir: Path, binaries: ServerBinaries) -> None:
    made_by = (data_dir / "PG_VERSION").read_text(encoding="ascii").strip()
    if made_by != str(binaries.major):
        other = "wheel" if binaries.origin == "system" else "system"
        raise PostgresFailed(
            f"{data_dir} was made by PostgreSQL {made_by}, the server here is {binaries.major} ({binaries.folder}); "
            f"remove the folder to begin afresh, or set OPS_POSTGRES={other} if that one is version {made_by}"
        )


def _require_room(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise PostgresFailed(
            f"{folder}: {free / 2**20:.0f} MB free, PostgreSQL needs {needed / 2**20:.0f} to start; "
            "free some, or choose another folder"
        )


def _clear_stale_pid(data_dir: Path) -> None:
    """Removes the pid file of a server that is gone; its number may be another process's by now, which stops a start.

    A server that does run here is given time to end (its guard is at it when its session was killed)."""
    deadline = time.monotonic() + ORPHAN_SECONDS
    while lines := _pid_file(data_dir):
        if not _serves(lines[0], data_dir):
            (data_dir / "postmaster.pid").unlink(missing_ok=True)
        elif time.monotonic() > deadline:
            raise PostgresFailed(
                f"another PostgreSQL (pid {lines[0]}, port {lines[3] if len(lines) > 3 else 'unknown'}) serves "
                f"{data_dir}; let its owner end, or stop it with: kill -INT {lines[0]}"
            )
        else:
            time.sleep(0.1)


def _serves(pid: str, data_dir: Path) -> bool:
    """Whether the process is a PostgreSQL server on this data folder."""
    try:
        process = psutil.Process(int(pid))
        return process.status() != psutil.STATUS_ZOMBIE and str(data_dir) in process.cmdline()
    except (ValueError, psutil.NoSuchProcess):
        return False
    except psutil.AccessDenied:
        return True  # another user's process: rather wait in vain than take a living server's lock away


def _wait_gone(family: Sequence[psutil.Process]) -> None:
    """Returns when none of the processes runs; they are not our children, so a zombie is init's to collect."""
    deadline = time.monotonic() + ORPHAN_SECONDS
    for process in family:
        with suppress(psutil.NoSuchProcess):
            while process.status() != psutil.STATUS_ZOMBIE and time.monotonic() < deadline:
                time.sleep(0.002)


def _pid_file(data_dir: Path) -> list[str]:
    """The lines of postmaster.pid: pid, folder, start time, port, socket folder, address, shared memory, status."""
    try:
        return (data_dir / "postmaster.pid").read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return []


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
    return port


def _tail(path: Path, start: int) -> str:
    """The last lines of what was written to the log since `start`."""
    with path.open("rb") as log:
        log.seek(start)
        lines = log.read().decode(errors="replace").splitlines()
    return "\n".join(lines[-LOG_TAIL_LINES:])


def _remedy(text: str) -> str:
    """What helps against the causes that people meet."""
    if "No space left" in text:
        return ": the disk is full, free some or choose another folder"
    if "Permission denied" in text or "wrong ownership" in text:
        return ": the data folder belongs to another user, start it as that one or choose another folder"
    if "user does not exist" in text:
        return ": this user id has no account on this machine, and PostgreSQL asks for one; run as a user that has"
    return ""


def _environment() -> dict[str, str]:
    """No PG* variable of the caller's reaches the server."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}

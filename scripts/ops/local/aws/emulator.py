"""The local AWS as a thing to start, find, save and stop: one per state folder."""

from __future__ import annotations

import fcntl
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil

from ops.local.aws.changes import OWN_AGENT
from ops.local.aws.controls import CALL_SECONDS, HOST, Controls, LocalAwsFailed, ask
from ops.local.aws.environment import REGION, merged

ROOT = Path(__file__).resolve().parents[4]
STATE_DIR = ROOT / ".local" / "aws"
START_SECONDS = 60
STOP_SECONDS = 5
LOG_TAIL_LINES = 15
LOG_BYTES = 20 * 2**20
# Servers that are to outlive us; Python warns of a child that is forgotten while it runs.
_outliving: list[subprocess.Popen[bytes]] = []
_making_clients = threading.Lock()


@dataclass(frozen=True, kw_only=True)
class Running:
    """A server that is up. `created` is the kernel's start time of the process, since pids are used again."""

    pid: int
    created: float
    port: int
    restored: str

    @property
    def url(self) -> str:
        """What AWS_ENDPOINT_URL has to be."""
        return f"http://{HOST}:{self.port}"


class LocalAws(Controls):
    """The AWS of one state folder (`state.json`, `server.log`, `moto.snapshot`), by default `.local/aws`.

    `up()` leaves it running after this process. As a context manager it ends with this process, however that ends,
    unless it ran before; `state_dir=None` then is a folder of its own, gone afterwards. `plain=True` is moto without
    our patches. `region` is the one that is meant where none is named: another handle on the same folder sees the same
    AWS from another region.
    """

    def __init__(self, state_dir: Path | None = STATE_DIR, *, plain: bool = False, region: str = REGION) -> None:
        self.scratch = Path(tempfile.mkdtemp(prefix="ops-aws-")) if state_dir is None else None
        self.state_dir = (self.scratch or Path(state_dir or "")).absolute()
        self.plain = plain
        self.region = region
        self._guard: int | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def state_path(self) -> Path:
        """Who runs, and where."""
        return self.state_dir / "state.json"

    @property
    def log_path(self) -> Path:
        """What the server says; each start begins it anew once it is large."""
        return self.state_dir / "server.log"

    @property
    def beside_path(self) -> Path:
        """What runs beside it (database, exchange, clock), as variables for a shell; there only while it does."""
        return self.state_dir / "beside.json"

    @property
    def snapshot_path(self) -> Path:
        """What `up` starts from."""
        return self.state_dir / "moto.snapshot"

    def __enter__(self) -> Self:
        self.up(detached=False)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._guard is not None:
            self.down()
        if self.scratch:
            shutil.rmtree(self.scratch, ignore_errors=True)

    def up(self, *, detached: bool = True, fresh: bool = False) -> Running:
        """Starts it from its snapshot, or empty where there is none that fits or `fresh`; once is enough."""
        with self._alone():
            running = self.find()
            if running:
                return running
            return self._start(detached, fresh)

    def down(self) -> bool:
        """Stops it, saving nothing; False where none ran."""
        with self._alone():
            running = self.find()
            if running:
                self._end(running)
            if self._process:
                self._process.wait(STOP_SECONDS)
                self._process = None
            if self._guard is not None:
                os.close(self._guard)
                self._guard = None
            self.state_path.unlink(missing_ok=True)
            return running is not None

    def find(self) -> Running | None:
        """The running server, or None; the record of one that is gone, or whose number is another's now, is ignored."""
        try:
            running = Running(**json.loads(self.state_path.read_text(encoding="utf-8")))
            process = psutil.Process(running.pid)
            alive = process.status() != psutil.STATUS_ZOMBIE and abs(process.create_time() - running.created) < 1
        except (OSError, ValueError, TypeError, psutil.Error):
            return None
        return running if alive else None

    def load(self) -> Running:
        """The running server; raises LocalAwsFailed, with the end of its log where it died."""
        running = self.find()
        if running:
            return running
        if self.state_path.exists():
            raise LocalAwsFailed(
                f"the local AWS died; its log ends:\n{self.log_tail()}\nscripts/local-aws up starts it"
            )
        raise LocalAwsFailed("the local AWS is not up; scripts/local-aws up starts it")

    @property
    def url(self) -> str:
        """AWS_ENDPOINT_URL; raises LocalAwsFailed where it is not up."""
        return self.load().url

    def environment(self, environ: Mapping[str, str] = os.environ, region: str | None = None) -> dict[str, str]:
        """`environ` turned to this AWS, for a child process."""
        return merged(environ, self.url, region or self.region)

    def client(self, service: str, region: str | None = None, *, plane: bool = False, **config: Any) -> Any:
        """A boto3 client of this AWS, whatever the environment says. What the plane does is nobody's change."""
        from botocore.config import Config

        agent = {"user_agent_extra": OWN_AGENT} if plane else {}
        settings = Config(proxies={}, retries={"max_attempts": 0}, **agent, **config)
        with _making_clients:  # which a session cannot do in two threads at once
            return _session(region or self.region).client(service, endpoint_url=self.url, config=settings)

    def save(self) -> dict[str, Any]:
        """Writes the snapshot that the next `up` starts from: {"bytes", "seconds"}."""
        with self._alone():
            running = self.load()
            status, answer = ask(running.port, "POST", "save", CALL_SECONDS)
            if status != 200:
                raise LocalAwsFailed(f"the state was not saved, the last snapshot stands: {answer.get('error')}")
            return answer

    def restore(self) -> None:
        """Puts it back to its snapshot while it runs, ten times as fast as a new start; its clock goes on as it was."""
        with self._alone():
            status, answer = ask(self.load().port, "POST", "restore", CALL_SECONDS)
            if status != 200:
                raise LocalAwsFailed(f"it stands as it was: {answer.get('error')}")

    def log_tail(self) -> str:
        """The last lines of the server's log."""
        try:
            lines = self.log_path.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return "(no log)"
        return "\n".join(lines[-LOG_TAIL_LINES:])

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Two commands at once take turns."""
        try:
            self.state_dir.mkdir(parents=True, exist_ok=True)
            with (self.state_dir / "lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield
        except OSError as error:
            raise LocalAwsFailed(f"{self.state_dir}: {error}; choose another with --state-dir") from error

    def _start(self, detached: bool, fresh: bool) -> Running:
        if self.log_path.exists() and self.log_path.stat().st_size > LOG_BYTES:
            self.log_path.unlink()
        with socket.create_server((HOST, 0), backlog=256) as listener:
            self._process = self._launch(listener, detached, fresh)
            port = listener.getsockname()[1]
        if detached:
            _outliving.append(self._process)
        try:
            answer = self._wait_ready(self._process, port)
        except LocalAwsFailed:
            self._process.kill()
            self._process.wait()
            raise
        running = Running(
            pid=self._process.pid,
            created=psutil.Process(self._process.pid).create_time(),
            port=port,
            restored=answer["restored"],
        )
        _write(self.state_path, json.dumps(asdict(running), indent=2) + "\n")
        return running

    def _launch(self, listener: socket.socket, detached: bool, fresh: bool) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "ops.local.aws.server", f"--socket={listener.fileno()}"]
        command += [f"--state={self.state_path}", f"--snapshot={self.snapshot_path}", *(["--fresh"] if fresh else [])]
        command += ["--plain"] if self.plain else []
        inherited = [listener.fileno()]
        if not detached:
            theirs, self._guard = os.pipe()
            command.append(f"--guard={theirs}")
            inherited.append(theirs)
        try:
            with self.log_path.open("ab") as log:
                return subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env=_server_environment(os.environ),
                    cwd=ROOT,
                    pass_fds=inherited,
                    start_new_session=True,
                )
        finally:
            for descriptor in inherited[1:]:
                os.close(descriptor)

    def _wait_ready(self, process: subprocess.Popen[bytes], port: int) -> dict[str, Any]:
        """Its status page, which must carry its own process id: nobody else may answer on our port."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise LocalAwsFailed(
                    f"the local AWS did not start (exit code {process.returncode}); its log ends:\n{self.log_tail()}"
                )
            with suppress(OSError, http.client.HTTPException):
                status, answer = ask(port, "GET", "status", START_SECONDS)
                if status == 200 and answer.get("pid") == process.pid:
                    return answer
                raise LocalAwsFailed(f"port {port} is answered by somebody else: {answer}")
            time.sleep(0.05)
        raise LocalAwsFailed(f"the local AWS was not ready after {START_SECONDS} s; its log ends:\n{self.log_tail()}")

    def _end(self, running: Running) -> None:
        """Ends its whole process group: first asked, then not."""
        process = psutil.Process(running.pid)
        for signum in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError):
                os.killpg(running.pid, signum)
            try:
                process.wait(STOP_SECONDS)
                return
            except psutil.TimeoutExpired:
                continue
            except psutil.NoSuchProcess:
                return


@cache
def _session(region: str) -> Any:
    """One for all clients: each session reads the descriptions of the services anew, up to half a second each."""
    import boto3

    return boto3.session.Session(aws_access_key_id="local", aws_secret_access_key="local", region_name=region)


def _server_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Without anything that could lead moto's own calls outside, with what its process needs."""
    kept = {name: value for name, value in environ.items() if not name.startswith(("AWS_", "MOTO_"))}
    folders = [str(ROOT / folder) for folder in ("scripts", "images", "images/base")]
    return {
        **kept,
        "PYTHONPATH": os.pathsep.join([*folders, *filter(None, [environ.get("PYTHONPATH")])]),
        "PYTHONUNBUFFERED": "1",
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "MOTO_IAM_LOAD_MANAGED_POLICIES": "true",
        "MOTO_EC2_LOAD_DEFAULT_AMIS": "false",
    }


def _write(path: Path, text: str) -> None:
    new = path.with_name(f"{path.name}.new")
    new.write_text(text, encoding="utf-8")
    new.replace(path)

"""The emulator's process: moto over our patches and a restored state, on a socket that its parent opened."""

from __future__ import annotations

import argparse
import json
import os
import signal
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from moto.s3.models import s3_backends
from werkzeug.serving import make_server

from ops.local.aws import outage, pages, patches, snapshot
from ops.local.aws.clock import Clock
from ops.local.aws.outage import OUTAGE

CONTROL = "/local-aws/"  # our own pages, beside AWS's
STATE_LOCK = ".tflock"  # how an S3 backend with use_lockfile ends the name of its lock
WATCH_SECONDS = 0.5
RECORD_SECONDS = 90  # a start under load, and more
QUIET_SECONDS = 20  # how long a save waits for calls under way
REMEMBERED = 256  # answers, for attempts that follow within seconds


class Traffic:
    """How many calls are under way; `paused` waits for them and holds new ones back."""

    def __init__(self) -> None:
        self.calls = 0
        self.condition = threading.Condition()

    def __enter__(self) -> None:
        with self.condition:
            self.calls += 1

    def __exit__(self, *_: object) -> None:
        with self.condition:
            self.calls -= 1
            self.condition.notify_all()

    def paused(self, action: Callable[[], Any]) -> Any:
        """Runs `action` while no call is under way. Raises TimeoutError where they do not end."""
        with self.condition:
            if not self.condition.wait_for(lambda: self.calls == 0, QUIET_SECONDS):
                raise TimeoutError(f"{self.calls} calls still under way after {QUIET_SECONDS} s; try again")
            return action()


class Attempts:
    """The last answers to changes, by the SDKs' invocation id: where one got lost, the next attempt gets it again.

    On a machine at its limit a connection may end before its answer was read. The SDK then tries again, and what
    creates would find what its own first attempt created.
    """

    def __init__(self) -> None:
        self.answers: OrderedDict[str, tuple[str, list[tuple[str, str]], list[bytes]]] = OrderedDict()
        self.lock = threading.Lock()

    def answer(self, application: Callable[..., Any], environ: dict[str, Any], start_response: Any) -> list[bytes]:
        invocation = environ.get("HTTP_AMZ_SDK_INVOCATION_ID")
        if not invocation or environ["REQUEST_METHOD"] == "GET":
            return list(application(environ, start_response))
        with self.lock:
            known = self.answers.get(invocation)
        if known:
            print(f"the answer to {invocation} is given again", flush=True)
            start_response(*known[:2])
            return known[2]
        return self._remembered(invocation, application, environ, start_response)

    def _remembered(
        self, invocation: str, application: Callable[..., Any], environ: dict[str, Any], start_response: Any
    ) -> list[bytes]:
        head: list[Any] = []

        def start(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
            head[:] = status, headers
            return start_response(status, headers, *more)

        body = list(application(environ, start))
        if head and head[0].startswith("2"):
            with self.lock:
                self.answers[invocation] = (head[0], head[1], body)
                while len(self.answers) > REMEMBERED:
                    self.answers.popitem(last=False)
        return body


class Application:
    """moto's dispatcher, and in front of it our own pages: `status`, `save` and those of ops.local.aws.pages."""

    def __init__(self, snapshot_path: Path, restored: str) -> None:
        self.moto = DomainDispatcherApplication(create_backend_app)
        self.snapshot_path = snapshot_path
        self.restored = restored
        self.traffic = Traffic()
        self.attempts = Attempts()
        self.questions = pages.questions(Clock())
        self.acts = pages.acts()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path.startswith(CONTROL):
            body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            return self.control((environ["REQUEST_METHOD"], path.removeprefix(CONTROL)), body, start_response)
        if OUTAGE.hits(environ):
            start_response("503 Service Unavailable", [("Content-Length", str(len(outage.BODY)))])
            return [outage.BODY]
        with self.traffic:
            return self.attempts.answer(self.moto, environ, start_response)

    def control(self, page: tuple[str, str], body: bytes, start_response: Callable[..., Any]) -> Iterable[bytes]:
        status, answer = "200 OK", {}
        if page == ("GET", "status"):
            answer = {"pid": os.getpid(), "restored": self.restored}
        elif page == ("POST", "save"):
            status, answer = self.save()
        elif page == ("POST", "restore"):
            status, answer = self.go_back()
        else:
            status, answer = self.own_page(page, body)
        told = json.dumps(answer, default=str).encode()
        start_response(status, [("Content-Type", "application/json"), ("Content-Length", str(len(told)))])
        return [told]

    def own_page(self, page: tuple[str, str], body: bytes) -> tuple[str, dict[str, Any]]:
        try:
            if page in self.questions:
                return "200 OK", self.questions[page](pages.read(body))
            if page in self.acts:
                with self.traffic:
                    return "200 OK", self.acts[page](pages.read(body))
        except pages.PageFailed as error:
            return "400 Bad Request", {"error": str(error)}
        return "404 Not Found", {"error": f"no page {' '.join(page)}"}

    def save(self) -> tuple[str, dict[str, Any]]:
        began = time.monotonic()
        try:
            header = self.traffic.paused(lambda: snapshot.save(self.snapshot_path, datetime.now(UTC)))
        except (OSError, TypeError, TimeoutError) as error:  # TypeError: what a pickle cannot hold
            return "500 Internal Server Error", {"error": f"{type(error).__name__}: {error}"}
        return "200 OK", {"bytes": header.bytes, "seconds": round(time.monotonic() - began, 3)}

    def go_back(self) -> tuple[str, dict[str, Any]]:
        """To what was saved last, between two calls."""
        try:
            header = self.traffic.paused(lambda: snapshot.load(self.snapshot_path))
        except (TimeoutError, snapshot.SnapshotUnusable) as error:
            return "500 Internal Server Error", {"error": str(error)}
        return "200 OK", {"saved_at": header.saved_at}


class Handler(MotoRequestHandler):
    """Without a log line per call, and without the 40 ms that a small answer else waits for its acknowledgement."""

    disable_nagle_algorithm = True

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        pass


def restore(path: Path) -> str:
    """Loads the snapshot where there is one that fits; returns what was done, for people."""
    if not path.exists():
        return f"empty: there is no snapshot {path.name}"
    try:
        header = snapshot.load(path)
    except snapshot.SnapshotUnusable as error:
        return f"empty: {path.name} was left aside: {error}"
    give_back_state_locks()
    return f"restored the state of {header.saved_at}"


def give_back_state_locks() -> None:
    """Removes the state locks of Terraform: whoever held one when the snapshot was taken is not at work on this one."""
    for _, _, backend in s3_backends.iter_backends():
        s3: Any = backend
        for bucket in s3.buckets.values():
            for name in [name for name in bucket.keys if name.endswith(STATE_LOCK)]:
                bucket.keys.pop(name)


def die_with(pipe: int) -> None:
    """Ends this process when the other end of `pipe` closes, whatever ended its owner, SIGKILL included."""

    def watch() -> None:
        os.read(pipe, 1)
        os._exit(0)

    threading.Thread(target=watch, daemon=True).start()


def die_without(state: Path) -> None:
    """Ends this process once its record is gone (`make clean`, say), or never came: nobody could find it any more."""

    def watch() -> None:
        deadline = time.monotonic() + RECORD_SECONDS
        while not state.exists() and time.monotonic() < deadline:
            time.sleep(WATCH_SECONDS)
        while state.exists():
            time.sleep(WATCH_SECONDS)
        os._exit(0)

    threading.Thread(target=watch, daemon=True).start()


def main(arguments: list[str] | None = None) -> None:
    """Serves until SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--socket", type=int, required=True, help="file descriptor of the listening socket")
    parser.add_argument("--snapshot", type=Path, required=True)
    parser.add_argument("--state", type=Path, required=True, help="record of this process, which its parent writes")
    parser.add_argument("--fresh", action="store_true", help="start empty")
    parser.add_argument("--guard", type=int, help="file descriptor of a pipe; its end is ours")
    parser.add_argument("--plain", action="store_true", help="moto as it is, without our patches (for their tests)")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))  # nothing to tidy: a save is whole or not there
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C in the shell is for the command, not for us
    die_without(options.state)
    if options.guard is not None:
        die_with(options.guard)
    if not options.plain:
        patches.apply()
    application = Application(options.snapshot, "empty: asked to" if options.fresh else restore(options.snapshot))
    server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=Handler, fd=options.socket)
    print(f"pid {os.getpid()}, {application.restored}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()

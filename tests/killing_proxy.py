"""A way to the local AWS on which the one who calls can be killed, before or after a call has taken effect."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import parse_qsl

HOST = "127.0.0.1"
HOP_BY_HOP = ("connection", "transfer-encoding", "keep-alive")


@dataclass(kw_only=True)
class KillingProxy:
    """Passes everything on. `judge` is told each call that changes something, before and after it has ("PutParameter
    /a/b", "after"), and returns whether it was the last that its caller made."""

    url: str
    judge: Callable[[str, str], bool] = field(default=lambda call, when: False)
    calls: list[str] = field(default_factory=list)


@contextmanager
def killing_proxy(port: int) -> Iterator[KillingProxy]:
    """A proxy before the server on that port of loopback."""
    proxy = KillingProxy(url="")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _pass(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            call = name_of(self.command, self.path, self.headers.get("X-Amz-Target", ""), body)
            if call and proxy.judge(call, "before"):
                self.close_connection = True
                return
            connection = http.client.HTTPConnection(HOST, port, timeout=30)
            connection.request(self.command, self.path, body, dict(self.headers))
            answer = connection.getresponse()
            content = answer.read()
            connection.close()
            if call:
                proxy.calls.append(call)
                if proxy.judge(call, "after"):
                    self.close_connection = True
                    return
            self.send_response_only(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in (*HOP_BY_HOP, "content-length"):
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _pass  # noqa: N815 (as http.server calls them)

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer((HOST, 0), Handler) as server:
        server.daemon_threads = True
        proxy.url = f"http://{HOST}:{server.server_address[1]}"
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        try:
            yield proxy
        finally:
            server.shutdown()


NAMES = ("TargetDBInstanceIdentifier", "DBInstanceIdentifier", "TargetDBSnapshotIdentifier")  # of the query protocol
READS = ("BatchGet", "Describe", "Filter", "Get", "List", "Lookup")
SCHEDULE = {"POST": "CreateSchedule", "PUT": "UpdateSchedule", "DELETE": "DeleteSchedule"}


def name_of(method: str, path: str, target: str, body: bytes) -> str:
    """What a call that changes something is, and of what; empty for one that only looks."""
    action = target.rpartition(".")[2]
    if action:
        asked = json.loads(body or b"{}")
        named = asked.get("Name") or ",".join(asked.get("Names", [])) or asked.get("taskDefinition", "")
        return "" if action.startswith(READS) else f"{action} {named}"
    if body.startswith(b"Action="):
        form = dict(parse_qsl(body.decode()))
        named = next((form[name] for name in NAMES if name in form), "")
        return "" if form["Action"].startswith(READS) else f"{form['Action']} {named}".strip()
    path = path.split("?")[0]
    if path.startswith("/schedules/"):
        return f"{SCHEDULE[method]} {path.removeprefix('/schedules/')}" if method in SCHEDULE else ""
    return f"PutObject {path}" if method == "PUT" else ""

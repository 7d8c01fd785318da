"""The exchange as an HTTP server on loopback, and the Python handle that drives it."""

from __future__ import annotations

import json
import secrets
import socket
import struct
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Lock, Thread
from typing import Any, cast
from urllib.parse import parse_qsl, unquote, urlsplit

from ops.local.exchange import admin, hours
from ops.local.exchange.bars import MarketData
from ops.local.exchange.broker import Broker
from ops.local.exchange.faults import TRANSPORT, Fault, FaultBook
from ops.local.exchange.keys import PAPER, KeyRing, unauthorized
from ops.local.exchange.limits import RateLimit
from ops.local.exchange.market import Market
from ops.local.exchange.wire import Answer, Refused, Request, as_html, as_json, refusal

REASONS = {429: "Too Many Requests", 500: "Internal Server Error", 503: "Service Unavailable", 504: "Gateway Time-out"}


@dataclass(frozen=True, kw_only=True)
class Seen:
    """One request that the exchange served: when (its clock), what, and how it was answered (0: not at all)."""

    at: datetime
    method: str
    path: str
    query: Mapping[str, str]
    key_id: str
    status: int
    seconds: float


class Exchange:
    """A private Alpaca on loopback: data and trading API under one URL.

    Keys that are not given are made up: `key_id` and `secret_key` tell them, `headers` carries them. The clock is real
    unless `clock` is given or `set_now` called (None returns to it). `rate_limit` requests a minute for each key and
    API (None: no limit), counted on the exchange's clock unless `rate_clock` is given: a virtual minute grants a
    minute's worth. `delays` make bars of single symbols appear later than at the end of their minute;
    `fill_delay` keeps market orders waiting after their submission.
    """

    def __init__(
        self,
        market: Market,
        *,
        key_id: str | None = None,
        secret_key: str | None = None,
        sip: bool = False,
        clock: Callable[[], datetime] | None = None,
        rate_limit: int | None = 200,
        rate_clock: Callable[[], datetime] | None = None,
        delays: Mapping[str, timedelta] | None = None,
        fill_delay: timedelta = timedelta(),
        seed: int = 0,
        port: int = 0,
    ) -> None:
        self._clock = clock or (lambda: datetime.now(UTC))
        self._now: datetime | None = None
        self.market = market
        self.faults = FaultBook(seed)
        self.keys = KeyRing(self.now)
        self.key_id = key_id or "PK" + secrets.token_hex(9).upper()
        self.secret_key = secret_key or secrets.token_urlsafe(30)
        self.keys.issue(self.key_id, self.secret_key, sip=sip)
        self.limits = RateLimit(rate_limit, rate_clock or self.now)
        self.data = MarketData(market, self.faults, delays)
        self._fill_delay = fill_delay
        self._brokers: dict[str, Broker] = {}
        self.admin_token = secrets.token_urlsafe(24)
        self.requests: deque[Seen] = deque(maxlen=20_000)
        self.statuses: Counter[str] = Counter()
        self.stopping = Event()
        self._port = port
        self._server: _Server | None = None
        self._lock = Lock()

    # ── life ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    def start(self) -> Exchange:
        """Listen on 127.0.0.1 in a daemon thread."""
        self.stopping.clear()
        self._server = _Server(("127.0.0.1", self._port), self)
        self._port = self._server.server_address[1]  # where it is found again after a stop
        Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True, name="exchange").start()
        return self

    def stop(self) -> None:
        """Close the port; requests that hang are let go."""
        self.stopping.set()
        if self._server:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def __enter__(self) -> Exchange:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Base URL of both APIs, without /v2 (what alpaca-py calls url_override); a stopped one keeps its own."""
        if not self._port:
            raise RuntimeError("the exchange was never started; call start() first")
        return f"http://127.0.0.1:{self._port}"

    @property
    def headers(self) -> dict[str, str]:
        """The two headers that the first key pair is sent in."""
        return {"APCA-API-KEY-ID": self.key_id, "APCA-API-SECRET-KEY": self.secret_key}

    # ── clock ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def now(self) -> datetime:
        return self._now or self._clock()

    def set_now(self, now: datetime | None) -> None:
        """Stand still at `now` (aware); None follows the clock again."""
        if now is not None and now.tzinfo is None:
            raise ValueError(f"now must be zone-aware, not {now!r}")
        self._now = now.astimezone(UTC) if now else None

    def delay_fills(self, delay: timedelta) -> None:
        """Market orders wait that long from now on."""
        with self._lock:
            self._fill_delay = delay
            for broker in self._brokers.values():
                broker.fill_delay = delay

    def broker(self, account: str = PAPER) -> Broker:
        """The books of one account (each key pair belongs to one)."""
        with self._lock:
            if account not in self._brokers:
                self._brokers[account] = Broker(account, self.data, fill_delay=self._fill_delay)
            return self._brokers[account]

    # ── requests ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def answer(self, request: Request) -> Answer:
        """Authenticate, count against the limit, and route one request of the two APIs."""
        rate: Mapping[str, str] = {}
        try:
            pair = self.keys.check(request)
            allowed, rate = self.limits.count(pair.key_id, request.about_data)
            if not allowed:
                raise Refused(too_many(request))
            found = self._route(request, pair.account, sip=pair.sip)
        except Refused as refused:
            found = refused.answer
            if not rate:
                _, rate = self.limits.count("", request.about_data)
        return _with_headers(found, rate)

    def _route(self, request: Request, account: str, *, sip: bool) -> Answer:
        now = self.now()
        if request.method == "GET" and request.path == "/v2/stocks/bars":
            return self.data.bars(request, now, sip=sip)
        if request.method == "GET" and request.path == "/v2/stocks/bars/latest":
            return self.data.latest(request, now, sip=sip)
        if request.about_data:
            raise refusal(404, "endpoint not found")
        if request.method == "GET" and request.path == "/v2/clock":
            return hours.clock(now)
        if request.method == "GET" and request.path == "/v2/calendar":
            return hours.calendar(request)
        return self.broker(account).answer(request, now)

    def spoilt(self, fault: Fault, request: Request) -> Answer:
        """The answer that a status or refuse_keys fault gives instead of the true one."""
        if fault.kind == "refuse_keys":
            return unauthorized(request)
        headers = dict(fault.headers)
        if fault.reset_seconds is not None:
            at = self.limits.clock() + timedelta(seconds=fault.reset_seconds)
            limit = {"X-RateLimit-Limit": str(self.limits.per_minute or 0), "X-RateLimit-Remaining": "0"}
            headers |= limit | {"X-RateLimit-Reset": str(int(at.timestamp()))}
        if fault.body is not None:
            kind = "text/html" if fault.html else Answer.content_type
            return Answer(status=fault.status, body=fault.body.encode(), content_type=kind, headers=headers)
        return _with_headers(_words(fault, request), headers)

    def record(self, seen: Seen) -> None:
        with self._lock:
            self.requests.append(seen)
            self.statuses[f"{seen.method} {seen.path} {seen.status}"] += 1


def too_many(request: Request) -> Answer:
    """429 in the words of the API that was asked."""
    if request.about_data:
        return refusal(429, "too many requests.").answer
    return refusal(429, "rate limit exceeded", 42910000).answer


def _words(fault: Fault, request: Request) -> Answer:
    """The usual body of an error status: a gateway's page for `html`, else the API's own JSON."""
    if fault.html:
        return as_html(fault.status, REASONS.get(fault.status, "Error"))
    if fault.status == 429:
        return too_many(request)
    if fault.status == 401:
        return unauthorized(request)
    if fault.status == 403:
        return refusal(403, "forbidden.").answer
    return as_json({"message": REASONS.get(fault.status, "internal server error occurred").lower()}, fault.status)


def _with_headers(answer: Answer, more: Mapping[str, str]) -> Answer:
    return Answer(
        status=answer.status,
        body=answer.body,
        content_type=answer.content_type,
        headers={**answer.headers, **more},
    )


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], exchange: Exchange) -> None:
        self.exchange = exchange
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        """Without the reverse lookup of HTTPServer, which can take seconds where DNS is away."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = self.server_address[:2]  # type: ignore[assignment]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is not our error: say nothing. Anything else keeps its traceback."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "local-exchange"
    disable_nagle_algorithm = True
    wbufsize = -1

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are recorded on the handle, not printed."""

    def do_GET(self) -> None:
        self._serve()

    do_POST = do_DELETE = do_PATCH = do_PUT = do_GET  # noqa: N815 - the names http.server looks up

    def _serve(self) -> None:
        exchange, began = cast(_Server, self.server).exchange, time.monotonic()
        length = self.headers.get("Content-Length", "")
        parts = urlsplit(self.path)
        request = Request(
            method=self.command,
            path=unquote(parts.path),
            query=dict(parse_qsl(parts.query, keep_blank_values=False)),
            headers={name.lower(): value for name, value in self.headers.items()},
            body=self.rfile.read(int(length)) if length.isdecimal() else b"",
        )
        if request.path.startswith("/admin/"):
            self._send(admin.answer(exchange, request), exchange)
            return
        status, send = self._answer(exchange, request)
        seen = Seen(
            at=exchange.now(),
            method=request.method,
            path=request.path,
            query=request.query,
            key_id=request.headers.get("apca-api-key-id", ""),
            status=status,
            seconds=time.monotonic() - began,
        )
        exchange.record(seen)  # before it goes out: whoever has his answer finds it counted
        send()

    def _answer(self, exchange: Exchange, request: Request) -> tuple[int, Callable[[], None]]:
        """The answer to one request through the faults that strike it: its status, 0 for none, and how it goes out."""
        struck = exchange.faults.hit(TRANSPORT, request, exchange.now())
        for fault in (f for f in struck if f.kind == "latency"):
            exchange.stopping.wait(fault.seconds)
        instead = next((f for f in struck if f.kind in ("status", "refuse_keys", "hang", "reset")), None)
        answer = exchange.answer(request) if instead is None or instead.after else None
        if instead and instead.kind in ("hang", "reset"):
            return 0, partial(self._silence, exchange, instead)
        if instead:
            answer = exchange.spoilt(instead, request)
        cut = next((f for f in struck if f.kind == "truncate"), None)
        return cast(Answer, answer).status, partial(self._send, cast(Answer, answer), exchange, cut)

    def _silence(self, exchange: Exchange, fault: Fault) -> None:
        """No answer: wait and close, or reset the connection (SO_LINGER of zero makes close send RST)."""
        self.close_connection = True
        if fault.kind == "hang":
            exchange.stopping.wait(fault.seconds)
        else:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()

    def _send(self, answer: Answer, exchange: Exchange, cut: Fault | None = None) -> None:
        """Head and body in one write. A `cut` sends part of the body, with an honest or a broken Content-Length."""
        body = answer.body
        if cut:
            body, self.close_connection = body[: int(len(body) * cut.fraction)], True
        promised = len(body) if cut is None or cut.honest else len(answer.body)
        self._headers_buffer: list[bytes] = []
        self.send_response_only(answer.status)
        self.send_header("Date", format_datetime(exchange.limits.clock().astimezone(UTC), usegmt=True))
        if answer.status != 204:
            self.send_header("Content-Type", answer.content_type)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(promised))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()


def describe(exchange: Exchange) -> str:
    """One JSON line that tells another process how to reach the exchange."""
    keys = {"key_id": exchange.key_id, "secret_key": exchange.secret_key}
    return json.dumps({"url": exchange.url, "admin_token": exchange.admin_token, **keys})

"""A feed server on loopback: news items as RSS and Atom on a clock of its own, well-behaved until told otherwise."""

from __future__ import annotations

import hashlib
import json
import re
import socket
import sys
import time
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Lock, Thread
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit
from xml.sax.saxutils import escape

import click

from ops.local.feed_faults import KINDS, Document, Fault, Shape, answer, begin
from ops.local.news_file import DEFAULT_FEED, NewsFileUnusable, NewsItem, Rejected, parse_time, read_news

__all__ = ["KINDS", "FeedServer", "NewsFileUnusable", "NewsItem", "Rejected", "Request", "read_news"]

CONTENT_TYPES = {"rss": "application/rss+xml; charset=utf-8", "atom": "application/atom+xml; charset=utf-8"}
NEWEST_ITEMS = 100
_PATH = re.compile(r"/(?P<name>[\w-]+)\.(?P<kind>rss|atom)")
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, kw_only=True)
class Request:
    """A request that the server saw; header names are in lower case."""

    method: str
    path: str
    headers: dict[str, str]


class FeedServer:
    """Serves `items` on 127.0.0.1, each feed at url(name, kind): those published by the clock's now, newest first.

    `clock` gives now (aware); set_now() fixes it. Use as a context manager, or start() and stop().
    """

    def __init__(
        self,
        items: Iterable[NewsItem] = (),
        clock: Callable[[], datetime] | None = None,
        *,
        newest: int = NEWEST_ITEMS,
        rejected: Iterable[Rejected] = (),
        port: int = 0,
    ) -> None:
        self.rejected = tuple(rejected)
        self.requests: list[Request] = []
        self._items: dict[str, list[NewsItem]] = {DEFAULT_FEED: []}
        self._clock = clock or (lambda: datetime.now(UTC))
        self._newest = newest
        self._port = port
        self._faults: dict[str, list[Fault]] = {}
        self._lock = Lock()
        self._stopping = Event()
        self._server: _Server | None = None
        self.add(items)

    @classmethod
    def from_file(cls, path: Path, clock: Callable[[], datetime] | None = None, *, port: int = 0) -> FeedServer:
        """A server of a CSV, RSS or Atom file's items; the rows it could not use are in `rejected`."""
        news = read_news(path)
        return cls(news.items, clock, rejected=news.rejected, port=port)

    def add(self, items: Iterable[NewsItem]) -> None:
        """Publish more items (each from its published_at on)."""
        with self._lock:
            for item in items:
                for name in item.feeds:
                    self._items.setdefault(name, []).append(item)
            for carried in self._items.values():
                carried.sort(key=lambda item: item.published_at)

    def start(self) -> FeedServer:
        """Listen, and serve in a daemon thread."""
        self._stopping.clear()
        self._server = _Server(("127.0.0.1", self._port), self)
        Thread(target=self._server.serve_forever, args=(0.05,), daemon=True, name="feeds").start()
        return self

    def stop(self) -> None:
        """Stop listening and end every open answer, hanging ones too."""
        if self._server is None:
            return
        self._stopping.set()
        self._server.shutdown()
        self._server.end_connections()
        self._server.server_close()
        self._server = None

    def __enter__(self) -> FeedServer:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def names(self) -> list[str]:
        """The feeds there are."""
        return sorted(self._items)

    @property
    def base_url(self) -> str:
        """http://127.0.0.1:<port>."""
        if self._server is None:
            raise RuntimeError("the feed server is not started; call start() or use it in a with statement")
        return f"http://127.0.0.1:{self._server.server_port}"

    def url(self, name: str = DEFAULT_FEED, kind: str = "rss") -> str:
        """The address of a feed; `kind` is rss or atom."""
        return f"{self.base_url}/{name}.{kind}"

    def set_now(self, now: datetime) -> None:
        """Fix the server's clock at `now` (aware)."""
        self._clock = lambda: now

    def fault(self, name: str, kind: str, times: int | None = None, **options: Any) -> None:
        """Spoil the next `times` answers (None: all) of the feed `name` ('*': every one); see ops.local.feed_faults."""
        fault = Fault(kind=kind, options=options, times=times)
        with self._lock:
            self._faults.setdefault(name, []).append(fault)

    def clear_faults(self, name: str | None = None) -> None:
        """Behave again: all feeds, or only `name` (what was set for '*' stays)."""
        with self._lock:
            if name is None:
                self._faults.clear()
            else:
                self._faults.pop(name, None)

    def _take_fault(self, name: str) -> Fault | None:
        with self._lock:
            for fault in (*self._faults.get(name, ()), *self._faults.get("*", ())):
                if fault.times is None:
                    return fault
                if fault.times > 0:
                    fault.times -= 1
                    return fault
        return None

    def _visible(self, name: str, now: datetime) -> list[NewsItem]:
        with self._lock:
            carried = self._items[name]
            end = bisect_right(carried, now, key=lambda item: item.published_at)
            return carried[max(0, end - self._newest) : end][::-1]

    def document(self, name: str, kind: str, shape: Shape | None = None) -> tuple[Document, datetime]:
        """A feed as it is now, and when it last changed."""
        now = self._clock()
        items = self._visible(name, now)
        changed = items[0].published_at if items else datetime(2000, 1, 1, tzinfo=UTC)
        draw = draw_rss if kind == "rss" else draw_atom
        text = draw(name, items, changed, shape or Shape(), now)
        return Document(body=text.encode(), content_type=CONTENT_TYPES[kind]), changed


def _text(value: str) -> str:
    return escape(_NOT_XML.sub("", value))


def id_of(item: NewsItem) -> str:
    """The same item has the same id in every feed and format."""
    key = f"{item.published_at.isoformat()}\n{item.title}\n{item.link}"
    return f"urn:news:{hashlib.sha256(key.encode(errors='replace')).hexdigest()[:32]}"


def _drawn(items: list[NewsItem], shape: Shape) -> Iterator[tuple[NewsItem, str]]:
    """Each item with the id that it is given, as often as it stands in the feed."""
    for number, item in zip(range(len(items), 0, -1), items, strict=True):
        for _ in range(shape.repeat):
            yield item, str(number) if shape.numbered else id_of(item)


def draw_rss(name: str, items: list[NewsItem], changed: datetime, shape: Shape, now: datetime) -> str:
    """RSS 2.0; an item's date has whole seconds, as the format has."""
    drawn = "".join(_rss_item(item, item_id, shape, now) for item, item_id in _drawn(items, shape))
    return (
        f'<?xml version="1.0" encoding="utf-8"?>\n{shape.doctype}<rss version="2.0"><channel>'
        f"<title>{_text(name)}</title><link>http://feeds.invalid/{name}</link><description>News</description>"
        f"<lastBuildDate>{format_datetime(changed)}</lastBuildDate>{drawn}</channel></rss>\n"
    )


def _rss_item(item: NewsItem, item_id: str, shape: Shape, now: datetime) -> str:
    date = shape.date(now) if shape.date else format_datetime(item.published_at)
    parts = {
        "title": f"<title>{shape.title(_NOT_XML.sub('', item.title))}</title>",
        "link": f"<link>{_text(item.link)}</link>" if item.link else "",
        "id": f'<guid isPermaLink="false">{item_id}</guid>',
        "date": f"<pubDate>{date}</pubDate>",
        "summary": f"<description>{_text(item.summary)}</description>" if item.summary else "",
    }
    return "<item>" + "".join(text for part, text in parts.items() if part not in shape.omit) + "</item>\n"


def draw_atom(name: str, items: list[NewsItem], changed: datetime, shape: Shape, now: datetime) -> str:
    """Atom 1.0."""
    drawn = "".join(_atom_entry(item, item_id, shape, now) for item, item_id in _drawn(items, shape))
    return (
        f'<?xml version="1.0" encoding="utf-8"?>\n{shape.doctype}<feed xmlns="http://www.w3.org/2005/Atom">'
        f"<title>{_text(name)}</title><id>urn:feed:{name}</id><updated>{changed.isoformat()}</updated>{drawn}</feed>\n"
    )


def _atom_entry(item: NewsItem, item_id: str, shape: Shape, now: datetime) -> str:
    date = shape.date(now) if shape.date else item.published_at.isoformat()
    parts = {
        "title": f'<title type="html">{shape.title(_NOT_XML.sub("", item.title))}</title>',
        "link": f'<link href="{escape(item.link, {chr(34): "&quot;"})}"/>' if item.link else "",
        "id": f"<id>{item_id}</id>",
        "date": f"<published>{date}</published><updated>{date}</updated>",
        "summary": f'<summary type="html">{_text(item.summary)}</summary>' if item.summary else "",
    }
    return "<entry>" + "".join(text for part, text in parts.items() if part not in shape.omit) + "</entry>\n"


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], feeds: FeedServer) -> None:
        self.feeds = feeds
        self._open: set[socket.socket] = set()
        self._open_lock = Lock()
        super().__init__(address, _Handler)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        with self._open_lock:
            self._open.add(request)
        try:
            super().process_request_thread(request, client_address)
        finally:
            with self._open_lock:
                self._open.discard(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        # A reader that gives up on a fault (size limit, deadline) is what the faults are for.
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)

    def end_connections(self, within_seconds: float = 2) -> None:
        """Break off the answers under way, one blocked in a write too, and wait until their threads are gone."""
        give_up_at = time.monotonic() + within_seconds
        while self._open and time.monotonic() < give_up_at:
            with self._open_lock:
                for connection in self._open:
                    _shut_down(connection)
            time.sleep(0.005)


def _shut_down(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # closed meanwhile


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30  # a peer that sends nothing is let go
    server: _Server

    def log_message(self, format: str, *args: Any) -> None:
        """The requests are in FeedServer.requests; the terminal stays quiet."""

    def do_GET(self) -> None:
        """A feed, or the list of feeds."""
        feeds = self.server.feeds
        feeds.requests.append(
            Request(method="GET", path=self.path, headers={name.lower(): value for name, value in self.headers.items()})
        )
        path = urlsplit(self.path).path
        match = _PATH.fullmatch(path)
        if path == "/":
            self._json(200, {"feeds": [feeds.url(name, kind) for name in feeds.names for kind in CONTENT_TYPES]})
        elif match is None or match["name"] not in feeds.names:
            self._json(404, {"error": f"no feed {path}; there are: {', '.join(feeds.names)} (.rss or .atom)"})
        else:
            self._feed(match["name"], match["kind"])

    def _feed(self, name: str, kind: str) -> None:
        feeds = self.server.feeds
        fault = feeds._take_fault(name)
        document, changed = feeds.document(name, kind, fault.shape() if fault else None)
        document = fault.encode(document) if fault else document
        if fault and fault.on_wire:
            return fault.send(self, document, feeds._stopping)
        etag = f'"{hashlib.sha256(document.body).hexdigest()[:32]}"'
        validators = {"ETag": etag, "Last_Modified": format_datetime(changed, usegmt=True)}
        if self._unchanged(etag, changed):
            return begin(self, 304, document.content_type, **validators)
        return answer(self, document, **validators)

    def _unchanged(self, etag: str, changed: datetime) -> bool:
        """RFC 9110 §13.2.2: If-None-Match decides alone where it is given."""
        if (asked := self.headers.get("If-None-Match")) is not None:
            tags = {tag.strip().removeprefix("W/") for tag in asked.split(",")}
            return etag in tags or "*" in tags
        if (since := self.headers.get("If-Modified-Since")) is not None:
            try:
                return changed.replace(microsecond=0) <= parsedate_to_datetime(since)
            except (ValueError, TypeError):
                return False
        return False

    def do_POST(self) -> None:
        """POST /admin/faults {feed, kind, times?, options?} and POST /admin/now {now}."""
        try:
            asked = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
            self._administer(asked)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            reason = f"{error} is missing" if isinstance(error, KeyError) else str(error)
            self._json(400, {"error": reason})

    def _administer(self, asked: dict[str, Any]) -> None:
        feeds = self.server.feeds
        if self.path == "/admin/faults":
            feeds.fault(asked.get("feed", "*"), asked["kind"], asked.get("times"), **asked.get("options", {}))
        elif self.path == "/admin/now":
            if (now := parse_time(asked["now"])) is None:
                raise ValueError(f"now: {asked['now']!r} is not a time such as 2026-01-26T14:30:00Z")
            feeds.set_now(now)
        else:
            return self._json(404, {"error": "there are POST /admin/faults, POST /admin/now, DELETE /admin/faults"})
        return self._json(200, {"ok": True})

    def do_DELETE(self) -> None:
        """DELETE /admin/faults: behave again."""
        if self.path != "/admin/faults":
            return self._json(404, {"error": "there is DELETE /admin/faults"})
        self.server.feeds.clear_faults()
        return self._json(200, {"ok": True})

    def _json(self, status: int, value: Any) -> None:
        body = json.dumps(value).encode()
        begin(self, status, "application/json", Content_Length=str(len(body)))
        self.wfile.write(body)


@click.command()
@click.option("--news", type=click.Path(path_type=Path), required=True, help="CSV, RSS or Atom file.")
@click.option("--port", type=int, default=0, show_default=True, help="0 takes a free one.")
@click.option("--now", help="Fix the clock at this time (UTC) instead of following the real one.")
def main(news: Path, port: int, now: str | None) -> None:
    """Serve a news file as RSS and Atom on loopback until interrupted."""
    try:
        server = FeedServer.from_file(news, port=port)
    except NewsFileUnusable as error:
        raise click.ClickException(str(error)) from error
    if now is not None:
        fixed = parse_time(now)
        if fixed is None:
            raise click.BadParameter(f"{now!r} is not a time such as 2026-01-26T14:30:00Z", param_hint="--now")
        server.set_now(fixed)
    for row in server.rejected:
        click.echo(f"{news}:{row.line}: {row.reason}", err=True)
    _serve(server)


def _serve(server: FeedServer) -> None:
    with server:
        click.echo("\n".join(server.url(name, kind) for name in server.names for kind in CONTENT_TYPES))
        try:
            Event().wait()
        except KeyboardInterrupt:
            click.echo("stopped", err=True)


if __name__ == "__main__":
    main()

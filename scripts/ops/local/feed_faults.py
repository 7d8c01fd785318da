"""The ways in which the local feed server can misbehave, by name: as drawn, as encoded, or on the wire."""

from __future__ import annotations

import gzip
import os
import socket
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler
from inspect import signature
from threading import Event
from typing import Any
from urllib.parse import parse_qs, urlsplit
from xml.sax.saxutils import escape

_MEGABYTE = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Document:
    """A rendered feed."""

    body: bytes
    content_type: str


@dataclass(frozen=True, kw_only=True)
class Shape:
    """How a feed is drawn: which parts of its items are left out or bent, and what stands before its root element.

    `date` makes the text of an item's date from the server's now; `title` turns an item's title into XML;
    `numbered` items have the ids 1, 2, 3 in the order of their publication.
    """

    omit: frozenset[str] = frozenset()
    date: Callable[[datetime], str] | None = None
    title: Callable[[str], str] = escape
    repeat: int = 1
    numbered: bool = False
    doctype: str = ""


# ── as drawn ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _omitting(*parts: str) -> Callable[[], Shape]:
    return lambda: Shape(omit=frozenset(parts))


def _dated(text: str) -> Callable[[], Shape]:
    return lambda: Shape(date=lambda now: text)


def _date_future(hours: float = 6) -> Shape:
    return Shape(date=lambda now: format_datetime(now + timedelta(hours=hours)))


def _html_titles() -> Shape:
    markup = '<script>alert("x")</script><b>{}</b><img src=x onerror=alert(1)><style>p{{color:red}}</style>'
    return Shape(title=lambda title: escape(markup.format(escape(title))))


def _duplicates(copies: int = 3) -> Shape:
    return Shape(repeat=copies)


def _xxe(target: str = "file:///etc/passwd") -> Shape:
    doctype = f'<!DOCTYPE feed [<!ENTITY xxe SYSTEM "{escape(target)}">]>'
    return Shape(doctype=doctype, title=lambda title: f"{escape(title)} &xxe;")


def _billion_laughs(levels: int = 9) -> Shape:
    entities = ['<!ENTITY lol0 "lollollollol">']
    entities += [f'<!ENTITY lol{n} "{f"&lol{n - 1};" * 10}">' for n in range(1, levels + 1)]
    return Shape(doctype=f"<!DOCTYPE feed [{''.join(entities)}]>", title=lambda title: f"&lol{levels};")


def _undeclared_entity() -> Shape:
    return Shape(title=lambda title: f"{escape(title)} &nbsp;&hellip; &nosuchentity;")


DRAWN: dict[str, Callable[..., Shape]] = {
    "date_missing": _omitting("date"),
    "date_future": _date_future,
    "date_1970": _dated("Thu, 01 Jan 1970 00:00:00 GMT"),
    "date_unparsable": _dated("the day after tomorrow, teatime"),
    "no_id": _omitting("id"),
    "no_link": _omitting("link"),
    "no_id_or_link": _omitting("id", "link"),
    "no_title": _omitting("title"),
    "no_title_or_summary": _omitting("title", "summary"),
    "html_titles": _html_titles,
    "duplicates": _duplicates,
    "numbered_ids": lambda: Shape(numbered=True),
    "xxe": _xxe,
    "billion_laughs": _billion_laughs,
    "undeclared_entity": _undeclared_entity,
}


# ── as encoded ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _truncated(document: Document, keep: float = 0.6) -> Document:
    return replace(document, body=document.body[: int(len(document.body) * keep)])


def _mismatched_tag(document: Document) -> Document:
    head, tag, tail = document.body.rpartition(b"</title>")
    return replace(document, body=head + tag.replace(b"title", b"titel") + tail)


def _latin1_as_utf8(document: Document) -> Document:
    return replace(document, body=document.body.decode().encode("latin-1", errors="xmlcharrefreplace"))


def _mixed_encodings(document: Document) -> Document:
    """UTF-8 in which one title's copy holds a Windows-1252 quotation mark, as pasted text does."""
    return replace(document, body=document.body.replace(b"</title>", b" \x92s</title>"))


def _utf16(document: Document, declare: bool = True, bom: bool = True) -> Document:
    text = document.body.decode()
    text = text.replace('encoding="utf-8"', 'encoding="utf-16"' if declare else "", 1)
    return replace(document, body=text.encode("utf-16" if bom else "utf-16-le"))


def _bom(document: Document) -> Document:
    return replace(document, body=b"\xef\xbb\xbf" + document.body)


def _declared(encoding: str) -> Callable[[Document], Document]:
    def declare(document: Document, encoding: str = encoding) -> Document:
        body = document.body.replace(b'encoding="utf-8"', f'encoding="{encoding}"'.encode(), 1)
        return replace(document, body=body)

    return declare


def _no_encoding(document: Document) -> Document:
    return replace(document, body=document.body.replace(b' encoding="utf-8"', b"", 1))


def _html(document: Document) -> Document:
    page = "<!doctype html><html><head><title>Just a moment…</title></head><body><h1>Checking…</h1></body></html>"
    return Document(body=page.encode(), content_type="text/html; charset=utf-8")


def _empty(document: Document) -> Document:
    return replace(document, body=b"")


def _wrong_content_type(document: Document, content_type: str = "text/html") -> Document:
    return replace(document, content_type=content_type)


def _control_characters(document: Document) -> Document:
    return replace(document, body=document.body.replace(b"</title>", b"\x00\x07 &#0;&#xD800;</title>"))


ENCODED: dict[str, Callable[..., Document]] = {
    "truncated": _truncated,
    "mismatched_tag": _mismatched_tag,
    "latin1_as_utf8": _latin1_as_utf8,
    "mixed_encodings": _mixed_encodings,
    "utf16": _utf16,
    "bom": _bom,
    "unknown_encoding": _declared("klingon-8"),
    "no_encoding": _no_encoding,
    "html": _html,
    "empty": _empty,
    "wrong_content_type": _wrong_content_type,
    "control_characters": _control_characters,
}


# ── on the wire ──────────────────────────────────────────────────────────────────────────────────────────────────────


def answer(handler: BaseHTTPRequestHandler, document: Document, **headers: str) -> None:
    """Send a whole document, with `headers` (underscores stand for hyphens)."""
    begin(handler, 200, document.content_type, Content_Length=str(len(document.body)), **headers)
    handler.wfile.write(document.body)


def begin(handler: BaseHTTPRequestHandler, status: int, content_type: str, **headers: str) -> None:
    """Send the status line and the headers; every answer closes its connection, so that stop() has none to wait for."""
    handler.send_response(status)
    handler.send_header("Content-Type", content_type)
    handler.send_header("Connection", "close")
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()


def _status(
    handler: BaseHTTPRequestHandler, document: Document, stopping: Event, status: int = 503, retry_after: str = ""
) -> None:
    headers = {"Retry_After": retry_after} if retry_after else {}
    body = f"<html><body>{status}</body></html>".encode()
    begin(handler, status, "text/html", Content_Length=str(len(body)), **headers)
    handler.wfile.write(body)


def _redirect(
    handler: BaseHTTPRequestHandler,
    document: Document,
    stopping: Event,
    status: int = 302,
    hops: int = 1,
    loop: bool = False,
    to: str = "",
) -> None:
    """`hops` redirects before the document; `loop` goes in circles; `to` sends the reader elsewhere."""
    url = urlsplit(handler.path)
    hop = int(parse_qs(url.query).get("hop", ["0"])[0])
    if not (to or loop) and hop >= hops:
        return answer(handler, document)
    next_hop = (hop + 1) % 2 if loop else hop + 1
    return begin(handler, status, "text/html", Content_Length="0", Location=to or f"{url.path}?hop={next_hop}")


def _latency(handler: BaseHTTPRequestHandler, document: Document, stopping: Event, seconds: float = 1) -> None:
    stopping.wait(seconds)
    answer(handler, document)


def _hang(handler: BaseHTTPRequestHandler, document: Document, stopping: Event) -> None:
    stopping.wait()


def _reset(handler: BaseHTTPRequestHandler, document: Document, stopping: Event, after: int = 0) -> None:
    """A TCP reset, `after` bytes of the body (0: before the status line)."""
    if after:
        begin(handler, 200, document.content_type, Content_Length=str(len(document.body)))
        handler.wfile.write(document.body[:after])
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    os.close(handler.connection.detach())  # a plain close() would wait for the handler's files and end politely


def _cut_short(handler: BaseHTTPRequestHandler, document: Document, stopping: Event, keep: float = 0.5) -> None:
    """Fewer bytes than Content-Length promised, then a polite end."""
    begin(handler, 200, document.content_type, Content_Length=str(len(document.body)))
    handler.wfile.write(document.body[: int(len(document.body) * keep)])


def _slow_headers(handler: BaseHTTPRequestHandler, document: Document, stopping: Event, interval: float = 0.05) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    while not stopping.wait(interval):
        handler.wfile.write(b"z")


def _drip(handler: BaseHTTPRequestHandler, document: Document, stopping: Event, interval: float = 0.05) -> None:
    """An endless body in small pieces, each of them soon enough for a read timeout."""
    begin(handler, 200, document.content_type)
    handler.wfile.write(document.body[: len(document.body) // 2])
    while not stopping.wait(interval):
        handler.wfile.write(b" ")


def _huge(
    handler: BaseHTTPRequestHandler,
    document: Document,
    stopping: Event,
    size: int = 100 * _MEGABYTE,
    declare: bool = False,
) -> None:
    """`size` bytes of a feed whose last title does not end; `declare` announces them by Content-Length."""
    start = document.body.rpartition(b"</title>")[0] or document.body
    begin(handler, 200, document.content_type, **({"Content_Length": str(size)} if declare else {}))
    handler.wfile.write(start)
    piece = b"more and more of the same; " * 2_400
    for _ in range((size - len(start)) // len(piece) + 1):
        if stopping.is_set():
            return
        handler.wfile.write(piece)


def _gzip(handler: BaseHTTPRequestHandler, document: Document, stopping: Event) -> None:
    packed = replace(document, body=gzip.compress(document.body))
    answer(handler, packed, Content_Encoding="gzip")


def _gzip_bomb(
    handler: BaseHTTPRequestHandler, document: Document, stopping: Event, size: int = 100 * _MEGABYTE
) -> None:
    """A feed that unpacks to `size` bytes out of a thousandth of that."""
    begin(handler, 200, document.content_type, Content_Encoding="gzip")
    packer = zlib.compressobj(level=9, wbits=31)
    handler.wfile.write(packer.compress(document.body.rpartition(b"</title>")[0]))
    for _ in range(size // _MEGABYTE):
        handler.wfile.write(packer.compress(b" " * _MEGABYTE))
    handler.wfile.write(packer.flush())


def _gzip_corrupt(handler: BaseHTTPRequestHandler, document: Document, stopping: Event) -> None:
    packed = gzip.compress(document.body)
    middle = len(packed) // 2
    broken = replace(document, body=packed[:middle] + b"\xff" * 16 + packed[middle + 16 :])
    answer(handler, broken, Content_Encoding="gzip")


def _unoffered_encoding(handler: BaseHTTPRequestHandler, document: Document, stopping: Event) -> None:
    answer(handler, document, Content_Encoding="br")


WIRE: dict[str, Callable[..., None]] = {
    "status": _status,
    "redirect": _redirect,
    "latency": _latency,
    "hang": _hang,
    "reset": _reset,
    "cut_short": _cut_short,
    "slow_headers": _slow_headers,
    "drip": _drip,
    "huge": _huge,
    "gzip": _gzip,
    "gzip_bomb": _gzip_bomb,
    "gzip_corrupt": _gzip_corrupt,
    "unoffered_encoding": _unoffered_encoding,
}

KINDS: tuple[str, ...] = (*DRAWN, *ENCODED, *WIRE)


@dataclass(kw_only=True)
class Fault:
    """An active fault of one feed; `times` counts down the answers that it still spoils, None is for ever."""

    kind: str
    options: dict[str, Any]
    times: int | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"no fault {self.kind!r}; there are: {', '.join(KINDS)}")
        given, known = set(self.options), set(self._known_options())
        if unknown := given - known:
            raise ValueError(
                f"fault {self.kind} has no option {', '.join(sorted(unknown))}; "
                f"it has: {', '.join(sorted(known)) or 'none'}"
            )

    def _known_options(self) -> list[str]:
        make = DRAWN.get(self.kind) or ENCODED.get(self.kind) or WIRE[self.kind]
        return [name for name in signature(make).parameters if name not in ("handler", "document", "stopping")]

    def shape(self) -> Shape:
        """How the feed is drawn under this fault."""
        return DRAWN[self.kind](**self.options) if self.kind in DRAWN else Shape()

    def encode(self, document: Document) -> Document:
        """The document as this fault leaves it."""
        return ENCODED[self.kind](document, **self.options) if self.kind in ENCODED else document

    @property
    def on_wire(self) -> bool:
        """Whether this fault sends the answer by itself."""
        return self.kind in WIRE

    def send(self, handler: BaseHTTPRequestHandler, document: Document, stopping: Event) -> None:
        """Answer in this fault's way."""
        WIRE[self.kind](handler, document, stopping, **self.options)

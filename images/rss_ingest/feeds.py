"""Feeds over HTTP: conditional, bounded in bytes, redirects and time, however the other side behaves."""

from __future__ import annotations

import queue
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from email.message import Message
from threading import BoundedSemaphore, Event, Thread
from urllib.parse import urljoin, urlsplit

import requests
from requests.exceptions import RequestException
from urllib3.exceptions import HTTPError as Urllib3Error
from urllib3.exceptions import ReadTimeoutError

from rss_ingest.errors import FeedError

USER_AGENT = "ops-pipeline/1.0 (feed reader; conditional GET, every 5 minutes)"
_HEADERS = {
    "User-Agent": USER_AGENT,
    "Accept": "application/rss+xml, application/atom+xml, application/xml;q=0.9, text/xml;q=0.8, */*;q=0.1",
    "Accept-Encoding": "gzip",  # the one that _decoded undoes
}
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_PIECE_BYTES = 64 * 1024
_VALIDATOR_LENGTH_MAX = 512


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one feed may take. `total_seconds` spans all redirects; `bytes_max` counts decoded bytes."""

    connect_seconds: float = 5
    read_seconds: float = 10
    total_seconds: float = 20
    bytes_max: int = 3_000_000  # real feeds have up to 1 MB; feedparser takes up to 7 s for 1 MB of hostile bytes
    redirects_max: int = 5


@dataclass(frozen=True, kw_only=True)
class FeedState:
    """A feed's address as configured, and what the last whole read of it left."""

    url: str
    etag: str | None = None
    last_modified: str | None = None
    consecutive_failures: int = 0


@dataclass(frozen=True, kw_only=True)
class Fetched:
    """A feed's document. `url` is where it was found in the end, `charset` what the headers say, if anything."""

    url: str
    body: bytes
    etag: str | None
    last_modified: str | None
    charset: str | None
    fetched_at: datetime


@dataclass(frozen=True, kw_only=True)
class NotModified:
    """The feed has not changed since the validators that were sent."""

    url: str
    fetched_at: datetime


Outcome = Fetched | NotModified | FeedError


def fetch(
    session: requests.Session,
    url: str,
    etag: str | None,
    last_modified: str | None,
    limits: Limits,
    now: datetime,
) -> Fetched | NotModified:
    """Read one feed, conditionally where a validator is given; `now` (aware) becomes `fetched_at`. Raises FeedError.

    The deadline is looked at between reads, so it is kept to within `read_seconds`. What no look can catch (header
    lines that drip, a name server that hangs) is left behind by fetch_all.
    """
    give_up_at = time.monotonic() + limits.total_seconds
    try:
        with _follow(session, url, _conditions(etag, last_modified), limits, give_up_at) as response:
            if response.status_code == 304 and (etag or last_modified):
                return NotModified(url=response.url, fetched_at=now)
            if response.status_code != 200:
                raise _bad_status(response)
            return Fetched(
                url=response.url,
                body=_read(response, limits, give_up_at),
                etag=_validator(response, "ETag"),
                last_modified=_validator(response, "Last-Modified"),
                charset=_charset(response),
                fetched_at=now,
            )
    except (RequestException, Urllib3Error, UnicodeError, ValueError) as error:
        raise _understood(error, url, limits) from error


def _conditions(etag: str | None, last_modified: str | None) -> dict[str, str]:
    given = {"If-None-Match": etag, "If-Modified-Since": last_modified}
    return {name: value for name, value in given.items() if value}


def _follow(
    session: requests.Session, url: str, conditions: dict[str, str], limits: Limits, give_up_at: float
) -> requests.Response:
    """The response at the end of the redirects, its body unread; the caller closes it."""
    seen: list[str] = []
    target = url
    while True:
        _refuse_other_schemes(target, seen)
        seen.append(target)
        response = session.get(
            target,
            headers=_HEADERS | conditions,
            timeout=_timeouts(limits, give_up_at, url),
            stream=True,
            allow_redirects=False,
        )
        location = session.get_redirect_target(response) if response.status_code in _REDIRECTS else None
        if location is None:
            return response
        response.close()
        target = urljoin(target, location)
        if target in seen:
            raise FeedError("redirect", f"{url}: redirects in a circle, back to {target}; correct the address")
        if len(seen) > limits.redirects_max:
            raise FeedError("redirect", f"{url}: more than {limits.redirects_max} redirects; correct the address")


def _refuse_other_schemes(target: str, seen: Sequence[str]) -> None:
    parts = urlsplit(target)
    if parts.scheme in ("http", "https") and parts.hostname:
        return
    if seen:
        raise FeedError("redirect", f"{seen[0]}: redirects to {target[:200]!r}, which is not an http(s) address")
    raise FeedError("address", f"{target[:200]!r} is not an http(s) address; correct the list of feeds")


def _timeouts(limits: Limits, give_up_at: float, url: str) -> tuple[float, float]:
    left = give_up_at - time.monotonic()
    if left <= 0:
        raise _too_slow(url, limits)
    return min(limits.connect_seconds, left), min(limits.read_seconds, left)


def _read(response: requests.Response, limits: Limits, give_up_at: float) -> bytes:
    """The decoded body, in whole or not at all: it stops reading at the size limit and at the deadline."""
    announced = response.headers.get("Content-Length", "")
    if announced.isdecimal() and int(announced) > limits.bytes_max:
        raise _too_large(response.url, f"announces {int(announced):,} bytes", limits)
    body = bytearray()
    for piece in _decoded(response, limits, give_up_at):
        body += piece
        if len(body) > limits.bytes_max:
            raise _too_large(response.url, "sends more", limits)
    return bytes(body)


def _raw_pieces(response: requests.Response, limits: Limits, give_up_at: float) -> Iterator[bytes]:
    # read1 returns after one read of the socket; read() would wait for a full piece, for ever where the body drips.
    while piece := response.raw.read1(_PIECE_BYTES, decode_content=False):
        yield piece
        if time.monotonic() > give_up_at:
            raise _too_slow(response.url, limits)


def _decoded(response: requests.Response, limits: Limits, give_up_at: float) -> Iterator[bytes]:
    """The body's pieces unpacked, none larger than _PIECE_BYTES, so that a gzip bomb fills no memory."""
    pieces = _raw_pieces(response, limits, give_up_at)
    encoding = response.headers.get("Content-Encoding", "").strip().lower()
    if encoding in ("", "identity"):
        yield from pieces
        return
    if encoding not in ("gzip", "x-gzip"):
        raise FeedError("encoding", f"{response.url}: Content-Encoding {encoding[:40]!r} was not asked for")
    unpacker = zlib.decompressobj(wbits=31)
    try:
        for packed in pieces:
            yield unpacker.decompress(packed, _PIECE_BYTES)
            while unpacker.unconsumed_tail:
                yield unpacker.decompress(unpacker.unconsumed_tail, _PIECE_BYTES)
    except zlib.error as error:
        raise FeedError("encoding", f"{response.url}: the gzip body is corrupt ({error})") from error
    if not unpacker.eof:
        raise FeedError("encoding", f"{response.url}: the gzip body ends too soon")


def _validator(response: requests.Response, name: str) -> str | None:
    """A header to send back next time; one that is strange could not be stored or sent and is left out."""
    value = response.headers.get(name, "").strip()
    return value if value and len(value) <= _VALIDATOR_LENGTH_MAX and value.isascii() and value.isprintable() else None


def _charset(response: requests.Response) -> str | None:
    header = Message()
    header["Content-Type"] = response.headers.get("Content-Type", "")
    return header.get_content_charset()


def _bad_status(response: requests.Response) -> FeedError:
    remedies = {
        304: "although no validator was sent",
        401: "it wants a login",
        403: "it refuses this reader",
        404: "correct the address",
        410: "it is gone for good: take it off the list",
        429: f"it wants fewer requests (Retry-After: {response.headers.get('Retry-After', 'not given')[:40]})",
    }
    hint = remedies.get(response.status_code, "the next run tries again")
    return FeedError("http_status", f"{response.url}: HTTP {response.status_code}; {hint}", status=response.status_code)


def _too_slow(url: str, limits: Limits) -> FeedError:
    return FeedError("timeout", f"{url}: not read whole within {limits.total_seconds:g} s")


def _too_large(url: str, what: str, limits: Limits) -> FeedError:
    return FeedError("too_large", f"{url}: {what}, the limit is {limits.bytes_max:,} bytes")


def _understood(error: Exception, url: str, limits: Limits) -> FeedError:
    """A vendor's error in our words."""
    if isinstance(error, requests.exceptions.Timeout | ReadTimeoutError):
        return FeedError(
            "timeout",
            f"{url}: no answer within {limits.connect_seconds:g} s to connect, {limits.read_seconds:g} s to read",
        )
    if isinstance(error, requests.exceptions.SSLError):
        return FeedError("tls", f"{url}: {_reason(error)}")
    if isinstance(error, requests.exceptions.ConnectionError | Urllib3Error):
        return FeedError("connection", f"{url}: {_reason(error)}")
    return FeedError("address", f"{url}: {_reason(error)}; correct the list of feeds")


def _reason(error: BaseException) -> str:
    """The innermost cause, which says 'Connection refused' where the outer ones say 'Max retries exceeded'."""
    while error.__context__ is not None:
        error = error.__context__
    return f"{type(error).__name__}: {str(error)[:200]}"


def fetch_all(
    feeds: Sequence[FeedState],
    *,
    limits: Limits,
    now: datetime,
    deadline_seconds: float,
    workers: int = 8,
    open_session: Callable[[], requests.Session] = requests.Session,
) -> list[tuple[FeedState, Outcome]]:
    """Every feed with its outcome, in the order given, within `deadline_seconds` whatever the feeds do.

    Feeds that failed most often start last, so that broken ones cannot keep the good ones waiting. The threads are
    daemons and nobody joins them: one that hangs past the deadline is left behind, and its feed is a timeout.
    """
    done: queue.SimpleQueue[tuple[int, Outcome]] = queue.SimpleQueue()
    waiting: queue.SimpleQueue[tuple[int, FeedState]] = queue.SimpleQueue()
    for each in sorted(enumerate(feeds), key=lambda each: each[1].consecutive_failures):
        waiting.put(each)
    free = BoundedSemaphore(workers)
    over = Event()
    for number in range(len(feeds)):
        work = (done, waiting, open_session, limits, now, free, over)
        Thread(target=_fetch_into, args=work, daemon=True, name=f"feed-{number}").start()
    outcomes = _collect(done, len(feeds), time.monotonic() + deadline_seconds)
    over.set()
    return [(feed, outcomes.get(index) or _late(feed, deadline_seconds)) for index, feed in enumerate(feeds)]


def _fetch_into(
    done: queue.SimpleQueue[tuple[int, Outcome]],
    waiting: queue.SimpleQueue[tuple[int, FeedState]],
    open_session: Callable[[], requests.Session],
    limits: Limits,
    now: datetime,
    free: BoundedSemaphore,
    over: Event,
) -> None:
    """One thread's whole life: one feed, the next in turn when it comes to read, since threads do not start in order.

    Whatever is raised, the feed gets an outcome; a bug's traceback also reaches the log.
    """
    with free:
        if over.is_set():
            return
        index, feed = waiting.get()
        outcome: Outcome = FeedError("internal", f"{feed.url}: the reader broke; its traceback is in the log")
        try:
            with open_session() as session:
                outcome = fetch(session, feed.url, feed.etag, feed.last_modified, limits, now)
        except FeedError as error:
            outcome = error
        finally:
            done.put((index, outcome))


def _late(feed: FeedState, deadline_seconds: float) -> FeedError:
    return FeedError("timeout", f"{feed.url}: not finished when the {deadline_seconds:g} s for all feeds were over")


def _collect(done: queue.SimpleQueue[tuple[int, Outcome]], expected: int, give_up_at: float) -> dict[int, Outcome]:
    outcomes: dict[int, Outcome] = {}
    while len(outcomes) < expected:
        try:
            index, outcome = done.get(timeout=max(0, give_up_at - time.monotonic()))
        except queue.Empty:
            break
        outcomes[index] = outcome
    return outcomes

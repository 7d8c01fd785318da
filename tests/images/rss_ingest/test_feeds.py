"""Fetching feeds from the real local feed server under each of its faults."""

from __future__ import annotations

import socket
import threading
import time
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests

from ops.local.feeds import FeedServer, NewsItem
from rss_ingest.errors import FeedError
from rss_ingest.feeds import FeedState, Fetched, Limits, NotModified, fetch, fetch_all

NOW = datetime(2026, 1, 26, 15, 0, tzinfo=UTC)
LIMITS = Limits(connect_seconds=0.5, read_seconds=0.2, total_seconds=0.5, bytes_max=100_000, redirects_max=3)
ITEMS = [
    NewsItem(published_at=NOW - timedelta(minutes=n), title=f"Headline {n}", summary="s", feeds=("news", "tech", "fx"))
    for n in range(20)
]


@pytest.fixture
def server() -> Iterator[FeedServer]:
    with FeedServer(ITEMS, clock=lambda: NOW) as running:
        yield running


def read(url: str, etag: str | None = None, last_modified: str | None = None, **limits: Any) -> Fetched | NotModified:
    with requests.Session() as session:
        return fetch(session, url, etag, last_modified, Limits(**{**vars(LIMITS), **limits}), NOW)


def failure(url: str, **limits: Any) -> FeedError:
    with pytest.raises(FeedError) as caught:
        read(url, **limits)
    return caught.value


@pytest.mark.parametrize("kind", ["rss", "atom"])
def test_a_feed_is_read_with_its_validators(server: FeedServer, kind: str) -> None:
    fetched = read(server.url("news", kind))
    assert isinstance(fetched, Fetched)
    assert b"Headline 19" in fetched.body
    assert fetched.etag
    assert fetched.last_modified == "Mon, 26 Jan 2026 15:00:00 GMT"
    assert (fetched.fetched_at, fetched.charset) == (NOW, "utf-8")


def test_an_unchanged_feed_is_not_read_again(server: FeedServer) -> None:
    first = read(server.url())
    assert isinstance(first, Fetched)
    assert isinstance(read(server.url(), first.etag), NotModified)
    assert isinstance(read(server.url(), None, first.last_modified), NotModified)
    assert isinstance(read(server.url(), '"of another time"', first.last_modified), Fetched)


def test_the_reader_says_who_it_is_and_what_it_can_unpack(server: FeedServer) -> None:
    read(server.url())
    headers = server.requests[-1].headers
    assert headers["user-agent"].startswith("ops-pipeline/")
    assert headers["accept-encoding"] == "gzip"
    assert "if-none-match" not in headers


def test_a_304_that_was_not_asked_for_is_a_failure(server: FeedServer) -> None:
    server.fault("news", "status", status=304)
    assert (failure(server.url()).kind, failure(server.url()).status) == ("http_status", 304)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_followed(server: FeedServer, status: int) -> None:
    server.fault("news", "redirect", status=status, hops=3)
    fetched = read(server.url(), '"x"')
    assert isinstance(fetched, Fetched)
    assert fetched.url.endswith("/news.rss?hop=3")
    assert all(request.headers["if-none-match"] == '"x"' for request in server.requests)


def test_too_many_redirects_are_refused(server: FeedServer) -> None:
    server.fault("news", "redirect", hops=4)
    error = failure(server.url())
    assert (error.kind, "more than 3 redirects" in str(error)) == ("redirect", True)


def test_a_redirect_in_a_circle_is_seen_at_once(server: FeedServer) -> None:
    server.fault("news", "redirect", loop=True)
    assert "in a circle" in str(failure(server.url(), redirects_max=50))
    assert len(server.requests) <= 3


@pytest.mark.parametrize("to", ["file:///etc/passwd", "ftp://example.org/feed", "gopher://x", "//", "http://[::1"])
def test_a_redirect_leads_nowhere_but_to_http(server: FeedServer, to: str) -> None:
    server.fault("news", "redirect", to=to)
    assert failure(server.url()).kind in ("redirect", "address")


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://x/y", "news.rss", "", "http://", "http://[::1", "http://a b/"]
)
def test_an_address_that_is_not_http_is_refused_with_the_remedy(url: str) -> None:
    error = failure(url)
    assert error.kind == "address"
    assert "correct the list of feeds" in str(error)


@pytest.mark.parametrize(
    ("status", "hint"),
    [
        (404, "correct the address"),
        (410, "take it off the list"),
        (403, "refuses"),
        (500, "next run"),
        (503, "next run"),
    ],
)
def test_a_bad_status_is_told_with_its_remedy(server: FeedServer, status: int, hint: str) -> None:
    server.fault("news", "status", status=status)
    error = failure(server.url())
    assert (error.kind, error.status, hint in str(error)) == ("http_status", status, True)


def test_a_429_tells_when_to_come_back(server: FeedServer) -> None:
    server.fault("news", "status", status=429, retry_after="120")
    assert "Retry-After: 120" in str(failure(server.url()))


@pytest.mark.parametrize("kind", ["hang", "latency"])
def test_an_answer_that_does_not_come_is_a_timeout(server: FeedServer, kind: str) -> None:
    server.fault("news", kind)
    started = time.monotonic()
    assert failure(server.url()).kind == "timeout"
    assert time.monotonic() - started < 20  # it would never answer


def test_an_endless_body_is_a_timeout_although_each_read_is_quick(server: FeedServer) -> None:
    server.fault("news", "drip", interval=0.02)
    started = time.monotonic()
    assert failure(server.url()).kind == "timeout"
    assert 0.4 < time.monotonic() - started < 20  # it would never end


@pytest.mark.parametrize("after", [0, 500])
def test_a_reset_is_a_connection_failure(server: FeedServer, after: int) -> None:
    server.fault("news", "reset", after=after)
    error = failure(server.url())
    assert (error.kind, "reset" in str(error)) == ("connection", True)


def test_a_body_shorter_than_announced_is_not_taken_for_the_whole(server: FeedServer) -> None:
    server.fault("news", "cut_short")
    assert failure(server.url()).kind == "connection"


def test_nobody_listening_is_a_connection_failure() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        error = failure(f"http://127.0.0.1:{taken.getsockname()[1]}/")
    assert (error.kind, "refused" in str(error)) == ("connection", True)


def test_plain_http_under_https_is_a_tls_failure(server: FeedServer) -> None:
    assert failure(server.url().replace("http://", "https://")).kind == "tls"


@pytest.mark.parametrize("declare", [True, False])
def test_a_huge_body_is_left_at_the_limit(server: FeedServer, declare: bool) -> None:
    server.fault("news", "huge", declare=declare)
    tracemalloc.start()
    error = failure(server.url())
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (error.kind, "100,000 bytes" in str(error)) == ("too_large", True)
    assert peak_bytes < 3_000_000


def test_a_gzip_bomb_is_left_at_the_limit(server: FeedServer) -> None:
    server.fault("news", "gzip_bomb", size=30_000_000)
    tracemalloc.start()
    error = failure(server.url(), total_seconds=2, read_seconds=2)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert error.kind == "too_large"
    assert peak_bytes < 6_000_000  # the server's own pieces of 1 MB among them


def test_a_body_of_exactly_the_limit_is_read(server: FeedServer) -> None:
    whole = read(server.url())
    assert isinstance(whole, Fetched)
    assert isinstance(read(server.url(), bytes_max=len(whole.body)), Fetched)
    assert failure(server.url(), bytes_max=len(whole.body) - 1).kind == "too_large"


def test_gzip_is_unpacked(server: FeedServer) -> None:
    plain = read(server.url())
    server.fault("news", "gzip")
    packed = read(server.url())
    assert isinstance(plain, Fetched)
    assert isinstance(packed, Fetched)
    assert packed.body == plain.body


@pytest.mark.parametrize("kind", ["gzip_corrupt", "unoffered_encoding"])
def test_a_body_that_cannot_be_unpacked_is_an_encoding_failure(server: FeedServer, kind: str) -> None:
    server.fault("news", kind)
    assert failure(server.url()).kind == "encoding"


# ── all feeds ────────────────────────────────────────────────────────────────────────────────────────────────────────


def read_all(urls: list[str], deadline_seconds: float = 1.5, **more: Any) -> list[Any]:
    feeds = [FeedState(url=url) for url in urls]
    results = fetch_all(feeds, limits=LIMITS, now=NOW, deadline_seconds=deadline_seconds, **more)
    assert [feed.url for feed, _ in results] == urls
    return [outcome.kind if isinstance(outcome, FeedError) else type(outcome) for _, outcome in results]


def test_one_feed_s_failure_never_stops_another(server: FeedServer) -> None:
    server.fault("news", "reset")
    server.fault("fx", "hang")
    urls = [server.url("news"), server.url("tech"), server.url("fx"), "not an address", server.url("tech", "atom")]
    assert read_all(urls) == ["connection", Fetched, "timeout", "address", Fetched]


@pytest.mark.parametrize("kind", ["slow_headers", "drip"])
def test_the_total_stays_within_the_deadline_whatever_a_feed_does(server: FeedServer, kind: str) -> None:
    server.fault("news", kind, interval=0.01)
    started = time.monotonic()
    assert read_all([server.url("news"), server.url("tech")], deadline_seconds=0.8) == ["timeout", Fetched]
    assert time.monotonic() - started < 20  # it would never end


def test_feeds_that_keep_failing_start_last(server: FeedServer) -> None:
    feeds = [
        FeedState(url=server.url(name), consecutive_failures=n) for name, n in (("news", 9), ("tech", 0), ("fx", 1))
    ]
    fetch_all(feeds, limits=LIMITS, now=NOW, deadline_seconds=2, workers=1)
    assert [request.path for request in server.requests] == ["/tech.rss", "/fx.rss", "/news.rss"]


def test_broken_feeds_leave_the_good_ones_their_turn(server: FeedServer) -> None:
    server.fault("news", "slow_headers", interval=0.01)
    feeds = [FeedState(url=server.url("news", kind), consecutive_failures=3) for kind in ("rss", "atom")]
    feeds.append(FeedState(url=server.url("tech")))
    results = fetch_all(feeds, limits=LIMITS, now=NOW, deadline_seconds=0.7, workers=2)
    assert isinstance(results[2][1], Fetched)


def test_no_feeds_are_read_at_once() -> None:
    assert read_all([]) == []


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_bug_in_the_reader_is_that_feed_s_failure_alone(server: FeedServer) -> None:
    class Broken(requests.Session):
        def get(self, url: str | bytes, **more: Any) -> requests.Response:
            if "news" in str(url):
                raise ZeroDivisionError
            return super().get(url, **more)

    urls = [server.url("news"), server.url("tech")]
    assert read_all(urls, open_session=Broken) == ["internal", Fetched]


def test_no_thread_outlives_the_feeds_it_read(server: FeedServer) -> None:
    read_all([server.url("news"), server.url("tech")])
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and any(thread.name.startswith("feed-") for thread in threading.enumerate()):
        time.sleep(0.01)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("feed-")]

"""The local feed server: what it publishes, how it caches, how it misbehaves, what it reads."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Timer

import feedparser
import pytest
import requests

from ops.local.feeds import KINDS, FeedServer, NewsFileUnusable, NewsItem, read_news

NOW = datetime(2026, 1, 26, 15, 0, tzinfo=UTC)
SECONDS = 2.0


def item(minute: int, title: str, *feeds: str) -> NewsItem:
    return NewsItem(
        published_at=NOW + timedelta(minutes=minute),
        title=title,
        summary=f"More on: {title}",
        link=f"https://news.example/{abs(minute)}",
        feeds=feeds or ("news",),
    )


ITEMS = [
    item(-30, "Apple beats estimates", "news", "tech"),
    item(-20, "Müller & Söhne <cut> at „Börse“"),
    item(-10, "Microsoft buys a studio", "tech"),
    item(5, "Tomorrow's headline"),
]


@pytest.fixture
def server() -> Iterator[FeedServer]:
    with FeedServer(ITEMS, clock=lambda: NOW) as running:
        yield running


def get(url: str, **headers: str) -> requests.Response:
    return requests.get(url, headers={name.replace("_", "-"): v for name, v in headers.items()}, timeout=SECONDS)


def titles(response: requests.Response) -> list[str]:
    return [entry.title for entry in feedparser.parse(response.content, sanitize_html=False).entries]


@pytest.mark.parametrize("kind", ["rss", "atom"])
def test_a_feed_holds_what_is_published_by_now_newest_first(server: FeedServer, kind: str) -> None:
    assert titles(get(server.url("tech", kind))) == ["Microsoft buys a studio", "Apple beats estimates"]
    assert titles(get(server.url("news", kind)))[0] == "Müller & Söhne <cut> at „Börse“"


@pytest.mark.parametrize("kind", ["rss", "atom"])
def test_what_is_served_is_well_formed_and_keeps_every_field(server: FeedServer, kind: str) -> None:
    parsed = feedparser.parse(get(server.url("news", kind)).content)
    assert not parsed.bozo
    entry = parsed.entries[-1]
    assert (entry.title, entry.link) == ("Apple beats estimates", "https://news.example/30")
    assert entry.summary == "More on: Apple beats estimates"
    assert entry.published_parsed[:6] == (2026, 1, 26, 14, 30, 0)
    assert entry.id.startswith("urn:news:")


def test_an_item_in_two_feeds_has_one_id(server: FeedServer) -> None:
    entries = [feedparser.parse(get(server.url(*at)).content).entries for at in (("news", "rss"), ("tech", "atom"))]
    assert entries[0][-1].id == entries[1][-1].id


def test_the_clock_brings_the_next_item(server: FeedServer) -> None:
    before = get(server.url())
    server.set_now(NOW + timedelta(minutes=5))
    after = get(server.url(), If_None_Match=before.headers["ETag"])
    assert (after.status_code, titles(after)[0]) == (200, "Tomorrow's headline")


def test_only_the_newest_items_are_carried() -> None:
    with FeedServer([item(-n, f"Item {n}") for n in range(1, 30)], clock=lambda: NOW, newest=10) as server:
        assert titles(get(server.url())) == [f"Item {n}" for n in range(1, 11)]


def test_an_unchanged_feed_answers_304_to_either_validator(server: FeedServer) -> None:
    first = get(server.url())
    assert get(server.url(), If_None_Match=f"W/{first.headers['ETag']}").status_code == 304
    assert get(server.url(), If_Modified_Since=first.headers["Last-Modified"]).status_code == 304
    assert get(server.url(), If_Modified_Since="yesterday").status_code == 200
    # If-None-Match alone decides where both are given.
    both = {"If_None_Match": '"other"', "If_Modified_Since": first.headers["Last-Modified"]}
    assert get(server.url(), **both).status_code == 200


def test_an_unknown_feed_is_404_and_names_those_there_are(server: FeedServer) -> None:
    response = get(f"{server.base_url}/nope.rss")
    assert response.status_code == 404
    assert "news, tech" in response.json()["error"]


def test_an_empty_server_serves_an_empty_feed() -> None:
    with FeedServer(clock=lambda: NOW) as server:
        assert titles(get(server.url())) == []


def test_the_server_listens_on_loopback_only(server: FeedServer) -> None:
    assert server.base_url.startswith("http://127.0.0.1:")


def test_requests_are_remembered_for_tests_to_read(server: FeedServer) -> None:
    get(server.url(), If_None_Match='"x"')
    assert server.requests[-1].headers["if-none-match"] == '"x"'


def test_a_fault_ends_after_its_times(server: FeedServer) -> None:
    server.fault("news", "status", times=2, status=503, retry_after="7")
    seen = [get(server.url()) for _ in range(3)]
    assert [response.status_code for response in seen] == [503, 503, 200]
    assert seen[0].headers["Retry-After"] == "7"


def test_a_fault_of_one_feed_leaves_the_others_alone(server: FeedServer) -> None:
    server.fault("news", "status", status=500)
    assert get(server.url("tech")).status_code == 200
    server.fault("*", "status", status=502)
    assert get(server.url("tech")).status_code == 502


def test_the_faults_of_one_feed_are_cleared_alone(server: FeedServer) -> None:
    server.fault("news", "status", status=500)
    server.fault("tech", "status", status=502)

    server.clear_faults("news")

    assert [get(server.url(name)).status_code for name in ("news", "tech")] == [200, 502]


def test_faults_are_set_and_cleared_over_http(server: FeedServer) -> None:
    asked = {"feed": "news", "kind": "status", "options": {"status": 410}}
    assert requests.post(f"{server.base_url}/admin/faults", json=asked, timeout=SECONDS).status_code == 200
    assert get(server.url()).status_code == 410
    assert requests.delete(f"{server.base_url}/admin/faults", timeout=SECONDS).status_code == 200
    assert get(server.url()).status_code == 200


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ({"kind": "gremlins"}, "no fault 'gremlins'; there are"),
        ({"kind": "drip", "options": {"speed": 1}}, "no option speed; it has: interval"),
        ({"feed": "news"}, "'kind' is missing"),
        ([1], "list"),
    ],
)
def test_a_wrong_fault_is_refused_with_what_there_is(server: FeedServer, asked: object, reason: str) -> None:
    response = requests.post(f"{server.base_url}/admin/faults", json=asked, timeout=SECONDS)
    assert response.status_code == 400
    assert reason in response.json()["error"]


def test_the_clock_is_set_over_http(server: FeedServer) -> None:
    asked = {"now": "2026-01-26T15:05:00Z"}
    assert requests.post(f"{server.base_url}/admin/now", json=asked, timeout=SECONDS).status_code == 200
    assert titles(get(server.url()))[0] == "Tomorrow's headline"


def test_redirects_lead_to_the_feed_after_their_hops(server: FeedServer) -> None:
    server.fault("news", "redirect", status=301, hops=3)
    response = get(server.url())
    assert (len(response.history), response.history[0].status_code, response.status_code) == (3, 301, 200)


def test_a_redirect_loop_never_ends(server: FeedServer) -> None:
    server.fault("news", "redirect", loop=True)
    with pytest.raises(requests.TooManyRedirects):
        get(server.url())


@pytest.mark.parametrize("after", [0, 100])
def test_a_reset_is_a_reset(server: FeedServer, after: int) -> None:
    server.fault("news", "reset", after=after)
    with pytest.raises(requests.RequestException, match="reset"):
        get(server.url())


def test_a_hanging_answer_ends_when_the_server_stops() -> None:
    with FeedServer(ITEMS, clock=lambda: NOW) as server:
        server.fault("news", "hang")
        with pytest.raises(requests.exceptions.ReadTimeout):
            requests.get(server.url(), timeout=0.1)
        started = time.monotonic()
    assert time.monotonic() - started < 20  # it would hang for an hour


@pytest.mark.parametrize("kind", ["drip", "slow_headers"])
def test_an_endless_answer_outlives_a_read_timeout(server: FeedServer, kind: str) -> None:
    server.fault("news", kind, interval=0.01)
    stopper = Timer(0.5, server.stop)
    stopper.start()
    started = time.monotonic()
    with suppress(requests.RequestException):
        requests.get(server.url(), timeout=0.2)
    stopper.join()
    assert time.monotonic() - started > 0.4


def test_every_fault_has_a_test_against_the_real_reader() -> None:
    """tests/images/rss_ingest proves the reader against each of these; a new kind must be added there."""
    source = (Path(__file__).parents[2] / "images" / "rss_ingest" / "test_feeds.py").read_text()
    source += (Path(__file__).parents[2] / "images" / "rss_ingest" / "test_entries.py").read_text()
    assert [kind for kind in KINDS if f'"{kind}"' not in source] == []


# ── files ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def write(folder: Path, text: str | bytes, name: str = "news.csv") -> Path:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_a_csv_is_read_in_any_column_order_and_naive_time_is_utc(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "title,published_at,link,summary\n"
        '"Apple, again",2026-01-26 14:30:00,https://a.example/1,"two\nlines"\n'
        "Tesla,2026-01-26T09:30:00-05:00,,\n"
        '"Fed",Mon\\, 26 Jan 2026,,\n'.replace("\\,", "")
        + 'Fed,"Mon, 26 Jan 2026 14:30:00 GMT",,\n',
    )
    news = read_news(path)
    assert [entry.title for entry in news.items] == ["Apple, again", "Tesla", "Fed"]
    assert {entry.published_at for entry in news.items} == {datetime(2026, 1, 26, 14, 30, tzinfo=UTC)}
    assert news.items[0].summary == "two\nlines"
    assert [row.line for row in news.rejected] == [5]


def test_malformed_rows_are_set_aside_with_line_and_reason_and_the_rest_is_kept(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        b"\xef\xbb\xbfpublished_at,title,summary,link\r\n"
        b"2026-01-26T14:30:00Z,first,,\r\n"
        b"when?,no time,,\r\n"
        b"2026-01-26T14:31:00Z,too,many,columns,here\r\n"
        b"2026-01-26T14:32:00Z,,,https://a.example\r\n"
        b"2026-01-26T14:33:00Z,caf\xe9,,\r\n"
        b'2026-01-26T14:34:00Z,"unclosed,,\r\n'
        b'2026-01-26T14:35:00Z,"after, all",,\r\n'
        b'2026-01-26T14:36:00Z,"broken" quote,,\r\n'
        b"\r\n"
        b"2026-01-26T14:37:00Z,last,,\r\n",
    )
    news = read_news(path)
    assert [entry.title for entry in news.items] == ["first", "after, all", "last"]
    assert [row.line for row in news.rejected] == [3, 4, 5, 6, 7, 9]
    reasons = " | ".join(row.reason for row in news.rejected)
    for part in ("'when?' is not a time", "5 columns", "neither title nor summary", "not UTF-8", "not a CSV row"):
        assert part in reasons


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("date,headline\n", "no column published_at, title, summary, link"),
        ("", "expected published_at,title,summary,link"),
        ("<html><body>no</body></html>", "neither RSS nor Atom"),
    ],
)
def test_a_file_of_another_shape_is_refused_with_the_remedy(tmp_path: Path, text: str, remedy: str) -> None:
    with pytest.raises(NewsFileUnusable, match=remedy):
        read_news(write(tmp_path, text))


def test_a_missing_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(NewsFileUnusable, match=r"nowhere\.csv: cannot be read"):
        read_news(tmp_path / "nowhere.csv")


@pytest.mark.parametrize("kind", ["rss", "atom"])
def test_what_the_server_serves_can_be_read_back_from_a_file(tmp_path: Path, server: FeedServer, kind: str) -> None:
    news = read_news(write(tmp_path, get(server.url("tech", kind)).content, "feed.xml"))
    assert [(entry.title, entry.published_at, entry.link) for entry in news.items] == [
        (entry.title, entry.published_at, entry.link) for entry in (ITEMS[2], ITEMS[0])
    ]


def test_an_entry_without_a_date_is_set_aside(tmp_path: Path) -> None:
    text = "<rss version='2.0'><channel><item><title>undated</title></item></channel></rss>"
    news = read_news(write(tmp_path, text, "feed.xml"))
    assert [(row.line, row.reason) for row in news.rejected] == [(1, "no date that can be read")]


def test_the_command_serves_a_file_until_interrupted(tmp_path: Path) -> None:
    path = write(tmp_path, "published_at,title,summary,link\n2026-01-26T14:30:00Z,hello,,\nbad,row,,\n")
    command = [sys.executable, "-m", "ops.local.feeds", "--news", str(path), "--port", "0"]
    scripts = Path(__file__).parents[3] / "scripts"
    with subprocess.Popen(command, cwd=scripts, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            url = process.stdout.readline().strip()
            assert titles(get(url)) or url.endswith(".atom")
            assert "news.csv:3: published_at 'bad'" in process.stderr.readline()
        finally:
            process.terminate()


def test_the_command_refuses_a_wrong_file_without_a_traceback(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "ops.local.feeds", "--news", str(tmp_path / "none.csv")]
    scripts = Path(__file__).parents[3] / "scripts"
    done = subprocess.run(command, cwd=scripts, capture_output=True, text=True, check=False, timeout=20)
    assert done.returncode == 1
    assert done.stderr.startswith("Error: ")

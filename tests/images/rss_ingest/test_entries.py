"""News out of feeds as publishers really write them, from the local feed server and by hand."""

from __future__ import annotations

import csv
import hashlib
import time
from datetime import UTC, datetime, timedelta
from html import escape
from pathlib import Path
from typing import Any

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st

from ops.local.feeds import FeedServer, NewsItem
from pipeline.rows import News
from rss_ingest.entries import SUMMARY_LENGTH_MAX, TITLE_LENGTH_MAX, Parsed, parse, plain_text, told_apart
from rss_ingest.errors import FeedError

NOW = datetime(2026, 1, 26, 15, 0, tzinfo=UTC)
FEED = "https://feeds.example/news.rss"
ITEMS = [
    NewsItem(
        published_at=NOW - timedelta(minutes=n),
        title=f"Müller & Co’s headline {n}",
        summary="<p>AT&amp;T</p><p>cut</p>",
        link=f"https://news.example/{n}",
    )
    for n in range(20)
]


def parsed(body: bytes | str, charset: str | None = None, now: datetime = NOW, feed: str = FEED) -> Parsed:
    raw = body.encode() if isinstance(body, str) else body
    return parse(raw, feed=feed, url=FEED, charset=charset, fetched_at=now)


def served(kind: str, form: str = "rss", **options: Any) -> Parsed:
    with FeedServer(ITEMS, clock=lambda: NOW) as server:
        if kind:
            server.fault("news", kind, **options)
        return parsed(requests.get(server.url("news", form), timeout=2).content)


def rss(items: str) -> str:
    return f'<?xml version="1.0" encoding="utf-8"?><rss version="2.0"><channel>{items}</channel></rss>'


both_forms = pytest.mark.parametrize("form", ["rss", "atom"])


@both_forms
def test_a_good_feed_is_read_whole(form: str) -> None:
    news = served("", form)
    assert (len(news.entries), news.bozo, news.complete, news.dropped) == (20, None, True, 0)
    first = news.entries[0]
    assert first.title == "Müller & Co’s headline 0"
    assert first.summary == "AT&T cut"
    assert (first.link, first.published_at, first.date_marked) == ("https://news.example/0", NOW, None)
    assert (first.feed, first.fetched_at, len(first.uid)) == (FEED, NOW, 64)


# ── malformed documents ──────────────────────────────────────────────────────────────────────────────────────────────


@both_forms
def test_of_a_truncated_feed_the_entries_before_the_cut_are_kept(form: str) -> None:
    whole, cut = served("", form), served("truncated", form)
    assert 10 <= len(cut.entries) < 13
    # The one in which the cut lies would be stored with half a title under a uid of its own.
    assert [entry.uid for entry in cut.entries] == [entry.uid for entry in whole.entries[: len(cut.entries)]]
    assert cut.entries == whole.entries[: len(cut.entries)]
    assert (cut.complete, "SAXParseException" in str(cut.bozo)) == (False, True)


@pytest.mark.parametrize("keep", [0.3 + n / 100 for n in range(0, 70, 3)])
def test_wherever_a_feed_is_cut_no_false_entry_comes_out(keep: float) -> None:
    whole = {entry.uid: entry for entry in served("").entries}
    for entry in served("truncated", keep=keep).entries:
        assert whole[entry.uid] == entry


@pytest.mark.parametrize(
    ("kind", "at_least"), [("undeclared_entity", 20), ("mismatched_tag", 18), ("xxe", 20), ("billion_laughs", 20)]
)
def test_of_a_malformed_feed_what_parses_is_kept_and_its_validators_are_not(kind: str, at_least: int) -> None:
    started = time.monotonic()
    news = served(kind)
    assert len(news.entries) >= at_least
    assert news.bozo
    assert not news.complete
    assert time.monotonic() - started < 20  # a laugh expanded takes for ever
    assert max(len(entry.title) for entry in news.entries) <= TITLE_LENGTH_MAX


@both_forms
def test_an_external_entity_is_neither_read_nor_fetched(form: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("TOP-SECRET")
    assert "TOP-SECRET" not in str(served("xxe", form, target=secret.as_uri()))
    with FeedServer(ITEMS, clock=lambda: NOW) as server:
        server.fault("news", "xxe", target=f"{server.base_url}/canary")
        parsed(requests.get(server.url("news", form), timeout=2).content)
        assert [request.path for request in server.requests] == [f"/news.{form}"]


@pytest.mark.parametrize(("kind", "reason"), [("html", "neither RSS nor Atom"), ("empty", "empty")])
def test_what_is_not_a_feed_is_refused(kind: str, reason: str) -> None:
    with pytest.raises(FeedError, match=reason) as caught:
        served(kind)
    assert caught.value.kind == "not_a_feed"


@pytest.mark.parametrize("body", ["{}", "hello", "<", "\0\0\0", "<?xml version='1.0'?><svg/>", "404 Not Found"])
def test_any_other_document_is_refused(body: str) -> None:
    with pytest.raises(FeedError) as caught:
        parsed(body)
    assert caught.value.kind == "not_a_feed"


def test_a_feed_without_entries_is_a_feed() -> None:
    assert parsed(rss("")).entries == ()


@pytest.mark.parametrize("encoding", ["undefined", "unicode_escape", "idna", "punycode", "utf-7", "base64", "rot13"])
def test_no_name_of_a_codec_breaks_the_reader(encoding: str) -> None:
    body = (
        f'<?xml version="1.0" encoding="{encoding}"?><rss version="2.0"><channel><item><title>\\ud800 x</title></item>'
    )
    try:
        assert all(entry.title.encode() for entry in parsed(body).entries)
    except FeedError as error:
        assert error.kind == "not_a_feed"


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=200), st.integers(0, 3_000), st.integers(0, 60))
def test_no_bytes_break_the_reader(junk: bytes, at: int, instead_of: int) -> None:
    body = _SAMPLE[:at] + junk + _SAMPLE[at + instead_of :]
    try:
        news = parsed(body)
    except FeedError as error:
        assert error.kind == "not_a_feed"
    else:
        for entry in news.entries:
            stored = "".join((entry.uid, entry.title, entry.summary, entry.link or ""))
            assert "\0" not in stored
            assert stored.encode()  # no lone surrogates
            assert entry.published_at.tzinfo is UTC


_SAMPLE = rss(
    "".join(
        f"<item><title>Headline {n} &amp; more</title><link>https://news.example/{n}</link><guid>{n}</guid>"
        f"<pubDate>Mon, 26 Jan 2026 14:{n:02}:00 GMT</pubDate><description>&lt;p&gt;Text&lt;/p&gt;</description></item>"
        for n in range(12)
    )
).encode()


# ── encodings ────────────────────────────────────────────────────────────────────────────────────────────────────────


@both_forms
@pytest.mark.parametrize(
    "kind", ["latin1_as_utf8", "utf16", "bom", "no_encoding", "unknown_encoding", "wrong_content_type"]
)
def test_an_encoding_other_than_declared_loses_no_character(kind: str, form: str) -> None:
    news = served(kind, form)
    assert [entry.title for entry in news.entries] == [item.title for item in ITEMS]
    assert news.complete


def test_utf16_without_a_mark_or_a_declaration_of_its_own_is_read() -> None:
    assert len(served("utf16", bom=False).entries) == 20


def test_one_stray_byte_does_not_garble_the_rest() -> None:
    news = served("mixed_encodings")
    assert news.entries[3].title == "Müller & Co’s headline 3 ’s"
    assert "byte" in str(news.bozo)
    assert news.complete


def test_control_characters_and_half_characters_never_reach_the_database() -> None:
    titles = [entry.title for entry in served("control_characters").entries]
    assert len(titles) == 20
    assert all(title.isprintable() and title.encode() for title in titles)


@pytest.mark.parametrize(
    ("charset", "declaration", "encoded_as"),
    [("iso-8859-1", "", "iso-8859-1"), ("iso-8859-1", ' encoding="utf-8"', "utf-8"), (None, "", "utf-8")],
)
def test_the_header_s_charset_counts_where_the_document_declares_none(
    charset: str | None, declaration: str, encoded_as: str
) -> None:
    item = "<item><title>Börse</title></item>"
    body = f'<?xml version="1.0"{declaration}?><rss version="2.0"><channel>{item}</channel></rss>'
    assert parsed(body.encode(encoded_as), charset).entries[0].title == "Börse"


# ── dates ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@both_forms
@pytest.mark.parametrize(
    ("kind", "marked"),
    [("date_missing", "missing"), ("date_unparsable", "missing"), ("date_1970", "missing"), ("date_future", "future")],
)
def test_a_date_that_cannot_be_true_becomes_the_time_of_fetching_and_is_marked(
    kind: str, marked: str, form: str
) -> None:
    for entry in served(kind, form).entries:
        assert (entry.published_at, entry.date_marked) == (NOW, marked)


@pytest.mark.parametrize(
    ("date", "expected"),
    [
        ("Mon, 26 Jan 2026 09:30:00 EST", datetime(2026, 1, 26, 14, 30, tzinfo=UTC)),
        ("Mon, 26 Jan 2026 15:30:00 +0100", datetime(2026, 1, 26, 14, 30, tzinfo=UTC)),
        ("2026-01-26T09:30:00-05:00", datetime(2026, 1, 26, 14, 30, tzinfo=UTC)),
        ("2026-01-26 14:30", datetime(2026, 1, 26, 14, 30, tzinfo=UTC)),
        ("Mon, 26 Jan 2026 15:04:59 GMT", datetime(2026, 1, 26, 15, 4, 59, tzinfo=UTC)),
    ],
)
def test_a_date_of_any_zone_becomes_utc(date: str, expected: datetime) -> None:
    entry = parsed(rss(f"<item><title>t</title><pubDate>{date}</pubDate></item>")).entries[0]
    assert (entry.published_at, entry.date_marked) == (expected, None)


@pytest.mark.parametrize(
    "date", ["0000-00-00", "9999-99-99", "Mon, 26 Jan 12026 15:00:00", "2026-02-30T00:00:00Z", "-1"]
)
def test_an_impossible_date_is_no_crash(date: str) -> None:
    entry = parsed(rss(f"<item><title>t</title><pubDate>{date}</pubDate></item>")).entries[0]
    assert NOW - timedelta(days=40) < entry.published_at <= NOW + timedelta(days=40)


# ── identity ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def test_the_uid_is_that_of_the_id_else_the_link_else_title_and_published() -> None:
    date = "<pubDate>Mon, 26 Jan 2026 14:00:00 GMT</pubDate>"
    news = parsed(
        rss(
            f"<item><title>a</title><guid>id-1</guid><link>https://a.example/1</link>{date}</item>"
            f"<item><title>b</title><link>https://a.example/2</link>{date}</item>"
            f"<item><title>c</title>{date}</item>"
        )
    )
    expected = [sha("id-1"), sha("https://a.example/2"), sha("c\nMon, 26 Jan 2026 14:00:00 GMT")]
    assert [entry.uid for entry in news.entries] == expected


def test_numbered_ids_are_kept_as_they_are() -> None:
    assert served("numbered_ids").entries[0].uid == sha("20")


@both_forms
@pytest.mark.parametrize("kind", ["no_id", "no_link", "no_id_or_link", "date_missing", "date_future", "no_title"])
def test_the_uid_of_the_same_entry_stays_the_same_in_every_run(kind: str, form: str) -> None:
    with FeedServer(ITEMS, clock=lambda: NOW) as server:
        server.fault("news", kind, **({} if kind != "date_future" else {"hours": 6}))
        body = requests.get(server.url("news", form), timeout=2).content
    runs = [parsed(body, now=NOW + timedelta(minutes=minutes)).entries for minutes in (0, 5)]
    assert [entry.uid for entry in runs[0]] == [entry.uid for entry in runs[1]]
    assert len({entry.uid for entry in runs[0]}) == 20


def test_an_entry_that_stands_twice_in_a_feed_is_one() -> None:
    assert len(served("duplicates").entries) == 20


def test_one_item_in_two_feeds_is_one_and_one_id_for_two_things_is_two() -> None:
    item = "<item><title>{}</title><guid isPermaLink='false'>1</guid><link>{}</link></item>"
    first = parsed(rss(item.format("Apple up", "https://a.example/x")), feed="https://a.example/feed").entries
    again = parsed(rss(item.format("Apple up", "https://a.example/x")), feed="https://b.example/feed").entries
    other = parsed(rss(item.format("Fed cuts", "https://c.example/y")), feed="https://c.example/feed").entries
    apart = told_apart([*first, *again, *other], {})
    assert apart[0].uid == apart[1].uid == sha("1")
    assert apart[2].uid != sha("1")
    # The next run finds the first one stored and tells them apart in the same way.
    assert told_apart(other, {sha("1"): ("https://a.example/feed", "https://a.example/x")})[0].uid == apart[2].uid


# ── text ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


@both_forms
def test_markup_and_scripts_in_titles_are_stripped(form: str) -> None:
    assert [entry.title for entry in served("html_titles", form).entries] == [item.title for item in ITEMS]


def test_an_entry_without_title_takes_its_summary_s_words_and_one_without_both_is_dropped_and_counted() -> None:
    assert served("no_title").entries[0].title == "AT&T cut"
    news = served("no_title_or_summary")
    assert (len(news.entries), news.dropped) == (0, 20)


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("A<b>pp</b>le &amp;amp; Co", "Apple &amp; Co"),
        ("<p>one</p><p>two</p>three<br>four", "one two three four"),
        ("<script>if (a<b) alert('x')</script>kept<STYLE>p{}</STYLE>", "kept"),
        ("EPS < 2 and <5% of x>3", "EPS < 2 and <5% of x>3"),
        ("Apple <AAPL.O> beats", "Apple <AAPL.O> beats"),
        ("<img alt='a>b' src=x>after", "after"),
        ("gone <!-- a > b -->here <!-- open", "gone here"),
        ("&lt;b&gt; &#8217; &nbsp; &euro;5", "<b> ’ €5"),
        ("a\u200bb\u202ec\x00d\ud800e\n\t f", "abcd\ufffde f"),
        ("<a href='https://x.example'>link</a>s", "links"),
        ("<script>never closed", ""),
    ],
)
def test_html_becomes_plain_text(html: str, text: str) -> None:
    assert plain_text(html, 500) == text


@pytest.mark.parametrize("piece", ["<!--", "<a ", '<a b="', "<a'>", "<script>", "</", "<![CDATA[", "<", "&#", "\"'<b>"])
def test_no_markup_takes_long(piece: str) -> None:
    started = time.monotonic()
    plain_text(piece * 20_000, 500)
    assert time.monotonic() - started < 20  # quadratic, it takes minutes


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=120))
def test_escaped_text_comes_back_and_never_as_markup(text: str) -> None:
    plain = plain_text(f"<p>{escape(text)}</p><script>{escape(text)}</script>", 500)
    assert "".join(plain.split()) == "".join(plain_text(escape(text), 500).split())


def test_long_texts_are_shortened_at_a_word() -> None:
    entry = parsed(rss(f"<item><title>{'word ' * 400}</title><description>{'x' * 9_000}</description></item>")).entries[
        0
    ]
    assert len(entry.title) <= TITLE_LENGTH_MAX
    assert entry.title.endswith("word…")
    assert len(entry.summary) == SUMMARY_LENGTH_MAX


@pytest.mark.parametrize(
    ("given_link", "link"),
    [
        ("/story/1", "https://feeds.example/story/1"),
        ("javascript:alert(1)", None),
        ("data:text/html,x", None),
        ("http://[", None),
        (f"https://a.example/{'x' * 3_000}", None),
        (" https://a.example/1 ", "https://a.example/1"),
    ],
)
def test_links_are_absolute_and_lead_to_http_only(given_link: str, link: str | None) -> None:
    entry = parsed(rss(f"<item><title>t</title><guid>1</guid><link>{given_link}</link></item>")).entries[0]
    assert entry.link == link


def test_a_feed_with_too_many_entries_is_cut_and_its_validators_are_not_kept() -> None:
    news = parsed(rss("".join(f"<item><title>t {n}</title><guid>{n}</guid></item>" for n in range(1_050))))
    assert (len(news.entries), news.dropped, news.complete) == (1_000, 50, False)


def test_real_headlines_come_through_unchanged(shared_data: Path) -> None:
    with (shared_data / "news" / "valid.csv").open(encoding="utf-8", newline="") as file:
        headlines = [row["text"] for row in csv.DictReader(file)][::12]
    # A few hold a lone U+0080, which is mended into the € that it was.
    headlines = [" ".join(headline.split()) for headline in headlines if "\x80" not in headline]
    items = [
        NewsItem(published_at=NOW - timedelta(seconds=n), title=title, link=f"https://n.example/{n}")
        for n, title in enumerate(headlines)
    ]
    with FeedServer(items, clock=lambda: NOW, newest=1_000) as server:
        news = parsed(requests.get(server.url("news", "atom"), timeout=2).content)
    assert len(news.entries) == len(headlines)
    for entry, headline in zip(news.entries, headlines, strict=True):
        assert entry.title == plain_text(headline, 500)


def test_news_rows_are_what_the_store_takes() -> None:
    assert all(isinstance(entry, News) for entry in served("").entries)

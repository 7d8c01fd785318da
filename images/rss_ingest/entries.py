"""News out of a feed's bytes: plain text, aware dates, a lasting uid, whatever the publisher wrote."""

from __future__ import annotations

import calendar
import codecs
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from html import unescape
from urllib.parse import urljoin, urlsplit

import feedparser
from feedparser.exceptions import CharacterEncodingOverride, NonXMLContentType

from pipeline.rows import News
from rss_ingest.errors import FeedError

TITLE_LENGTH_MAX = 500
SUMMARY_LENGTH_MAX = 2_000
LINK_LENGTH_MAX = 2_000
HTML_LENGTH_MAX = 50_000  # of one field, before it is stripped
ENTRIES_MAX = 1_000  # real feeds have 10 to 100; what is over is counted as dropped

FUTURE_TOLERANCE = timedelta(minutes=5)  # clocks differ
# Feeds did not exist before; earlier dates (1970, year 1) are unset clocks.
EARLIEST_DATE = datetime(1995, 1, 1, tzinfo=UTC)

# feedparser lets the errors of what it is built on through (codecs, expat, its own assumptions); hostile bytes
# raise any of these, and one feed must never stop another.
PARSER_ERRORS = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, AssertionError, RecursionError)


@dataclass(frozen=True, kw_only=True)
class Parsed:
    """What a document held, in its order, one News per uid.

    `bozo` says what was wrong with the document, None when nothing was. `complete` is False when entries may be
    missing from it (not well-formed, or over ENTRIES_MAX): then its validators must not be kept, or a 304 would hide
    the rest. `dropped` counts the entries without title and summary and those over the limit.
    """

    entries: tuple[News, ...]
    bozo: str | None
    complete: bool
    dropped: int


def parse(body: bytes, *, feed: str, url: str, charset: str | None, fetched_at: datetime) -> Parsed:
    """The entries of an RSS, RDF or Atom document.

    `feed` is the configured address, `url` the one it was read from (relative links start there), `charset` the HTTP
    header's, `fetched_at` (aware) stands in for dates that are missing or in the future. Raises FeedError not_a_feed.
    """
    if not body.strip():
        raise FeedError("not_a_feed", f"{feed}: the document is empty")
    document = _parse_bytes(body, charset, feed)
    if not document.version and not document.entries:
        raise FeedError("not_a_feed", f"{feed}: neither RSS nor Atom; it starts with {body[:60]!r}")
    trouble = document.get("bozo_exception") if document.bozo else None
    whole = document.entries[:-1] if trouble and _ends_within_an_entry(body) else document.entries
    drawn = [_entry(raw, feed, url, fetched_at) for raw in whole[:ENTRIES_MAX]]
    entries = {entry.uid: entry for entry in reversed(drawn) if entry is not None}
    over = len(whole) - len(drawn)
    return Parsed(
        entries=tuple(reversed(entries.values())),
        bozo=f"{type(trouble).__name__}: {trouble}"[:300] if trouble else None,
        complete=not over and (trouble is None or isinstance(trouble, _HARMLESS)),
        dropped=drawn.count(None) + over,
    )


_HARMLESS = (CharacterEncodingOverride, NonXMLContentType)
_ENTRY_END = re.compile(rb"</(?:[a-z]+:)?(?:item|entry)\s*>", re.IGNORECASE)
_ENTRY_START = re.compile(rb"<(?:[a-z]+:)?(?:item|entry)[\s>]", re.IGNORECASE)


def _ends_within_an_entry(body: bytes) -> bool:
    """Whether the document was cut in its last entry: half a title is no title, and would get another uid."""
    after_last = max((match.end() for match in _ENTRY_END.finditer(body)), default=0)
    return _ENTRY_START.search(body, after_last) is not None


# ── bytes ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _parse_bytes(body: bytes, charset: str | None, feed: str) -> feedparser.FeedParserDict:
    mended, wrong_encoding = _mend(body, charset)
    # An empty content type would make feedparser assume Latin-1; a charset is believed only where the document itself
    # says nothing, for servers that name one name the same for every file.
    headers = {"content-type": f"application/xml; charset={charset}"} if charset and not _declares(body) else {}
    try:
        document = feedparser.parse(mended, sanitize_html=False, resolve_relative_uris=False, response_headers=headers)
    except PARSER_ERRORS as error:
        raise FeedError("not_a_feed", f"{feed}: cannot be parsed ({type(error).__name__}: {error})"[:300]) from error
    if wrong_encoding and not document.bozo:
        document["bozo"], document["bozo_exception"] = True, CharacterEncodingOverride(wrong_encoding)
    return document


_DECLARATION = re.compile(rb"""^(?:\xef\xbb\xbf)?\s*<\?xml[^>]*?encoding\s*=\s*["']([A-Za-z0-9._:-]{1,40})["']""")
_WIDE_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def _declares(body: bytes) -> bool:
    return body.startswith((codecs.BOM_UTF8, *_WIDE_MARKS)) or _DECLARATION.match(body) is not None


def _mend(body: bytes, charset: str | None) -> tuple[bytes, str | None]:
    """The document without what no XML may hold, and why its encoding was not the one that was said, if so.

    feedparser gives up on a whole document for one reference to half a character, and reads a whole document as
    Windows-1252, garbling every correct character, for one stray byte; here such a byte alone is read so.
    """
    if b"\x00" in body[:4] or body.startswith(_WIDE_MARKS):
        return body, None  # UTF-16 and UTF-32 are feedparser's to decode
    body = _REFERENCE.sub(_legal_reference, body.translate(None, _CONTROL_BYTES))
    declaration = _DECLARATION.match(body)
    said = declaration[1].decode() if declaration else charset or "utf-8"
    if said.lower().replace("_", "-") not in ("utf-8", "utf8"):
        return body, None
    try:
        body.decode("utf-8")
    except UnicodeDecodeError as error:
        wrong = f"said to be {said}, byte {error.start} is not"
        return body.decode("utf-8", errors="rss_ingest.windows_1252").encode("utf-8", errors="replace"), wrong
    return body, None


_CONTROL_BYTES = bytes(set(range(32)) - set(b"\t\n\r"))
_REFERENCE = re.compile(rb"&#(?:x([0-9a-fA-F]{1,8})|([0-9]{1,10}));", re.IGNORECASE)


def _legal_reference(match: re.Match[bytes]) -> bytes:
    code = int(match[1], 16) if match[1] else int(match[2])
    legal = code in (9, 10, 13) or 32 <= code < 0xD800 or 0xE000 <= code <= 0xFFFD or 0x10000 <= code <= 0x10FFFF
    return match[0] if legal else b"&#xFFFD;"


def _stray_bytes(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)  # registered for decoding only
    return error.object[error.start : error.end].decode("windows-1252", errors="replace"), error.end


codecs.register_error("rss_ingest.windows_1252", _stray_bytes)


# ── entries ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _entry(raw: feedparser.FeedParserDict, feed: str, url: str, fetched_at: datetime) -> News | None:
    title = plain_text(_field(raw, "title"), TITLE_LENGTH_MAX)
    summary = plain_text(_field(raw, "summary") or _content(raw), SUMMARY_LENGTH_MAX)
    if not title and not summary:
        return None
    link = _link(_field(raw, "link"), url) or None
    published_at, marked = _date(raw, fetched_at)
    # The publisher's text of the date, not ours: a made-up date would give the same entry a new uid in every run.
    date_text = _field(raw, "published") or _field(raw, "updated")
    return News(
        uid=uid_of(clean(_field(raw, "id")), link or "", title or summary, date_text),
        feed=feed,
        title=title or shortened(summary, 120),
        summary=summary,
        link=link,
        published_at=published_at,
        date_marked=marked,
        fetched_at=fetched_at,
    )


def _field(raw: feedparser.FeedParserDict, name: str) -> str:
    # dict.get: feedparser's own would answer 'updated' with 'published' and a DeprecationWarning.
    value = dict.get(raw, name)
    return value if isinstance(value, str) else ""


def _content(raw: feedparser.FeedParserDict) -> str:
    parts = dict.get(raw, "content") or [{}]
    value = parts[0].get("value")
    return value if isinstance(value, str) else ""


def uid_of(entry_id: str, link: str, title: str, published: str) -> str:
    """SHA-256 (hex) of the entry's id, else of its link, else of title + published, as the feed gives them."""
    key = entry_id or link or f"{title}\n{published}"
    return hashlib.sha256(key.encode("utf-8", errors="replace")).hexdigest()


def _link(given: str, url: str) -> str:
    """An absolute http(s) address, else '': the page that shows it must not run `javascript:`."""
    try:
        link = urljoin(url, clean(given)) if given.strip() else ""
        return link if urlsplit(link).scheme in ("http", "https") and len(link) <= LINK_LENGTH_MAX else ""
    except ValueError:  # such as http://[
        return ""


def _date(raw: feedparser.FeedParserDict, fetched_at: datetime) -> tuple[datetime, str | None]:
    moment = dict.get(raw, "published_parsed") or dict.get(raw, "updated_parsed")
    try:
        published_at = datetime.fromtimestamp(calendar.timegm(moment), UTC) if moment else None
    except (ValueError, OverflowError, OSError):
        published_at = None
    if published_at is None or published_at < EARLIEST_DATE:
        return fetched_at, "missing"
    if published_at > fetched_at + FUTURE_TOLERANCE:
        return fetched_at, "future"
    return published_at, None


def told_apart(entries: Iterable[News], stored: Mapping[str, tuple[str, str | None]]) -> list[News]:
    """The entries with a uid of their own where two feeds use one id for two things; `stored` is uid → (feed, link).

    Publishers number their items 1, 2, 3 in spite of the standards. Taking the id alone, as we must for one item that
    comes by two feeds, would lose the second feed's news silently. One id, two feeds *and* two links are two things.
    """
    known = dict(stored)
    apart: list[News] = []
    for entry in entries:
        feed, link = known.setdefault(entry.uid, (entry.feed, entry.link))
        if feed != entry.feed and link != entry.link:
            entry = replace(entry, uid=uid_of(f"{entry.feed}\n{entry.uid}", "", "", ""))
        apart.append(entry)
    return apart


# ── text ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

_CONTROLS = "\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f"
_INVISIBLE = "\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff"
_UNSTORABLE = re.compile(f"[{_CONTROLS}{_INVISIBLE}]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_INLINE_TAGS = "a abbr b bdi bdo cite code em font i ins kbd mark q s small span strong sub sup tt u var"
_INLINE = frozenset(_INLINE_TAGS.split())


def clean(text: str) -> str:
    """Text fit for PostgreSQL and people: no NUL, control, invisible or direction characters, white space folded."""
    return " ".join(_SURROGATE.sub("\ufffd", _UNSTORABLE.sub("", text)).split())


def shortened(text: str, length_max: int) -> str:
    """At most `length_max` characters, cut at a word where one ends near, with an ellipsis."""
    if len(text) <= length_max:
        return text
    cut = text[: length_max - 1]
    at_word = cut.rpartition(" ")[0]
    return f"{at_word if len(at_word) > length_max * 0.8 else cut}…"


def plain_text(html: str, length_max: int) -> str:
    """HTML as plain text: entities decoded, scripts and styles dropped, white space folded, shortened.

    A block's edge is a space, an inline tag is nothing (A<b>pp</b>le). What only looks like a tag
    stays: "EPS < 2", and "<AAPL.O>" as Reuters writes it.
    """
    text = "".join(_texts(html[:HTML_LENGTH_MAX])) if "<" in html else unescape(html)
    return shortened(clean(text), length_max)


_MARKUP = re.compile(r"<(?:(?P<comment>!--)|(?P<cdata>!\[CDATA\[)|/?(?P<tag>[a-zA-Z][\w:-]*)(?=[\s/>])|[!?])")


def _texts(html: str) -> Iterator[str]:
    """The pieces of text between the tags. One pass; html.parser takes 2 s for 50 kB of '<!--'."""
    at = 0
    while (markup := _MARKUP.search(html, at)) is not None:
        yield unescape(html[at : markup.start()])
        if markup["cdata"]:
            end = html.find("]]>", markup.end())
            yield html[markup.end() : end if end >= 0 else len(html)]
        after = _end_of(markup, html)
        if after is None:
            at = markup.start()
            break
        if (markup["tag"] or "").lower() not in _INLINE:
            yield " "
        at = after
    yield unescape(html[at:])


def _end_of(markup: re.Match[str], html: str) -> int | None:
    """Where the markup ends; a script ends with its closing tag. None: a tag that never closes, which is text."""
    tag = (markup["tag"] or "").lower()
    if markup["comment"] or markup["cdata"]:
        closed = html.find("-->" if markup["comment"] else "]]>", markup.end())
        return closed + 3 if closed >= 0 else len(html)
    end = _end_of_tag(html, markup.end())
    if end is None or tag not in _HIDDEN or html[markup.start() + 1] == "/":
        return end
    closing = _CLOSING[tag].search(html, end)
    return closing.end() if closing else len(html)


_HIDDEN = frozenset({"script", "style"})
_CLOSING = {tag: re.compile(rf"</{tag}[^>]{{0,100}}>", re.IGNORECASE) for tag in _HIDDEN}


def _end_of_tag(html: str, start: int) -> int | None:
    """Behind the tag's '>', or the first one outside quotes where an attribute's quotes are balanced."""
    end = html.find(">", start)
    if end < 0:
        return None
    opened = next((quote for quote in "\"'" if html.count(quote, start, end) % 2), None)
    if opened and (closing := html.find(opened, end)) >= 0 and "<" not in html[end:closing]:
        outside = html.find(">", closing)
        return outside + 1 if outside >= 0 else end + 1
    return end + 1

"""News items read from a CSV, RSS or Atom file; rows that cannot be used are set aside with line and reason."""

from __future__ import annotations

import calendar
import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from itertools import chain, count
from pathlib import Path

import feedparser

COLUMNS = ("published_at", "title", "summary", "link")
DEFAULT_FEED = "news"


class NewsFileUnusable(Exception):
    """The file as a whole cannot be read; the text says what to change."""


@dataclass(frozen=True, kw_only=True)
class NewsItem:
    """One published item; `published_at` is zone-aware (naive is taken as UTC); `feeds` are those that carry it."""

    published_at: datetime
    title: str
    summary: str = ""
    link: str = ""
    feeds: tuple[str, ...] = (DEFAULT_FEED,)

    def __post_init__(self) -> None:
        aware = self.published_at if self.published_at.tzinfo else self.published_at.replace(tzinfo=UTC)
        object.__setattr__(self, "published_at", aware.astimezone(UTC))


@dataclass(frozen=True, kw_only=True)
class Rejected:
    """A row that was set aside: `line` is the line of a CSV or the number of an entry in XML, both from 1."""

    line: int
    reason: str


@dataclass(frozen=True, kw_only=True)
class NewsFile:
    """What a file held, in its own order."""

    items: tuple[NewsItem, ...]
    rejected: tuple[Rejected, ...]


def read_news(path: Path) -> NewsFile:
    """The items of a CSV file, or of an RSS or Atom file (told by its first character). Raises NewsFileUnusable."""
    try:
        body = path.read_bytes()
    except OSError as error:
        raise NewsFileUnusable(f"{path}: cannot be read: {error.strerror}; give a CSV, RSS or Atom file") from error
    looks_like_xml = body.lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n").startswith((b"<", b"\x00<"))
    return _from_xml(path, body) if looks_like_xml else _from_csv(path, body)


def _from_csv(path: Path, body: bytes) -> NewsFile:
    # Bytes that are not UTF-8 become lone surrogates, by which only their own row is recognised and set aside.
    text = body.decode("utf-8-sig", errors="surrogateescape")
    lines = list(io.StringIO(text, newline=""))  # splitlines() would also split at U+2028 and the like
    header = [name.strip().lower() for name in next(csv.reader(lines[:1]), [])]
    if missing := [name for name in COLUMNS if name not in header]:
        raise NewsFileUnusable(
            f"{path}: no column {', '.join(missing)} in its first line ({', '.join(header)[:200] or 'empty'}); "
            f"expected {','.join(COLUMNS)}"
        )
    items: list[NewsItem] = []
    rejected: list[Rejected] = []
    for line, row in _records(lines, len(header)):
        outcome = row if isinstance(row, str) else _item(header, row)
        if isinstance(outcome, NewsItem):
            items.append(outcome)
        else:
            rejected.append(Rejected(line=line, reason=outcome))
    return NewsFile(items=tuple(items), rejected=tuple(rejected))


def _records(lines: list[str], columns: int) -> Iterator[tuple[int, list[str] | str]]:
    """Each record after the header with its first line's number; in place of a broken record the reason.

    After a broken one reading resumes on the next line: an unclosed quote would otherwise swallow the rows after it.
    """
    start = 1
    while start < len(lines):
        reader = csv.reader(lines[start:], strict=True)
        first = 0
        try:
            for row in reader:
                if row and len(row) != columns:
                    raise csv.Error(f"{len(row)} columns, the header has {columns}")
                if row:
                    yield start + first + 1, row
                first = reader.line_num
        except csv.Error as error:
            yield start + first + 1, f"not a CSV row: {error}"
            start += first + 1
        else:
            return


def _item(header: list[str], row: list[str]) -> NewsItem | str:
    if any("\udc80" <= character <= "\udcff" for character in chain.from_iterable(row)):
        return "not UTF-8"
    values = {name: value.strip() for name, value in zip(header, row, strict=True)}
    if not values["title"] and not values["summary"]:
        return "neither title nor summary"
    published_at = parse_time(values["published_at"])
    if published_at is None:
        return f"published_at {values['published_at'][:60]!r} is not a time such as 2026-01-26T14:30:00Z"
    return NewsItem(published_at=published_at, title=values["title"], summary=values["summary"], link=values["link"])


def parse_time(text: str) -> datetime | None:
    """An ISO 8601 or RFC 2822 time as aware UTC, None when it is neither; a naive time is taken as UTC."""
    for parse in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            value = parse(text)
            return (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(UTC)
        except (ValueError, OverflowError):
            continue
    return None


def _from_xml(path: Path, body: bytes) -> NewsFile:
    parsed = feedparser.parse(body, sanitize_html=False, resolve_relative_uris=False)
    if not parsed.version and not parsed.entries:
        raise NewsFileUnusable(f"{path}: neither RSS nor Atom ({parsed.get('bozo_exception', 'no feed element')})")
    items: list[NewsItem] = []
    rejected: list[Rejected] = []
    for number, entry in zip(count(1), parsed.entries, strict=False):
        outcome = _item_of_entry(entry)
        if isinstance(outcome, NewsItem):
            items.append(outcome)
        else:
            rejected.append(Rejected(line=number, reason=outcome))
    return NewsFile(items=tuple(items), rejected=tuple(rejected))


def _item_of_entry(entry: feedparser.FeedParserDict) -> NewsItem | str:
    # dict.get: feedparser's own would answer 'updated' with 'published' and a DeprecationWarning.
    moment = dict.get(entry, "published_parsed") or dict.get(entry, "updated_parsed")
    if moment is None:
        return "no date that can be read"
    title, summary = entry.get("title", "").strip(), entry.get("summary", "").strip()
    if not title and not summary:
        return "neither title nor summary"
    published_at = datetime.fromtimestamp(calendar.timegm(moment), UTC)
    return NewsItem(published_at=published_at, title=title, summary=summary, link=entry.get("link", ""))

"""How a file of news becomes feeds that a reader can take whole, and which of its items did not come through."""

from __future__ import annotations

import html
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import timedelta

from ops.local.news_file import NewsItem
from ops.replay_plan import Window

# Real feeds show 10 to 100 items; the service reads up to 1,000.
ITEMS_A_FEED = 500
# Two titles with so large a share of words in common may be one story told twice, of which one is stored.
REPEATED = 0.6
_MARKUP = re.compile(r"<[^>]*>")


def spread(items: Iterable[NewsItem], most: int = ITEMS_A_FEED) -> tuple[NewsItem, ...]:
    """The items, oldest first, with every feed of more than `most` split into <feed>, <feed>-2, <feed>-3 …"""
    filled: Counter[str] = Counter()
    placed = []
    for item in sorted(items, key=lambda item: item.published_at):
        filled.update(item.feeds)
        placed.append(replace(item, feeds=tuple(_part(name, (filled[name] - 1) // most) for name in item.feeds)))
    return tuple(placed)


def _part(name: str, number: int) -> str:
    return f"{name}-{number + 1}" if number else name


def due(items: Iterable[NewsItem], windows: Sequence[Window], period: timedelta) -> list[NewsItem]:
    """The items that a service of this period has been shown by the end of the last window: all published by then."""
    end = int(windows[-1].end.timestamp())
    last_run = end - end % int(period.total_seconds())
    return [item for item in items if item.published_at.timestamp() <= last_run]


def lost(expected: Iterable[NewsItem], stored: Sequence[tuple[str, str]]) -> list[NewsItem]:
    """The items of which neither link nor title, nor a title much like it, is among the stored (title, link) pairs."""
    links = {link for _, link in stored if link}
    titles = {_words(title) for title, _ in stored}
    missing = []
    for item in expected:
        words = _words(item.title or item.summary)
        if words and item.link not in links and not any(_alike(words, title) for title in titles):
            missing.append(item)
    return missing


def _alike(words: frozenset[str], title: frozenset[str]) -> bool:
    return len(words & title) >= REPEATED * len(words | title)


def _words(text: str) -> frozenset[str]:
    """Without mark-up, which the service takes out; none for an item that says nothing, which is not stored."""
    return frozenset(re.findall(r"\w+", html.unescape(_MARKUP.sub(" ", text)).lower()))

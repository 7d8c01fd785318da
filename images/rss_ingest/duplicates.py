"""When two headlines are the same news: the same words in the same order, give or take words that say nothing."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache

from pipeline.rows import News

WINDOW = timedelta(hours=24)
# An entry without a date of its own takes the time of fetching, a later one in every run, so that after a day
# the window alone would let its copy in as fresh news; feeds keep their items for a few days.
UNDATED_WINDOW = timedelta(days=7)
SIMILARITY_MIN = 0.8


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Only words that no reader would miss; 'after', 'from', 'not', 'up' change what a headline says.
_EMPTY_WORDS = _words("a an the is are was were has have had its it of that and")
# A word that turns a headline around: the longer of two may not have it more than the other.
_TURNING_WORDS = _words(
    """no not never without deny denies denied end ends ended halt halts halted cancel cancels delay delays
    up down rise rises fall falls gain gains drop drops jump jumps slump slumps surge surges plunge plunges
    beat beats miss misses top tops above below raise raises cut cuts lift lifts lower lowers upgrade upgrades
    downgrade downgrades buy sell hold bullish bearish more less after before may could might"""
)
_PUBLISHERS = _words(
    """reuters bloomberg cnbc marketwatch wsj barron's barrons benzinga forbes fortune axios nyt ap afp bbc cnn ft
    thestreet investing.com investopedia nasdaq zacks tipranks yahoo"""
) | {
    "associated press",
    "business insider",
    "dow jones",
    "financial times",
    "fox business",
    "motley fool",
    "seeking alpha",
    "the motley fool",
    "the wall street journal",
    "wall street journal",
    "yahoo finance",
}

_LABEL = re.compile(r"^(?:(?:update|wrapup|refile|rpt|corrected|exclusive|breaking|just in)\s?\d*\s?[-:–—]\s?)+", re.I)
_SOURCE = re.compile(r"\s+[-|–—]\s+([^-|–—]{2,30})$")
_ADDRESS = re.compile(r"https?://\S+")
_WORD = re.compile(r"[+\-−]?[$€£¥]?\d[\d.,:/]*\d?%?[a-z]*|[$#@]?\w+(?:[.&'’]\w+)*", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Headline:
    """A title that is stored already, with its time."""

    title: str
    published_at: datetime


def drop_near_duplicates(entries: Iterable[News], recent: Iterable[Headline]) -> tuple[list[News], list[News]]:
    """(kept, dropped), both by time; dropped is what `recent` or an earlier entry has as the same news within 24 h.

    Same news: without labels (UPDATE 1-), publishers (- Reuters), addresses and empty words, the shorter title's words
    stand in the longer one in the same order, they are at least SIMILARITY_MIN of it (for such titles the Jaccard
    index of their words), and what the longer one adds has no number, ticker or turning word. A *replaced* word is
    never the same news, however long the titles: 'beats' for 'misses', AAPL for MSFT, 5% for 6%.
    Entries whose uid is stored must be taken out before, or they are dropped as duplicates of themselves.
    """
    seen = _Headlines()
    for headline in recent:
        seen.add(headline.title, headline.published_at)
    kept: list[News] = []
    dropped: list[News] = []
    for entry in sorted(entries, key=lambda entry: (entry.published_at, entry.uid)):
        window = UNDATED_WINDOW if entry.date_marked else WINDOW
        if seen.holds(entry.title, entry.published_at, window):
            dropped.append(entry)
        else:
            kept.append(entry)
            seen.add(entry.title, entry.published_at)
    return kept, dropped


def window_of(entries: Sequence[News]) -> tuple[datetime, datetime]:
    """(from, to): the stored headlines that drop_near_duplicates needs for these entries (at least one)."""
    first = min(entry.published_at - (UNDATED_WINDOW if entry.date_marked else WINDOW) for entry in entries)
    return first, max(entry.published_at for entry in entries) + WINDOW


@lru_cache(maxsize=20_000)
def words(title: str) -> tuple[str, ...]:
    """The title's words as they are compared: case folded, plural and possessive s off, empty ones left out."""
    text = _ADDRESS.sub(" ", unicodedata.normalize("NFKC", title)).strip()
    text = _LABEL.sub("", text)
    source = _SOURCE.search(text)
    if source and source[1].strip().casefold() in _PUBLISHERS:
        text = text[: source.start()]
    shouting = text.isupper()
    found = (_folded(match[0], shouting) for match in _WORD.finditer(text))
    return tuple(word for word in found if word not in _EMPTY_WORDS)


def _folded(word: str, shouting: bool) -> str:
    if word[0] in "$#@" or (word.isupper() and not shouting):
        # A ticker keeps its capitals and its s: $CAR is not $CARS, and 'IT' is not 'it'.
        return word.lstrip("#@").removeprefix("$") if word[-1:].isalpha() else word
    folded = word.casefold().replace("’", "'").replace("−", "-").removesuffix("'s")
    if any(character.isdigit() for character in folded):
        return folded.replace(",", "").rstrip(".:/")
    return folded[:-1] if len(folded) > 3 and folded.endswith("s") and not folded.endswith("ss") else folded


def same_news(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Whether two titles' words (see `words`) tell the same; symmetric."""
    shorter, longer = sorted((one, other), key=len)
    if not shorter or len(shorter) < SIMILARITY_MIN * len(longer):
        return False
    added = _left_over(shorter, longer)
    return added is not None and not any(_telling(word) for word in added)


def _left_over(shorter: tuple[str, ...], longer: tuple[str, ...]) -> list[str] | None:
    """The words of `longer` between and around those of `shorter`; None when it does not hold them in that order."""
    wanted = iter(shorter)
    next_word = next(wanted, None)
    added: list[str] = []
    for word in longer:
        if word == next_word:
            next_word = next(wanted, None)
        else:
            added.append(word)
    return added if next_word is None else None


_TURNING_FOLDED = frozenset(_folded(word, False) for word in _TURNING_WORDS) | _TURNING_WORDS


def _telling(word: str) -> bool:
    return word in _TURNING_FOLDED or word.isupper() or any(character.isdigit() for character in word)


class _Headlines:
    """Headlines by word. Of two that are the same news the longer has at most a fifth of words more, so that of any
    fifth and one of a title's words at least one is in the other: it is enough to look under the rarest of them."""

    def __init__(self) -> None:
        self._titles: list[tuple[tuple[str, ...], datetime]] = []
        self._by_word: defaultdict[str, list[int]] = defaultdict(list)

    def add(self, title: str, published_at: datetime) -> None:
        found = words(title)
        for word in set(found):
            self._by_word[word].append(len(self._titles))
        self._titles.append((found, published_at))

    def holds(self, title: str, published_at: datetime, window: timedelta) -> bool:
        wanted = words(title)
        looked_at: set[int] = set()
        for word in self._rarest(wanted):
            looked_at.update(self._by_word.get(word, ()))
        return any(
            abs(published_at - self._titles[number][1]) <= window and same_news(wanted, self._titles[number][0])
            for number in looked_at
        )

    def _rarest(self, wanted: tuple[str, ...]) -> list[str]:
        distinct = sorted(set(wanted), key=lambda word: len(self._by_word.get(word, ())))
        return distinct[: int(len(wanted) * (1 - SIMILARITY_MIN) + 1e-9) + 1]

"""Which tickers a headline is about: cashtags, exchange codes, bare symbols and company names. Pure; no input or output
but the table of names beside it."""

import csv
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path

COMPANIES = Path(__file__).with_name("companies.csv")

# Symbols that are also words or abbreviations of the trade: as bare words they mean the word, so they need a cashtag or
# an exchange before them. One-letter symbols are treated the same.
_WORDS = """
AA AI ALL AM AN AND ANY APP ARE AS AT BE BEST BIG BILL BIT BRO BY CAN CAR CASE CASH CEO CFO COO COST CPA CPI DD DO EAT
EDIT EPS ETF EU EV EVER EVS FAST FDA FED FIVE FLOW FOR FREE FUN FUND GAIN GDP GO GOLD GOOD GROW HAS HE HOME HOPE HOT
HUGE IF IN INFO IPO IT ITS JOB JOBS KEY LAND LIFE LOAN LOVE LOW MA MAIN MAN MASS MD ME MORE MOVE MY NEW NEXT NICE NO
NOT NOW OF OIL ON ONE OPEN OR OUT PAY PEAK PLAN PLAY PM PT PUMP REAL RIDE ROAD ROCK RUN SAFE SAVE SEC SEE SHOP SO STAY
SUN TALK TECH THE TO TOP TRUE TV TWO UK UN UP US USA USD VERY WE WELL WHO WIN WORK YOU
"""
ORDINARY_WORDS = frozenset(_WORDS.split())
# Symbols that spell a word which nobody writes in capitals, unless the whole headline is.
_SHOUTED = "BALL CAT COIN COST DE DOW FANG FOX HAL KEY LEG LUV MAR MET META NET NIO PEP PINS SNAP SPOT TEAM WISH ZOOM"
SHOUTED_WORDS = ORDINARY_WORDS | frozenset(_SHOUTED.split())

# "AIG, BAC" is a list of symbols and not a headline in capitals.
SYMBOLS_ALONE = 3

_LINK = re.compile(r"https?://\S*")
_CASHTAG = re.compile(r"(?<!\w)\$([A-Za-z]{1,6}(?:[.\-][A-Za-z]{1,2})?)(?!\w)")
_LISTED = re.compile(r"\b(?i:NYSE|NASDAQ|AMEX|NYSE ?ARCA|BATS|CBOE)\s*:\s*([A-Z]{1,6}(?:\.[A-Z]{1,2})?)\b")
_BARE = re.compile(r"(?<![\w$@&.])([A-Z]{2,6}(?:\.[A-Z]{1,2})?)(?![\w&]|\.[A-Z])")


def find_tickers(title: str, summary: str, symbols: Sequence[str]) -> list[str]:
    """The symbols of the given list (and no others) that title or summary speak of, in the list's order.

    "$aapl" and "NYSE: ALL" count for any symbol; bare "AAPL" (or Reuters' "AAPL.O") counts unless it is an ordinary
    word, in a text all in capitals any word we know of; names count as companies.csv writes them ("Apple", not "apple")
    unless they are part of a phrase that is no company ("Apple pie"): that table lists such phrases without a symbol.
    """
    wanted = tuple(symbols)
    known = frozenset(wanted)
    found = {symbol for text in (title, summary) for symbol in _mentions(_LINK.sub(" ", text), wanted, known)}
    return [symbol for symbol in dict.fromkeys(wanted) if symbol in found]


def _mentions(text: str, wanted: tuple[str, ...], known: frozenset[str]) -> Iterator[str]:
    shouted = not any(letter.islower() for letter in text)
    for code in _CASHTAG.findall(text) + _LISTED.findall(text):
        yield _symbol(code.upper().replace("-", "."), known)
    words = SHOUTED_WORDS if shouted and len(text.split()) > SYMBOLS_ALONE else ORDINARY_WORDS
    yield from (_symbol(code, known) for code in _BARE.findall(text) if code not in words)
    pattern, symbols_of = _names(wanted, shouted)
    for match in pattern.finditer(text):
        yield from symbols_of.get(match["name"], ())


def _symbol(code: str, known: frozenset[str]) -> str:
    """The code itself where it is known ("BRK.B"), else without its suffix ("AAPL.O")."""
    return code if code in known else code.partition(".")[0]


@lru_cache(maxsize=8)
def _names(wanted: tuple[str, ...], shouted: bool) -> tuple[re.Pattern[str], dict[str, list[str]]]:
    """A pattern that finds the wanted companies' names (in capitals for a shouted text), and each name's symbols."""
    symbols_of: dict[str, list[str]] = {}
    for symbol, name in companies():
        if symbol in wanted:
            symbols_of.setdefault(name.upper() if shouted else name, []).append(symbol)
    decoys = "|".join(re.escape(name).replace(r"\ ", r"[\s\-]+") for symbol, name in companies() if not symbol)
    longest_first = sorted(map(re.escape, symbols_of), key=lambda name: (-len(name), name))
    names = "|".join(longest_first) or r"(?!)"
    return re.compile(rf"(?<![\w$@.])(?:(?i:{decoys})|(?P<name>{names}))(?!\w)"), symbols_of


@lru_cache(maxsize=1)
def companies() -> tuple[tuple[str, str], ...]:
    """Rows of companies.csv: symbol and name as newspapers write it; without a symbol, a phrase that is no company."""
    with COMPANIES.open(encoding="utf-8", newline="") as file:
        return tuple((row["symbol"], row["name"]) for row in csv.DictReader(file))

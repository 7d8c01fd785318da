"""What a market data request may ask, and the vendor's words where it may not: parameters in, numbers out."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

import numpy as np

from ops.local.exchange.market import NEW_YORK, Ints, Market, seconds, stamp
from ops.local.exchange.wire import refusal

DEFAULT_LIMIT, MAX_LIMIT = 1000, 10_000
SIP_DELAY = timedelta(minutes=15)
FEEDS = ("sip", "iex", "delayed_sip", "boats", "overnight", "otc")
ADJUSTMENTS = ("raw", "split", "dividend", "spin-off", "all")
BARS_PARAMETERS = frozenset(
    ("symbols", "timeframe", "start", "end", "limit", "adjustment", "asof", "feed", "currency", "page_token", "sort")
)
LATEST_PARAMETERS = frozenset(("symbols", "feed", "currency"))
SYMBOL = re.compile(r"[A-Z]{1,6}(?:[./][A-Z]{1,4})?")
TIMEFRAME = re.compile(r"(\d{1,2})(Min|T|Hour|H|Day|D)")
SECONDS_OF = {"Min": 60, "T": 60, "Hour": 3600, "H": 3600, "Day": 86400, "D": 86400}
MOST_OF = {"Min": 59, "T": 59, "Hour": 23, "H": 23, "Day": 1, "D": 1}


@dataclass(frozen=True, kw_only=True)
class Query:
    """A valid `/v2/stocks/bars` request: `ids` are the known symbols asked for; times in epoch seconds, inclusive."""

    ids: Ints
    step_seconds: int
    start: int
    end: int
    limit: int
    descending: bool
    after: tuple[str, int] | None


def midnight(day: date) -> datetime:
    return datetime.combine(day, time(), NEW_YORK)


def parse(given: Mapping[str, str], market: Market, now: datetime, *, sip: bool) -> Query:
    """A bars request as numbers. The entitlement rule is the vendor's, as measured: without the subscription a SIP
    request whose `end` is newer than 15 minutes is refused whole; without `end` it ends 15 minutes ago."""
    no_others(given, BARS_PARAMETERS)
    ids = known(given, market)
    free = sip or feed_of(given, default="sip") in ("iex", "boats", "overnight")
    newest = now if free else now - SIP_DELAY
    end = _time(given, "end") or newest
    start = _time(given, "start") or min(newest, midnight(now.astimezone(NEW_YORK).date()))
    step = _step(given)
    if given.get("adjustment", "raw") not in ADJUSTMENTS:
        raise refusal(400, f"invalid adjustment: {given['adjustment']}")
    if given.get("sort", "asc") not in ("asc", "desc"):
        raise refusal(400, f"invalid sort: {given['sort']}")
    if not free and (end > newest or ("end" not in given and start > newest)):
        raise refusal(403, "subscription does not permit querying recent SIP data")
    if end < start:
        raise refusal(400, "end should not be before start")
    return Query(
        ids=ids if given.get("feed") != "otc" else ids[:0],
        step_seconds=step,
        start=int(np.ceil(start.timestamp())),
        end=seconds(end),
        limit=_limit(given),
        descending=given.get("sort") == "desc",
        after=_after(given.get("page_token", "")),
    )


def known(given: Mapping[str, str], market: Market) -> Ints:
    """Ascending indexes of the asked symbols that the market has; a well-formed unknown one is simply without bars."""
    if not given.get("symbols"):
        raise refusal(400, "Invalid format for parameter symbols: query parameter 'symbols' is required")
    asked = set(given["symbols"].split(","))
    ids = [market.position[s] for s in asked if s in market.position]
    for symbol in asked:
        if symbol not in market.position and not SYMBOL.fullmatch(symbol):
            raise refusal(400, f"invalid symbol: {symbol}")
    return np.sort(np.array(ids, dtype=np.int64))


def no_others(given: Mapping[str, str], allowed: frozenset[str]) -> None:
    others = sorted(set(given) - allowed)
    if others:
        raise refusal(400, f"unexpected parameter(s): {', '.join(others)}")


def feed_of(given: Mapping[str, str], *, default: str) -> str:
    feed = given.get("feed", default)
    if feed not in FEEDS:
        raise refusal(400, f"invalid feed: {feed}")
    return feed


def _step(given: Mapping[str, str]) -> int:
    text = given.get("timeframe", "")
    found = TIMEFRAME.fullmatch(text)
    if not found or not 1 <= int(found[1]) <= MOST_OF[found[2]]:
        raise refusal(400, f"invalid timeframe: {text}" if text else "timeframe is required")
    return int(found[1]) * SECONDS_OF[found[2]]


def _limit(given: Mapping[str, str]) -> int:
    text = given.get("limit", str(DEFAULT_LIMIT))
    if not text.isdecimal() or not 1 <= int(text) <= MAX_LIMIT:
        raise refusal(400, f"limit must be between 1 and {MAX_LIMIT}")
    return int(text)


def _time(given: Mapping[str, str], name: str) -> datetime | None:
    """RFC 3339, or a date: its first moment in New York for `start`, its last for `end`. Naive times are refused."""
    text = given.get(name, "")
    if not text:
        return None
    try:
        if len(text) == 10:
            day = date.fromisoformat(text)
            return midnight(day) if name == "start" else midnight(day + timedelta(days=1)) - timedelta(seconds=1)
        ts = datetime.fromisoformat(text)
    except ValueError:
        ts = None
    if ts is None or ts.tzinfo is None:
        raise refusal(400, f"Invalid format for parameter {name}: error parsing '{text}' as RFC3339 or 2006-01-02 time")
    return ts.astimezone(UTC)


def token_after(symbol: str, ts: int) -> str:
    return base64.b64encode(f"{symbol}|M|{stamp(ts)[:-1]}.000000000Z".encode()).decode()


def _after(token: str) -> tuple[str, int] | None:
    if not token:
        return None
    try:
        symbol, _, text = base64.b64decode(token, validate=True).decode().split("|")
        return symbol, seconds(datetime.fromisoformat(text))
    except (binascii.Error, ValueError):
        raise refusal(400, "invalid page_token") from None

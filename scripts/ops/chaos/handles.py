"""The handles of exchange and feeds as a scenario writes them: every fault, key and setting that Python can reach."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from ops.chaos import moments, placeholders
from ops.chaos.actions import (
    Action,
    ExchangeClear,
    ExchangeFault,
    ExchangeKeys,
    ExchangeSetting,
    FeedClear,
    FeedFault,
    FeedPublish,
)
from ops.chaos.market import Day, parse_symbols
from ops.document import Mistake, remedy
from ops.local import feed_faults
from ops.local.exchange import faults
from ops.local.news_file import DEFAULT_FEED
from ops.replay_news import spread
from pipeline.catalog import Catalog

ALL = "all"
KEY_FIELDS = {
    "issue": {"key_id", "secret_key", "account", "data", "trading", "sip"},
    "replace": {"key_id", "secret_key", "overlap_seconds"},
    "revoke": {"key_id"},
}
KEY_REQUIRED = {"issue": ("key_id", "secret_key"), "replace": ("key_id", "secret_key"), "revoke": ()}


def exchange(raw: Mapping[str, Any], day: Day, catalog: Catalog) -> Action:
    """One handle of the exchange. Raises Mistake."""
    placeholders.check(raw, catalog)
    ((name, value),) = raw.items()
    if name == "fault":
        return _exchange_fault(value, day)
    if name == "clear":
        return ExchangeClear(ids=() if value in (ALL, [ALL]) else tuple([value] if isinstance(value, str) else value))
    if name == "keys":
        return _keys(value)
    if name == "delays":
        for symbol in value:
            _require_symbol(symbol, day, "delays", symbol)
    return ExchangeSetting(name=name, value=value)


def _exchange_fault(raw: Mapping[str, Any], day: Day) -> ExchangeFault:
    values = {name: value for name, value in raw.items() if name != "id"}
    if "symbols" in values:
        values["symbols"] = sorted(parse_symbols(values["symbols"]))
        for symbol in values["symbols"]:
            _require_symbol(symbol, day, "fault", "symbols")
    for name in ("start", "end"):
        if name in values:
            values[name] = _instant(values[name], day.date, "fault", name)
    if values.get("start") and values.get("end") and values["start"] >= values["end"]:
        raise Mistake("a fault that ends before it starts", "fault", "end")
    try:
        fault_of(placeholders.sampled(values))
    except (faults.UnknownFault, ValueError, TypeError) as error:
        raise Mistake(str(error), "fault") from error
    return ExchangeFault(values=values, id=raw.get("id"))


def fault_of(values: Mapping[str, Any]) -> faults.Fault:
    """The exchange's own fault. Raises UnknownFault."""
    return faults.from_json(values)


def _instant(text: str, day: date, *place: str | int) -> str:
    try:
        return moments.on(day, text).isoformat()
    except ValueError as error:
        raise Mistake(str(error), *place) from error


def _require_symbol(symbol: str, day: Day, *place: str) -> None:
    if symbol not in day.market.position:
        raise Mistake(f"{symbol} is not in the market; {remedy(symbol, day.market.symbols)}", *place)


def _keys(raw: Mapping[str, Any]) -> ExchangeKeys:
    action, values = raw["action"], {name: value for name, value in raw.items() if name != "action"}
    if strange := sorted(set(values) - KEY_FIELDS[action]):
        text = f"{action} takes no {strange[0]!r}; {remedy(strange[0], KEY_FIELDS[action])}"
        raise Mistake(text, "keys", strange[0])
    if missing := [name for name in KEY_REQUIRED[action] if name not in values]:
        raise Mistake(f"{action} needs {' and '.join(missing)}", "keys")
    return ExchangeKeys(action=action, values=values)


def feeds(raw: Mapping[str, Any], day: Day, catalog: Catalog, published: frozenset[str]) -> Action:
    """One handle of the feed server; `published` are feeds that steps of the scenario bring up. Raises Mistake."""
    placeholders.check(raw, catalog)
    ((name, value),) = raw.items()
    if name == "fault":
        return _feed_fault(value, day, published)
    if name == "clear":
        if value == ALL:
            return FeedClear()
        _require_feed(value, day, published, "clear")
        return FeedClear(feed=value)
    return FeedPublish(items=tuple(_item(item, day, index) for index, item in enumerate(value)))


def _feed_fault(raw: Mapping[str, Any], day: Day, published: frozenset[str]) -> FeedFault:
    options = {name: value for name, value in raw.items() if name not in ("kind", "feed", "times")}
    feed = raw.get("feed", "*")
    if feed != "*":
        _require_feed(feed, day, published, "fault", "feed")
    if raw["kind"] not in feed_faults.KINDS:
        text = f"the feeds have no fault {raw['kind']!r}; {remedy(raw['kind'], feed_faults.KINDS)}"
        raise Mistake(text, "fault", "kind")
    try:
        feed_faults.Fault(kind=raw["kind"], options=options, times=raw.get("times"))
    except ValueError as error:
        raise Mistake(str(error), "fault", *list(options)[:1]) from error
    return FeedFault(kind=raw["kind"], feed=feed, times=raw.get("times"), options=options)


def feed_names(day: Day) -> frozenset[str]:
    """The feeds that the day's news make."""
    carried = spread(day.news)
    return frozenset({DEFAULT_FEED} | {name for item in carried for name in item.feeds})


def _require_feed(feed: str, day: Day, published: frozenset[str], *place: str) -> None:
    known = feed_names(day) | published
    if feed not in known:
        raise Mistake(f"there is no feed {feed!r}; {remedy(feed, known)}", *place)


def _item(raw: Mapping[str, Any], day: Day, index: int) -> Mapping[str, Any]:
    given = raw.get("published_at")
    at = _instant(given, day.date, "publish", index, "published_at") if given else None
    return {**raw, "published_at": at}

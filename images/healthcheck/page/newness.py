"""How new each kind of row is, by event time and against session time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from healthcheck.checks import freshness
from healthcheck.page.recent import LastSignals
from healthcheck.page.states import State
from healthcheck.snapshot import Dispatching, Market, Missing, NewsState, Snapshot, Symbols, Watch


@dataclass(frozen=True, kw_only=True)
class Age:
    """`newest`: event time of the newest row of a table. `told`: how far behind that is, or what waits."""

    table: str
    newest: datetime | None
    told: str
    state: State


def ages(snapshot: Snapshot, states: Mapping[str, State]) -> tuple[Age, ...]:
    """One for each table of which anything is known to be due; `states` are the tables'."""
    found = {
        "bars": _bars(snapshot),
        "features": _features(snapshot),
        "news": _news(snapshot),
        "sentiment": _sentiment(snapshot),
        "watchlist": _watchlist(snapshot),
        "signals": _signals(snapshot),
        "dispatches": _dispatches(snapshot),
        "gaps": _gaps(snapshot),
    }
    return tuple(
        Age(table=table, newest=newest, told=told, state=states[table])
        for table, (newest, told) in found.items()
        if table in states
    )


UNREAD = (None, "unknown: not read")


def _bars(snapshot: Snapshot) -> tuple[datetime | None, str]:
    symbols, market = snapshot.parts.get(Symbols), snapshot.parts.get(Market)
    if not isinstance(symbols, Symbols):
        return UNREAD
    newest = freshness.bars_newest(snapshot)
    if newest is None:
        return None, "none is stored"
    if not isinstance(market, Market):
        return newest, "how late that is, is unknown: the calendar cannot be read"
    behind = freshness.stale_minutes(newest, snapshot.now) or 0
    return newest, f"{behind} session minutes behind" if behind else "nothing is due"


def _features(snapshot: Snapshot) -> tuple[datetime | None, str]:
    symbols, market = snapshot.parts.get(Symbols), snapshot.parts.get(Market)
    if not isinstance(symbols, Symbols):
        return UNREAD
    newest = max((each.newest_features for each in symbols.states if each.newest_features), default=None)
    if not isinstance(market, Market):
        return newest, "how late that is, is unknown: the calendar cannot be read"
    lag = max(freshness.features_lag(snapshot).values(), default=0)
    waiting = f"; {symbols.changes_waiting} changes of bars wait" if symbols.changes_waiting else ""
    return newest, (f"{lag:g} session minutes behind the bars" if lag else "as new as the bars") + waiting


def _news(snapshot: Snapshot) -> tuple[datetime | None, str]:
    news = snapshot.parts.get(NewsState)
    if not isinstance(news, NewsState):
        return UNREAD
    failing = sum(1 for feed in news.feeds if feed.consecutive_failures)
    feeds = f"{len(news.feeds)} feeds" + (f", {failing} failing" if failing else "")
    fetched = f"; last fetched {news.newest_fetched:%H:%M} UTC" if news.newest_fetched else ""
    return news.newest_published, feeds + fetched


def _sentiment(snapshot: Snapshot) -> tuple[datetime | None, str]:
    news = snapshot.parts.get(NewsState)
    if not isinstance(news, NewsState):
        return UNREAD
    if not news.unclassified:
        return None, "all news is classified"
    since = f" since {news.oldest_unclassified:%H:%M} UTC" if news.oldest_unclassified else ""
    return None, f"{news.unclassified} news wait{since}"


def _watchlist(snapshot: Snapshot) -> tuple[datetime | None, str]:
    watch = snapshot.parts.get(Watch)
    return (watch.computed_at, f"{watch.rows} symbols ranked") if isinstance(watch, Watch) else UNREAD


def _signals(snapshot: Snapshot) -> tuple[datetime | None, str]:
    last, waiting = snapshot.parts.get(LastSignals), snapshot.parts.get(Dispatching)
    newest = last.signals[0].created_at if isinstance(last, LastSignals) and last.signals else None
    if not isinstance(waiting, Dispatching):
        return newest, UNREAD[1]
    return newest, f"{waiting.untaken_signals} not taken" if waiting.untaken_signals else "all are taken"


def _dispatches(snapshot: Snapshot) -> tuple[datetime | None, str]:
    last, waiting = snapshot.parts.get(LastSignals), snapshot.parts.get(Dispatching)
    times = [each.dispatched_at for each in last.signals] if isinstance(last, LastSignals) else []
    newest = max((at for at in times if at), default=None)
    if not isinstance(waiting, Dispatching):
        return newest, UNREAD[1]
    told = [f"{waiting.pending} pending" if waiting.pending else "none pending"]
    told += [f"{waiting.lease_over} stuck since {waiting.oldest_lease:%H:%M} UTC"] if waiting.oldest_lease else []
    return newest, ", ".join(told)


def _gaps(snapshot: Snapshot) -> tuple[datetime | None, str]:
    missing = snapshot.parts.get(Missing)
    if not isinstance(missing, Missing):
        return UNREAD
    lost = sum(gap.minutes for gap in missing.gaps)
    newest = max((gap.last_minute for gap in missing.gaps), default=None)
    return newest, f"{lost} minutes lost and not backfilled" if lost else "none is recorded"

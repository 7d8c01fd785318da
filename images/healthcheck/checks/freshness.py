"""Whether bars, features, news and the watchlist are as new as the calendar lets one expect, by event time."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import datetime, timedelta

from healthcheck.checks.check import DIAGNOSE, Check
from healthcheck.checks.resting import rests
from healthcheck.finding import Finding, Severity
from healthcheck.snapshot import Market, NewsState, Runs, Snapshot, Symbols, SymbolState, Watch
from pipeline import sessions

# "No data in the last five minutes" (SPEC §5), over all symbols.
BARS_MINUTES_MAX = 5
# One symbol may be quiet for longer; a quarter of an hour is the least that is worth a look.
SYMBOL_MINUTES_MIN = 15
# A silence that a symbol's own habit makes once in ten thousand minutes; doubled, as trade is thinner at noon.
SILENCE_CHANCE = 1e-4
LULL_FACTOR = 2
# With fewer bars than this there is no habit to speak of.
HABIT_BARS_MIN = 30
SYMBOL_MINUTES_WITHOUT_HABIT = 60
FEATURES_MINUTES_MAX = 5
FEED_FAILURES_MAX = 3
# Our feeds bring several items an hour; half a working day without any is long, where nobody knows that they answer.
NEWS_AGE_MAX = timedelta(hours=6)
# Feeds that answer may have nothing new on a quiet day, and over the longest weekend; after that they are frozen.
NEWS_AGE_MAX_ANSWERED = timedelta(days=4)
SHOWN = 20


def stale_minutes(ts: datetime | None, now: datetime) -> int | None:
    """Session minutes that have ended since the minute `ts` did; None where there is no such minute."""
    return None if ts is None else sessions.minutes_elapsed(ts + sessions.MINUTE, now)


def bars_newest(snapshot: Snapshot) -> datetime | None:
    """The newest bar of any symbol."""
    return max((s.newest_bar for s in snapshot.part(Symbols).states if s.newest_bar), default=None)


def bars_stale(snapshot: Snapshot) -> Iterator[Finding]:
    """No bar of any symbol for five session minutes; with no bar at all it is unknown how late we are."""
    market, newest = snapshot.part(Market), bars_newest(snapshot)
    behind = stale_minutes(newest, snapshot.now)
    if rests("bars", snapshot):
        return
    if behind is None:
        yield from _no_bars(snapshot, market)
        return
    if behind < BARS_MINUTES_MAX:
        return
    written = _written_since(snapshot, newest)
    yield Finding(
        code="feed_delayed" if written else "bars_gap",
        subject="bars",
        severity=Severity.CRITICAL,
        summary=f"newest bar of any symbol is {newest:%Y-%m-%d %H:%M} UTC, {behind} session minutes ago"
        + (f"; the last completed run, at {written:%H:%M}, found nothing newer" if written else ""),
        evidence={
            "newest_bar": newest,
            "session_minutes": behind,
            "limit": BARS_MINUTES_MAX,
            "writer_completed": written,
        },
        repair=DIAGNOSE,
        opens=market.open,
    )


def _no_bars(snapshot: Snapshot, market: Market) -> Iterator[Finding]:
    """An empty table is not lag 0. A new environment has none before its first run's rows, and is not ill."""
    patience = BARS_MINUTES_MAX * sessions.MINUTE
    held_some = any(state.newest_features for state in snapshot.part(Symbols).states)
    due = held_some or (market.session is not None and snapshot.now - market.session.open >= patience)
    if due or _completed(snapshot, "bars", until=snapshot.now - patience):
        yield Finding(
            code="bars_gap",
            subject="bars",
            severity=Severity.CRITICAL if due else Severity.UNKNOWN,
            summary="no bar at all is stored; how late they are is unknown",
            evidence={"newest_bar": None, "tickers": len(snapshot.scope.tickers)},
            repair=DIAGNOSE,
        )


def _written_since(snapshot: Snapshot, newest: datetime | None) -> datetime | None:
    """When the writer of bars last completed a run, if that was late enough to have found newer ones."""
    runs = snapshot.parts.get(Runs)
    if not isinstance(runs, Runs) or newest is None:
        return None
    done = [runs.completed[s.name] for s in snapshot.scope.catalog.writers("bars") if s.name in runs.completed]
    late = [at for at in done if (stale_minutes(newest, at) or 0) >= BARS_MINUTES_MAX]
    return max(late, default=None)


def symbols_stale(snapshot: Snapshot) -> Iterator[Finding]:
    """A followed symbol is silent for longer than its own habit explains, while others are not."""
    newest = bars_newest(snapshot)
    if (stale_minutes(newest, snapshot.now) or 0) >= BARS_MINUTES_MAX:
        return  # all are late: that is one finding, not one a symbol
    if rests("bars", snapshot):
        return
    market = snapshot.part(Market)
    for state in _followed(snapshot):
        behind, limit = stale_minutes(state.newest_bar, snapshot.now), silence_tolerated(state)
        if behind is not None and behind > limit:
            yield Finding(
                code="bars_gap",
                subject=state.symbol,
                severity=Severity.WARNING,
                summary=f"{state.symbol}: no bar for {behind} session minutes, {limit} are usual at most",
                evidence={"newest_bar": state.newest_bar, "session_minutes": behind, "limit": limit},
                repair=f"{DIAGNOSE}; if {state.symbol} is halted or delisted, take it out of the parameter tickers",
                opens=market.open,
            )


def silence_tolerated(state: SymbolState) -> int:
    """Session minutes without a bar that the symbol's trade of the last sessions makes likely.

    With a share p of minutes traded, m silent minutes have the chance (1 − p)^m; the m of chance 1e-4, doubled."""
    if state.recent_bars < HABIT_BARS_MIN or state.recent_since is None or state.newest_bar is None:
        return SYMBOL_MINUTES_WITHOUT_HABIT
    minutes = sessions.minutes_elapsed(state.recent_since, state.newest_bar + sessions.MINUTE)
    share = state.recent_bars / max(minutes, state.recent_bars)
    if share >= 1:
        return SYMBOL_MINUTES_MIN
    return max(SYMBOL_MINUTES_MIN, math.ceil(LULL_FACTOR * math.log(SILENCE_CHANCE) / math.log(1 - share)))


def features_stale(snapshot: Snapshot) -> Iterator[Finding]:
    """Session bars of followed symbols have had no features for five session minutes."""
    market, symbols = snapshot.part(Market), snapshot.part(Symbols)
    late = features_lag(snapshot)
    late = {symbol: minutes for symbol, minutes in late.items() if minutes >= FEATURES_MINUTES_MAX}
    if not late or rests("features", snapshot):
        return
    with_bars = [state for state in _followed(snapshot) if state.newest_bar]
    worst = max(late, key=lambda symbol: late[symbol])
    yield Finding(
        code="features_stale",
        subject="features",
        severity=Severity.CRITICAL if 2 * len(late) >= len(with_bars) else Severity.WARNING,
        summary=f"features of {len(late)} of {len(with_bars)} symbols lag their bars, "
        f"the worst, {worst}, by {late[worst]} session minutes",
        evidence={
            "session_minutes": dict(sorted(late.items(), key=lambda item: (-item[1], item[0]))[:SHOWN]),
            "limit": FEATURES_MINUTES_MAX,
            "newest_features": {
                s.symbol: s.newest_features for s in with_bars if s.symbol in late and len(late) <= SHOWN
            },
            "changes_waiting": symbols.changes_waiting,
        },
        repair=DIAGNOSE,
        opens=market.open,
    )


def features_lag(snapshot: Snapshot) -> dict[str, int]:
    """Followed symbol → session minutes that its bars have waited for features; 0 where all have some.

    Bars that were caught up wait from when they were stored, not from their own minute."""
    return {
        state.symbol: sessions.minutes_elapsed(state.unserved_since, snapshot.now) if state.unserved_since else 0
        for state in _followed(snapshot)
        if state.newest_bar
    }


def _followed(snapshot: Snapshot) -> list[SymbolState]:
    followed = set(snapshot.scope.tickers)
    return [state for state in snapshot.part(Symbols).states if state.symbol in followed]


def feeds_broken(snapshot: Snapshot) -> Iterator[Finding]:
    """A feed that failed three times in a row; critical when no feed is left."""
    feeds = () if rests("news", snapshot) else snapshot.part(NewsState).feeds
    broken = [feed for feed in feeds if feed.consecutive_failures >= FEED_FAILURES_MAX]
    for feed in broken:
        yield Finding(
            code="feed_broken",
            subject=feed.feed_url,
            severity=Severity.CRITICAL if len(broken) == len(feeds) else Severity.WARNING,
            summary=f"{feed.consecutive_failures} failures in a row: {feed.last_error or 'no reason recorded'}",
            evidence={"last_ok_at": feed.last_ok_at, "last_error": feed.last_error, "of_feeds": len(feeds)},
            repair=f"curl -sSI {feed.feed_url}; replace a dead feed in the parameter rss_feeds",
        )


def news_stale(snapshot: Snapshot) -> Iterator[Finding]:
    """Nothing published for six hours in a session, or for days while every feed answers; a quiet day is no fault.

    With no news at all, and no feed that answers, it is unknown how late we are."""
    market, news = snapshot.part(Market), snapshot.part(NewsState)
    if rests("news", snapshot):
        return
    answer = _feeds_answer(snapshot, news)
    if news.newest_published is None:
        if not answer:
            yield Finding(
                code="feed_broken",
                subject="news",
                severity=Severity.UNKNOWN,
                summary="no news at all is stored; whether the feeds bring any is unknown",
                evidence={"feeds": len(news.feeds)},
                repair=DIAGNOSE,
            )
        return
    age = snapshot.now - news.newest_published
    if age > (NEWS_AGE_MAX_ANSWERED if answer else NEWS_AGE_MAX):
        yield Finding(
            code="feed_broken",
            subject="news",
            severity=Severity.WARNING,
            summary=f"the newest news was published {age / timedelta(hours=1):.1f} hours ago",
            evidence={
                "newest_published": news.newest_published,
                "newest_fetched": news.newest_fetched,
                "feeds_answer": answer,
            },
            repair=DIAGNOSE,
            opens=market.open,
        )


def _feeds_answer(snapshot: Snapshot, news: NewsState) -> bool:
    """Whether every feed was read without a failure, and lately."""
    writer, *_ = snapshot.scope.catalog.writers("news")
    lately = snapshot.now - FEED_FAILURES_MAX * writer.period
    return bool(news.feeds) and all(
        feed.consecutive_failures == 0 and feed.last_ok_at is not None and feed.last_ok_at >= lately
        for feed in news.feeds
    )


def watchlist_stale(snapshot: Snapshot) -> Iterator[Finding]:
    """In a session that is two of its periods old, the watchlist is older than that."""
    market, watch = snapshot.part(Market), snapshot.part(Watch)
    writer, *_ = snapshot.scope.catalog.writers("watchlist")
    allowed = 2 * writer.period
    if market.session is None or snapshot.now - market.session.open < allowed or rests("watchlist", snapshot):
        return
    if watch.computed_at is not None and snapshot.now - watch.computed_at <= allowed:
        return
    if watch.computed_at is None and _completed(snapshot, "watchlist", since=snapshot.now - allowed):
        return  # nothing is worth watching, as its writer found just now
    yield Finding(
        code="backlog",
        subject="watchlist",
        severity=Severity.UNKNOWN if watch.computed_at is None else Severity.WARNING,
        summary="the watchlist is empty; how old it is is unknown"
        if watch.computed_at is None
        else f"the watchlist was computed at {watch.computed_at:%Y-%m-%d %H:%M} UTC, every {writer.rate} is due",
        evidence={"computed_at": watch.computed_at, "allowed_seconds": allowed.total_seconds(), "rows": watch.rows},
        repair=f"python -m {writer.name}",
    )


def _completed(snapshot: Snapshot, table: str, *, since: datetime | None = None, until: datetime | None = None) -> bool:
    """Whether a writer of the table last completed a run within that time."""
    runs = snapshot.parts.get(Runs)
    done = runs.completed if isinstance(runs, Runs) else {}
    found = [done[writer.name] for writer in snapshot.scope.catalog.writers(table) if writer.name in done]
    return any((since is None or at >= since) and (until is None or at <= until) for at in found)


def calendar_ends(snapshot: Snapshot) -> Iterator[Finding]:
    """The sessions table, which decides what is expected, ends within two months."""
    left = sessions.covered()[1] - snapshot.now.date()
    if left < timedelta(days=60):
        yield Finding(
            code="config_invalid",
            subject="sessions",
            severity=Severity.CRITICAL if left < timedelta(days=7) else Severity.WARNING,
            summary=f"the sessions table ends on {sessions.covered()[1]}, in {left.days} days",
            evidence={"ends": sessions.covered()[1], "days_left": left.days},
            repair="scripts/make-sessions, then build and deploy the images",
        )


CHECKS = (
    Check(
        name="bars_fresh",
        question="Do bars come in?",
        codes=("bars_gap", "feed_delayed"),
        needs=(Market, Symbols),
        find=bars_stale,
    ),
    Check(
        name="symbols_fresh",
        question="Do bars of every symbol come in?",
        codes=("bars_gap",),
        needs=(Market, Symbols),
        find=symbols_stale,
    ),
    Check(
        name="features_fresh",
        question="Do features keep up with bars?",
        codes=("features_stale",),
        needs=(Market, Symbols),
        find=features_stale,
    ),
    Check(
        name="feeds_work",
        question="Can the news feeds be read?",
        codes=("feed_broken",),
        needs=(NewsState,),
        find=feeds_broken,
    ),
    Check(
        name="news_fresh",
        question="Does news come in?",
        codes=("feed_broken",),
        needs=(Market, NewsState),
        find=news_stale,
    ),
    Check(
        name="watchlist_fresh",
        question="Is the watchlist kept up?",
        codes=("backlog",),
        needs=(Market, Watch),
        find=watchlist_stale,
    ),
    Check(
        name="calendar_known",
        question="Does the sessions table reach far enough?",
        codes=("config_invalid",),
        needs=(),
        find=calendar_ends,
    ),
)

"""Wiring of the ingestor: what is owed, fetched, stored, and written into the gap ledger."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta

import numpy as np

from pipeline import ledger, sessions, task
from pipeline.errors import ConfigInvalid, PipelineError
from pipeline.ledger import Outcome, Result
from pipeline.sessions import Session
from telemetry_ingestor import alpaca, bar_store, fetch, fetch_plan, gap_store, gaps
from telemetry_ingestor.bar_store import Stored, minute_of, moment
from telemetry_ingestor.bars import Bars, Ints
from telemetry_ingestor.fetch import Fetched

FEEDS = ("iex", "sip", "delayed_sip", "otc", "boats", "overnight")
# Bars that come later than the overlap reaches are found by asking for missing minutes again.
AGAIN_EVERY = timedelta(minutes=15)
# A run this much later than the schedule's period took its minutes late.
PUNCTUAL_WITHIN = timedelta(minutes=1)
# Late corrections of the last minutes: after the close the service goes on until a run this late got everything.
SETTLED_AFTER = timedelta(minutes=fetch_plan.OVERLAP_MINUTES)


@dataclass(frozen=True, kw_only=True)
class Owed:
    """What this run is for: the symbols, each one's newest stored minute and first minute to fetch, up to `last`."""

    symbols: tuple[str, ...]
    newest: Ints
    first: Ints
    last: int
    reach: int


def run(context: task.Context) -> Result:
    """Fetches and stores what is owed; outside sessions only until the last session is settled."""
    feed = _feed(context.values.text("alpaca_data_feed"))
    # by length first, so that bars in symbol order can be copied in few runs of one layout
    symbols = tuple(sorted(context.values.symbols("tickers"), key=lambda symbol: (len(symbol), symbol)))
    if not _due(context):
        return Result(outcome=Outcome.SKIPPED, metrics={"SessionMinutesSinceLastBar": 0})
    owed = _owed(context, symbols)
    with _client(context, feed) as client:
        asks = fetch_plan.plan(owed.symbols, owed.first, last=owed.last, bars_from=_bars_from(context.now))
        fetched = fetch.fetch(client, asks, {symbol: i for i, symbol in enumerate(owed.symbols)})
        stored, fresh = _store(context, owed, fetched, feed)
        return _result(context, owed, fetched, stored, fresh, client.tally)


def _feed(text: str) -> str:
    if text not in FEEDS:
        raise ConfigInvalid(
            f"parameter alpaca_data_feed (ALPACA_DATA_FEED): {text!r} is no feed; there are {', '.join(FEEDS)}"
        )
    return text


def _due(context: task.Context) -> bool:
    """In a session always; after it until a run at least SETTLED_AFTER its close was answered for every symbol."""
    if sessions.at(context.now):
        return True
    settled = bar_store.last_settled(context.connection, context.service.name, context.now)
    close = _latest_session(context.now).close
    return settled is None or settled < close + SETTLED_AFTER


def _latest_session(now: datetime) -> Session:
    return sessions.latest(now)[-1]


def _owed(context: task.Context, symbols: tuple[str, ...]) -> Owed:
    now = context.now
    newest = bar_store.newest_minutes(context.connection, symbols, now)
    reach = minute_of(sessions.latest(now, fetch_plan.MAX_CATCH_UP_SESSIONS)[0].open)
    last = minute_of(now) - 1
    first = fetch_plan.starts(newest, reach=reach, last=last)
    if _asks_again(now):
        since = sessions.latest(now - AGAIN_EVERY)[-1].open
        unfilled = gap_store.unfilled(context.connection, symbols, since=since, before=moment(last) - SETTLED_AFTER)
        turn = minute_of(now) // (AGAIN_EVERY // sessions.MINUTE)
        first = fetch_plan.ask_again(first, unfilled, turn=turn, bars_from=_bars_from(now))
    return Owed(symbols=symbols, newest=newest, first=first, last=last, reach=reach)


def _asks_again(now: datetime) -> bool:
    """Whether minutes without a bar are asked for once more: every 15 minutes, and when a session settles."""
    settling = sessions.at(now) is None and now >= sessions.latest(now)[-1].close + SETTLED_AFTER
    return settling or minute_of(now) % (AGAIN_EVERY // sessions.MINUTE) == 0


def _bars_from(now: datetime) -> Callable[[int], int]:
    return lambda minute: sessions.minutes_elapsed(moment(minute), now) + 1


def _client(context: task.Context, feed: str) -> alpaca.Client:
    return alpaca.Client(
        context.environment.get("ALPACA_DATA_URL", alpaca.DATA_URL),
        key_id=context.values.secret("alpaca_key_id"),
        secret_key=context.values.secret("alpaca_secret_key"),
        feed=feed,
    )


def _store(context: task.Context, owed: Owed, fetched: Fetched, feed: str) -> tuple[Stored, int]:
    """All of a run in one transaction: bars, bars set aside, gaps. Returns what changed and the new rejections."""
    connection, now = context.connection, context.now
    with connection.transaction():
        stored = bar_store.store_bars(connection, owed.symbols, fetched.bars, owed.newest, feed=feed, now=now)
        fresh = bar_store.set_aside(connection, fetched.rejected, feed=feed, now=now)
        _note_gaps(context, owed, fetched)
    return stored, fresh


# ── the gap ledger ───────────────────────────────────────────────────────────────────────────────────────────────────


def _note_gaps(context: task.Context, owed: Owed, fetched: Fetched) -> None:
    connection = context.connection
    seen = _seen(context, owed, fetched)
    known = gap_store.load(connection, owed.symbols, seen.first, seen.last)
    grid = _grid(seen, known)
    stored = gap_store.stored(connection, owed.symbols, gaps.unexplained(known, seen, grid))
    gap_store.write(connection, owed.symbols, gaps.reconcile(known, gaps.with_present(seen, stored), grid))


def _seen(context: task.Context, owed: Owed, fetched: Fetched) -> gaps.Seen:
    now, period = context.now, context.service.period
    before = ledger.last_completed(context.connection, context.service.name, now)
    missed = before is not None and now - before > period + PUNCTUAL_WITHIN
    return gaps.Seen(
        first=_examined_from(owed, fetched.bars, now),
        asked=owed.first,
        answered_until=fetched.answered_until,
        last=owed.last,
        present=gaps.key(fetched.bars.symbol, fetched.bars.minute),
        refused=_refused(owed, fetched),
        newest=_newest_minute(owed, fetched),
        # a minute that ended after the last run began, and a period ago, would have been that run's successor's
        missed_from=minute_of(before) if before and missed else 0,
        missed_to=minute_of(now - period) if missed else 0,
        claim_to=minute_of(now - period - PUNCTUAL_WITHIN) if before else 0,
        now=bar_store.microseconds(now),
    )


def _examined_from(owed: Owed, came: Bars, now: datetime) -> Ints:
    """The first minute of each symbol for which a missing bar is noted.

    For a symbol new to the table that is the open of the session of its first bar: before, it may not have existed. For
    one whose newest bar is out of the catch-up's reach it is the minute after that bar."""
    new = owed.newest == fetch_plan.NO_BAR
    calendar = minute_of(datetime.combine(sessions.covered()[0], time(), UTC))
    known = np.where(owed.newest < owed.reach, np.clip(owed.newest + 1, calendar, owed.first), owed.first)
    within = sessions.latest(now, fetch_plan.MAX_CATCH_UP_SESSIONS)
    opens = np.array([minute_of(session.open) for session in within], dtype=np.int64)
    closes = np.array([minute_of(session.close) for session in within], dtype=np.int64)
    first_bars = np.full(len(owed.symbols), opens[-1], dtype=np.int64)
    np.minimum.at(first_bars, came.symbol, came.minute)
    # an early bar belongs to the session that follows it
    session = np.minimum(np.searchsorted(closes, first_bars, side="right"), len(opens) - 1)
    return np.where(new, np.maximum(opens[session], owed.first), known)


def _grid(seen: gaps.Seen, known: gaps.Gaps) -> Ints:
    first = min(int(seen.first.min()), int(known.first.min(initial=seen.last)))
    last = max(seen.last, int(known.last.max(initial=0)))
    starts = [minute_of(s.open) for s in sessions.between(moment(first), moment(last + 1))]
    ends = [minute_of(s.close) for s in sessions.between(moment(first), moment(last + 1))]
    spans = [np.arange(max(a, first), min(b, last + 1), dtype=np.int64) for a, b in zip(starts, ends, strict=True)]
    return np.concatenate(spans) if spans else np.empty(0, dtype=np.int64)


def _refused(owed: Owed, fetched: Fetched) -> Ints:
    within = [row for row in fetched.rejected if minute_of(row.ts) >= owed.reach]
    return gaps.keys_of(owed.symbols, within, minute_of)


def _newest_minute(owed: Owed, fetched: Fetched) -> int:
    """The newest minute for which any symbol has a bar, NO_BAR where there never was one."""
    return int(max(owed.newest.max(), fetched.bars.minute.max(initial=fetch_plan.NO_BAR)))


# ── what is told of it ───────────────────────────────────────────────────────────────────────────────────────────────


def _result(
    context: task.Context, owed: Owed, fetched: Fetched, stored: Stored, fresh: int, tally: alpaca.Tally
) -> Result:
    outcome, error = _outcome(fetched, fresh)
    for problem in fetched.errors:
        context.log.warning("a request failed", error=_text(problem), error_code=problem.code)
    return Result(
        outcome=outcome,
        rows_in=fetched.received,
        rows_out=len(fetched.bars),
        counts={
            "inserted": stored.inserted,
            "updated": stored.updated,
            "rejected": len(fetched.rejected),
            "rejected_new": fresh,
            "running_minute": fetched.running,
            "requests_failed": len(fetched.errors),
        },
        metrics={
            "SessionMinutesSinceLastBar": _minutes_since_last_bar(owed, fetched, context.now),
            "BarsStored": stored.inserted + stored.updated,
            "BarsRejected": len(fetched.rejected),
            "RequestsMade": tally.made,
            "RequestsRetried": tally.retried,
        },
        error=error,
        error_code=next((problem.code for problem in fetched.errors if problem.code), None),
    )


def _outcome(fetched: Fetched, fresh: int) -> tuple[Outcome, str | None]:
    """FAILED where nothing came for an error, DEGRADED where a part is missing or refused for the first time."""
    error = "; ".join(dict.fromkeys(_text(problem) for problem in fetched.errors)) or None
    if error:
        return (Outcome.DEGRADED if fetched.received else Outcome.FAILED), error
    if fetched.rejected and not len(fetched.bars):
        return Outcome.FAILED, f"all {len(fetched.rejected)} bars were set aside: {fetched.rejected[0].reason}"
    if fresh:
        return Outcome.DEGRADED, f"{fresh} bars set aside for the first time; see bars_rejected"
    return (Outcome.OK if fetched.received else Outcome.NO_INPUT), None


def _text(error: PipelineError) -> str:
    return f"{type(error).__name__}: {error}"


def _minutes_since_last_bar(owed: Owed, fetched: Fetched, now: datetime) -> float | None:
    """Whole session minutes after the newest bar of any symbol; 0 while closed, None where there never was a bar."""
    if sessions.at(now) is None:
        return 0
    newest = _newest_minute(owed, fetched)
    return None if newest == fetch_plan.NO_BAR else sessions.minutes_elapsed(moment(newest + 1), now)


if __name__ == "__main__":
    task.main(run, __package__)

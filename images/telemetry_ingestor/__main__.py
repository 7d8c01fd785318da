"""Wiring of the ingestor: what is owed, fetched, stored, and written into the gap ledger."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from pipeline import sessions, task
from pipeline.errors import ConfigInvalid, PipelineError
from pipeline.ledger import Outcome, Result
from pipeline.sessions import Session
from telemetry_ingestor import alpaca, bar_store, fetch, fetch_plan
from telemetry_ingestor.bar_store import Stored, minute_of, moment
from telemetry_ingestor.bars import Ints
from telemetry_ingestor.fetch import Fetched

FEEDS = ("iex", "sip", "delayed_sip", "otc", "boats", "overnight")
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
        raise ConfigInvalid(f"parameter alpaca_data_feed: {text!r} is no feed; there are {', '.join(FEEDS)}")
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
    newest = bar_store.newest_minutes(context.connection, symbols, context.now)
    reach = minute_of(sessions.latest(context.now, fetch_plan.MAX_CATCH_UP_SESSIONS)[0].open)
    last = minute_of(context.now) - 1
    first = fetch_plan.starts(newest, reach=reach, last=last)
    return Owed(symbols=symbols, newest=newest, first=first, last=last, reach=reach)


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
    return stored, fresh


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
        error_code=fetched.errors[0].code if fetched.errors else None,
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
    newest = int(max(owed.newest.max(), fetched.bars.minute.max(initial=fetch_plan.NO_BAR)))
    return None if newest == fetch_plan.NO_BAR else sessions.minutes_elapsed(moment(newest + 1), now)


if __name__ == "__main__":
    task.main(run, __package__)

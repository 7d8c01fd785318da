"""Bars of the past, session by session: what the gap ledger lacks, or all of a stretch of time.

Each session's share is one transaction that also settles its minutes in the ledger, so that an interrupted backfill
goes on where it stopped, and what the provider has not got is asked for once and then known as such.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from pipeline import sessions
from pipeline.errors import PipelineError
from pipeline.sessions import Session
from pipeline.store import Connection, sql
from telemetry_ingestor import alpaca, bar_store, fetch, fetch_plan, gap_store, gaps
from telemetry_ingestor.bar_store import minute_of
from telemetry_ingestor.bars import Ints
from telemetry_ingestor.fetch import Fetched

# Minutes younger than this are the ingestor's own: its overlap fetches them again anyway.
SETTLED_AFTER = timedelta(minutes=fetch_plan.OVERLAP_MINUTES)


@dataclass(frozen=True, kw_only=True)
class Share:
    """One session's part of a backfill: which symbols, and in which minutes (both included)."""

    session: Session
    symbols: tuple[str, ...]
    first: datetime
    last: datetime
    minutes: int
    """Minutes known to lack a bar; of a stretch that was asked for, all of them."""


@dataclass(frozen=True, kw_only=True)
class Filled:
    """What came of a share. `missing` are minutes that still lack a bar through a fault, `errors` why."""

    inserted: int
    updated: int
    missing: int
    errors: tuple[PipelineError, ...]


def owed(
    connection: Connection, *, first: datetime, last: datetime, symbols: Sequence[str] | None = None
) -> list[Share]:
    """What the ledger lacks in [first, last), oldest session first; of all symbols where none are named."""
    values = {"first": first, "last": last, "symbols": list(symbols) if symbols else None}
    rows = connection.execute(sql("telemetry_ingestor/owed"), values).fetchall()
    shares = []
    for session in sessions.between(first, last):
        lacking = list(_within(session, rows, first, last))
        if lacking:
            shares.append(
                Share(
                    session=session,
                    symbols=_ordered(symbol for symbol, _, _ in lacking),
                    first=min(start for _, start, _ in lacking),
                    last=max(end for _, _, end in lacking),
                    minutes=sum((end - start) // sessions.MINUTE + 1 for _, start, end in lacking),
                )
            )
    return shares


def stretch(symbols: Sequence[str], *, first: datetime, last: datetime) -> list[Share]:
    """Every session minute in [first, last) of these symbols, whatever the ledger says; oldest session first."""
    shares = []
    for session in sessions.between(first, last):
        start, end = max(session.open, first), min(session.close, last) - sessions.MINUTE
        if start <= end:
            minutes = ((end - start) // sessions.MINUTE + 1) * len(symbols)
            ordered = _ordered(symbols)
            shares.append(Share(session=session, symbols=ordered, first=start, last=end, minutes=minutes))
    return shares


def fill(connection: Connection, client: alpaca.Client, share: Share, *, feed: str, now: datetime) -> Filled:
    """Fetches, stores and settles one share. Errors of the provider's are in the result; what came is stored."""
    last = minute_of(share.last)
    starts = np.full(len(share.symbols), minute_of(share.first), dtype=np.int64)
    asks = fetch_plan.plan(share.symbols, starts, last=last, bars_from=lambda minute: last - minute + 1)
    fetched = fetch.fetch(client, asks, {symbol: i for i, symbol in enumerate(share.symbols)})
    with connection.transaction():
        newest = bar_store.newest_minutes(connection, share.symbols, now)
        stored = bar_store.store_bars(connection, share.symbols, fetched.bars, newest, feed=feed, now=now)
        bar_store.set_aside(connection, fetched.rejected, feed=feed, now=now)
        _settle(connection, share, fetched, starts, now)
    left = owed(connection, first=share.first, last=share.last + sessions.MINUTE, symbols=share.symbols)
    return Filled(
        inserted=stored.inserted,
        updated=stored.updated,
        missing=sum(each.minutes for each in left),
        errors=fetched.errors,
    )


def _settle(connection: Connection, share: Share, fetched: Fetched, starts: Ints, now: datetime) -> None:
    """The share's minutes in the ledger: filled, or answered without a bar."""
    grid = np.arange(minute_of(share.session.open), minute_of(share.session.close), dtype=np.int64)
    last = minute_of(share.last)
    seen = gaps.Seen(
        first=starts,
        asked=starts,
        answered_until=fetched.answered_until,
        last=last,
        present=gaps.key(fetched.bars.symbol, fetched.bars.minute),
        refused=gaps.keys_of(share.symbols, fetched.rejected, minute_of),
        newest=last,  # the session has gone on since: a minute that is not there now was not traded
        missed_from=0,
        missed_to=0,
        claim_to=last + 1,
        now=bar_store.microseconds(now),
    )
    known = gap_store.load(connection, share.symbols, starts, last)
    present = gap_store.stored(connection, share.symbols, gaps.unexplained(known, seen, grid))
    changes = gaps.reconcile(known, gaps.with_present(seen, present), grid)
    gap_store.write(connection, share.symbols, changes)


def _within(
    session: Session, rows: Sequence[tuple[str, datetime, datetime, str]], first: datetime, last: datetime
) -> Iterator[tuple[str, datetime, datetime]]:
    """The rows' minutes that lie in the session and in [first, last)."""
    for symbol, start, end, _ in rows:
        a, b = max(start, session.open, first), min(end, session.close - sessions.MINUTE, last - sessions.MINUTE)
        if a <= b:
            yield symbol, a, b


def _ordered(symbols: Iterable[str]) -> tuple[str, ...]:
    """Each once, by length first, so that bars in symbol order can be copied in few runs of one layout."""
    return tuple(sorted(set(symbols), key=lambda symbol: (len(symbol), symbol)))

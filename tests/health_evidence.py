"""A healthy snapshot, for tests to spoil one part of."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from healthcheck.snapshot import (
    Dispatching,
    Feed,
    Market,
    Missing,
    NewsState,
    PastRun,
    Runs,
    Schema,
    Scope,
    Snapshot,
    Symbols,
    SymbolState,
    Watch,
)
from market_rows import MINUTE, NOW
from pipeline import catalog, sessions

TICKERS = ("AAPL", "MSFT")
CATALOG = catalog.load()


def state(symbol: str = "AAPL", now: datetime = NOW, **changes: Any) -> SymbolState:
    """A symbol whose newest bar and features are those of the minute before."""
    values: dict[str, Any] = {
        "symbol": symbol,
        "newest_bar": now - MINUTE,
        "recent_bars": 1900,
        "recent_since": now - timedelta(days=7),
        "newest_features": now - MINUTE,
        "unserved_since": None,
    }
    return SymbolState(**values | changes)


def past_run(service: str, started_at: datetime, outcome: str | None = "OK", **changes: Any) -> PastRun:
    """A completed run."""
    values: dict[str, Any] = {
        "service": service,
        "execution_id": f"{service}-{started_at.isoformat()}",
        "started_at": started_at,
        "finished_at": started_at if outcome else None,
        "outcome": outcome,
        "error": None,
        "error_code": None,
        "parameter_versions": {},
    }
    return PastRun(**values | changes)


def ledger(now: datetime = NOW, **overridden: list[PastRun]) -> Runs:
    """Every service completed its run one period ago, save those whose runs (newest first) are given."""
    recent = {
        service.name: tuple(overridden.get(service.name, [past_run(service.name, now - service.period)]))
        for service in CATALOG
    }
    good = {
        name: [run.started_at for run in runs if run.outcome not in (None, "FAILED") and not run.stood_back]
        for name, runs in recent.items()
    }
    return Runs(
        recent=recent,
        completed={name: max(starts) for name, starts in good.items() if starts},
        remembered={name: runs[0].started_at for name, runs in recent.items() if runs},
        since=now - timedelta(days=30),
    )


def healthy(now: datetime = NOW, **parts: object) -> Snapshot:
    """A snapshot in which all is well; parts given by lower-case class name take the place of the healthy ones."""
    found: list[object] = [
        Market(session=sessions.at(now), recent=tuple(sessions.latest(now, 5))),
        Symbols(states=tuple(state(symbol, now) for symbol in TICKERS), changes_waiting=0),
        ledger(now),
        Missing(gaps=(), rejected=()),
        NewsState(
            feeds=(Feed(feed_url="https://a.example/rss", last_ok_at=now, last_error=None, consecutive_failures=0),),
            newest_published=now - 10 * MINUTE,
            newest_fetched=now - 5 * MINUTE,
            unclassified=0,
            oldest_unclassified=None,
        ),
        Watch(rows=2, computed_at=now - 5 * MINUTE),
        Dispatching(
            lease_over=0,
            oldest_lease=None,
            pending=0,
            oldest_pending=None,
            untaken_signals=0,
            oldest_untaken=None,
        ),
        Schema(pending=(), edited=None, missing=(), foreign=()),
    ]
    kinds = {type(part).__name__.lower(): type(part) for part in found}
    scope = Scope(now=now, catalog=CATALOG, tickers=TICKERS, service="healthcheck", execution_id="this")
    chosen = {type(part): part for part in found} | {kinds[name]: part for name, part in parts.items()}
    return Snapshot(scope=scope, parts=chosen)


def changed(snapshot: Snapshot, kind: type, **values: Any) -> Snapshot:
    """The snapshot with some values of one part changed."""
    part: Any = snapshot.part(kind)
    return replace(snapshot, parts={**snapshot.parts, kind: replace(part, **values)})

"""Wiring: features and sentiment of the universe in, one watchlist row a symbol out."""

from __future__ import annotations

from collections.abc import Sequence

from psycopg.rows import class_row

from pipeline import market, task
from pipeline.rows import WatchlistEntry
from pipeline.store import Connection, sql
from pipeline.task import Outcome, Result
from watchlist_engine import watchlist


def run(context: task.Context) -> Result:
    """Scores every symbol of the parameter tickers and brings the watchlist up to `now`."""
    now, connection = context.now, context.connection
    if not market.open_or_closing(now):
        return Result(outcome=Outcome.SKIPPED, counts={"market_closed": 1})
    symbols = context.values.symbols("tickers")
    before = _read(connection)
    if any(entry.computed_at >= now for entry in before.values()):
        # a second run at this instant, or a replay of the past: time only moves forward
        return Result(outcome=Outcome.SKIPPED, counts={"already_computed": 1})
    features = market.newest_features(connection, symbols, now)
    if not features:
        return Result(outcome=Outcome.NO_INPUT, counts={"features_missing": len(symbols)})
    usable = {symbol: row for symbol, row in features.items() if watchlist.fresh(row, now)}
    sentiments = market.recent_sentiment(connection, symbols, now, watchlist.NEWS_WINDOW)
    scored = {s: watchlist.components(usable.get(s), sentiments[s], now) for s in symbols}
    change = watchlist.update(scored, before, now)
    removed = _store(connection, change.entries)
    counts = {
        "members": sum(entry.in_watchlist for entry in change.entries),
        "entered": len(change.entered),
        "left": len(change.left),
        "displaced": len(change.displaced),
        "removed": removed,
        "features_missing": len(symbols) - len(features),
        "features_stale": len(features) - len(usable),
    }
    return Result(
        outcome=Outcome.OK,
        rows_in=len(symbols),
        rows_out=len(change.entries),
        counts=counts,
        metrics={"WatchlistMembers": counts["members"], "SymbolsWithoutFeatures": len(symbols) - len(usable)},
    )


def _read(connection: Connection) -> dict[str, WatchlistEntry]:
    with connection.cursor(row_factory=class_row(WatchlistEntry)) as cursor:
        return {entry.symbol: entry for entry in cursor.execute(sql("watchlist_engine/read"))}


def _store(connection: Connection, entries: Sequence[WatchlistEntry]) -> int:
    """Writes the entries and deletes what is no longer in the universe; how many rows that were."""
    universe = {"symbols": [entry.symbol for entry in entries], "now": entries[0].computed_at}
    with connection.transaction(), connection.cursor() as cursor:
        cursor.executemany(sql("watchlist_engine/upsert"), [vars(entry) for entry in entries])
        return cursor.execute(sql("watchlist_engine/remove"), universe).rowcount


if __name__ == "__main__":
    task.main(run, __package__)

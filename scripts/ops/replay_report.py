"""What a replay must show: counts, and the proof that nothing is lost, doubled, wrong or ahead of its time."""

from __future__ import annotations

import json
import resource
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ops import oracle, replay_news
from ops.replay_plan import MINUTE
from pipeline import catalog, sessions
from pipeline.store import Connection

if TYPE_CHECKING:
    from ops.replay_engine import Plan, Tally
    from ops.replay_plan import Window

QUERIES = Path(__file__).with_name("queries")


@dataclass(frozen=True, kw_only=True)
class Report:
    """The keys of `scripts/replay --report`; all counts are of the replayed windows (UTC) and symbols."""

    session: Mapping[str, str]
    sessions: list[Mapping[str, str]]
    symbols: list[str]
    session_bars_in_file: int
    session_bars_stored: int
    bars_lost: int
    bars_differing: int
    bars_duplicated: int
    bars_set_aside: Mapping[str, int]
    rows_rejected: list[Mapping[str, Any]]
    news_rejected: list[Mapping[str, Any]]
    features: int
    features_missing: int
    features_wrong: int
    features_wrong_examples: list[str]
    lookahead_violations: int
    lookahead: Mapping[str, int]
    news_in_file: int
    news: int
    news_lost: int
    news_unclassified: int
    sentiments: int
    sentiments_by_label: Mapping[str, int]
    signals: int
    signals_by_side: Mapping[str, int]
    dispatches: int
    dispatches_by_state: Mapping[str, int]
    dispatches_duplicated: int
    dispatches_unsettled: int
    gaps: Mapping[str, int]
    gaps_backfilled: Mapping[str, int]
    runs: Mapping[str, Mapping[str, int]]
    runs_held_back: Mapping[str, int]
    runs_failed: int
    runs_killed: list[str]
    kills_missed: list[str]
    unfinished: list[str]
    failures: list[str]
    wall_seconds: float
    verify_seconds: float
    peak_rss_mb: float

    @property
    def faults(self) -> dict[str, int]:
        """What must not be, in words, with how often it is."""
        counted = {
            "bars lost": self.bars_lost,
            "bars stored with other numbers": self.bars_differing,
            "bars duplicated": self.bars_duplicated,
            "features missing": self.features_missing,
            "features wrong": self.features_wrong,
            "look-ahead violations": self.lookahead_violations,
            "news lost": self.news_lost,
            "news without a sentiment": self.news_unclassified,
            "dispatches duplicated": self.dispatches_duplicated,
            "dispatches left undecided": self.dispatches_unsettled,
            "kills that came too late": len(self.kills_missed),
            "services with work left undone": len(self.unfinished),
        }
        return {name: count for name, count in counted.items() if count}

    @property
    def clean(self) -> bool:
        """Whether nothing is lost, duplicated, wrong or left undone."""
        return not self.faults

    def as_text(self) -> str:
        """The report as JSON."""
        return json.dumps(asdict(self), indent=2, default=str) + "\n"


@cache
def sql(name: str) -> bytes:
    """The statement in `queries/<name>.sql` of the operators' package."""
    return (QUERIES / f"{name}.sql").read_bytes()


def build(connection: Connection, *, plan: Plan, tally: Tally, replay_id: str, started: float) -> Report:
    """Reads the database and verifies it; `started` is the monotonic second at which the replay began."""
    replayed = time.monotonic()
    scope = _scope(plan)
    expected = expected_bars(plan)
    stored = _frame(connection, "session_bars", scope)
    lost, differing = _compare_bars(expected, stored)
    wrong, missing = _check_features(connection, scope)
    lookahead = _counts(connection, "lookahead", scope)
    news = replay_news.due(plan.news, plan.windows, catalog.load().writers("news")[0].period)
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return Report(
        session=_session(plan.windows[0]),
        sessions=[_session(window) for window in plan.windows],
        symbols=list(plan.symbols),
        session_bars_in_file=len(expected),
        session_bars_stored=len(stored),
        bars_lost=lost,
        bars_differing=differing,
        bars_duplicated=int(stored.duplicated(["symbol", "ts"]).sum()),
        bars_set_aside=_counts(connection, "rejected_bars", scope),
        rows_rejected=[{"line": r.line, "reason": r.reason} for r in plan.market.rejected],
        news_rejected=[{"line": r.line, "reason": r.reason} for r in plan.news_rejected],
        features=_count(connection, "features", scope),
        features_missing=missing,
        features_wrong=len({(d.symbol, d.ts) for d in wrong}),
        features_wrong_examples=[str(difference) for difference in wrong[:10]],
        lookahead_violations=sum(lookahead.values()),
        lookahead=lookahead,
        news_in_file=len(news),
        news=_count(connection, "news", scope),
        news_lost=len(replay_news.lost(news, connection.execute(sql("stored_news")).fetchall())),
        news_unclassified=_count(connection, "news_unclassified", scope),
        sentiments=_count(connection, "sentiments", scope),
        sentiments_by_label=_counts(connection, "sentiments_by_label", scope),
        signals=_count(connection, "signals", scope),
        signals_by_side=_counts(connection, "signals_by_side", scope),
        dispatches=_count(connection, "dispatches", scope),
        dispatches_by_state=_counts(connection, "dispatches_by_state", scope),
        dispatches_duplicated=_count(connection, "dispatches_duplicated", scope),
        dispatches_unsettled=_count(connection, "dispatches_unsettled", scope),
        gaps=_counts(connection, "gap_minutes", scope),
        gaps_backfilled=_counts(connection, "gap_minutes_backfilled", scope),
        runs=_runs(connection, replay_id),
        runs_held_back=dict(tally.held_back),
        runs_failed=tally.failed,
        runs_killed=list(tally.killed),
        kills_missed=list(tally.not_killed),
        unfinished=list(tally.unfinished),
        failures=list(tally.outputs),
        wall_seconds=round(replayed - started, 2),
        verify_seconds=round(time.monotonic() - replayed, 2),
        peak_rss_mb=round(max(own, tally.peak_rss_mb), 1),
    )


def _scope(plan: Plan) -> dict[str, Any]:
    """Query parameters: the replayed stretches of each session, and the symbols."""
    return {
        "starts": [window.start for window in plan.windows],
        "ends": [window.end for window in plan.windows],
        "first": plan.windows[0].session.open,
        "last": plan.windows[-1].end,
        "settled": plan.windows[-1].end + timedelta(minutes=15),
        "symbols": list(plan.symbols),
    }


def _session(window: Window) -> dict[str, str]:
    session = window.session
    return {"date": str(session.date), "open": session.open.isoformat(), "close": session.close.isoformat()}


def expected_bars(plan: Plan) -> pd.DataFrame:
    """The bars that must be stored: valid ones of the windows, whose minute is over by the end of theirs."""
    market = plan.market
    owner = np.repeat(np.arange(len(market.symbols)), np.diff(market.starts))
    wanted = np.zeros(len(market.ts), dtype=bool)
    for window in plan.windows:
        start, end = int(window.start.timestamp()), int(window.end.timestamp())
        wanted |= (market.ts >= start) & (market.ts + 60 <= end)
    frame = pd.DataFrame(
        {
            "symbol": np.asarray(market.symbols, dtype=object)[owner[wanted]],
            "ts": pd.to_datetime(market.ts[wanted], unit="s", utc=True),
            **{name: getattr(market, name)[wanted] for name in ("open", "high", "low", "close", "volume")},
        }
    )
    invalid = {(symbol, pd.Timestamp(ts)) for symbol, ts in market.invalid}
    keep = [key not in invalid for key in zip(frame["symbol"], frame["ts"], strict=True)]
    return frame[pd.Series(keep, index=frame.index, dtype=bool)]


def _compare_bars(expected: pd.DataFrame, stored: pd.DataFrame) -> tuple[int, int]:
    """Bars of the file that are not stored, and bars stored with other numbers."""
    merged = expected.merge(stored, on=["symbol", "ts"], how="left", suffixes=("", "_stored"), indicator=True)
    found = merged[merged["_merge"] == "both"]
    same = np.ones(len(found), dtype=bool)
    for name in ("open", "high", "low", "close", "volume"):
        same &= found[name].to_numpy(dtype=float) == found[f"{name}_stored"].to_numpy(dtype=float)
    return int((merged["_merge"] == "left_only").sum()), int((~same).sum())


def _check_features(connection: Connection, scope: Mapping[str, Any]) -> tuple[list[oracle.Difference], int]:
    """Stored features that differ from a fresh computation over all stored bars; and how many bars have none."""
    bars = _with_session(_frame(connection, "all_bars", scope))
    expected = oracle.features(bars, lost=_lost_minutes(connection, scope), since=scope["first"])
    stored = _frame(connection, "stored_features", scope)
    differences = oracle.compare(stored, expected)
    missing = sum(d.feature == "row" and not d.stored for d in differences)
    return [d for d in differences if d.feature != "row" or d.stored], missing


def _with_session(bars: pd.DataFrame) -> pd.DataFrame:
    """Only the bars of regular sessions, each with its session's date."""
    if bars.empty:
        return bars.assign(session=[])
    found = list(sessions.between(bars["ts"].min().to_pydatetime(), bars["ts"].max().to_pydatetime() + MINUTE))
    at = np.searchsorted([s.open.timestamp() for s in found], oracle.epoch_seconds(bars["ts"]), side="right") - 1
    closes = np.array([s.close.timestamp() for s in found] or [0.0])
    keep = (at >= 0) & (oracle.epoch_seconds(bars["ts"]).to_numpy() < closes[np.maximum(at, 0)])
    dates = np.array([str(s.date) for s in found] or [""])
    return bars[keep].assign(session=dates[at[keep]])


def _lost_minutes(connection: Connection, scope: Mapping[str, Any]) -> dict[str, list[int]]:
    """Minutes lost and not filled since, by symbol, epoch seconds."""
    lost: dict[str, set[int]] = {}
    for symbol, first, last in connection.execute(sql("lost_minutes"), scope):
        minutes = sessions.minutes(first, last + MINUTE)
        lost.setdefault(symbol, set()).update(int(minute.timestamp()) for minute in minutes)
    return {symbol: sorted(minutes) for symbol, minutes in lost.items()}


def _frame(connection: Connection, name: str, scope: Mapping[str, Any]) -> pd.DataFrame:
    cursor = connection.execute(sql(name), scope)
    columns = [column.name for column in cursor.description or ()]
    return pd.DataFrame(cursor.fetchall(), columns=columns)


def _count(connection: Connection, name: str, scope: Mapping[str, Any]) -> int:
    row = connection.execute(sql(name), scope).fetchone()
    return int(row[0]) if row else 0


def _counts(connection: Connection, name: str, scope: Mapping[str, Any]) -> dict[str, int]:
    return {str(key): int(count) for key, count in connection.execute(sql(name), scope)}


def _runs(connection: Connection, replay_id: str) -> dict[str, dict[str, int]]:
    runs: dict[str, dict[str, int]] = {}
    for service, outcome, count in connection.execute(sql("runs"), {"prefix": f"replay-{replay_id}-"}):
        runs.setdefault(service, {})[outcome] = count
    return runs

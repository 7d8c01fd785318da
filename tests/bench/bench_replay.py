"""A full session through all eight services, forked, against the real day with four symbols (1,872 runs)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ops import replay
from ops.local import exchange

ROOT = Path(__file__).resolve().parents[2]


def run() -> dict[str, Any]:
    """Wall seconds of the replay itself (without its verification), and the cost of one run."""
    folder = Path(os.environ.get("OPS_SHARED_DATA") or ROOT.parent / "shared" / "data")
    market = exchange.load_csv(folder / "bars" / "2013-10-04.csv")
    plan = replay.plan_for(market, replay.sessions_of(market))
    with replay.database(None) as url:
        report = replay.Replay(plan, url).run()
    runs = sum(sum(outcomes.values()) for outcomes in report.runs.values())
    return {
        "what": "full session, 4 symbols, all 8 services, fork",
        "target": "≤ 150 s",
        "runs": runs,
        "seconds": report.wall_seconds,
        "milliseconds_per_run": round(1000 * report.wall_seconds / runs, 1),
        "bars_lost": report.bars_lost,
        "features_wrong": report.features_wrong,
    }

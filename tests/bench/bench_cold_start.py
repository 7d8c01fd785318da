"""One cold `python -m <service>` for seven symbols: a fresh interpreter, a real database, local exchange and feeds."""

from __future__ import annotations

import statistics
import time
from dataclasses import replace
from datetime import date, datetime
from typing import Any

from ops import replay
from ops.local.runtime import Run
from pipeline import catalog

DAY = date(2026, 1, 26)


def run() -> dict[str, Any]:
    """Per service: median wall milliseconds and peak resident megabytes of a cold run in the middle of a session."""
    symbols = catalog.load().parameters["tickers"].initial or ""
    market, sessions = replay.synthetic_session(symbols, DAY, seed=1)
    plan = replace(replay.plan_for(market, sessions, end="09:42"), runtime="process")
    found: dict[str, list[tuple[float, float]]] = {}
    with replay.database(None) as url:
        _Timed(plan, url, found).run()
    services = {
        name: {
            "milliseconds": round(1000 * statistics.median(seconds for seconds, _ in runs)),
            "peak_rss_mb": round(max(rss for _, rss in runs), 1),
        }
        for name, runs in found.items()
    }
    return {
        "what": "one cold python -m <service>, 7 symbols",
        "target": "≤ 2,000 ms and ≤ 200 MB each",
        "worst_milliseconds": max(entry["milliseconds"] for entry in services.values()),
        "worst_peak_rss_mb": max(entry["peak_rss_mb"] for entry in services.values()),
        "services": services,
    }


class _Timed(replay.Replay):
    """A replay that notes how long each run took."""

    def __init__(self, plan: replay.Plan, url: str, found: dict[str, list[tuple[float, float]]]) -> None:
        super().__init__(plan, url)
        self._found = found

    def _fire(self, service: catalog.Service, at: datetime, *, attempt: int = 1) -> None:
        self._began = time.monotonic()
        super()._fire(service, at, attempt=attempt)

    def _account(self, service: catalog.Service, at: datetime, run: Run, *, killed: bool) -> None:
        super()._account(service, at, run, killed=killed)
        self._found.setdefault(service.name, []).append((time.monotonic() - self._began, run.peak_rss_mb or 0.0))

"""A whole session on the local cloud: all that is deployed is fired, permitted, run, metered and watched."""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from ops.local import applied
from ops.local.cloud import Cloud, open_cloud
from ops.local.exchange import synthetic
from pipeline import sessions

DAY = date(2026, 1, 26)
SYMBOLS = ("AAPL", "MSFT", "NVDA", "TSLA")
MINUTE = timedelta(minutes=1)


def run() -> dict[str, Any]:
    """Seconds of a session's 390 minutes, and of bringing an applied account back before them."""
    session = sessions.find(DAY)
    assert session is not None
    minutes = (session.close - session.open) // MINUTE
    with tempfile.TemporaryDirectory() as folder:
        images = applied.images_of_checkout()
        with applied.applied("local", Path(folder) / "made", images, {}):
            pass  # applies it where this checkout never did; from here on it is brought back from there
        began = time.monotonic()
        with applied.applied("local", Path(folder) / "account", images, {}) as account:
            restored = time.monotonic() - began
            market = synthetic.market(SYMBOLS, DAY, seed=1, history_sessions=1)
            with open_cloud(market, [], start=session.open, workspace=account) as cloud:
                seconds, outcomes = _play(cloud, session.open, minutes)
    return {
        "what": f"a quiet session of {minutes} minutes with {len(SYMBOLS)} symbols, all that is deployed, fork",
        "target": "≤ 150 s on 2 cores",
        "seconds": round(seconds, 1),
        "milliseconds_per_minute": round(1000 * seconds / minutes),
        "runs": sum(outcomes.values()),
        "runs_by_exit_code": {str(code): number for code, number in sorted(outcomes.items(), key=str)},
        "restore_seconds": round(restored, 2),
    }


def _play(cloud: Cloud, first: datetime, minutes: int) -> tuple[float, Counter[int | None]]:
    """Seconds that the minutes took, and how often which exit code ended a run."""
    began = time.monotonic()
    played = [cloud.tick(first + i * MINUTE) for i in range(minutes)]
    return time.monotonic() - began, Counter(ended.exit_code for minute in played for ended in minute.ended)

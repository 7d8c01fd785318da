"""The healthcheck's function as Lambda would start it cold: a new interpreter, all checks, the page, the findings."""

from __future__ import annotations

import re
import tempfile
import time
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from ops.local import applied
from ops.local.cloud import Cloud, open_cloud
from ops.local.exchange import synthetic
from pipeline import catalog, sessions

DAY = date(2026, 1, 26)
SYMBOLS = ("AAPL", "MSFT", "NVDA", "TSLA", "AMZN", "META", "GOOGL")
MINUTE = timedelta(minutes=1)
MINUTES = 21
USED = re.compile(r"Max Memory Used: (\d+) MB")


def run() -> dict[str, Any]:
    """The slowest and the largest of its invocations in the first minutes of a session."""
    session = sessions.find(DAY)
    assert session is not None
    with tempfile.TemporaryDirectory() as folder:
        images = applied.images_of_checkout()
        with applied.applied("local", Path(folder) / "account", images, {}) as account:
            market = synthetic.market(SYMBOLS, DAY, seed=1, history_sessions=1)
            with open_cloud(market, [], start=session.open, workspace=account, runtime="process") as cloud:
                seconds = timed(cloud)
                for number in range(MINUTES):
                    cloud.tick(session.open + number * MINUTE)
                used = megabytes(cloud)
    return {
        "what": f"the healthcheck's function, cold, {len(used)} invocations with {len(SYMBOLS)} symbols",
        "target": "≤ 10 s and ≤ 256 MB",
        "slowest_seconds": round(max(seconds), 2),
        "peak_rss_mb": max(used),
    }


def timed(cloud: Cloud) -> list[float]:
    """Wall seconds of each invocation from now on."""
    functions, found = cloud.plane.functions, list[float]()
    invoke = functions.invoke

    def measured(*arguments: Any) -> Any:
        began = time.perf_counter()
        try:
            return invoke(*arguments)
        finally:
            found.append(time.perf_counter() - began)

    functions.invoke = measured  # type: ignore[method-assign]
    return found


def megabytes(cloud: Cloud) -> list[int]:
    """What each invocation used, as Lambda reports it in the log."""
    (watcher,) = (service for service in catalog.load() if service.kind == "lambda")
    logs = cloud.aws.client("logs")
    groups = [each["logGroupName"] for each in logs.describe_log_groups()["logGroups"]]
    (group,) = (each for each in groups if each.rpartition("/")[2] in (watcher.name, watcher.task_definition))
    events = logs.filter_log_events(logGroupName=group)["events"]
    return [int(found[1]) for event in events if (found := USED.search(event["message"]))]

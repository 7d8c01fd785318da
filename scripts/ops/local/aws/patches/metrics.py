"""CloudWatch metrics: each series on its own, by exactly its dimensions."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from moto.cloudwatch.metric_data_expression_parser import parse_expression
from moto.cloudwatch.models import CloudWatchBackend, Statistics

from ops.local.aws.patches.tools import around, kept, method_of

MINUTE = 60  # what standard resolution keeps of a time
_putting = threading.Lock()


def series_are_kept_apart() -> None:
    """A metric is its namespace, name and dimensions; moto searches one list of all data at each question."""

    @around(CloudWatchBackend, "put_metric_data")
    def put_metric_data(original: Any, self: Any, namespace: str, metric_data: list[dict[str, Any]]) -> None:
        with _putting:
            known = len(self.metric_data)
            original(self, namespace, metric_data)
            for datum in self.metric_data[known:]:
                own = frozenset((each.name, each.value) for each in datum.dimensions)
                key: Any = (datum.namespace, datum.name, own)
                kept(self, "series").setdefault(key, []).append(datum)

    @method_of(CloudWatchBackend)
    def get_filtered_metrics(
        self: Any, metric_name: str, namespace: str, dimensions: list[dict[str, str]]
    ) -> list[Any]:
        each_first = [series[0] for series in list(kept(self, "series").values())]
        return [datum for datum in each_first if datum.filter(namespace, metric_name, dimensions)]


def _series(backend: Any, namespace: str, name: str, dimensions: Iterable[dict[str, str]], unit: str | None) -> Any:
    key: Any = (namespace, name, frozenset((each["Name"], each["Value"]) for each in dimensions))
    return [datum for datum in list(kept(backend, "series").get(key, ())) if not unit or datum.unit == unit]


def _per_period(series: list[Any], start: datetime, end: datetime, period: int, stats: list[str]) -> list[Statistics]:
    """Periods count from the start, which is a whole minute; of a time within a minute only the minute counts."""
    grain = min(period, MINUTE)
    first = _floor(start, grain)
    periods: dict[int, Statistics] = {}
    for datum in series:
        at = _floor(datum.timestamp, grain)
        if first <= at < end:
            number = int((at - first).total_seconds()) // period
            at_start = first + timedelta(seconds=number * period)
            periods.setdefault(number, Statistics(stats, at_start)).metric_data.append(datum)
    for found in periods.values():
        found.unit = found.metric_data[0].unit or "None"
    return [periods[number] for number in sorted(periods)]


def _floor(at: datetime, seconds: int) -> datetime:
    whole = at.replace(microsecond=0)
    return whole - timedelta(seconds=whole.second % seconds)


def statistics_are_of_one_series() -> None:
    """GetMetricStatistics asks for exactly the dimensions named; moto mixes whatever has them among others."""

    @method_of(CloudWatchBackend)
    def get_metric_statistics(
        self: Any,
        namespace: str,
        metric_name: str,
        start_time: datetime,
        end_time: datetime,
        period: int,
        stats: list[str],
        dimensions: list[dict[str, str]],
        unit: str | None = None,
    ) -> list[Statistics]:
        series = _series(self, namespace, metric_name, dimensions or [], unit)
        return _per_period(series, start_time, end_time, period, stats)


def data_is_of_one_series() -> None:
    """GetMetricData likewise; moto forgets the namespace, and takes no dimensions for all."""

    @around(CloudWatchBackend, "get_metric_data")
    def get_metric_data(
        original: Any,
        self: Any,
        queries: list[dict[str, Any]],
        start_time: datetime,
        end_time: datetime,
        scan_by: str = "TimestampAscending",
    ) -> list[dict[str, Any]]:
        original(self, [], start_time, end_time, scan_by)  # which refuses times that make no span
        found = {
            query["Id"]: _answered(self, query, start_time, end_time, scan_by)
            for query in queries
            if "MetricStat" in query
        }
        others = {each["id"]: each for each in original(self, _others(queries), start_time, end_time, scan_by)}
        for query in _others(queries):
            values, times = parse_expression(query["Expression"], list(found.values()))
            if times:  # an expression that names another query
                others[query["Id"]] |= {"values": values, "timestamps": times}
        shown = [query["Id"] for query in queries if query.get("ReturnData", True)]
        return [{**found, **others}[identity] for identity in shown]


def _others(queries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [query for query in queries if "MetricStat" not in query]


def _answered(backend: Any, query: dict[str, Any], start: datetime, end: datetime, scan_by: str) -> dict[str, Any]:
    asked, metric = query["MetricStat"], query["MetricStat"]["Metric"]
    name, stat = metric["MetricName"], asked["Stat"]
    series = _series(backend, metric["Namespace"], name, metric.get("Dimensions") or [], asked.get("Unit"))
    points = _per_period(series, start, end, int(asked["Period"]), [stat])
    if scan_by == "TimestampDescending":
        points.reverse()
    return {
        "id": query["Id"],
        "label": query.get("Label") or f"{name} {stat}",
        "values": [point.get_statistics_for_type(stat) for point in points],
        "timestamps": [point.timestamp for point in points],
        "status_code": "Complete",
    }

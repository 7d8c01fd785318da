"""Metrics as CloudWatch keeps them: data points by minute (and by second for high resolution), and their statistics."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from ops.local.alarms.definition import MINUTE, Metric, MetricStat
from pipeline.errors import PipelineError

PERCENTILE = re.compile(r"p(\d{1,2}(?:\.\d{1,10})?|100)$")
STATISTICS = ("Average", "Sum", "Minimum", "Maximum", "SampleCount")
STATISTIC_SET = ("SampleCount", "Sum", "Minimum", "Maximum")
# A metric without new data for two weeks no longer exists for queries.
FORGOTTEN_AFTER_SECONDS = 14 * 86400


class MetricInvalid(PipelineError):
    """A data point or statistic that CloudWatch would not take."""


@dataclass(slots=True)
class Bucket:
    """The data points of one minute or second. `values` are (value, count); None once a statistic set hid them."""

    count: float = 0.0
    total: float = 0.0
    least: float = math.inf
    most: float = -math.inf
    values: list[tuple[float, float]] | None = field(default_factory=list)

    def add(self, value: float, count: float) -> None:
        """Takes `count` data points of one value."""
        self.count += count
        self.total += value * count
        self.least = min(self.least, value)
        self.most = max(self.most, value)
        if self.values is not None:
            self.values.append((value, count))

    def merge(self, other: Bucket) -> None:
        """Takes another bucket's data points."""
        self.count += other.count
        self.total += other.total
        self.least = min(self.least, other.least)
        self.most = max(self.most, other.most)
        if other.values is None:
            self.values = None
        elif self.values is not None:
            self.values.extend(other.values)


@dataclass(slots=True)
class _Points:
    """One metric's data points in one unit: all by minute, and each at its own resolution."""

    minutes: dict[int, Bucket] = field(default_factory=dict)
    fine: dict[int, Bucket] = field(default_factory=dict)


class MetricStore:
    """Metrics in memory. Times are aware datetimes; a period's starts are epoch seconds."""

    def __init__(self) -> None:
        self._metrics: dict[Metric, dict[str | None, _Points]] = {}
        self._latest: dict[Metric, int] = {}

    def put(
        self,
        metric: Metric,
        at: datetime,
        value: float,
        *,
        count: float = 1.0,
        unit: str | None = None,
        high_resolution: bool = False,
    ) -> None:
        """Stores a value (`count` times). Standard resolution keeps the minute, high resolution the second."""
        if not math.isfinite(value):
            raise MetricInvalid(f"{metric.namespace} {metric.name}: {value} is no value; CloudWatch takes finite ones")
        for bucket in self._buckets(metric, at, unit, high_resolution):
            bucket.add(float(value), count)

    def put_statistics(
        self, metric: Metric, at: datetime, bucket: Bucket, *, unit: str | None = None, high_resolution: bool = False
    ) -> None:
        """Stores a statistic set; percentiles are lost with it, unless it stands for one value."""
        single = bucket.count == 1 or bucket.least == bucket.most
        values = [(bucket.least, bucket.count)] if single else None
        for kept in self._buckets(metric, at, unit, high_resolution):
            kept.merge(Bucket(bucket.count, bucket.total, bucket.least, bucket.most, values))

    def put_metric_data(self, params: Mapping[str, Any], now: datetime) -> None:
        """Stores what boto3's put_metric_data was called with."""
        for datum in params["MetricData"]:
            metric = Metric.of(
                params["Namespace"],
                datum["MetricName"],
                {pair["Name"]: pair["Value"] for pair in datum.get("Dimensions") or ()},
            )
            at = datum.get("Timestamp") or now
            fine = datum.get("StorageResolution") == 1
            for value, count in _datum_values(datum):
                self.put(metric, at, value, count=count, unit=datum.get("Unit"), high_resolution=fine)
            statistics = datum.get("StatisticValues")
            if statistics:
                count, total, least, most = (float(statistics[key]) for key in STATISTIC_SET)
                bucket = Bucket(count, total, least, most)
                self.put_statistics(metric, at, bucket, unit=datum.get("Unit"), high_resolution=fine)

    def put_emf(self, line: Mapping[str, Any]) -> int:
        """Stores the metrics of one Embedded Metric Format line (already parsed); how many data points it held."""
        stored = 0
        for namespace, datum in emf_data(line):
            self.put_metric_data({"Namespace": namespace, "MetricData": [datum]}, datum["Timestamp"])
            stored += len(datum["Values"])
        return stored

    def exists(self, metric: Metric, now: int) -> bool:
        """Whether it had data in the two weeks before `now` (epoch seconds)."""
        latest = self._latest.get(metric)
        return latest is not None and now - latest < FORGOTTEN_AFTER_SECONDS

    def forget_before(self, epoch: int) -> None:
        """Drops older data points; a long run's memory stays bounded."""
        for units in self._metrics.values():
            for points in units.values():
                points.minutes = {start: bucket for start, bucket in points.minutes.items() if start >= epoch}
                points.fine = {start: bucket for start, bucket in points.fine.items() if start >= epoch}

    def read(self, stat: MetricStat, starts: Sequence[int], period_seconds: int) -> list[float | None]:
        """The statistic over each period that starts at `starts`; None where there is no data point.

        Without a unit all units are taken together, with one only its data points are seen.
        """
        units = self._metrics.get(stat.metric)
        if not units:
            return [None] * len(starts)
        found = list(units.values()) if stat.unit is None else [units[stat.unit]] if stat.unit in units else []
        if len(found) == 1 and period_seconds == MINUTE:
            minutes = found[0].minutes
            buckets = [minutes.get(start) for start in starts]
        else:
            buckets = [_merged(found, start, period_seconds) for start in starts]
        return [None if bucket is None else statistic(bucket, stat.statistic) for bucket in buckets]

    def _buckets(self, metric: Metric, at: datetime, unit: str | None, high_resolution: bool) -> Iterable[Bucket]:
        """The buckets that a data point belongs to, made where they are not."""
        second = int(at.timestamp())
        minute = second - second % MINUTE
        points = self._metrics.setdefault(metric, {}).setdefault(None if unit == "None" else unit, _Points())
        self._latest[metric] = max(second, self._latest.get(metric, second))
        yield points.minutes.setdefault(minute, Bucket())
        yield points.fine.setdefault(second if high_resolution else minute, Bucket())


def emf_data(line: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The metrics of an Embedded Metric Format line as (namespace, datum) pairs for put_metric_data.

    Numbers and lists of them count; anything else is left out, as CloudWatch does.
    """
    header = line.get("_aws") or {}
    at = datetime.fromtimestamp(header.get("Timestamp", 0) / 1000, tz=UTC)
    for directive in header.get("CloudWatchMetrics") or ():
        for names in directive.get("Dimensions") or [[]]:
            dimensions = [{"Name": name, "Value": str(line[name])} for name in names]
            for spec in directive.get("Metrics") or ():
                found = line.get(spec["Name"])
                values = [v for v in (found if isinstance(found, list) else [found]) if _is_number(v)]
                if values:
                    datum = {"MetricName": spec["Name"], "Dimensions": dimensions, "Timestamp": at, "Values": values}
                    extra = {key: spec[key] for key in ("Unit", "StorageResolution") if spec.get(key)}
                    yield directive["Namespace"], datum | extra


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def statistic(bucket: Bucket, name: str) -> float | None:
    """One statistic of a bucket that is not empty. Raises MetricInvalid for one that is not known here."""
    if name == "Sum":
        return bucket.total
    if name == "Maximum":
        return bucket.most
    if name == "Minimum":
        return bucket.least
    if name == "Average":
        return bucket.total / bucket.count
    if name == "SampleCount":
        return bucket.count
    return percentile(bucket, percentile_of(name))


def percentile_of(name: str) -> float:
    """99.9 of p99.9. Raises MetricInvalid for what is no percentile."""
    match = PERCENTILE.match(name)
    if not match:
        raise MetricInvalid(f"the statistic {name!r} cannot be evaluated here; use one of {', '.join(STATISTICS)}, pNN")
    return float(match[1])


def percentile(bucket: Bucket, rank: float) -> float | None:
    """The smallest value that at least `rank` % of the data points do not exceed; None where values are not kept."""
    if bucket.values is None:
        return None
    needed = bucket.count * rank / 100
    seen = 0.0
    ordered = sorted(bucket.values)
    for value, count in ordered:
        seen += count
        if seen >= needed:
            return value
    return ordered[-1][0]


def _merged(units: Sequence[_Points], start: int, period_seconds: int) -> Bucket | None:
    """The data points of one period in all units; None where there are none."""
    merged: Bucket | None = None
    for points in units:
        whole_minutes = start % MINUTE == 0 and period_seconds % MINUTE == 0
        kept, step = (points.minutes, MINUTE) if whole_minutes else (points.fine, 1)
        end = start + period_seconds
        # The cheaper walk: a day has 1,440 minutes, a sparse metric fewer buckets.
        if len(kept) * step < period_seconds:
            found = [kept[at] for at in sorted(kept) if start <= at < end]
        else:
            found = [kept[at] for at in range(start, end, step) if at in kept]
        for bucket in found:
            merged = merged or Bucket()
            merged.merge(bucket)
    return merged


def _datum_values(datum: Mapping[str, Any]) -> Iterable[tuple[float, float]]:
    """(value, count) of a MetricDatum's Value or Values and Counts."""
    if datum.get("Value") is not None:
        yield float(datum["Value"]), 1.0
    values = datum.get("Values") or ()
    yield from zip(map(float, values), map(float, datum.get("Counts") or [1] * len(values)), strict=True)

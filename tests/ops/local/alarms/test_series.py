"""The metric store: periods, statistics, units, resolutions, EMF and PutMetricData."""

from __future__ import annotations

from datetime import timedelta

import pytest

from alarm_world import LATENCY, START
from ops.local.alarms import Metric, MetricStore
from ops.local.alarms.definition import MetricStat
from ops.local.alarms.series import Bucket, MetricInvalid

EPOCH = int(START.timestamp())


def stat(statistic: str, unit: str | None = None, metric: Metric = LATENCY) -> MetricStat:
    return MetricStat(metric=metric, statistic=statistic, unit=unit)


@pytest.mark.parametrize(
    ("statistic", "expected"),
    [
        ("Sum", 10),
        ("Average", 2.5),
        ("Minimum", 1),
        ("Maximum", 4),
        ("SampleCount", 4),
        ("p50", 2),
        ("p75", 3),
        ("p99.9", 4),
        ("p0", 1),
        ("p100", 4),
    ],
)
@pytest.mark.parametrize("period", [60, 300])
def test_a_period_has_its_statistics(statistic: str, expected: float, period: int) -> None:
    metrics = MetricStore()
    for index, value in enumerate((3.0, 1.0, 4.0, 2.0)):
        metrics.put(LATENCY, START + timedelta(seconds=index * period // 4), value)

    assert metrics.read(stat(statistic), [EPOCH, EPOCH + period], period) == [expected, None]


def test_a_period_takes_its_start_but_not_its_end() -> None:
    metrics = MetricStore()
    metrics.put(LATENCY, START, 1)
    metrics.put(LATENCY, START + timedelta(seconds=59.9), 2)
    metrics.put(LATENCY, START + timedelta(seconds=60), 4)

    assert metrics.read(stat("Sum"), [EPOCH, EPOCH + 60], 60) == [3, 4]


def test_standard_resolution_has_no_ten_seconds() -> None:
    metrics = MetricStore()
    fine = Metric.of("Test", "Fine")
    for second in (5, 15, 25):
        metrics.put(LATENCY, START + timedelta(seconds=second), 1)
        metrics.put(fine, START + timedelta(seconds=second), 1, high_resolution=True)
    starts = [EPOCH, EPOCH + 10, EPOCH + 20]

    assert metrics.read(stat("Sum"), starts, 10) == [3, None, None]
    assert metrics.read(stat("Sum", metric=fine), starts, 10) == [1, 1, 1]
    assert metrics.read(stat("Sum", metric=fine), [EPOCH], 60) == [3]


def test_an_alarm_with_a_unit_sees_only_that_unit() -> None:
    metrics = MetricStore()
    metrics.put(LATENCY, START, 1, unit="Seconds")
    metrics.put(LATENCY, START, 2, unit="Count")

    assert metrics.read(stat("Sum", "Count"), [EPOCH], 60) == [2]
    assert metrics.read(stat("Sum", "Bytes"), [EPOCH], 60) == [None]
    assert metrics.read(stat("Sum"), [EPOCH], 60) == [3]


def test_a_statistic_set_has_no_percentile() -> None:
    metrics = MetricStore()
    metrics.put_statistics(LATENCY, START, Bucket(2, 10, 4, 6))

    assert metrics.read(stat("Average"), [EPOCH], 60) == [5]
    assert metrics.read(stat("p90"), [EPOCH], 60) == [None]


def test_other_dimensions_are_another_metric() -> None:
    metrics = MetricStore()
    metrics.put(LATENCY, START, 1)

    assert metrics.read(stat("Sum", metric=Metric.of("Test", "Latency")), [EPOCH], 60) == [None]


def test_an_emf_line_gives_every_metric_in_every_dimension_set() -> None:
    metrics = MetricStore()
    line = {
        "_aws": {
            "Timestamp": EPOCH * 1000,
            "CloudWatchMetrics": [
                {
                    "Namespace": "OpsPipeline",
                    "Dimensions": [["Service"], []],
                    "Metrics": [{"Name": "RunsCompleted", "Unit": "Count"}, {"Name": "Rows"}, {"Name": "Absent"}],
                }
            ],
        },
        "Service": "one",
        "RunsCompleted": 1,
        "Rows": [2, 3],
    }

    assert metrics.put_emf(line) == 6
    of_service = Metric.of("OpsPipeline", "Rows", {"Service": "one"})
    assert metrics.read(stat("Sum", metric=of_service), [EPOCH], 60) == [5]
    assert metrics.read(stat("Sum", "Count", Metric.of("OpsPipeline", "RunsCompleted")), [EPOCH], 60) == [1]


def test_put_metric_data_is_taken_as_boto3_gives_it() -> None:
    metrics = MetricStore()
    name = {"MetricName": "Latency", "Dimensions": [{"Name": "Service", "Value": "one"}]}
    data = [
        {**name, "Value": 1.0},
        {**name, "Values": [2.0, 3.0], "Counts": [1.0, 2.0], "Timestamp": START + timedelta(minutes=1)},
        {**name, "StatisticValues": {"SampleCount": 2, "Sum": 9, "Minimum": 4, "Maximum": 5}},
    ]

    metrics.put_metric_data({"Namespace": "Test", "MetricData": data}, START)

    assert metrics.read(stat("Sum"), [EPOCH, EPOCH + 60], 60) == [10, 8]
    assert metrics.read(stat("SampleCount"), [EPOCH, EPOCH + 60], 60) == [3, 3]


def test_a_metric_is_forgotten_two_weeks_after_its_last_data() -> None:
    metrics = MetricStore()
    metrics.put(LATENCY, START, 1)

    assert metrics.exists(LATENCY, EPOCH + 13 * 86400)
    assert not metrics.exists(LATENCY, EPOCH + 14 * 86400)


def test_what_is_no_value_or_no_statistic_is_refused() -> None:
    metrics = MetricStore()
    with pytest.raises(MetricInvalid, match="finite"):
        metrics.put(LATENCY, START, float("nan"))
    metrics.put(LATENCY, START, 1)
    with pytest.raises(MetricInvalid, match=r"'tm90' cannot be evaluated here; use one of Average"):
        metrics.read(stat("tm90"), [EPOCH], 60)


def test_old_data_can_be_dropped() -> None:
    metrics = MetricStore()
    metrics.put(LATENCY, START, 1)
    metrics.put(LATENCY, START + timedelta(minutes=5), 2)

    metrics.forget_before(EPOCH + 60)

    assert metrics.read(stat("Sum"), [EPOCH, EPOCH + 300], 60) == [None, 2]

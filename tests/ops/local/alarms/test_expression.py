"""Metric math: the examples of "Using metric math" in the CloudWatch user guide, and what is refused."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from ops.local.alarms.expression import ExpressionInvalid, Scope, Series, Value, parse

N = None
MONDAY_0900 = int(datetime(2013, 10, 7, 9, 0, tzinfo=UTC).timestamp())


def series(*values: float | None) -> Series:
    return Series([None if value is None else float(value) for value in values])


def run(text: str, **ids: Value) -> Value:
    length = max((len(value.values) for value in ids.values() if isinstance(value, Series)), default=5)
    starts = [MONDAY_0900 + 60 * index for index in range(length)]
    metric_ids = [name for name in ids if not name.startswith("e")]
    return parse(text)(Scope(series=ids, metric_ids=metric_ids, starts=starts, period_seconds=60))


def points(text: str, **ids: Value) -> list[float | None]:
    found = run(text, **ids)
    assert isinstance(found, Series)
    return found.values


metric1, metric2 = series(30, 20, 0, 0), series(20, N, 20, N)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("(metric1 < metric2)", [0, 0, 1, 0]),
        ("(metric1 >= 30)", [1, 0, 0, 0]),
        ("(metric1 > 15 AND metric2 > 15)", [1, 0, 0, 0]),
        ("metric1 > 15 && metric2 > 15", [1, 0, 0, 0]),
        ("metric1 > 15 || metric2 > 15", [1, 1, 1, 0]),
    ],
)
def test_the_documented_comparisons_hold(text: str, expected: list[float]) -> None:
    assert points(text, metric1=metric1, metric2=metric2) == expected


condition, then, otherwise = series(1, 1, 0, 0, N), series(30, N, 0, 0, 30), series(0, 0, 20, N, 20)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("IF(metric1, metric2, metric3)", [30, 0, 20, N, N]),
        ("IF(metric1, 5, metric3)", [5, 5, 20, N, N]),
        ("IF(metric1, metric2, 5)", [30, 0, 5, 5, N]),
        ("IF(metric1, metric2)", [30, 0, N, N, N]),
        ("IF(1, metric2, metric3)", [30, N, 0, 0, 30]),
        ("IF(0, metric2, metric3)", [0, 0, 20, N, 20]),
        ("IF(0, metric2)", [N, N, N, N, N]),
        ("IF(metric2<10, 10, 2)", [2, N, 10, 10, 2]),
    ],
)
def test_the_documented_if_tables_hold(text: str, expected: list[float | None]) -> None:
    assert points(text, metric1=condition, metric2=then, metric3=otherwise) == expected


gaps = series(N, 1, N, N, 4, N)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("FILL(m1, 10)", [10, 1, 10, 10, 4, 10]),
        ("FILL(m1, REPEAT)", [N, 1, 1, 1, 4, 4]),
        ("FILL(m1, LINEAR)", [N, 1, 2, 3, 4, N]),
        ("FILL(m1, MIN(m1))", [1, 1, 1, 1, 4, 1]),
        ("FILL(m1, m2)", [7, 1, 7, 7, 4, 7]),
        ("FILL(m1, TIME_SERIES(3))", [3, 1, 3, 3, 4, 3]),
    ],
)
def test_fill_fills_as_documented(text: str, expected: list[float | None]) -> None:
    assert points(text, m1=gaps, m2=series(7, 7, 7, 7, 7, 7)) == expected


def test_fill_leaves_a_metric_that_never_was_empty() -> None:
    assert points("FILL(m1, 0)", m1=Series([None] * 3, exists=False)) == [N, N, N]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("m1 + m2", [3, 1, 2, N]),  # a missing value is 0, but where both are missing there is no point
        ("m1 - m2", [-1, 1, -2, N]),
        ("m1 / m2", [0.5, N, 0, N]),  # division by zero drops the point
        ("m2 * 5", [10, N, 10, N]),
        ("-m1", [-1, -1, N, N]),
        ("2 ^ m2 - 1", [3, N, 3, N]),
        ("SUM([m1, m2])", [3, 1, 2, N]),
        ("AVG([m1, m2])", [1.5, 0.5, 1, N]),
        ("MIN([m1, m2])", [1, 1, 2, N]),
        ("MAX(METRICS())", [2, 1, 2, N]),
        ('SUM(METRICS("m2"))', [2, N, 2, N]),
        ("SUM(100/[m1, m2])", [150, 100, 50, N]),
        ("m1/METRIC_COUNT(METRICS())", [0.5, 0.5, N, N]),
        ("m1/PERIOD(m1)*60", [1, 1, N, N]),
        ("MAX(m2) - m1", [1, 1, N, N]),
        ("RATE(m2)", [N, N, 0, N]),
        ("DIFF(m1)", [N, 0, N, N]),
        ("FIRST(SORT(METRICS(), SUM, DESC))", [2, N, 2, N]),
        ("LAST(SLICE(METRICS(), 0, 1))", [1, 1, N, N]),
        ("ABS(-1*m1) + CEIL(m1/2)", [2, 2, N, N]),
        ("RUNNING_SUM(m1)", [1, 2, N, N]),
        ("IF(FIRST(METRICS()) > 0 AND 1, m1, 0)", [1, 1, N, N]),
    ],
)
def test_arithmetic_and_functions_treat_missing_points_as_documented(text: str, expected: list[float | None]) -> None:
    assert points(text, m1=series(1, 1, N, N), m2=series(2, N, 2, N)) == pytest.approx(expected)


def test_the_date_functions_read_each_period_in_utc() -> None:
    text = "DAY(m1)*1000000 + HOUR(m1)*10000 + MONTH(m1)*100 + DATE(m1)"
    assert points(text, m1=series(N, N)) == [1_091_007, 1_091_007]
    assert points("MINUTE(m1)", m1=series(N, N)) == [0, 1]
    assert points("EPOCH(m1)", m1=series(N)) == [MONDAY_0900]
    assert points("YEAR(m1)", m1=series(N)) == [2013]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("m1 +", "column 5: found the end"),
        ("m1 $ 2", "column 4: '\\$' means nothing"),
        ("FILL(m1)", "takes 2 arguments, not 1"),
        ("fill(m1, 0)", "fill in .* is no function; known: ABS"),
        ("SEARCH('x', 'Sum', 60)", "cannot be evaluated here"),
        ("SELECT AVG(x) FROM y", "Metrics Insights"),
        ("m9 + 1", "'m9', which is no id; known: m1"),
        ("(m1", "found the end where '\\)'"),
        ("m1 m1", "an operator or the end"),
        ("__import__('os')", "is no function"),
        ("M1 + 1", "neither a function's call nor an id"),
        ("FILL(5, 0)", "FILL takes a time series"),
        ("FILL(m1, ASC)", "FILL takes a number, a time series, REPEAT or LINEAR"),
    ],
)
def test_what_cannot_be_evaluated_is_refused_by_name(text: str, says: str) -> None:
    with pytest.raises(ExpressionInvalid, match=says):
        run(text, m1=series(1, 2))

"""The tables of "How alarm state is evaluated when data is missing" in the CloudWatch user guide, case by case."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alarm_world import LATENCY, START, alarm, book
from ops.local.alarms import MetricStore, Missing, State
from ops.local.alarms.evaluate import judge

OK, ALARM, INSUFFICIENT = State.OK, State.ALARM, State.INSUFFICIENT_DATA
RETAIN = None
TREATMENTS = (Missing.MISSING, Missing.IGNORE, Missing.BREACHING, Missing.NOT_BREACHING)
POINTS = {"0": False, "X": True, "-": None}

# (data points, oldest first; evaluation periods; datapoints to alarm; the state by treatment)
TABLE_3_OF_3 = [
    ("0 - X - X", 3, 3, (OK, OK, OK, OK)),
    ("0 - - - -", 3, 3, (OK, OK, OK, OK)),
    ("- - - - -", 3, 3, (INSUFFICIENT, RETAIN, ALARM, OK)),
    ("0 X X - X", 3, 3, (ALARM, ALARM, ALARM, ALARM)),
    ("- - X - -", 3, 3, (ALARM, RETAIN, ALARM, OK)),
]
TABLE_2_OF_3 = [
    ("0 - X - X", 3, 2, (ALARM, ALARM, ALARM, ALARM)),
    ("0 0 X 0 X", 3, 2, (ALARM, ALARM, ALARM, ALARM)),
    ("0 - X - -", 3, 2, (OK, OK, ALARM, OK)),
    ("- - - - 0", 3, 2, (OK, OK, ALARM, OK)),
    ("- - - X -", 3, 2, (ALARM, RETAIN, ALARM, OK)),
]
# From "Avoiding premature transitions", and two rows that only earlier editions of the tables have.
PREMATURE = [
    ("- - - - X", 3, 3, (INSUFFICIENT, RETAIN, ALARM, OK)),
    ("- - - X -", 3, 3, (INSUFFICIENT, RETAIN, ALARM, OK)),
    ("- - - X 0", 3, 3, (OK, OK, OK, OK)),
    ("- - X - 0", 3, 3, (OK, OK, OK, OK)),
    ("X - - - -", 3, 3, (ALARM, RETAIN, ALARM, OK)),
    ("- - - - X", 3, 2, (INSUFFICIENT, RETAIN, ALARM, OK)),
]
CASES = [
    (points, periods, datapoints, treatment, expected)
    for points, periods, datapoints, states in TABLE_3_OF_3 + TABLE_2_OF_3 + PREMATURE
    for treatment, expected in zip(TREATMENTS, states, strict=True)
]


@pytest.mark.parametrize("current", list(State))
@pytest.mark.parametrize(("points", "periods", "datapoints", "treatment", "expected"), CASES)
def test_the_documented_table_holds(
    points: str, periods: int, datapoints: int, treatment: Missing, expected: State | None, current: State
) -> None:
    found = judge([POINTS[point] for point in points.split()], periods, datapoints, treatment, current)

    assert found is (current if expected is None else expected)


@pytest.mark.parametrize(("points", "periods", "datapoints", "treatment", "expected"), CASES)
def test_the_documented_table_holds_from_the_metric_on(
    points: str, periods: int, datapoints: int, treatment: Missing, expected: State | None
) -> None:
    """The same rows through the store and the book, with the tables' period (5 minutes) and range (5 points)."""
    alarms = book(
        alarm(Period=300, EvaluationPeriods=periods, DatapointsToAlarm=datapoints, TreatMissingData=treatment),
        extra_periods=2,
    )
    metrics = MetricStore()
    for index, point in enumerate(points.split()):
        if point != "-":
            metrics.put(LATENCY, START + timedelta(seconds=300 * index + 17), 9.0 if point == "X" else 1.0)

    alarms.tick(START + timedelta(minutes=25), metrics)

    assert alarms.state("slow") is (INSUFFICIENT if expected is None else expected)


points = st.lists(st.sampled_from([True, False, None]), min_size=1, max_size=12)


@given(points, st.sampled_from(list(Missing)), st.sampled_from(list(State)))
def test_a_lower_m_never_alarms_later(breaching: list[bool | None], missing: Missing, current: State) -> None:
    """M out of N is monotone: what m + 1 breaching points call for, m of them do."""
    periods = len(breaching)
    found = [judge(breaching, periods, m, missing, current) is ALARM for m in range(1, periods + 1)]
    if missing is Missing.IGNORE and current is ALARM:
        return  # an ignored gap keeps what was
    assert found == sorted(found, reverse=True)


@given(points, st.integers(1, 5), st.integers(1, 5), st.sampled_from([Missing.BREACHING, Missing.NOT_BREACHING]))
def test_a_worse_point_never_mends_an_alarm(
    breaching: list[bool | None], periods: int, datapoints: int, missing: Missing
) -> None:
    worse = [True if point is False else point for point in breaching]
    datapoints = min(periods, datapoints)

    before = judge(breaching, periods, datapoints, missing, OK)

    assert before is OK or judge(worse, periods, datapoints, missing, OK) is ALARM


@given(points, st.integers(1, 5), st.integers(1, 5))
def test_the_treatment_does_not_matter_where_enough_data_is(
    breaching: list[bool | None], periods: int, datapoints: int
) -> None:
    datapoints = min(periods, datapoints)
    if sum(point is not None for point in breaching) < periods:
        return

    assert len({judge(breaching, periods, datapoints, missing, INSUFFICIENT) for missing in Missing}) == 1

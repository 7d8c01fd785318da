"""Alarms over time: birth, M out of N, gaps, high resolution, composite alarms, suppression, messages, definitions."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alarm_world import LATENCY, START, TOPIC, alarm, book, composite, history, play
from ops.local.alarms import AlarmBook, AlarmInvalid, Metric, MetricStore, State
from ops.local.alarms.definition import load

OK, ALARM, INSUFFICIENT = State.OK, State.ALARM, State.INSUFFICIENT_DATA


def fill_alarm(**changes: Any) -> dict[str, Any]:
    """A silence alarm as Terraform deploys it: FILL(runs, 0) < 1 for 3 of 3 minutes."""
    single = ("Namespace", "MetricName", "Dimensions", "Statistic", "Period")
    runs = {"Namespace": "OpsPipeline", "MetricName": "RunsCompleted", "Dimensions": []}
    return {
        **{key: value for key, value in alarm().items() if key not in single},
        "ComparisonOperator": "LessThanThreshold",
        "Threshold": 1.0,
        "TreatMissingData": "breaching",
        "Metrics": [
            {"Id": "beats", "Expression": "FILL(runs, 0)", "ReturnData": True},
            {"Id": "runs", "MetricStat": {"Metric": runs, "Period": 60, "Stat": "Sum"}, "ReturnData": False},
        ],
        **changes,
    }


RUNS = Metric.of("OpsPipeline", "RunsCompleted")


def test_an_alarm_is_born_without_data() -> None:
    alarms = book(alarm())

    assert alarms.states == {"slow": INSUFFICIENT}
    assert alarms.standings["slow"].reason == "Unchecked: Initial alarm creation"
    assert play(alarms, [None, None]) == []


def test_the_guides_figure_holds() -> None:
    """3 of 3 above three units: ALARM with the third to fifth period, OK at the sixth, and one peak is no alarm."""
    alarms = book(alarm(Threshold=3, TreatMissingData="notBreaching"))

    changes = play(alarms, [2, 2, 4, 4, 4, 2, 1, 2, 4, 2])

    assert history(changes) == [(1, OK), (5, ALARM), (6, OK)]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.sampled_from([1.0, 9.0, None]), max_size=12), st.integers(1, 5), st.integers(1, 5))
def test_a_series_that_always_breaches_ends_in_alarm(before: list[float | None], periods: int, datapoints: int) -> None:
    datapoints = min(periods, datapoints)
    alarms = book(alarm(EvaluationPeriods=periods, DatapointsToAlarm=datapoints))

    play(alarms, [*before, *[9.0] * periods])

    assert alarms.state("slow") is ALARM


@settings(max_examples=50, deadline=None)
@given(st.lists(st.sampled_from([1.0, 9.0, None]), min_size=1, max_size=20), st.integers(1, 4))
def test_a_higher_m_never_alarms_earlier(values: list[float | None], datapoints: int) -> None:
    def minutes_in_alarm(m: int) -> set[int]:
        alarms = book(alarm(EvaluationPeriods=5, DatapointsToAlarm=m, TreatMissingData="notBreaching"))
        metrics, found = MetricStore(), set()
        for minute, value in enumerate(values):
            if value is not None:
                metrics.put(LATENCY, START + timedelta(minutes=minute), value)
            alarms.tick(START + timedelta(minutes=minute + 1), metrics)
            if alarms.state("slow") is ALARM:
                found.add(minute)
        return found

    assert minutes_in_alarm(datapoints + 1) <= minutes_in_alarm(datapoints)


@pytest.mark.parametrize(("extra_periods", "minute"), [(0, 6), (2, 8), (3, 9)])
def test_missing_data_that_breaches_waits_for_the_evaluation_range(extra_periods: int, minute: int) -> None:
    alarms = book(
        alarm(EvaluationPeriods=1, DatapointsToAlarm=1, TreatMissingData="breaching"), extra_periods=extra_periods
    )

    changes = play(alarms, [1, 1, 1, 1, 1, *[None] * 8])

    assert history(changes) == [(1, OK), (minute, ALARM)]


def test_fill_takes_that_wait_away() -> None:
    changes = play(book(fill_alarm()), [1, 1, 1, 1, 1, *[None] * 8], RUNS)

    assert history(changes) == [(1, OK), (8, ALARM)]


def test_fill_in_the_minute_that_is_late_is_no_alarm() -> None:
    """The newest minute reads 0 until its data arrives, a minute late; three of three are needed."""
    alarms, metrics = book(fill_alarm()), MetricStore()
    changes = []
    for minute in range(1, 30):
        metrics.put(RUNS, START + timedelta(minutes=minute - 1), 1)
        changes += alarms.tick(START + timedelta(minutes=minute + 1), metrics)

    assert [change.new for change in changes] == [OK]


def test_a_service_that_never_ran_alarms_since_its_metric_does_not_exist() -> None:
    changes = play(book(fill_alarm()), [None], RUNS)

    assert history(changes) == [(1, ALARM)]
    assert changes[0].reason == (
        "Threshold Crossed: no datapoints were received for 3 periods "
        "and 3 missing datapoints were treated as [Breaching]."
    )


def test_an_ignored_gap_keeps_the_alarm_and_a_missing_one_drops_it() -> None:
    values = [9, 9, 9, *[None] * 7]

    assert history(play(book(alarm(TreatMissingData="ignore")), values)) == [(3, ALARM)]
    assert history(play(book(alarm(TreatMissingData="missing")), values)) == [(3, ALARM), (9, INSUFFICIENT)]


def test_a_long_period_slides_with_the_minutes() -> None:
    """A 5-minute alarm is evaluated every minute over the 5 minutes before, not over those of the clock."""
    alarms = book(alarm(Period=300, EvaluationPeriods=1, DatapointsToAlarm=1, Statistic="Sum", Threshold=40))

    changes = play(alarms, [1, 1, 1, *[9] * 5])

    assert history(changes) == [(1, OK), (8, ALARM)]


def test_a_wall_clock_window_keeps_to_the_clock() -> None:
    window = {"WallClockWindow": {}}
    alarms = book(
        alarm(
            Period=300, EvaluationPeriods=1, DatapointsToAlarm=1, Statistic="Sum", Threshold=40, EvaluationWindow=window
        )
    )

    changes = play(alarms, [1, 1, 1, *[9] * 7])

    assert history(changes) == [(5, OK), (10, ALARM)]


def test_an_expression_may_use_another_and_both_metrics() -> None:
    entry = fill_alarm(
        ComparisonOperator="GreaterThanThreshold",
        Threshold=0.5,
        EvaluationPeriods=1,
        DatapointsToAlarm=1,
        Metrics=[
            {"Id": "rate", "Expression": "bad / total", "ReturnData": True},
            {"Id": "total", "Expression": "bad + good", "ReturnData": False},
            *(
                {
                    "Id": name,
                    "MetricStat": {"Metric": {"Namespace": "T", "MetricName": name}, "Period": 60, "Stat": "Sum"},
                    "ReturnData": False,
                }
                for name in ("bad", "good")
            ),
        ],
    )
    alarms, metrics = book(entry), MetricStore()
    metrics.put(Metric.of("T", "good"), START, 1)
    alarms.tick(START + timedelta(minutes=1), metrics)
    metrics.put(Metric.of("T", "bad"), START + timedelta(minutes=1), 1)
    changes = alarms.tick(START + timedelta(minutes=2), metrics)

    assert history(changes) == [(2, ALARM)]


def test_a_high_resolution_alarm_is_evaluated_every_ten_seconds() -> None:
    alarms, metrics = book(alarm(Period=10, EvaluationPeriods=2, DatapointsToAlarm=2)), MetricStore()
    changes = []
    for second in range(0, 60, 5):
        if second % 10 == 0:
            metrics.put(LATENCY, START + timedelta(seconds=second), 9 if second >= 20 else 1, high_resolution=True)
        changes += alarms.tick(START + timedelta(seconds=second), metrics)

    assert [((change.at - START).total_seconds(), change.new) for change in changes] == [(10, OK), (40, ALARM)]


def test_a_percentile_of_few_samples_may_be_ignored() -> None:
    few = alarm(Statistic=None, ExtendedStatistic="p90", EvaluationPeriods=1, DatapointsToAlarm=1)
    ignoring = {**few, "AlarmName": "ignoring", "EvaluateLowSampleCountPercentile": "ignore"}

    alarms = book(few, ignoring)
    play(alarms, [9.0])
    assert alarms.states == {"slow": ALARM, "ignoring": INSUFFICIENT}

    metrics = MetricStore()
    metrics.put(LATENCY, START + timedelta(minutes=5), 9.0, count=100)
    alarms.tick(START + timedelta(minutes=6), metrics)
    assert alarms.state("ignoring") is ALARM


def test_a_change_sends_what_its_state_asks_for_in_cloudwatchs_words() -> None:
    changes = play(book(alarm(AlarmConfigurationUpdatedTimestamp="2013-10-01T00:00:00.000+0000")), [1, 9, 9, 9])

    assert [len(change.notifications) for change in changes] == [0, 1]
    sent = changes[1].notifications[0]
    assert (sent.target_arn, sent.subject) == (TOPIC, 'ALARM: "slow" in US West (Oregon)')
    assert sent.message == {
        "AlarmName": "slow",
        "AlarmDescription": "Run: scripts/diagnose",
        "AWSAccountId": "123456789012",
        "AlarmConfigurationUpdatedTimestamp": "2013-10-01T00:00:00.000+0000",
        "NewStateValue": "ALARM",
        "NewStateReason": "Threshold Crossed: 3 out of the last 3 datapoints [9.0 (07/10/13 13:33:00), "
        "9.0 (07/10/13 13:32:00), 9.0 (07/10/13 13:31:00)] were greater than the threshold (5.0) "
        "(minimum 3 datapoints for OK -> ALARM transition).",
        "StateChangeTime": "2013-10-07T13:34:00.000+0000",
        "Region": "US West (Oregon)",
        "AlarmArn": "arn:aws:cloudwatch:us-west-2:123456789012:alarm:slow",
        "OldStateValue": "OK",
        "OKActions": [],
        "AlarmActions": [TOPIC],
        "InsufficientDataActions": [],
        "Trigger": {
            "MetricName": "Latency",
            "Namespace": "Test",
            "StatisticType": "Statistic",
            "Statistic": "MAXIMUM",
            "Unit": None,
            "Dimensions": [{"value": "one", "name": "Service"}],
            "Period": 60,
            "EvaluationPeriods": 3,
            "DatapointsToAlarm": 3,
            "ComparisonOperator": "GreaterThanThreshold",
            "Threshold": 5.0,
            "TreatMissingData": "missing",
            "EvaluateLowSampleCountPercentile": "",
        },
    }


def test_the_words_for_a_recovery_count_the_points_that_are_needed() -> None:
    changes = play(book(alarm(EvaluationPeriods=5, DatapointsToAlarm=3)), [9, 9, 9, 9, 9, 1, 1, 1])

    assert changes[-1].new is OK
    assert changes[-1].reason == (
        "Threshold Crossed: 3 out of the last 5 datapoints [1.0 (07/10/13 13:37:00), 1.0 (07/10/13 13:36:00), "
        "1.0 (07/10/13 13:35:00)] were not greater than the threshold (5.0) "
        "(minimum 3 datapoints for ALARM -> OK transition)."
    )


def test_the_first_state_runs_its_actions_and_disabled_ones_never_run() -> None:
    entry = alarm(OKActions=[TOPIC])

    assert [len(change.notifications) for change in play(book(entry), [1])] == [1]
    assert [len(change.notifications) for change in play(book({**entry, "ActionsEnabled": False}), [1])] == [0]


def test_an_expressions_message_lists_its_metrics() -> None:
    message = play(book(fill_alarm()), [None], RUNS)[0].message

    assert "MetricName" not in message["Trigger"]
    assert message["Trigger"]["Metrics"] == [
        {"Expression": "FILL(runs, 0)", "Id": "beats", "ReturnData": True},
        {
            "Id": "runs",
            "MetricStat": {
                "Metric": {"Dimensions": [], "MetricName": "RunsCompleted", "Namespace": "OpsPipeline"},
                "Period": 60,
                "Stat": "Sum",
            },
            "ReturnData": False,
        },
    ]


def test_a_composite_alarm_follows_its_children_in_the_same_tick() -> None:
    alarms = book(alarm(), composite("down", "ALARM(group)"), composite("group", 'ALARM("slow")'))

    changes = play(alarms, [1, 9, 9, 9, 1])

    assert history(changes, "down") == [(1, OK), (4, ALARM), (5, OK)]
    fired = next(change for change in changes if change.alarm.name == "group" and change.new is ALARM)
    slow = "arn:aws:cloudwatch:us-west-2:123456789012:alarm:slow"
    assert fired.reason == f"{slow} transitioned to ALARM at Monday 07 October, 2013 13:34:00 UTC"
    assert fired.message["TriggeringChildren"] == [
        {"Arn": slow, "State": {"Value": "ALARM", "Timestamp": "2013-10-07T13:34:00.000+0000"}}
    ]
    assert fired.message["AlarmRule"] == 'ALARM("slow")'
    assert "Trigger" not in fired.message


def suppressed(**changes: Any) -> AlarmBook:
    """`down` follows `slow`, but not while `deploying` is in ALARM."""
    deploying = alarm(AlarmName="deploying", MetricName="Deploying", EvaluationPeriods=1, DatapointsToAlarm=1)
    settings = {"ActionsSuppressorWaitPeriod": 120, "ActionsSuppressorExtensionPeriod": 180, **changes}
    return book(alarm(), deploying, composite("down", "ALARM(slow)", ActionsSuppressor="deploying", **settings))


def sent_by_down(alarms: AlarmBook, deploying: range, slow: range) -> list[tuple[int, State]]:
    """(minute, state) of what `down` sends in 20 minutes."""
    metrics, found = MetricStore(), []
    other = Metric.of("Test", "Deploying", {"Service": "one"})
    for minute in range(20):
        metrics.put(LATENCY, START + timedelta(minutes=minute), 9 if minute in slow else 1)
        metrics.put(other, START + timedelta(minutes=minute), 9 if minute in deploying else 1)
        changes = alarms.tick(START + timedelta(minutes=minute + 1), metrics)
        found += [
            (minute + 1, change.new) for change in changes if change.alarm.name == "down" and change.notifications
        ]
    return found


def test_a_suppressor_that_never_comes_delays_by_the_wait_period() -> None:
    assert sent_by_down(suppressed(), range(0), range(2, 20)) == [(7, ALARM)]


def test_a_suppressor_in_alarm_holds_the_actions_back_until_the_extension_ends() -> None:
    assert sent_by_down(suppressed(), range(1, 8), range(2, 20)) == [(12, ALARM)]


def test_what_recovers_under_a_suppressor_sends_nothing() -> None:
    assert sent_by_down(suppressed(), range(1, 12), range(2, 6)) == []


def test_set_alarm_state_holds_until_the_next_evaluation() -> None:
    alarms = book(alarm(), composite("down", "ALARM(slow)"))
    play(alarms, [1])

    forced = alarms.set_state("slow", ALARM, "a drill", START + timedelta(seconds=70))
    assert [(change.alarm.name, change.new, change.reason) for change in forced[:1]] == [("slow", ALARM, "a drill")]
    assert alarms.state("down") is ALARM

    play(alarms, [1], minutes_before=1)
    assert alarms.states == {"slow": OK, "down": OK}


def test_loading_again_keeps_states_and_takes_new_definitions() -> None:
    alarms = book(alarm())
    play(alarms, [1])

    alarms.load({"MetricAlarms": [alarm(Threshold=0.5), alarm(AlarmName="new")]})

    assert alarms.states == {"slow": OK, "new": INSUFFICIENT}
    assert alarms.metric_alarms["slow"].threshold == 0.5


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"Period": 45}, "slow: its period is 45 s; use 10, 20, 30 or a multiple of 60"),
        ({"DatapointsToAlarm": 4}, "4 datapoints to alarm of 3 evaluation periods; use 1 to 3"),
        ({"EvaluationPeriods": 1441, "DatapointsToAlarm": 1}, "86460 s, of at most 86400 s"),
        ({"Period": 86400, "EvaluationPeriods": 8}, "of at most 604800 s"),
        ({"ComparisonOperator": "GreaterThanUpperThreshold"}, "cannot be evaluated here"),
        ({"TreatMissingData": "bad"}, "TreatMissingData is 'bad'; use one of missing, ignore, breaching, notBreaching"),
        ({"Threshold": None}, "no Threshold; give it one"),
        ({"MetricName": None}, "needs Namespace and MetricName"),
        ({"AlarmName": None}, "without AlarmName"),
    ],
)
def test_a_definition_that_aws_refuses_is_refused(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(AlarmInvalid, match=says):
        load({"MetricAlarms": [alarm(**changes)]})


@pytest.mark.parametrize(
    ("metrics", "says"),
    [
        ([{"Id": "e1", "Expression": "FILL(m9, 0)"}], "periods \\[\\]"),
        ([{"Id": "e1", "Expression": "FILL(m9, 0)", "Period": 60}], "refers to 'm9'"),
        (
            [{"Id": "e1", "Expression": "e2", "Period": 60}, {"Id": "e2", "Expression": "e1", "ReturnData": False}],
            "circle",
        ),
        ([{"Id": "e1", "Expression": "1 + 1", "Period": 60}], "no single time series"),
        ([{"Id": "e1"}], "needs a MetricStat or an Expression"),
    ],
)
def test_an_expression_that_cannot_be_evaluated_is_refused_at_once(metrics: list[dict[str, Any]], says: str) -> None:
    with pytest.raises(AlarmInvalid, match=says):
        book(fill_alarm(Metrics=metrics))


def test_the_look_back_limit_cuts_the_evaluation_range() -> None:
    """7 periods of a day are all that may be looked at: there is no further wait."""
    entry = alarm(Period=86400, EvaluationPeriods=7, DatapointsToAlarm=1, TreatMissingData="breaching")
    alarms, metrics = book(entry), MetricStore()
    for day in range(7):
        metrics.put(LATENCY, START + timedelta(days=day), 1)
    alarms.tick(START + timedelta(days=7), metrics)
    alarms.tick(START + timedelta(days=8), metrics)

    assert alarms.state("slow") is ALARM


def test_a_session_without_a_beat_ends_with_every_silence_alarm_raised() -> None:
    alarms = book(
        *(fill_alarm(AlarmName=f"silent-{index}") for index in range(20)),
        *(alarm(AlarmName=f"slow-{index}", Period=300, Statistic="Sum") for index in range(40)),
    )
    play(alarms, [1.0] * 390)

    assert {alarms.state(f"silent-{index}") for index in range(20)} == {ALARM}

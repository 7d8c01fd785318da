"""Alarms and saved queries of the local AWS."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from ops.local.aws import LocalAws

MORNING = datetime(2026, 1, 26, 14, 30, tzinfo=UTC)


def alarm(name: str, **changes: Any) -> dict[str, Any]:
    """The arguments of PutMetricAlarm."""
    return {
        "AlarmName": name,
        "Namespace": "ops-pipeline",
        "MetricName": "RunsCompleted",
        "Statistic": "Sum",
        "Period": 60,
        "EvaluationPeriods": 3,
        "Threshold": 1,
        "ComparisonOperator": "LessThanThreshold",
        "TreatMissingData": "breaching",
        **changes,
    }


def test_a_composite_alarm_is_kept_with_its_rule(aws: LocalAws) -> None:
    cloudwatch, name = aws.client("cloudwatch"), f"down-{uuid.uuid4()}"
    cloudwatch.put_metric_alarm(**alarm(f"{name}-silent"))
    cloudwatch.put_composite_alarm(AlarmName=name, AlarmRule=f'ALARM("{name}-silent")', AlarmActions=[])
    found = cloudwatch.describe_alarms(AlarmNames=[name], AlarmTypes=["CompositeAlarm"])["CompositeAlarms"]
    assert [each["AlarmRule"] for each in found] == [f'ALARM("{name}-silent")']


def test_an_alarm_is_born_with_insufficient_data(aws: LocalAws) -> None:
    cloudwatch, name = aws.client("cloudwatch"), f"born-{uuid.uuid4()}"
    cloudwatch.put_metric_alarm(**alarm(name))
    (found,) = cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"]
    assert found["StateValue"] == "INSUFFICIENT_DATA"


def test_an_update_of_an_alarm_keeps_its_state(aws: LocalAws) -> None:
    cloudwatch, name = aws.client("cloudwatch"), f"updated-{uuid.uuid4()}"
    cloudwatch.put_metric_alarm(**alarm(name))
    cloudwatch.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="silent for 3 minutes")
    cloudwatch.put_metric_alarm(**alarm(name, Threshold=2))
    (found,) = cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"]
    assert (found["StateValue"], found["StateReason"]) == ("ALARM", "silent for 3 minutes")
    assert found["Threshold"] == 2


def test_an_alarms_changes_are_kept_with_their_times(aws: LocalAws) -> None:
    cloudwatch, name = aws.client("cloudwatch"), f"told-{uuid.uuid4()}"
    aws.set_now(MORNING)
    cloudwatch.put_metric_alarm(**alarm(name))
    for minute, state in ((3, "ALARM"), (5, "ALARM"), (9, "OK")):
        aws.set_now(MORNING + timedelta(minutes=minute))
        cloudwatch.set_alarm_state(AlarmName=name, StateValue=state, StateReason=f"at minute {minute}")
    items = cloudwatch.describe_alarm_history(AlarmName=name, HistoryItemType="StateUpdate")["AlarmHistoryItems"]
    assert [(item["HistorySummary"], item["Timestamp"].minute) for item in items] == [
        ("Alarm updated from ALARM to OK", 39),
        ("Alarm updated from INSUFFICIENT_DATA to ALARM", 33),
    ]
    assert json.loads(items[1]["HistoryData"])["newState"] == {"stateValue": "ALARM", "stateReason": "at minute 3"}
    assert cloudwatch.describe_alarm_history(AlarmName=name)["AlarmHistoryItems"][-1]["HistorySummary"].endswith(
        "created"
    )
    late = {"StartDate": MORNING + timedelta(minutes=8), "ScanBy": "TimestampAscending"}
    assert len(cloudwatch.describe_alarm_history(AlarmName=name, **late)["AlarmHistoryItems"]) == 1
    (found,) = cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"]
    assert (found["StateUpdatedTimestamp"].minute, found["StateTransitionedTimestamp"].minute) == (39, 39)


def test_the_actions_of_an_alarm_can_be_switched_off_and_on(mended_aws: LocalAws) -> None:
    cloudwatch, name = mended_aws.client("cloudwatch"), f"quiet-{uuid.uuid4()}"
    cloudwatch.put_metric_alarm(**alarm(name))
    for switch, enabled in ((cloudwatch.disable_alarm_actions, False), (cloudwatch.enable_alarm_actions, True)):
        switch(AlarmNames=[name])
        (found,) = cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"]
        assert found["ActionsEnabled"] is enabled


def put(aws: LocalAws, namespace: str, minute: float, value: float, **dimensions: str) -> None:
    """PutMetricData of one value, at a minute of the morning."""
    datum = {
        "MetricName": "Runs",
        "Dimensions": [{"Name": key, "Value": each} for key, each in dimensions.items()],
        "Timestamp": MORNING + timedelta(minutes=minute),
        "Value": value,
    }
    aws.client("cloudwatch").put_metric_data(Namespace=namespace, MetricData=[datum])


def data(aws: LocalAws, namespace: str, stat: str, period: int = 60, **dimensions: str) -> list[tuple[int, float]]:
    """GetMetricData of the first ten minutes: (minute, value), the oldest first."""
    metric = {
        "Namespace": namespace,
        "MetricName": "Runs",
        "Dimensions": [{"Name": key, "Value": each} for key, each in dimensions.items()],
    }
    (found,) = aws.client("cloudwatch").get_metric_data(
        MetricDataQueries=[{"Id": "runs", "MetricStat": {"Metric": metric, "Period": period, "Stat": stat}}],
        StartTime=MORNING,
        EndTime=MORNING + timedelta(minutes=10),
        ScanBy="TimestampAscending",
    )["MetricDataResults"]
    minutes = [int((at - MORNING).total_seconds() // 60) for at in found["Timestamps"]]
    return list(zip(minutes, found["Values"], strict=True))


def test_metric_data_is_of_exactly_the_series_that_was_asked_for(aws: LocalAws) -> None:
    namespace = f"ops/{uuid.uuid4()}"
    put(aws, namespace, 1, 5)
    put(aws, namespace, 1, 7, Service="one")
    put(aws, namespace, 1, 11, Service="one", Feed="iex")
    put(aws, f"{namespace}/other", 1, 13, Service="one")
    assert data(aws, namespace, "Sum") == [(1, 5)]
    assert data(aws, namespace, "Sum", Service="one") == [(1, 7)]
    assert data(aws, namespace, "Sum", Feed="iex", Service="one") == [(1, 11)]


def test_metric_data_is_summed_up_per_period_of_virtual_time(mended_aws: LocalAws) -> None:
    namespace = f"ops/{uuid.uuid4()}"
    for minute, value in ((0, 1), (0.9, 2), (4, 4), (5, 8), (9.99, 16), (10, 32), (-1, 64)):
        put(mended_aws, namespace, minute, value, Service="one")
    assert data(mended_aws, namespace, "Sum", Service="one") == [(0, 3), (4, 4), (5, 8), (9, 16)]
    assert data(mended_aws, namespace, "Maximum", 300, Service="one") == [(0, 4), (5, 16)]
    assert data(mended_aws, namespace, "SampleCount", 300, Service="one") == [(0, 3), (5, 2)]
    mended_aws.set_now(MORNING + timedelta(minutes=7))
    untimed = {"MetricName": "Runs", "Dimensions": [{"Name": "Service", "Value": "one"}], "Value": 128}
    mended_aws.client("cloudwatch").put_metric_data(Namespace=namespace, MetricData=[untimed])
    assert (7, 128) in data(mended_aws, namespace, "Sum", Service="one")


def test_metric_statistics_are_of_exactly_the_series_that_was_asked_for(aws: LocalAws) -> None:
    namespace = f"ops/{uuid.uuid4()}"
    put(aws, namespace, 1, 7, Service="one")
    put(aws, namespace, 2, 11, Service="one", Feed="iex")
    found = aws.client("cloudwatch").get_metric_statistics(
        Namespace=namespace,
        MetricName="Runs",
        Dimensions=[{"Name": "Service", "Value": "one"}],
        StartTime=MORNING + timedelta(seconds=30),
        EndTime=MORNING + timedelta(minutes=10),
        Period=60,
        Statistics=["Sum", "SampleCount"],
    )["Datapoints"]
    assert [(each["Timestamp"], each["Sum"], each["SampleCount"]) for each in found] == [
        (MORNING + timedelta(minutes=1), 7, 1)
    ]


def test_each_series_is_listed_once(aws: LocalAws) -> None:
    namespace = f"ops/{uuid.uuid4()}"
    for minute in range(3):
        put(aws, namespace, minute, 1, Service="one", Feed="iex")
        put(aws, namespace, minute, 1)
    listed = aws.client("cloudwatch").list_metrics(Namespace=namespace)["Metrics"]
    assert sorted(len(each["Dimensions"]) for each in listed) == [0, 2]


def test_a_saved_query_is_found_by_its_prefix_changed_and_deleted(aws: LocalAws) -> None:
    logs, name = aws.client("logs"), f"ops/{uuid.uuid4()}"
    made = logs.put_query_definition(name=f"{name}/errors", queryString="fields @message")["queryDefinitionId"]
    logs.put_query_definition(name=f"{name}/errors", queryString="fields @timestamp", queryDefinitionId=made)
    (found,) = logs.describe_query_definitions(queryDefinitionNamePrefix=name)["queryDefinitions"]
    assert (found["queryDefinitionId"], found["queryString"]) == (made, "fields @timestamp")
    assert logs.delete_query_definition(queryDefinitionId=made)["success"]
    assert logs.describe_query_definitions(queryDefinitionNamePrefix=name)["queryDefinitions"] == []

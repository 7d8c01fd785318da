"""Alarms and saved queries of the local AWS."""

from __future__ import annotations

import uuid
from typing import Any

from ops.local.aws import LocalAws


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


def test_a_saved_query_is_found_by_its_prefix_changed_and_deleted(aws: LocalAws) -> None:
    logs, name = aws.client("logs"), f"ops/{uuid.uuid4()}"
    made = logs.put_query_definition(name=f"{name}/errors", queryString="fields @message")["queryDefinitionId"]
    logs.put_query_definition(name=f"{name}/errors", queryString="fields @timestamp", queryDefinitionId=made)
    (found,) = logs.describe_query_definitions(queryDefinitionNamePrefix=name)["queryDefinitions"]
    assert (found["queryDefinitionId"], found["queryString"]) == (made, "fields @timestamp")
    assert logs.delete_query_definition(queryDefinitionId=made)["success"]
    assert logs.describe_query_definitions(queryDefinitionNamePrefix=name)["queryDefinitions"] == []

"""The alarms and schedules of a Terraform plan or state (`terraform show -json`), as AWS would describe them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

# What stands for an action that Terraform knows only after apply.
AFTER_APPLY = "arn:aws:sns:us-west-2:123456789012:known-after-apply"
METRIC, COMPOSITE, SCHEDULE = (
    "aws_cloudwatch_metric_alarm",
    "aws_cloudwatch_composite_alarm",
    "aws_scheduler_schedule",
)


def is_terraform(document: Mapping[str, Any]) -> bool:
    """Whether it is Terraform's JSON rather than DescribeAlarms'."""
    return "resource_changes" in document or "planned_values" in document or "values" in document


def describe_alarms(document: Mapping[str, Any]) -> dict[str, Any]:
    """The response that DescribeAlarms would give once the plan is applied; tags lie in `Tags`."""
    found: dict[str, Any] = {"MetricAlarms": [], "CompositeAlarms": []}
    for kind, values in _resources(document):
        if kind == METRIC:
            found["MetricAlarms"].append(_metric_alarm(values))
        elif kind == COMPOSITE:
            found["CompositeAlarms"].append(_composite_alarm(values))
    return found


def schedules(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Name, GroupName, ScheduleExpression and State of every schedule."""
    return [
        {
            "Name": values.get("name"),
            "GroupName": values.get("group_name"),
            "ScheduleExpression": values.get("schedule_expression"),
            "State": values.get("state") or "ENABLED",
        }
        for kind, values in _resources(document)
        if kind == SCHEDULE
    ]


def _resources(document: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """(type, values) of every managed resource that is there after apply; unknown actions are stood in for."""
    if "resource_changes" in document:
        for resource in document["resource_changes"]:
            change = resource["change"]
            if change.get("after") and resource.get("mode") == "managed":
                yield resource["type"], _known({**change["after"]}, change.get("after_unknown") or {})
        return
    root = (document.get("planned_values") or document.get("values") or {}).get("root_module") or {}
    yield from _module(root)


def _module(module: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for resource in module.get("resources") or ():
        if resource.get("mode") == "managed":
            yield resource["type"], dict(resource["values"])
    for child in module.get("child_modules") or ():
        yield from _module(child)


def _known(values: dict[str, Any], unknown: Mapping[str, Any]) -> dict[str, Any]:
    """The values with a stand-in for each list of actions that is known only after apply."""
    for key in ("alarm_actions", "ok_actions", "insufficient_data_actions"):
        parts = unknown.get(key)
        if parts is True or (isinstance(parts, list) and any(parts)):
            values[key] = [AFTER_APPLY]
    return values


def _actions(values: Mapping[str, Any]) -> dict[str, Any]:
    """What metric and composite alarms share."""
    return {
        "AlarmName": values.get("alarm_name"),
        "AlarmArn": values.get("arn"),
        "AlarmDescription": values.get("alarm_description"),
        "ActionsEnabled": values.get("actions_enabled") is not False,
        "AlarmActions": values.get("alarm_actions") or [],
        "OKActions": values.get("ok_actions") or [],
        "InsufficientDataActions": values.get("insufficient_data_actions") or [],
        "Tags": _pairs(values.get("tags_all") or values.get("tags"), "Key"),
    }


def _composite_alarm(values: Mapping[str, Any]) -> dict[str, Any]:
    suppressor = (values.get("actions_suppressor") or [{}])[0]
    return {
        **_actions(values),
        "AlarmRule": values.get("alarm_rule"),
        "ActionsSuppressor": suppressor.get("alarm"),
        "ActionsSuppressorWaitPeriod": suppressor.get("wait_period"),
        "ActionsSuppressorExtensionPeriod": suppressor.get("extension_period"),
    }


def _metric_alarm(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **_actions(values),
        "Namespace": values.get("namespace"),
        "MetricName": values.get("metric_name"),
        "Dimensions": _pairs(values.get("dimensions"), "Name"),
        "Statistic": values.get("statistic"),
        "ExtendedStatistic": values.get("extended_statistic"),
        "Unit": values.get("unit"),
        "Period": values.get("period"),
        "EvaluationPeriods": values.get("evaluation_periods"),
        "DatapointsToAlarm": values.get("datapoints_to_alarm"),
        "ComparisonOperator": values.get("comparison_operator"),
        "Threshold": values.get("threshold"),
        "TreatMissingData": values.get("treat_missing_data"),
        "EvaluateLowSampleCountPercentile": values.get("evaluate_low_sample_count_percentiles"),
        "Metrics": [_query(query) for query in values.get("metric_query") or ()],
    }


def _query(query: Mapping[str, Any]) -> dict[str, Any]:
    """One metric_query block; its return_data is false unless said otherwise."""
    found = {
        "Id": query.get("id"),
        "Label": query.get("label"),
        "Expression": query.get("expression") or None,
        "Period": query.get("period"),
        "ReturnData": bool(query.get("return_data")),
    }
    for metric in query.get("metric") or ():
        found["MetricStat"] = {
            "Metric": {
                "Namespace": metric.get("namespace"),
                "MetricName": metric.get("metric_name"),
                "Dimensions": _pairs(metric.get("dimensions"), "Name"),
            },
            "Period": metric.get("period"),
            "Stat": metric.get("stat"),
            "Unit": metric.get("unit"),
        }
    return found


def _pairs(values: Mapping[str, str] | None, key: str) -> list[dict[str, str]]:
    return [{key: name, "Value": value} for name, value in (values or {}).items()]

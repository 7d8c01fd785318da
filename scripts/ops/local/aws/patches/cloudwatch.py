"""Alarms as CloudWatch keeps them."""

from __future__ import annotations

import json
from typing import Any

from moto.cloudwatch.models import Alarm, CloudWatchBackend
from moto.cloudwatch.responses import CloudWatchResponse
from moto.core.responses import ActionResult
from moto.core.utils import utcnow

from ops.local.aws.patches.tools import around, kept, method_of

STATE = (
    *("state_value", "state_reason", "state_reason_data", "history", "ops_history"),
    *("state_updated_timestamp", "state_transitioned_timestamp"),
)
PAGE = 100


def composite_alarms() -> None:
    """PutCompositeAlarm: moto keeps such alarms and lists them, but has no action to make one."""

    @method_of(CloudWatchResponse)
    def put_composite_alarm(self: Any) -> Any:
        return self.put_metric_alarm()


def alarms_are_born_without_data() -> None:
    """A new alarm is INSUFFICIENT_DATA until it is evaluated; moto says OK."""

    @around(Alarm, "__init__")
    def born(original: Any, self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        self.state_value = "INSUFFICIENT_DATA"
        self.state_transitioned_timestamp = self.state_updated_timestamp


def alarms_keep_their_state() -> None:
    """An update of an alarm leaves its state and history; moto makes a new alarm of it."""

    @around(CloudWatchBackend, "put_metric_alarm")
    def put_metric_alarm(original: Any, self: Any, name: str, *args: Any, **kwargs: Any) -> Any:
        before = self.alarms.get(name)
        alarm = original(self, name, *args, **kwargs)
        kept(before or alarm, "history")
        for attribute in STATE if before else ():
            setattr(self.alarms[name], attribute, getattr(before, attribute))
        _note(alarm, "ConfigurationUpdate", f'Alarm "{name}" {"updated" if before else "created"}', {})
        return alarm


def alarm_histories() -> None:
    """DescribeAlarmHistory, which moto lacks: an alarm's changes of state and definition, the newest first."""

    @around(Alarm, "update_state")
    def update_state(original: Any, self: Any, reason: str, reason_data: str | None, state_value: str) -> None:
        old = _state(self)
        original(self, reason, reason_data, state_value)
        if old["stateValue"] == state_value:
            return
        self.state_transitioned_timestamp = self.state_updated_timestamp
        summary = f"Alarm updated from {old['stateValue']} to {state_value}"
        _note(self, "StateUpdate", summary, {"oldState": old, "newState": _state(self)})

    @method_of(CloudWatchResponse)
    def describe_alarm_history(self: Any) -> ActionResult:
        found = [item for alarm in self.cloudwatch_backend.alarms.values() for item in _history(alarm)]
        found = sorted((item for item in found if _asked_for(self, item)), key=lambda item: item["Timestamp"])
        if self._get_param("ScanBy") != "TimestampAscending":
            found.reverse()
        size, first = int(self._get_param("MaxRecords") or PAGE), int(self._get_param("NextToken") or 0)
        more = {"NextToken": str(first + size)} if len(found) > first + size else {}
        return ActionResult({"AlarmHistoryItems": found[first : first + size], **more})


def _state(alarm: Any) -> dict[str, Any]:
    return {"stateValue": alarm.state_value, "stateReason": alarm.state_reason}


def _history(alarm: Any) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = kept(alarm, "history").setdefault("items", [])
    return items


def _note(alarm: Any, kind: str, summary: str, data: dict[str, Any]) -> None:
    _history(alarm).append(
        {
            "AlarmName": alarm.name,
            "AlarmType": "CompositeAlarm" if alarm.rule else "MetricAlarm",
            "Timestamp": utcnow(),
            "HistoryItemType": kind,
            "HistorySummary": summary,
            "HistoryData": json.dumps({"version": "1.0", **data}),
        }
    )


def _asked_for(request: Any, item: dict[str, Any]) -> bool:
    name, kind = request._get_param("AlarmName"), request._get_param("HistoryItemType")
    kinds = request._get_param("AlarmTypes") or ["MetricAlarm"]
    start, end = request._get_param("StartDate"), request._get_param("EndDate")
    return (
        (name is None or item["AlarmName"] == name)
        and (kind is None or item["HistoryItemType"] == kind)
        and (name is not None or item["AlarmType"] in kinds)
        and (start is None or item["Timestamp"] >= _naive(start))
        and (end is None or item["Timestamp"] <= _naive(end))
    )


def _naive(at: Any) -> Any:
    """moto's times have no zone."""
    return at.replace(tzinfo=None)

"""Alarms as CloudWatch keeps them."""

from __future__ import annotations

from typing import Any

from moto.cloudwatch.models import Alarm, CloudWatchBackend
from moto.cloudwatch.responses import CloudWatchResponse

from ops.local.aws.patches.tools import around, method_of

STATE = ("state_value", "state_reason", "state_reason_data", "state_updated_timestamp", "history")


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


def alarms_keep_their_state() -> None:
    """An update of an alarm leaves its state and history; moto makes a new alarm of it."""

    @around(CloudWatchBackend, "put_metric_alarm")
    def put_metric_alarm(original: Any, self: Any, name: str, *args: Any, **kwargs: Any) -> Any:
        before = self.alarms.get(name)
        alarm = original(self, name, *args, **kwargs)
        for attribute in STATE if before else ():
            setattr(self.alarms[name], attribute, getattr(before, attribute))
        return alarm

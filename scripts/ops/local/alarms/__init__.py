"""CloudWatch's alarms without CloudWatch: definitions in, metrics in, time in; changes of state and messages out.

Pure: nothing here reads a clock, a file or the network, except the two commands (`testing`, `lint`).
"""

from ops.local.alarms.actions import Notification, Transition
from ops.local.alarms.book import AlarmBook
from ops.local.alarms.definition import AlarmInvalid, CompositeAlarm, Metric, MetricAlarm, Missing, State
from ops.local.alarms.series import MetricStore

__all__ = [
    "AlarmBook",
    "AlarmInvalid",
    "CompositeAlarm",
    "Metric",
    "MetricAlarm",
    "MetricStore",
    "Missing",
    "Notification",
    "State",
    "Transition",
]

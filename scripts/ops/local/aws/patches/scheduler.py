"""EventBridge Scheduler: what it refuses, and what an update leaves."""

from __future__ import annotations

import re
from typing import Any

from moto.scheduler.exceptions import ScheduleGroupNotFound, ValidationException
from moto.scheduler.models import EventBridgeSchedulerBackend, Schedule
from moto.scheduler.responses import EventBridgeSchedulerResponse

from ops.local.aws.patches.tools import around

RATE = re.compile(r"rate\((?:1 (?:minute|hour|day)|(?!0|1 )[0-9]+ (?:minutes|hours|days))\)")
CRON = re.compile(r"cron\(\s*\S+(?:\s+\S+){5}\s*\)")
AT = re.compile(r"at\(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\)")


def update_resets_what_is_left_out() -> None:
    """UpdateSchedule replaces the whole: no State is ENABLED, no ActionAfterCompletion is NONE; moto loses the state
    and leaves what follows completion as it was.

    https://docs.aws.amazon.com/scheduler/latest/APIReference/API_UpdateSchedule.html
    """

    @around(Schedule, "update")
    def update(original: Any, self: Any, **kwargs: Any) -> None:
        original(self, **{**kwargs, "state": kwargs.get("state") or "ENABLED"})

    @around(EventBridgeSchedulerResponse, "update_schedule")
    def update_schedule(original: Any, self: Any) -> Any:
        answer = original(self)
        name = self.uri.split("?")[0].split("/")[-1]
        schedule = self.scheduler_backend.get_schedule(self._get_param("GroupName"), name)
        schedule.action_after_completion = self._get_param("ActionAfterCompletion")
        return answer


def expressions_are_checked() -> None:
    """An expression that is no rate, cron or at is refused (`rate(1 minutes)`, say); moto stores anything."""

    @around(EventBridgeSchedulerBackend, "create_schedule")
    def create_schedule(original: Any, self: Any, **kwargs: Any) -> Any:
        _require_expression(kwargs["schedule_expression"])
        return original(self, **kwargs)

    @around(EventBridgeSchedulerBackend, "update_schedule")
    def update_schedule(original: Any, self: Any, **kwargs: Any) -> Any:
        _require_expression(kwargs["schedule_expression"])
        return original(self, **kwargs)


def _require_expression(expression: str) -> None:
    if not any(pattern.fullmatch(expression) for pattern in (RATE, CRON, AT)):
        raise ValidationException(f"Invalid Schedule Expression {expression}.")


def groups_must_exist() -> None:
    """A schedule in, a list or the deletion of a group that is not there is ResourceNotFoundException; moto answers
    500, or lists nothing."""

    @around(EventBridgeSchedulerBackend, "create_schedule")
    def create_schedule(original: Any, self: Any, **kwargs: Any) -> Any:
        self.get_schedule_group(kwargs["group_name"])
        return original(self, **kwargs)

    @around(EventBridgeSchedulerBackend, "list_schedules")
    def list_schedules(original: Any, self: Any, group_names: list[str] | None, *args: Any, **kwargs: Any) -> Any:
        for name in group_names or ():
            self.get_schedule_group(name)
        return original(self, group_names, *args, **kwargs)

    @around(EventBridgeSchedulerBackend, "delete_schedule_group")
    def delete_schedule_group(original: Any, self: Any, name: str | None) -> None:
        if name not in self.schedule_groups:
            raise ScheduleGroupNotFound(name or "")
        original(self, name)

"""ECS tasks: their start as Fargate allows it, and a life that a runner outside reports."""

from __future__ import annotations

import json
from typing import Any

from moto.core.utils import unix_time, utcnow
from moto.ecs.exceptions import EcsClientException
from moto.ecs.models import EC2ContainerServiceBackend, Task
from moto.ecs.responses import EC2ContainerServiceResponse
from moto.events.models import events_backends

from ops.local.aws.patches.tools import around, kept, method_of

CONTAINERS = "containers"  # what the runner said of each, by name


def tasks_without_container_memory() -> None:
    """On Fargate the task's memory is enough; moto wants it on each container and answers 500 without."""
    original = EC2ContainerServiceBackend._calculate_task_resource_requirements

    def requirements(task_definition: Any) -> Any:
        written = task_definition.container_definitions
        task_definition.container_definitions = [{"memory": 0, **container} for container in written]
        try:
            return original(task_definition)
        finally:
            task_definition.container_definitions = written

    setattr(EC2ContainerServiceBackend, "_calculate_task_resource_requirements", staticmethod(requirements))  # noqa: B010


def inactive_definitions_are_refused() -> None:
    """RunTask refuses a deregistered revision with `TaskDefinition is inactive`; moto runs it."""

    @around(EC2ContainerServiceBackend, "run_task")
    def run_task(original: Any, self: Any, cluster_str: str, task_definition_str: str, *args: Any, **kw: Any) -> Any:
        if self.describe_task_definition(task_definition_str).status != "ACTIVE":
            raise EcsClientException("TaskDefinition is inactive")
        return original(self, cluster_str, task_definition_str, *args, **kw)


def tasks_run_until_stopped() -> None:
    """A task runs until it ends or is stopped, and knows when it began; moto's dies of being looked at."""

    @around(Task, "__init__")
    def born(original: Any, self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        self._transitions = []
        self.created_at = self.started_at = unix_time(utcnow())


def task_state_changes() -> None:
    """SubmitTaskStateChange, the agent's own call, which moto lacks: a runner reports states, reasons and exit codes.

    Each report becomes an `ECS Task State Change` event.
    """

    @method_of(EC2ContainerServiceResponse)
    def submit_task_state_change(self: Any) -> str:
        backend = self.ecs_backend
        cluster = backend._get_cluster(self._get_param("cluster") or "default").name
        task = backend.tasks[cluster][self._get_param("task")]
        task.status = self._get_param("status")
        if task.status == "STOPPED":
            _stop(task, self._get_param("reason"))
        _report_containers(task, self._get_param("containers") or [])
        _emit(backend, task)
        return json.dumps({"acknowledgment": "ok"})


def _stop(task: Any, reason: str | None) -> None:
    task.desired_status = "STOPPED"
    task.stopped_reason = reason or "Essential container in task exited"
    task.stop_code = "EssentialContainerExited"
    task.stopped_at = unix_time(utcnow())


def _report_containers(task: Any, reports: list[dict[str, Any]]) -> None:
    kept(task, CONTAINERS).update({report["containerName"]: report for report in reports})
    for container in task.containers:
        container.last_status = task.status
        report = kept(task, CONTAINERS).get(container.name)
        if report:
            container.exitCode, container.reason = report.get("exitCode"), report.get("reason") or ""


def _emit(backend: Any, task: Any) -> None:
    detail = {
        "clusterArn": task.cluster_arn,
        "taskArn": task.task_arn,
        "taskDefinitionArn": task.task_definition_arn,
        "lastStatus": task.status,
        "desiredStatus": task.desired_status,
        "stoppedReason": task.stopped_reason,
        "stopCode": getattr(task, "stop_code", None),
        "startedBy": task.started_by,
        "group": task.group,
        "containers": [
            {
                "name": name,
                "exitCode": report.get("exitCode"),
                "reason": report.get("reason"),
                "lastStatus": task.status,
            }
            for name, report in kept(task, CONTAINERS).items()
        ],
    }
    events_backends[backend.account_id][backend.region_name].put_events(
        [
            {
                "Source": "aws.ecs",
                "DetailType": "ECS Task State Change",
                "Detail": json.dumps(detail),
                "Resources": [task.task_arn],
            }
        ]
    )

"""ECS: how tasks are found, listed and stopped."""

from __future__ import annotations

from typing import Any

from moto.core.responses import ActionResult
from moto.ecs.exceptions import InvalidParameterException
from moto.ecs.models import EC2ContainerServiceBackend
from moto.ecs.responses import EC2ContainerServiceResponse

from ops.local.aws.patches import ecs_life
from ops.local.aws.patches.tools import around, method_of

PAGE = 100
STOPPED_BY_USER = "Task stopped by user"


def unknown_tasks_are_missing() -> None:
    """DescribeTasks answers MISSING for a task that it does not know, or no longer; moto leaves it out.

    moto also compares each task of every cluster with each that is asked for, and so slows down with every run.
    """

    @around(EC2ContainerServiceResponse, "describe_tasks")
    def describe_tasks(original: Any, self: Any) -> ActionResult:
        result: Any = original(self).result
        known = {arn for task in result["tasks"] for arn in (task.task_arn, task.id)}
        cluster = self.ecs_backend._get_cluster(self._get_param("cluster", "default"))
        missing = [each for each in self._get_param("tasks", []) if each not in known]
        result["failures"] = [
            {"arn": each if each.startswith("arn:") else f"{_prefix(cluster)}/{each}", "reason": "MISSING"}
            for each in missing
        ]
        return ActionResult(result)

    @method_of(EC2ContainerServiceBackend, "describe_tasks")
    def found(self: Any, cluster_str: str, tasks: list[str]) -> list[Any]:
        self._get_cluster(cluster_str)
        if not tasks:
            raise InvalidParameterException("Tasks cannot be empty.")
        ecs_life.forget_old(self)
        looked_up = (_find(self, cluster_str, each) for each in tasks)
        return [task for task in looked_up if task is not None]


def _prefix(cluster: Any) -> str:
    return str(cluster.arn).replace(":cluster/", ":task/", 1)


def _find(backend: Any, cluster: str, task: str) -> Any:
    try:
        return ecs_life.find(backend, cluster, task)
    except InvalidParameterException:
        return None


def lists_are_filtered() -> None:
    """ListTasks shows what runs or will, unless asked for STOPPED, of this cluster, family and service, page by page.

    moto shows all, takes a part of a cluster's name for the name, and forgets the tasks of deregistered revisions.
    """

    @method_of(EC2ContainerServiceResponse)
    def list_tasks(self: Any) -> ActionResult:
        backend = self.ecs_backend
        cluster = backend._get_cluster(self._get_param("cluster") or "default")
        ecs_life.forget_old(backend)
        found = [task.task_arn for task in backend.tasks.get(cluster.name, {}).values() if _listed(self, task)]
        size, first = int(self._get_param("maxResults") or PAGE), int(self._get_param("nextToken") or 0)
        more = {"nextToken": str(first + size)} if len(found) > first + size else {}
        return ActionResult({"taskArns": found[first : first + size], **more})


def _listed(request: Any, task: Any) -> bool:
    family, service = request._get_param("family"), request._get_param("serviceName")
    started_by, instance = request._get_param("startedBy"), request._get_param("containerInstance")
    return (
        task.desired_status == (request._get_param("desiredStatus") or "RUNNING")
        and (not family or task.task_definition_arn.split("/")[-1].split(":")[0] == family)
        and (not service or task.group == f"service:{service.split('/')[-1]}")
        and (not started_by or task.started_by == started_by)
        and (not instance or instance in (task.container_instance_arn or ""))
    )


def stops_are_asked_for() -> None:
    """StopTask asks a task to end, and it ends when its containers have; moto's is over at once."""

    @method_of(EC2ContainerServiceBackend)
    def stop_task(self: Any, cluster_str: str, task_str: str, reason: str | None) -> Any:
        task = ecs_life.find(self, cluster_str, task_str)
        if task.desired_status != "STOPPED":
            ecs_life.ask_to_stop(self, task, reason or STOPPED_BY_USER)
        return task

"""The life of an ECS task: reported by a runner outside, told as events, forgotten an hour after its end."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from moto.ec2.models import ec2_backends
from moto.ec2.utils import random_public_ip
from moto.ecs.exceptions import InvalidParameterException
from moto.ecs.models import EC2ContainerServiceBackend, Task
from moto.ecs.responses import EC2ContainerServiceResponse
from moto.events.models import events_backends
from moto.moto_api._internal import mock_random

from ops.local.aws.patches.tools import around, kept, method_of

STATES = ("PROVISIONING", "PENDING", "ACTIVATING", "RUNNING")
ENDS = ("DEACTIVATING", "STOPPING", "DEPROVISIONING", "STOPPED")
REMEMBERED_SECONDS = 3600  # how long AWS shows a stopped task
PLATFORM = "1.4.0"
EXITED = ("EssentialContainerExited", "Essential container in task exited")
# The times that a state brings, each only once.
TIMES = {
    "PENDING": ("connectivity_at", "pull_started_at"),
    "RUNNING": ("connectivity_at", "pull_started_at", "pull_stopped_at", "started_at"),
    "DEPROVISIONING": ("stopping_at",),
    "STOPPED": ("stopping_at", "stopped_at"),
}
# What describes a task in its events: AWS's name, moto's attribute.
TOLD = {
    "attachments": "attachments",
    "availabilityZone": "availability_zone",
    "clusterArn": "cluster_arn",
    "connectivity": "connectivity",
    "containers": "containers",
    "cpu": "cpu",
    "memory": "memory",
    "desiredStatus": "desired_status",
    "group": "group",
    "lastStatus": "status",
    "launchType": "launch_type",
    "overrides": "overrides",
    "platformVersion": "platform_version",
    "startedBy": "started_by",
    "stopCode": "stop_code",
    "stoppedReason": "stopped_reason",
    "taskArn": "task_arn",
    "taskDefinitionArn": "task_definition_arn",
    "version": "version",
}
TOLD_TIMES = {
    "connectivityAt": "connectivity_at",
    "createdAt": "created_at",
    "executionStoppedAt": "execution_stopped_at",
    "pullStartedAt": "pull_started_at",
    "pullStoppedAt": "pull_stopped_at",
    "startedAt": "started_at",
    "stoppedAt": "stopped_at",
    "stoppingAt": "stopping_at",
}


def tasks_are_born_provisioning() -> None:
    """A task waits for whoever runs it, with a container for each of its definition's; moto's is RUNNING at once."""

    @around(Task, "__init__")
    def born(original: Any, self: Any, cluster: Any, task_definition: Any, *args: Any, **kwargs: Any) -> None:
        original(self, cluster, task_definition, *args, **kwargs)
        self._transitions = []
        self.status = "PROVISIONING"
        self.version = 1
        self.created_at = time.time()
        self.stop_code = self.stopped_reason = None
        self.cpu = self.overrides.get("cpu") or task_definition.cpu
        self.memory = self.overrides.get("memory") or task_definition.memory
        self.platform_version = PLATFORM
        self.platform_family = "Linux"
        self.started_by = self.started_by or None
        self.overrides = {"containerOverrides": [], "inferenceAcceleratorOverrides": [], **self.overrides}
        self.availability_zone = _zone(self)
        self.containers = [_container(self, each) for each in task_definition.container_definitions]

    @around(EC2ContainerServiceBackend, "run_task")
    def run_task(original: Any, self: Any, *args: Any, **kwargs: Any) -> Any:
        forget_old(self)
        tasks = original(self, *args, **kwargs)
        for task in tasks:
            _tell(self, task)
        return tasks


def tasks_get_public_addresses() -> None:
    """assignPublicIp gives a task's interface a public address; moto's has none."""

    @around(Task, "__init__")
    def born(original: Any, self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        asked = (getattr(self, "network_configuration", None) or {}).get("awsvpcConfiguration", {})
        if asked.get("assignPublicIp") == "ENABLED":
            ec2 = ec2_backends[self._account_id][self.region_name]
            interface = next(each["value"] for each in _interface(self) if each["name"] == "networkInterfaceId")
            ec2.get_network_interface(interface).public_ip = random_public_ip()


def _zone(task: Any) -> str | None:
    subnet = next((each["value"] for each in _interface(task) if each["name"] == "subnetId"), None)
    return ec2_backends[task._account_id][task.region_name].get_subnet(subnet).availability_zone if subnet else None


def _interface(task: Any) -> list[dict[str, Any]]:
    return [detail for attachment in task.attachments for detail in attachment["details"]]


def _container(task: Any, definition: dict[str, Any]) -> dict[str, Any]:
    identity = str(mock_random.uuid4())
    image = definition["image"]
    digest = {"imageDigest": image.partition("@")[2]} if "@" in image else {}
    memory = {"memory": str(definition["memory"])} if definition.get("memory") else {}
    arn = task.task_arn.replace(":task/", ":container/", 1)
    return {
        "containerArn": f"{arn}/{identity}",
        "taskArn": task.task_arn,
        "name": definition["name"],
        "image": image,
        **digest,
        "lastStatus": "PENDING",
        "networkInterfaces": [],
        "healthStatus": "UNKNOWN",
        "cpu": str(definition.get("cpu", 0)),
        **memory,
    }


def task_state_changes() -> None:
    """SubmitTaskStateChange, the agent's own call, which moto lacks: states, reasons and exit codes."""

    @method_of(EC2ContainerServiceResponse)
    def submit_task_state_change(self: Any) -> str:
        said = [{**each, "name": each["containerName"]} for each in self._get_param("containers") or []]
        report(
            self.ecs_backend,
            self._get_param("cluster") or "default",
            self._get_param("task"),
            self._get_param("status"),
            stopped_reason=self._get_param("reason"),
            containers=said,
        )
        return json.dumps({"acknowledgment": "ok"})


def report(
    backend: Any,
    cluster: str,
    task_arn: str,
    status: str,
    *,
    stop_code: str | None = None,
    stopped_reason: str | None = None,
    containers: Iterable[dict[str, Any]] = (),
) -> None:
    """Moves a task on, and tells it. Raises ECS's own exceptions where there is none, or no such state."""
    if status not in STATES + ENDS:
        raise InvalidParameterException(f"Status {status} is none of {', '.join(STATES + ENDS)}.")
    task = find(backend, cluster, task_arn)
    if task.status == "STOPPED":
        return  # as after a report that came twice
    task.status = status
    task.version += 1
    for name in TIMES.get(status, ()):
        if getattr(task, name, None) is None:
            setattr(task, name, time.time())
    if status in STATES[1:]:
        task.connectivity = "CONNECTED"
    if status in ENDS:
        _end(task, stop_code, stopped_reason)
    _report_containers(task, {each["name"]: each for each in containers})
    if status == "STOPPED":
        _release(task)
        kept(backend, "stopped").setdefault("tasks", []).append((task.stopped_at, task.cluster_name, task.task_arn))
        forget_old(backend)
    _tell(backend, task)


def find(backend: Any, cluster: str, task: str) -> Any:
    """By ARN or id. Raises InvalidParameterException in AWS's words."""
    name = backend._get_cluster(cluster).name
    known = backend.tasks.get(name, {})
    prefix = f"arn:aws:ecs:{backend.region_name}:{backend.account_id}:task"
    found = known.get(task) or known.get(f"{prefix}/{name}/{task}")
    if found is None:
        raise InvalidParameterException("The referenced task was not found.")
    return found


def ask_to_stop(backend: Any, task: Any, reason: str) -> None:
    """Marks a task as stopped by a user; whoever runs it ends it then."""
    task.desired_status, task.stop_code, task.stopped_reason = "STOPPED", "UserInitiated", reason
    task.version += 1
    task.stopping_at = time.time()
    _tell(backend, task)


def _end(task: Any, code: str | None, reason: str | None) -> None:
    """A user's stop keeps its code and reason, whatever the runner says of the end that it led to."""
    task.desired_status = "STOPPED"
    if task.stop_code is None or (code and task.stop_code != "UserInitiated"):
        task.stop_code = code or EXITED[0]
        task.stopped_reason = reason or EXITED[1]
    if getattr(task, "started_at", None) and getattr(task, "execution_stopped_at", None) is None:
        task.execution_stopped_at = time.time()


def _report_containers(task: Any, said: dict[str, dict[str, Any]]) -> None:
    for container in task.containers:
        container["lastStatus"] = {"DEPROVISIONING": "STOPPED"}.get(task.status, task.status)
        if task.status == "RUNNING":
            container.setdefault("runtimeId", f"{task.id.replace('-', '')}-{mock_random.randint(10**9, 10**10)}")
        new = said.get(container["name"], {})
        container.update({key: new[key] for key in ("exitCode", "reason", "imageDigest") if new.get(key) is not None})


def _release(task: Any) -> None:
    """Gives its network interface back."""
    interfaces = ec2_backends[task._account_id][task.region_name].enis
    for attachment in task.attachments:
        attachment["status"] = "DELETED"
    for detail in _interface(task):
        if detail["name"] == "networkInterfaceId":
            interfaces.pop(detail["value"], None)


def forget_old(backend: Any) -> None:
    """Takes away what stopped more than an hour ago; not in the order of time, for a clock can be set back."""
    stopped = kept(backend, "stopped").setdefault("tasks", [])
    limit = time.time() - REMEMBERED_SECONDS
    for at, cluster, arn in [each for each in stopped if each[0] < limit]:
        stopped.remove((at, cluster, arn))
        backend.tasks.get(cluster, {}).pop(arn, None)


def _tell(backend: Any, task: Any) -> None:
    """The event `ECS Task State Change`."""
    told = {name: getattr(task, attribute, None) for name, attribute in TOLD.items()}
    times = {name: _in_words(getattr(task, attribute, None)) for name, attribute in TOLD_TIMES.items()}
    detail = {name: value for name, value in {**told, **times}.items() if value not in (None, "")}
    detail["updatedAt"] = _in_words(time.time())
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


def _in_words(at: float | None) -> str | None:
    if at is None:
        return None
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

"""ECS: what RunTask accepts, refuses, and in which words."""

from __future__ import annotations

from typing import Any

from moto.core.utils import utcnow
from moto.ec2.models import ec2_backends
from moto.ecs.exceptions import EcsClientException, InvalidParameterException
from moto.ecs.models import EC2ContainerServiceBackend, TaskDefinition

from ops.local.aws.patches.tools import around

FARGATE = ("FARGATE", "FARGATE_SPOT")
AT_ONCE = 10  # tasks a call


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


def definitions_tell_their_age() -> None:
    """A task definition says when it was registered; moto does not."""

    @around(TaskDefinition, "__init__")
    def born(original: Any, self: Any, *args: Any, **kw: Any) -> None:
        original(self, *args, **kw)
        self.registered_at = utcnow()


def inactive_definitions_are_refused() -> None:
    """RunTask refuses a deregistered revision with `TaskDefinition is inactive`; moto runs it."""

    @around(EC2ContainerServiceBackend, "run_task")
    def run_task(original: Any, self: Any, cluster_str: str, task_definition_str: str, *args: Any, **kw: Any) -> Any:
        self._get_cluster(cluster_str)  # the first that AWS looks at
        if self.describe_task_definition(task_definition_str).status != "ACTIVE":
            raise EcsClientException("TaskDefinition is inactive")
        return original(self, cluster_str, task_definition_str, *args, **kw)


def impossible_starts_are_refused() -> None:
    """RunTask says what is wrong with launch type, count, subnets and groups; moto answers 500, or makes the group."""

    @around(EC2ContainerServiceBackend, "run_task")
    def run_task(original: Any, self: Any, cluster_str: str, definition_str: str, count: int, *args: Any) -> Any:
        launch_type, network = args[3:5]
        if not 1 <= count <= AT_ONCE:
            raise InvalidParameterException(f"Count should be between 1 and {AT_ONCE}.")
        definition = self.describe_task_definition(definition_str)
        if launch_type == "FARGATE" and "FARGATE" not in (definition.requires_compatibilities or []):
            raise InvalidParameterException("Task definition does not support launch_type FARGATE.")
        cluster = self._get_cluster(cluster_str)
        if launch_type == "EC2" and not self.container_instances.get(cluster.name):
            raise InvalidParameterException("No Container Instances were found in your cluster.")
        if definition.network_mode == "awsvpc" and network:
            _require_network(ec2_backends[self.account_id][self.region_name], network["awsvpcConfiguration"])
        return original(self, cluster_str, definition_str, count, *args)


def _require_network(ec2: Any, asked: dict[str, Any]) -> None:
    known = {subnet for zones in ec2.subnets.values() for subnet in zones}
    for subnet in asked.get("subnets") or []:
        if subnet not in known:
            raise InvalidParameterException(
                f"Error retrieving subnet information for [{subnet}]: The subnet ID '{subnet}' does not exist "
                "(ErrorCode: InvalidSubnetID.NotFound)"
            )
    if not asked.get("subnets"):
        raise InvalidParameterException("subnets can not be empty.")
    for group in asked.setdefault("securityGroups", []):
        if ec2.get_security_group_from_id(group) is None:
            raise InvalidParameterException(
                f"Error retrieving security group information for [{group}]: The security group '{group}' does not "
                "exist (ErrorCode: InvalidGroup.NotFound)"
            )

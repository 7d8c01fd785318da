"""RunTask: the task that it makes, or what it refuses, in AWS's order and words.

Sources: ECS API reference, "RunTask"; ECS developer guide, "API failure reasons".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from ops.local.plane.deployed import Deployed, Role
from ops.local.plane.invocation import Refusal
from ops.local.plane.network import Network, Placement
from ops.local.plane.permissions import Denied, Permissions
from ops.local.schedules import is_retryable

TASKS = "ecs-tasks.amazonaws.com"


@dataclass(frozen=True, kw_only=True)
class RunTask:
    """The request: cluster, definition and overrides as the target names them, in the name of a role."""

    role: Role
    cluster: str
    definition: str
    placement: Placement
    overrides: Mapping[str, Any]
    started_by: str
    launch_type: str = "FARGATE"
    tags_propagated: bool = False
    count: int = 1


@dataclass(frozen=True, kw_only=True)
class Task:
    """A task that RunTask made."""

    arn: str
    cluster: str
    definition: Mapping[str, Any]
    overrides: Mapping[str, Any]
    placement: Placement

    @property
    def id(self) -> str:
        """The last part of the ARN."""
        return self.arn.rsplit("/", 1)[-1]

    @property
    def family(self) -> str:
        """`family:revision`."""
        return f"{self.definition['family']}:{self.definition['revision']}"

    @property
    def container(self) -> Mapping[str, Any]:
        """The essential container; our tasks have no other."""
        containers: list[Mapping[str, Any]] = list(self.definition["containerDefinitions"])
        return next((each for each in containers if each.get("essential", True)), containers[0])

    @property
    def account(self) -> str:
        return self.arn.split(":")[4]

    @property
    def region(self) -> str:
        return self.arn.split(":")[3]

    @property
    def override(self) -> Mapping[str, Any]:
        """The overrides of the essential container."""
        found = self.overrides.get("containerOverrides") or ()
        return next((each for each in found if each.get("name") == self.container["name"]), {})

    @property
    def log_stream(self) -> tuple[str, str]:
        """(group, stream) that the container's awslogs driver writes to; no group where it has none."""
        options = (self.container.get("logConfiguration") or {}).get("options") or {}
        name = self.container["name"]
        return options.get("awslogs-group", ""), f"{options.get('awslogs-stream-prefix', 'ecs')}/{name}/{self.id}"


class RunTasks:
    """The API call over what is deployed."""

    def __init__(self, deployed: Deployed, permissions: Permissions, network: Network) -> None:
        self.deployed, self.permissions, self.network = deployed, permissions, network

    def run(self, request: RunTask) -> list[Task] | Refusal:
        """The tasks, still PROVISIONING, or why ECS made none."""
        definition = self.deployed.task_definition(request.definition)
        refused = self._refused(request, definition)
        if refused:
            return refused
        assert definition is not None
        try:
            answer = self.deployed.client("ecs").run_task(
                cluster=request.cluster,
                taskDefinition=definition["taskDefinitionArn"],
                launchType=request.launch_type,
                count=request.count,
                startedBy=request.started_by,
                overrides=dict(request.overrides),
                networkConfiguration={"awsvpcConfiguration": _awsvpc(request.placement)},
            )
        except ClientError as error:
            told = error.response["Error"]
            return Refusal(code=told["Code"], message=told["Message"], retryable=is_retryable(told["Code"]))
        for failure in answer.get("failures", []):
            return Refusal(code=failure.get("reason", "RESOURCE"), message=failure.get("detail", ""), retryable=True)
        return [
            Task(
                arn=each["taskArn"],
                cluster=request.cluster,
                definition=definition,
                overrides=request.overrides,
                placement=request.placement,
            )
            for each in answer["tasks"]
        ]

    def _refused(self, request: RunTask, definition: Mapping[str, Any] | None) -> Refusal | None:
        """The first reason to refuse, in AWS's order: permissions, what the request names, the task's own roles."""
        denied = next(self._denials(request, definition), None)
        if denied:
            return Refusal(code=denied.code, message=denied.message)
        problem = self._unfit(request, definition)
        if problem:
            return problem
        assert definition is not None
        for role in filter(None, (definition.get("executionRoleArn"), definition.get("taskRoleArn"))):
            if isinstance(self.permissions.assume(role, TASKS, _any_task(request.cluster)), Denied):
                return Refusal(
                    code="ClientException",
                    message=f"ECS was unable to assume the role '{role}' that was provided for this task. Please "
                    "verify that the role being passed has the proper trust relationship and permissions and that "
                    "your IAM user has permissions to pass this role.",
                )
        return None

    def _denials(self, request: RunTask, definition: Mapping[str, Any] | None) -> Iterator[Denied]:
        role, resource = request.role, (definition or {}).get("taskDefinitionArn", request.definition)
        asked = [("ecs:RunTask", resource, {"ecs:cluster": request.cluster})]
        if definition:
            roles = filter(None, (definition.get("executionRoleArn"), definition.get("taskRoleArn")))
            asked += [("iam:PassRole", each, {"iam:PassedToService": TASKS}) for each in dict.fromkeys(roles)]
        if request.tags_propagated:
            asked.append(("ecs:TagResource", _any_task(request.cluster), {"ecs:CreateAction": "RunTask"}))
        for action, what, keys in asked:
            denied = self.permissions.may(role, action, what, keys, session="scheduler")
            if denied:
                yield denied

    def _unfit(self, request: RunTask, definition: Mapping[str, Any] | None) -> Refusal | None:
        cluster = self._cluster(request.cluster)
        if cluster != "ACTIVE":
            return Refusal(code="ClusterNotFoundException", message="Cluster not found.")
        if definition is None:
            return Refusal(code="ClientException", message="Unable to describe task definition.")
        if definition["status"] != "ACTIVE":
            return Refusal(code="ClientException", message="TaskDefinition is inactive")
        if not request.placement.subnets:
            message = "Network Configuration must be provided when networkMode 'awsvpc' is specified."
            return Refusal(code="InvalidParameterException", message=message)
        unknown = self.network.unknown(request.placement)
        return Refusal(code="InvalidParameterException", message=unknown) if unknown else None

    def _cluster(self, arn: str) -> str | None:
        """The cluster's status; None where there is none of this ARN (its region included)."""

        def read() -> list[dict[str, Any]]:
            found: list[dict[str, Any]] = self.deployed.client("ecs").describe_clusters(clusters=[arn])["clusters"]
            return found

        found = self.deployed.kept("ecs", ("cluster", arn), read)
        return next((str(each["status"]) for each in found if arn in (each["clusterArn"], each["clusterName"])), None)


def _any_task(cluster_arn: str) -> str:
    """The tasks of a cluster as an ARN, for policies about tasks that have no name yet."""
    return f"{cluster_arn.replace(':cluster/', ':task/', 1)}/*"


def _awsvpc(placement: Placement) -> dict[str, Any]:
    return {
        "subnets": list(placement.subnets),
        "securityGroups": list(placement.groups),
        "assignPublicIp": "ENABLED" if placement.public_ip else "DISABLED",
    }

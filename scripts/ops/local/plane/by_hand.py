"""Tasks that somebody started by RunTask, past every trigger: they run at the next minute, as all others do."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from ops.local.plane.deployed import Deployed
from ops.local.plane.invocation import EndedTask
from ops.local.plane.network import Placement
from ops.local.plane.run_task import Task
from ops.local.plane.tasks import Tasks

TASKS_PER_CALL = 100  # DescribeTasks takes no more


class ByHand:
    """What waits in the account's clusters. The plane's own tasks do not: they have begun when their minute ends."""

    def __init__(self, deployed: Deployed, tasks: Tasks) -> None:
        self.deployed, self.tasks = deployed, tasks
        self._seen: set[str] = set()

    def tick(self, now: datetime) -> list[EndedTask]:
        """Plays those that came since; the ones that have ended."""
        waiting = [each for each in self._waiting() if each["taskArn"] not in self._seen]
        self._seen |= {each["taskArn"] for each in waiting}
        played = [self.tasks.play(self._task(each), now) for each in waiting]
        return [ended for ended in played if ended]

    def _waiting(self) -> list[dict[str, Any]]:
        """Asked again only when somebody has changed something in ECS."""
        return self.deployed.kept("ecs", "waiting", lambda: list(self._provisioning()))

    def _provisioning(self) -> Iterator[dict[str, Any]]:
        ecs = self.deployed.client("ecs")
        for cluster in ecs.list_clusters()["clusterArns"]:
            for page in ecs.get_paginator("list_tasks").paginate(cluster=cluster):
                arns = page["taskArns"]
                found = ecs.describe_tasks(cluster=cluster, tasks=arns[:TASKS_PER_CALL])["tasks"] if arns else []
                yield from (each for each in found if each["lastStatus"] == "PROVISIONING")

    def _task(self, described: dict[str, Any]) -> Task:
        definition = self.deployed.task_definition(described["taskDefinitionArn"])
        assert definition is not None
        return Task(
            arn=described["taskArn"],
            cluster=described["clusterArn"],
            definition=definition,
            overrides=described.get("overrides") or {},
            placement=self._placement(described),
        )

    def _placement(self, described: dict[str, Any]) -> Placement:
        """From the task's network interface, since nothing else tells of it later."""
        details = {each["name"]: each["value"] for part in described["attachments"] for each in part["details"]}
        wanted = [details["networkInterfaceId"]] if "networkInterfaceId" in details else []
        ec2 = self.deployed.client("ec2")
        found = ec2.describe_network_interfaces(NetworkInterfaceIds=wanted)["NetworkInterfaces"] if wanted else []
        return Placement(
            subnets=tuple(each["SubnetId"] for each in found),
            groups=tuple(group["GroupId"] for each in found for group in each["Groups"]),
            public_ip=any((each.get("Association") or {}).get("PublicIp") for each in found),
        )

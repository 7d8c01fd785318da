"""One ECS task that a person starts: run where all tasks run, followed to its end, its log lines shown as they come."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

from pipeline.errors import PipelineError

POLL_SECONDS = 2.0
# A start takes Fargate up to a minute; migrations of large tables may take long, and the task goes on without us.
PATIENCE_SECONDS = 1800
# The log driver hands its last lines over when the container has ended already.
LAST_LINES_POLLS = 3

Clients = Callable[[str], Any]
Say = Callable[[str], None]


class TaskFailed(PipelineError):
    """A task did not start, or did not end; the text has ECS's words."""


@dataclass(frozen=True, kw_only=True)
class Order:
    """What to run: a definition's ARN, where (Terraform's output `network`), and what to tell its container.

    The same `token` starts one task alone, however often it is asked for."""

    cluster: str
    definition: str
    network: Mapping[str, Any]
    environment: Mapping[str, str] = field(default_factory=dict)
    command: Sequence[str] = ()
    started_by: str = "scripts"
    token: str = ""


@dataclass(frozen=True, kw_only=True)
class Started:
    """A task that ECS made: where it is and where its container's lines go."""

    cluster: str
    arn: str
    log_group: str
    log_stream: str


def start(clients: Clients, order: Order) -> Started:
    """Starts it. Raises TaskFailed in ECS's words."""
    ecs = clients("ecs")
    try:
        definition = ecs.describe_task_definition(taskDefinition=order.definition)["taskDefinition"]
        (container,) = definition["containerDefinitions"]
        answer = ecs.run_task(
            cluster=order.cluster,
            taskDefinition=order.definition,
            launchType="FARGATE",
            networkConfiguration={"awsvpcConfiguration": _placement(order.network)},
            overrides={"containerOverrides": [_override(container["name"], order)]},
            startedBy=order.started_by,
            **({"clientToken": order.token} if order.token else {}),
            enableECSManagedTags=True,
            propagateTags="TASK_DEFINITION",
        )
    except ClientError as error:
        raise TaskFailed(f"ECS did not start {order.definition}: {error}") from error
    for failure in answer.get("failures", []):
        raise TaskFailed(f"ECS did not start {order.definition}: {failure.get('reason')} {failure.get('detail', '')}")
    arn, options = answer["tasks"][0]["taskArn"], container["logConfiguration"]["options"]
    stream = f"{options['awslogs-stream-prefix']}/{container['name']}/{arn.rsplit('/', 1)[-1]}"
    return Started(cluster=order.cluster, arn=arn, log_group=options["awslogs-group"], log_stream=stream)


def _placement(network: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "subnets": network["subnet_ids"],
        "securityGroups": network["security_group_ids"],
        "assignPublicIp": "ENABLED" if network["assign_public_ip"] else "DISABLED",
    }


def _override(name: str, order: Order) -> dict[str, Any]:
    told = [{"name": key, "value": value} for key, value in order.environment.items()]
    return {"name": name, "environment": told} | ({"command": list(order.command)} if order.command else {})


def follow(clients: Clients, task: Started, say: Say, *, poll_seconds: float = POLL_SECONDS) -> int:
    """Shows its lines until it has ended; its container's exit code. Raises TaskFailed where there is none."""
    lines = Lines(clients("logs"), task, say)
    deadline, status = time.monotonic() + PATIENCE_SECONDS, ""
    while True:
        found = _describe(clients("ecs"), task)
        if found["lastStatus"] != status:
            status = found["lastStatus"]
            say(f"task {task.arn.rsplit('/', 1)[-1]}: {status}")
        lines.show()
        if status == "STOPPED":
            return _ended(found, lines, poll_seconds)
        if time.monotonic() > deadline:
            raise TaskFailed(f"{task.arn} is still {status} after {PATIENCE_SECONDS} s; it goes on. {_where(task)}")
        time.sleep(poll_seconds)


def _describe(ecs: Any, task: Started) -> dict[str, Any]:
    found = ecs.describe_tasks(cluster=task.cluster, tasks=[task.arn])["tasks"]
    if not found:
        raise TaskFailed(f"ECS knows {task.arn} no longer; {_where(task)}")
    described: dict[str, Any] = found[0]
    return described


def _ended(found: Mapping[str, Any], lines: Lines, poll_seconds: float) -> int:
    container = found["containers"][0]
    if container.get("exitCode") is None:
        reason = container.get("reason") or found.get("stoppedReason") or "ECS gives no reason"
        raise TaskFailed(f"the task ended before its container ran: {reason}")
    for _ in range(LAST_LINES_POLLS):
        if not lines.show() and lines.any:
            break
        time.sleep(poll_seconds)
    return int(container["exitCode"])


def _where(task: Started) -> str:
    return f"Its log: aws logs tail {task.log_group} --log-stream-names {task.log_stream}"


class Lines:
    """The lines of a task's log stream, each shown once."""

    def __init__(self, logs: Any, task: Started, say: Say) -> None:
        self.logs, self.task, self.say = logs, task, say
        self.any = False
        self._token: str | None = None

    def show(self) -> int:
        """Shows those that came since; how many."""
        shown = 0
        while True:
            page = self._page()
            events = page.get("events", [])
            for event in events:
                self.say(event["message"])
            shown += len(events)
            if not events or page["nextForwardToken"] == self._token:
                self.any = self.any or shown > 0
                return shown
            self._token = page["nextForwardToken"]

    def _page(self) -> dict[str, Any]:
        where = {"logGroupName": self.task.log_group, "logStreamName": self.task.log_stream, "startFromHead": True}
        token = {"nextToken": self._token} if self._token else {}
        try:
            page: dict[str, Any] = self.logs.get_log_events(**where, **token)
            return page
        except ClientError as error:
            if error.response["Error"]["Code"] == "ResourceNotFoundException":  # nothing was written yet
                return {}
            raise

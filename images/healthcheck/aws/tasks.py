"""The tasks that run, and how those of the last minutes ended: from the log that keeps them, else from ECS itself."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from healthcheck.aws.clients import Clients, found, pages
from healthcheck.aws.memory import Memory
from healthcheck.place import Place

# ECS itself forgets a stopped task after an hour.
WINDOW = timedelta(minutes=30)
DESCRIBED_PER_CALL = 100
# Exit codes of runs that did their work, all or in part (pipeline.ledger.Outcome).
DONE = (0, 3)
BY_HAND = ("UserInitiated", "ServiceSchedulerInitiated", "SpotInterruption", "TerminationNotice")


@dataclass(frozen=True, kw_only=True)
class Task:
    """A task. `stopped_at` None: it runs. `exit_code` None: its container never ran, or runs."""

    arn: str
    family: str
    revision: int
    started_by: str
    status: str
    created_at: datetime
    started_at: datetime | None
    stopped_at: datetime | None
    stop_code: str
    reason: str
    exit_code: int | None
    container_reason: str
    execution_id: str

    @property
    def failed(self) -> bool:
        """Whether it ended badly; one that somebody stopped did not."""
        if self.stopped_at is None or self.stop_code in BY_HAND:
            return False
        return self.exit_code not in DONE


@dataclass(frozen=True, kw_only=True)
class Tasks:
    """`stopped`: those that ended within the last half hour, newest first; `kept_by_log`: whether the log told them."""

    running: tuple[Task, ...]
    stopped: tuple[Task, ...]
    kept_by_log: bool


def read(clients: Clients, place: Place, memory: Memory, now: datetime) -> Tasks:
    """The log is one call a page of thousands; ECS is asked for stopped tasks only where the log has none."""
    running = list(_of_ecs(clients, place, "RUNNING"))
    logged = list(_of_log(clients, place, now))
    ended = logged or list(_of_ecs(clients, place, "STOPPED"))
    recent = {task.arn: task for task in ended if task.stopped_at and now - WINDOW < task.stopped_at <= now}
    return Tasks(
        running=tuple(task for task in running if task.arn not in recent),
        stopped=tuple(sorted(recent.values(), key=_when_stopped, reverse=True)),
        kept_by_log=bool(logged),
    )


def _when_stopped(task: Task) -> datetime:
    return task.stopped_at or task.created_at


def _of_ecs(clients: Clients, place: Place, status: str) -> Iterator[Task]:
    ecs = clients("ecs")
    arns = found(
        lambda: list(pages(ecs, "list_tasks", "taskArns", cluster=place.cluster, desiredStatus=status)),
        "ClusterNotFoundException",
    )
    groups = [(arns or [])[i : i + DESCRIBED_PER_CALL] for i in range(0, len(arns or []), DESCRIBED_PER_CALL)]
    answers = clients.each(lambda group: ecs.describe_tasks(cluster=place.cluster, tasks=group)["tasks"], groups)
    for tasks in answers:
        yield from (_task(each) for each in tasks)


def _of_log(clients: Clients, place: Place, now: datetime) -> Iterator[Task]:
    since = int((now - WINDOW).timestamp() * 1000)
    asked: dict[str, Any] = {
        "logGroupName": place.stopped_tasks_log,
        "startTime": since,
        "endTime": int(now.timestamp() * 1000) + 60_000,
    }
    events = found(
        lambda: list(pages(clients("logs"), "filter_log_events", "events", **asked)), "ResourceNotFoundException"
    )
    for event in events or ():
        try:
            detail = json.loads(event["message"])["detail"]
        except (ValueError, KeyError, TypeError):
            continue  # a line that somebody else wrote there
        yield _task(detail)


def _task(described: Mapping[str, Any]) -> Task:
    containers: list[Mapping[str, Any]] = list(described.get("containers") or [{}])
    codes = [each["exitCode"] for each in containers if each.get("exitCode") is not None]
    family, _, revision = described["taskDefinitionArn"].rsplit("/", 1)[-1].partition(":")
    return Task(
        arn=described["taskArn"],
        family=family,
        revision=int(revision or 0),
        started_by=described.get("startedBy") or "",
        status=described.get("lastStatus", ""),
        created_at=_time(described["createdAt"]) or datetime.max.replace(tzinfo=UTC),
        started_at=_time(described.get("startedAt")),
        stopped_at=_time(described.get("stoppedAt")),
        stop_code=described.get("stopCode") or "",
        reason=described.get("stoppedReason") or "",
        exit_code=max(codes, default=None),
        container_reason=" ".join(filter(None, (each.get("reason") for each in containers))),
        execution_id=_execution_id(described.get("overrides") or {}),
    )


def _execution_id(overrides: Mapping[str, Any]) -> str:
    """What the scheduler told the run of itself: the key of its line in the run ledger."""
    variables: Iterable[Mapping[str, str]] = (
        variable for each in overrides.get("containerOverrides") or () for variable in each.get("environment") or ()
    )
    return next((each["value"] for each in variables if each.get("name") == "EXECUTION_ID"), "")


def _time(value: Any) -> datetime | None:
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    return value.astimezone(UTC) if isinstance(value, datetime) else None

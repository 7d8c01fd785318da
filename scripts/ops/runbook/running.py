"""Runs of a service: one started by hand exactly as its schedule would, and what the ledger tells of those since."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from psycopg.types.json import Jsonb

from ops.runbook.acting import Hands
from ops.runbook.errors import Failed
from ops.runbook.reading import Look
from pipeline.catalog import Service

QUERIES = Path(__file__).resolve().parents[1] / "queries"
CONTEXT = {
    "<aws.scheduler.execution-id>": "execution",
    "<aws.scheduler.scheduled-time>": "time",
    "<aws.scheduler.schedule-arn>": "by",
}
TOKEN_LENGTH = 36  # RunTask's startedBy; its clientToken may have 64


@dataclass(frozen=True, kw_only=True)
class Run:
    """A finished run, from the ledger."""

    execution_id: str
    started_at: datetime
    outcome: str
    error_code: str | None
    error: str | None
    rows_out: int


def statement(name: str) -> bytes:
    """The statement in `queries/<name>.sql` of the operators' package."""
    return (QUERIES / f"{name}.sql").read_bytes()


def runs_with(look: Look, service: Service, versions: Mapping[str, str], since: datetime) -> list[Run]:
    """Finished runs since then that worked with these fingerprints, the newest first. Raises Refused."""
    values = {"service": service.name, "since": since, "versions": Jsonb(dict(versions))}
    with look.database() as connection:
        rows = connection.execute(statement("runbook_runs_with"), values).fetchall()
    return [
        Run(execution_id=a, started_at=b, outcome=c, error_code=d, error=e, rows_out=f) for a, b, c, d, e, f in rows
    ]


def start(hands: Hands, service: Service, attempt: int) -> str:
    """Starts the service as its schedule does; the task's ARN. The same attempt of the same run starts one task alone.

    Raises Failed in ECS's words."""
    target = _target(hands.look, service)
    ecs = target["EcsParameters"]
    placement = ecs["NetworkConfiguration"]["awsvpcConfiguration"]
    answer = hands.client("ecs").run_task(
        cluster=target["Arn"],
        taskDefinition=ecs["TaskDefinitionArn"],
        launchType=ecs.get("LaunchType", "FARGATE"),
        networkConfiguration={"awsvpcConfiguration": {_camel(key): value for key, value in placement.items()}},
        overrides=_overrides(target.get("Input", "{}"), hands.look, attempt),
        startedBy=started_by(hands.look),
        clientToken=f"{hands.look.run}-{attempt}"[-64:],
        enableECSManagedTags=True,
        propagateTags="TASK_DEFINITION",
    )
    for failure in answer.get("failures", []):
        raise Failed(f"ECS did not start {service.name}: {failure.get('reason')} {failure.get('detail', '')}".strip())
    return str(answer["tasks"][0]["taskArn"])


def started_by(look: Look) -> str:
    """How a task shows that this run started it."""
    return look.run[-TOKEN_LENGTH:]


def going(look: Look, service: Service) -> list[dict[str, Any]]:
    """The service's tasks that run or are to run."""
    ecs, cluster = look.client("ecs"), look.catalog.cluster
    arns = ecs.list_tasks(cluster=cluster, family=service.task_definition)["taskArns"]
    return list(ecs.describe_tasks(cluster=cluster, tasks=arns)["tasks"]) if arns else []


def _target(look: Look, service: Service) -> dict[str, Any]:
    found = look.client("scheduler").get_schedule(Name=service.schedule, GroupName=service.name)
    return dict(found["Target"])


def _overrides(text: str, look: Look, attempt: int) -> Any:
    """What the schedule gives its tasks, with our own words where the scheduler puts its."""
    ours = {
        "execution": f"{look.run}-{attempt}",
        "time": look.now().isoformat(timespec="seconds"),
        "by": f"runbook/{look.run}",
    }
    for keyword, name in CONTEXT.items():
        text = text.replace(keyword, ours[name])
    return json.loads(text)


def _camel(key: str) -> str:
    return key[:1].lower() + key[1:]

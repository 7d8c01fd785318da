"""Schedules made again: what the watcher does by itself where it was told to (SELF_HEAL), and nothing else.

Only for a schedule that is missing, or disabled though it is not meant to rest; at most one attempt an hour each, every
one announced. A schedule is written whole, as Terraform wrote it, so that its plan stays empty. Whatever else is wrong
stays people's (scripts/fix-missing-schedulers).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from healthcheck import place as names
from healthcheck.aws import Clients
from healthcheck.aws.clients import found
from healthcheck.aws.definitions import Definitions
from healthcheck.aws.intent import Intent
from healthcheck.aws.triggers import Triggers
from healthcheck.checks import declared
from healthcheck.finding import Finding, Severity
from healthcheck.reach import Placement
from healthcheck.snapshot import Snapshot
from pipeline.catalog import Service
from pipeline.errors import ConfigInvalid

SWITCH = "SELF_HEAL"
CODES = ("schedule_missing", "schedule_disabled")
PAUSE = timedelta(hours=1)
# What GetSchedule tells beside what UpdateSchedule takes.
TOLD = ("Arn", "CreationDate", "LastModificationDate", "ResponseMetadata")
# What Scheduler puts into a run's environment (terraform/modules/service/schedule.tf).
CONTEXT = {
    "EXECUTION_ID": "<aws.scheduler.execution-id>",
    "SCHEDULED_TIME": "<aws.scheduler.scheduled-time>",
    "SCHEDULE_ARN": "<aws.scheduler.schedule-arn>",
}


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """What was tried for a finding; `error` empty where it was done and read again."""

    code: str
    subject: str
    did: str
    error: str = ""


def switched_on(environment: Mapping[str, str]) -> bool:
    """Whether this environment is to heal itself."""
    return environment.get(SWITCH) == "true"


def curable(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Those that may be tried: what starts the job in the schedule's place would start it twice afterwards."""
    return tuple(
        each
        for each in findings
        if each.code in CODES
        and each.severity is not Severity.UNKNOWN
        and not each.evidence.get("paused_until")
        and not each.evidence.get("started_instead_by")
    )


def heal(finding: Finding, snapshot: Snapshot, clients: Clients) -> Attempt:
    """One attempt. Never raises what AWS says."""
    from botocore.exceptions import BotoCoreError, ClientError

    service = snapshot.scope.catalog[finding.subject]
    did = "made the schedule again" if finding.code == "schedule_missing" else "enabled the schedule"
    try:
        if finding.code == "schedule_missing":
            _make(service, snapshot, clients("scheduler"))
        else:
            _enable(service, clients("scheduler"))
        error = "" if _runs(service, clients("scheduler")) else "written, but read again it is not enabled"
    except (ClientError, BotoCoreError, ConfigInvalid) as problem:
        error = " ".join(str(problem).split())
    return Attempt(code=finding.code, subject=finding.subject, did=did, error=error)


def _make(service: Service, snapshot: Snapshot, scheduler: Any) -> None:
    wanted = schedule(service, snapshot)
    if service.name not in snapshot.part(Triggers).groups:
        scheduler.create_schedule_group(Name=service.name, Tags=_tags(service, snapshot))
    scheduler.create_schedule(**wanted)


def _enable(service: Service, scheduler: Any) -> None:
    """Written whole: what an update leaves out, AWS resets."""
    live = scheduler.get_schedule(Name=service.schedule, GroupName=service.name)
    kept = {key: value for key, value in live.items() if key not in TOLD}
    scheduler.update_schedule(**{**kept, "State": "ENABLED"})


def _runs(service: Service, scheduler: Any) -> bool:
    live = found(
        lambda: scheduler.get_schedule(Name=service.schedule, GroupName=service.name), "ResourceNotFoundException"
    )
    return live is not None and live.get("State") == "ENABLED"


def schedule(service: Service, snapshot: Snapshot) -> dict[str, Any]:
    """CreateSchedule's parameters, as Terraform makes it (terraform/modules/service/schedule.tf). Raises ConfigInvalid
    where it is not known what it would start, or where."""
    where = declared.place(snapshot)
    return {
        "Name": service.schedule,
        "GroupName": service.name,
        "Description": service.purpose,
        "ScheduleExpression": names.expression(service),
        "ScheduleExpressionTimezone": names.timezone(service),
        "State": "ENABLED",
        "FlexibleTimeWindow": {"Mode": "OFF"},
        "Target": {
            "RoleArn": where.scheduler_role_arn,
            "RetryPolicy": {
                "MaximumRetryAttempts": service.retries,
                "MaximumEventAgeInSeconds": max(names.LEAST_EVENT_AGE_SECONDS, int(service.period.total_seconds())),
            },
            "DeadLetterConfig": {"Arn": where.queue_arn},
            **(_task(service, snapshot) if service.kind == "task" else _function(service, snapshot)),
        },
    }


def _function(service: Service, snapshot: Snapshot) -> dict[str, Any]:
    return {"Arn": declared.place(snapshot).function_arn(service), "Input": _json(CONTEXT)}


def _task(service: Service, snapshot: Snapshot) -> dict[str, Any]:
    environment = [{"name": name, "value": CONTEXT[name]} for name in sorted(CONTEXT)]
    return {
        "Arn": declared.place(snapshot).cluster_arn,
        "Input": _json({"containerOverrides": [{"environment": environment, "name": service.name}]}),
        "EcsParameters": {
            "TaskDefinitionArn": _revision(service, snapshot),
            "TaskCount": 1,
            "LaunchType": "FARGATE",
            "PlatformVersion": "LATEST",
            "EnableECSManagedTags": True,
            "EnableExecuteCommand": False,
            "PropagateTags": "TASK_DEFINITION",
            "NetworkConfiguration": _network(_intent(snapshot).placement),
        },
    }


def _json(value: Mapping[str, Any]) -> str:
    """As Terraform's jsonencode writes it: sorted and without spaces."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def _revision(service: Service, snapshot: Snapshot) -> str:
    """The newest revision, if it runs the image that the last apply meant."""
    definitions, intent = snapshot.parts.get(Definitions), _intent(snapshot)
    newest = definitions.newest(service.task_definition) if isinstance(definitions, Definitions) else None
    if newest is None or intent.meant(service.name, newest.digest) is not True:
        raise ConfigInvalid(
            f"{service.task_definition} has no revision of the image that the last apply meant; "
            f"run {declared.apply(snapshot)}"
        )
    return newest.arn


def _network(placement: Placement | None) -> dict[str, Any]:
    if placement is None:
        raise ConfigInvalid("the last apply did not tell where tasks run; run scripts/fix-missing-schedulers --apply")
    return {
        "awsvpcConfiguration": {
            "Subnets": sorted(placement.subnets),
            "SecurityGroups": sorted(placement.groups),
            "AssignPublicIp": "ENABLED" if placement.public_ip else "DISABLED",
        }
    }


def _tags(service: Service, snapshot: Snapshot) -> list[dict[str, str]]:
    tags = {**_intent(snapshot).tags, "Service": service.name}
    return [{"Key": key, "Value": value} for key, value in sorted(tags.items())]


def _intent(snapshot: Snapshot) -> Intent:
    intent = snapshot.parts.get(Intent)
    if not isinstance(intent, Intent):
        raise ConfigInvalid("what the last apply meant could not be read; run scripts/fix-missing-schedulers --apply")
    return intent

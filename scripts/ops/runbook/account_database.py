"""The database that an account has of its own: its RDS instance, the ways to it, the task inside its network."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from botocore.exceptions import ClientError

from ops import task_run
from ops.runbook import account, running
from ops.runbook.acting import Hands
from ops.runbook.errors import Failed, Refused
from ops.runbook.finding import Finding
from ops.runbook.reading import Look
from ops.task_run import Lines, Order, Started, TaskFailed
from pipeline.catalog import Service
from pipeline.settings import Secret
from pipeline.store import logins

TASK_EVERY, TASK_SECONDS = 15.0, 1800.0
WORK_REMAINS = 3
AVAILABLE, RENAMING, DELETING = "available", "renaming", "deleting"
READY = (AVAILABLE, "storage-optimization")  # what can be worked with; the second lasts for hours and hinders nobody
# RDS leaves these by itself never, or not without a person; an instance in one of DEAD can give no last snapshot.
# https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/accessing-monitoring.html
DEAD = ("failed", "incompatible-restore", "incompatible-network")
STUCK = (
    *DEAD,
    "incompatible-create",
    "incompatible-credentials",
    "incompatible-option-group",
    "incompatible-parameters",
    "inaccessible-encryption-credentials",
    "insufficient-capacity",
    "restore-error",
    "stopped",
    "storage-full",
)
Instance = Mapping[str, Any]


def family(look: Look) -> str:
    """The task that migrates, renews and closes logins (terraform/modules/migration)."""
    return f"{look.catalog.project}-migrate"


def find(look: Look, identifier: str = "", region: str | None = None) -> Instance | None:
    """DescribeDBInstances of one, the pipeline's own where none is named; None where there is none."""
    try:
        found = look.client("rds", region).describe_db_instances(
            DBInstanceIdentifier=identifier or look.catalog.project
        )
    except ClientError as error:
        if error.response["Error"]["Code"] in ("DBInstanceNotFound", "DBInstanceNotFoundFault"):
            return None
        raise
    return dict(found["DBInstances"][0])


def find_resource(look: Look, resource: str) -> Instance | None:
    """As `find`, by what RDS never gives to another instance, whatever its name is."""
    asked = [{"Name": "dbi-resource-id", "Values": [resource]}]
    found = look.client("rds").describe_db_instances(Filters=asked)["DBInstances"]
    return dict(found[0]) if found else None


def is_at_rest(instance: Instance | None) -> Finding:
    """Whether RDS is not at work at it, so that it takes the next order."""
    return _is_in(instance, (*READY, *STUCK))


def is_available(instance: Instance | None) -> Finding:
    """Whether it can be worked with. Raises Failed where it never will be by itself."""
    if instance and instance["DBInstanceStatus"] in STUCK:
        name = instance["DBInstanceIdentifier"]
        raise Failed(
            f"{name} is {instance['DBInstanceStatus']}, which it does not leave by itself; RDS tells why: aws rds "
            f"describe-events --source-type db-instance --source-identifier {name}"
        )
    return _is_in(instance, READY)


def _is_in(instance: Instance | None, statuses: Sequence[str]) -> Finding:
    status = instance["DBInstanceStatus"] if instance else "not there"
    return Finding(holds=status in statuses, saw=f"it is {status}")


def load(look: Look, identifier: str = "") -> Instance:
    """As `find`; raises Refused where there is none."""
    found = find(look, identifier)
    if found is None:
        raise Refused(
            f"{look.environment} has no database instance {identifier or look.catalog.project}; the one that "
            "DATABASE_URL leads to is looked after where it runs"
        )
    return found


def base(look: Look, instance: Instance) -> str:
    """Its address without a login. Where this machine plays the account, its server may know no TLS."""
    mode = (look.environ.get("PGSSLMODE") if account.played(look.environ) else None) or "verify-full"
    endpoint = instance["Endpoint"]
    return f"postgresql://{endpoint['Address']}:{endpoint['Port']}/{instance['DBName']}?sslmode={mode}"


def master_url(look: Look, instance: Instance) -> Secret:
    """The master's address, from the secret in which RDS keeps the password. Raises Refused where there is none."""
    arn = master_secret(instance)
    if not arn:
        raise Refused(f"RDS keeps no master password for {instance['DBInstanceIdentifier']}; was it just restored?")
    held = json.loads(look.client("secretsmanager").get_secret_value(SecretId=arn)["SecretString"])
    look.veil.secret(quote(held["password"], safe=""))
    return look.veil.secret(logins.join(base(look, instance), held["username"], Secret(held["password"])).reveal())


def master_secret(instance: Instance) -> str:
    """The ARN of the master's secret, or nothing."""
    return str((instance.get("MasterUserSecret") or {}).get("SecretArn", ""))


def definition(look: Look) -> Mapping[str, Any]:
    """The newest definition of the migration's task. Raises Refused where there is none that is active."""
    missing = f"{look.environment} has no task {family(look)}"
    remedy = f"make plan apply ENV={look.environment} makes it"
    try:
        found = look.client("ecs").describe_task_definition(taskDefinition=family(look))["taskDefinition"]
    except ClientError as error:
        raise Refused(f"{missing} ({error}); {remedy}") from error
    if found["status"] != "ACTIVE":
        raise Refused(f"{missing}, its definition was deregistered; {remedy}")
    return dict(found)


def run_task(hands: Hands, *command: str) -> int:
    """Runs the migration's task with another command, or its own, to its end; its lines are shown.

    Returns its exit code, 0 or WORK_REMAINS. Raises Failed where it did not start, or failed."""
    look = hands.look
    attempt = int(look.facts.get("task_attempt", 0)) + 1
    hands.note(task_attempt=attempt)
    try:
        started = task_run.start(hands.client, _order(look, command, attempt))
    except TaskFailed as error:
        raise Failed(str(error)) from error
    lines, said = [], hands.say

    def heard(text: str) -> None:
        lines.append(text)
        said(text)

    shown = Lines(hands.client("logs"), started, heard)
    hands.wait(
        f"the task {family(look)}",
        lambda: _has_ended(look, started),
        every_seconds=TASK_EVERY,
        most_seconds=TASK_SECONDS,
        else_=f"aws logs tail {started.log_group}",
    )
    shown.show()
    return _code(look, started, lines)


def _order(look: Look, command: tuple[str, ...], attempt: int) -> Order:
    instance = load(look)
    told = {"DATABASE_ADDRESS": base(look, instance)} if account.played(look.environ) else {}
    return Order(
        cluster=look.catalog.cluster,
        definition=str(definition(look)["taskDefinitionArn"]),
        network=network(look),
        environment=told,
        command=command,
        started_by=running.started_by(look),
        token=f"{look.run}-task-{attempt}"[-64:],
    )


def network(look: Look) -> dict[str, Any]:
    """Where tasks run, from the first schedule of one that is there (Terraform's output `network`)."""
    for service in look.catalog:
        if service.kind == "task" and (placed := _placed(look, service)):
            return {
                "subnet_ids": placed["Subnets"],
                "security_group_ids": placed["SecurityGroups"],
                "assign_public_ip": placed["AssignPublicIp"] == "ENABLED",
            }
    raise Refused("no schedule of a task is there to say where tasks run; first: runbooks/recover-schedules")


def _placed(look: Look, service: Service) -> Mapping[str, Any] | None:
    try:
        found = look.client("scheduler").get_schedule(Name=service.schedule, GroupName=service.name)
    except ClientError:
        return None
    return dict(found["Target"]["EcsParameters"]["NetworkConfiguration"]["awsvpcConfiguration"])


def _task(look: Look, started: Started) -> Mapping[str, Any]:
    found = look.client("ecs").describe_tasks(cluster=started.cluster, tasks=[started.arn])["tasks"]
    if not found:
        raise Failed(f"ECS knows {started.arn} no longer; aws logs tail {started.log_group} tells what became of it")
    return dict(found[0])


def _has_ended(look: Look, started: Started) -> Finding:
    status = str(_task(look, started)["lastStatus"])
    return Finding(holds=status == "STOPPED", saw=f"it is {status}")


def _code(look: Look, started: Started, lines: list[str]) -> int:
    task = _task(look, started)
    container = task["containers"][0]
    code = container.get("exitCode")
    if code in (0, WORK_REMAINS):
        return int(code)
    why = container.get("reason") or task.get("stoppedReason") or "ECS gives no reason"
    last = "; ".join(lines[-3:]) or why
    raise Failed(f"the task {family(look)} ended with exit code {code}: {last}")

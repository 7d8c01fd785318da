"""How tasks end, and whether they get out of their network: what ECS says, where the run itself could say nothing."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import timedelta

from healthcheck.aws.tasks import Task, Tasks
from healthcheck.aws.triggers import Triggers
from healthcheck.checks import declared, rights, stored
from healthcheck.checks import images as images_checks
from healthcheck.checks.check import DIAGNOSE, Check
from healthcheck.finding import Finding, Severity
from healthcheck.reach import Network, Placement
from healthcheck.snapshot import Runs, Snapshot
from pipeline.catalog import Service

# What the harness takes to end a run after its deadline, and Fargate to bring a task up.
GRACE = timedelta(seconds=120)
FAILURES_MIN = 2
# What a start may be late by.
STARTING = timedelta(seconds=5)
# What every start fetches over the network.
FETCHED_FROM = ("ecr.api", "ecr.dkr", "logs", "ssm")
# The words of a task that did not start (ECS developer guide, "Stopped tasks error messages") → the cause they prove.
WORDS: tuple[tuple[str, str], ...] = (
    (r"i/o timeout|context deadline exceeded|task network configuration|no route to host", "task_network"),
    (r"unable to assume the role|ECS was unable to assume", "role_trust"),
    (r"AccessDenied|not authorized to perform|InvalidKeyId|is disabled|KMS", "parameter_denied"),
    (r"invalid parameters|ParameterNotFound", "parameter_missing"),
    (r"CannotPull.*(not found|does not exist|manifest unknown)", "image_missing"),
)


def tasks_ended_badly(snapshot: Snapshot) -> Iterator[Finding]:
    """The newest tasks of a service did not start, were killed for memory, or died before their record began."""
    stopped = snapshot.part(Tasks).stopped
    for service in snapshot.scope.catalog:
        own = [task for task in stopped if task.family == service.task_definition and service.kind == "task"]
        failed = _failing(own)
        if not failed:
            continue
        code = cause(failed[0])
        if code == "task_crash" and failed[0].exit_code is not None and not _unrecorded(snapshot, service, failed):
            continue  # the run's own record says what was wrong, and the ledger's check reads it
        if code in EXPLAINED and _is_explained(snapshot, service, code):
            continue
        yield _ended(service, code, failed, len(own))


def _failing(tasks: Sequence[Task]) -> list[Task]:
    """The failed ones since the newest good one; none where a single one failed."""
    failed: list[Task] = []
    for task in tasks:
        if not task.failed:
            break
        failed.append(task)
    return failed if len(failed) >= FAILURES_MIN or len(failed) == len(tasks) else []


def cause(task: Task) -> str:
    """The code that the end of a task proves; task_crash where nothing more is known."""
    if "OutOfMemory" in task.container_reason or "OutOfMemory" in task.reason:
        return "task_oom"
    if task.exit_code is not None:
        return "task_crash"
    return next((code for words, code in WORDS if re.search(words, task.reason)), "task_crash")


def _unrecorded(snapshot: Snapshot, service: Service, failed: Sequence[Task]) -> bool:
    """Whether the failed runs left no record with a reason. Without the ledger only a death by signal says so."""
    runs = snapshot.parts.get(Runs)
    if not isinstance(runs, Runs):
        return all((task.exit_code or 0) >= 128 for task in failed)
    if _ledger_was_away(snapshot, runs, failed[0]):
        return False
    told = {run.execution_id for run in runs.recent.get(service.name, ()) if run.error or run.outcome}
    return not any(task.execution_id in told for task in failed[:FAILURES_MIN])


def _ledger_was_away(snapshot: Snapshot, runs: Runs, task: Task) -> bool:
    """Whether nobody left a record about the time of the task, and others have since: then it could not leave one.

    Asked of the services that start most often among those whose known runs go back so far."""
    at = task.created_at
    starts = {
        service: [run.started_at for run in runs.recent.get(service.name, ())]
        for service in snapshot.scope.catalog
        if service.kind == "task"
    }
    covering = [service for service, found in starts.items() if found and min(found) <= at]
    period = min((service.period for service in covering), default=None)
    if period is None:
        return False
    known = [start for service in covering if service.period == period for start in starts[service]]
    near = any(abs(start - at) <= period / 2 + STARTING for start in known)
    return not near and max(known) > at


def _is_explained(snapshot: Snapshot, service: Service, code: str) -> bool:
    try:
        return any(service.name in each.evidence["services"] for find in EXPLAINED[code] for each in find(snapshot))
    except TypeError:  # a part that it needs was not read
        return False


def _ended(service: Service, code: str, failed: Sequence[Task], of: int) -> Finding:
    newest = failed[0]
    words = " ".join(filter(None, (newest.reason, newest.container_reason)))
    return Finding(
        code=code,
        subject=service.name,
        severity=Severity.CRITICAL,
        summary=f"the last {len(failed)} tasks of {service.name} ended badly"
        + (f" (exit code {newest.exit_code})" if newest.exit_code is not None else ", none of them started")
        + f": {words[:300]}",
        evidence={
            "tasks": [task.arn.rsplit("/", 1)[-1] for task in failed[:5]],
            "stop_code": newest.stop_code,
            "reason": newest.reason,
            "container": newest.container_reason,
            "exit_code": newest.exit_code,
            "revision": newest.revision,
            "failed": len(failed),
            "of": of,
            "services": [service.name],
        },
        since=failed[-1].stopped_at,
        repair=f"raise memory of {service.name} in services.yaml" if code == "task_oom" else DIAGNOSE,
    )


def tasks_hang(snapshot: Snapshot) -> Iterator[Finding]:
    """A task runs, or waits to run, for longer than its service may take."""
    services = {service.task_definition: service for service in snapshot.scope.catalog if service.kind == "task"}
    for task in snapshot.part(Tasks).running:
        service = services.get(task.family)
        if service is None:
            continue
        age, allowed = snapshot.now - task.created_at, timedelta(seconds=service.deadline_seconds) + GRACE
        if age > allowed:
            yield Finding(
                code="task_hang",
                subject=service.name,
                severity=Severity.CRITICAL,
                summary=f"a task of {service.name} is {task.status} since {task.created_at:%H:%M:%S} UTC, "
                f"{allowed.total_seconds():.0f} s are its utmost",
                evidence={"task": task.arn, "status": task.status, "age": age, "services": [service.name]},
                since=task.created_at,
                repair=f"aws ecs stop-task --cluster {declared.place(snapshot).cluster} --task {task.arn}",
            )


def ways_out_closed(snapshot: Snapshot) -> Iterator[Finding]:
    """A placement without a way to the provider, or to what every start fetches; one finding for all that share it."""
    network = snapshot.part(Network)
    blocked: dict[str, list[str]] = {}
    for service, schedule in declared.schedules(snapshot):
        placement = schedule.target.placement
        if service.kind == "task" and placement.subnets and not network.unknown(placement):
            problem = _blocked(service, placement, network)
            if problem:
                blocked.setdefault(problem, []).append(service.name)
    for problem, services in blocked.items():
        yield Finding(
            code="task_network",
            subject="network" if len(services) > 1 else services[0],
            severity=Severity.CRITICAL,
            summary=f"tasks get nowhere ({declared.named(services)}): {problem}",
            evidence={"problem": problem, "services": services},
            repair=declared.apply(snapshot),
        )


def _blocked(service: Service, placement: Placement, network: Network) -> str | None:
    """What is in the way. A service that reads no table takes what it stores from outside."""
    problem = network.obstacle(placement)
    if problem is None:
        return None
    outside = not service.reads or bool(service.secrets)
    without = [name for name in FETCHED_FROM if not network.reaches_service(placement, name)]
    return problem if outside or without else None


# A part of the account that explains such a start by itself: then that finding tells it, and better.
EXPLAINED: dict[str, tuple[Callable[[Snapshot], Iterable[Finding]], ...]] = {
    "task_network": (ways_out_closed,),
    "role_trust": (rights.roles_distrusted, rights.roles_missing),
    "parameter_denied": (stored.parameters_denied,),
    "parameter_missing": (stored.parameters_missing,),
    "image_missing": (images_checks.images_missing,),
    "task_crash": (stored.logs_missing,),
}

CHECKS = (
    Check(
        name="tasks_end_well",
        question="Do tasks start, and end well?",
        codes=(
            "task_crash",
            "task_oom",
            "task_network",
            "role_trust",
            "parameter_denied",
            "parameter_missing",
            "image_missing",
        ),
        needs=(Tasks,),
        find=tasks_ended_badly,
    ),
    Check(
        name="tasks_end",
        question="Does every task end in time?",
        codes=("task_hang",),
        needs=(Tasks,),
        find=tasks_hang,
    ),
    Check(
        name="ways_out_open",
        question="Do tasks reach the provider and AWS?",
        codes=("task_network",),
        needs=(Triggers, Network),
        find=ways_out_closed,
    ),
)

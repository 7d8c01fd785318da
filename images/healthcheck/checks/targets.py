"""Whether each schedule's target is there: the cluster, the revision or function, the subnets and groups."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from healthcheck.aws.definitions import Definition, Definitions
from healthcheck.aws.functions import Functions
from healthcheck.aws.intent import Intent
from healthcheck.aws.tasks import Tasks
from healthcheck.aws.triggers import Schedule, Triggers
from healthcheck.checks import declared
from healthcheck.checks.check import HEAL, Check
from healthcheck.finding import Finding, Severity
from healthcheck.reach import Network, Placement
from healthcheck.snapshot import Snapshot
from pipeline.catalog import Service

PARTS_OF_ARN = ("arn", "partition", "service", "region", "account", "resource")


def clusters_wrong(snapshot: Snapshot) -> Iterator[Finding]:
    """A target that names another cluster, region or account; or the right one, which is gone."""
    where, clusters = declared.place(snapshot), snapshot.part(Definitions).clusters
    right = []
    for service, schedule in declared.schedules(snapshot):
        if service.kind != "task":
            continue
        if schedule.target.arn == where.cluster_arn:
            right.append(service.name)
            continue
        yield _wrong(
            "target_cluster",
            service,
            schedule,
            seen=schedule.target.arn,
            expected=where.cluster_arn,
            words=f"aims at {_differs(schedule.target.arn, where.cluster_arn)}",
        )
    if right and clusters.get(where.cluster) != "ACTIVE":
        yield Finding(
            code="target_cluster",
            subject=where.cluster,
            severity=Severity.CRITICAL,
            summary=f"the cluster {where.cluster} is {clusters.get(where.cluster, 'gone')}; "
            f"{len(right)} schedules aim at it",
            evidence={"cluster": where.cluster_arn, "status": clusters.get(where.cluster), "services": right},
            repair=declared.apply(snapshot),
        )


def _differs(seen: str, expected: str) -> str:
    """In which part of an ARN they differ."""
    left, right = seen.split(":", 5), expected.split(":", 5)
    if len(left) != len(right):
        return f"{seen!r}, which is no such ARN; expected {expected}"
    parts = [f"{name} {a} instead of {b}" for name, a, b in zip(PARTS_OF_ARN, left, right, strict=True) if a != b]
    return ", ".join(parts)


def definitions_wrong(snapshot: Snapshot) -> Iterator[Finding]:
    """A task definition that is missing, INACTIVE or another service's; a function that is missing or another."""
    for service, schedule in declared.schedules(snapshot):
        told = (
            _of_task(snapshot, service, schedule) if service.kind == "task" else _of_lambda(snapshot, service, schedule)
        )
        if told:
            words, seen, expected = told
            yield _wrong("target_task_definition", service, schedule, seen=seen, expected=expected, words=words)


def _of_task(snapshot: Snapshot, service: Service, schedule: Schedule) -> tuple[str, str, str] | None:
    definitions, where, target = snapshot.part(Definitions), declared.place(snapshot), schedule.target
    expected = where.arn("ecs", f"task-definition/{service.task_definition}")
    short = target.definition.rsplit("/", 1)[-1] or "nothing"
    if target.family != service.task_definition:
        return f"starts {short}, which is not {service.task_definition}", target.definition, expected
    if target.definition.startswith("arn:") and not target.definition.startswith(f"{expected}"):
        return f"aims at {_differs(target.definition, expected)}", target.definition, expected
    found = definitions.of(target.family, target.revision)
    active = definitions.active.get(service.task_definition, ())
    newest = active[0].rsplit("/", 1)[-1] if active else "no ACTIVE revision"
    if found is None:
        return f"starts {short}, which does not exist; there is {newest}", target.definition, newest
    if not definitions.is_active(found):
        return f"starts {short}, which is INACTIVE; there is {newest}", target.definition, newest
    return None


def _of_lambda(snapshot: Snapshot, service: Service, schedule: Schedule) -> tuple[str, str, str] | None:
    where, target = declared.place(snapshot), schedule.target
    expected = where.function_arn(service)
    if not declared.starts(target, service, where):
        return f"aims at {_differs(target.arn, expected)}", target.arn, expected
    if service.task_definition not in snapshot.part(Functions).functions:
        return f"invokes {service.task_definition}, which does not exist", target.arn, expected
    return None


def revisions_stale(snapshot: Snapshot) -> Iterator[Finding]:
    """A schedule is pinned to an older revision, though a newer ACTIVE one has the image that was meant.

    An older one on purpose is what the lock file says, and comes as a new revision. One that is minutes old may be a
    deployment under way, unless what is started meanwhile keeps crashing."""
    definitions, intent = snapshot.part(Definitions), snapshot.part(Intent)
    for service, schedule in declared.schedules(snapshot):
        if service.kind != "task" or schedule.target.family != service.task_definition:
            continue
        pinned = definitions.of(service.task_definition, schedule.target.revision)
        if pinned is None or not definitions.is_active(pinned):
            continue
        newer = [
            each
            for each in definitions.described.values()
            if each.family == pinned.family
            and each.revision > pinned.revision
            and definitions.is_active(each)
            and intent.meant(service.name, each.digest) is not False
        ]
        newest = max(newer, key=lambda each: each.revision, default=None)
        if newest and (not _deploying(newest, snapshot) or _crashes(pinned, snapshot)):
            stale = _wrong(
                "target_revision_stale",
                service,
                schedule,
                seen=pinned.arn,
                expected=newest.arn,
                words=f"starts revision {pinned.revision}; revision {newest.revision} is the newest",
                since=newest.registered_at,
            )
            # The declared one is brought back; a newer one that nobody declared is not taken away by that.
            by_hand = f"aws ecs deregister-task-definition --task-definition {newest.family}:{newest.revision}"
            yield replace(stale, repair=f"{HEAL}; if revision {newest.revision} was made by hand, {by_hand}")


def _crashes(definition: Definition, snapshot: Snapshot) -> bool:
    """Whether the last tasks of the revision ran and ended badly."""
    tasks = snapshot.parts.get(Tasks)
    stopped = tasks.stopped if isinstance(tasks, Tasks) else ()
    own = [task for task in stopped if (task.family, task.revision) == (definition.family, definition.revision)]
    last = own[: declared.CRASHES_MIN]
    return len(last) == declared.CRASHES_MIN and all(task.failed and task.exit_code is not None for task in last)


def _deploying(definition: Definition, snapshot: Snapshot) -> bool:
    registered = definition.registered_at
    return registered is not None and snapshot.now - registered < declared.DEPLOYING


def networks_wrong(snapshot: Snapshot) -> Iterator[Finding]:
    """Subnets or groups that do not exist, that belong to different networks, or to another one than ours."""
    network = snapshot.part(Network)
    ours = _own_networks(snapshot, network)
    for service, schedule in declared.schedules(snapshot):
        if service.kind != "task":
            continue
        placement = schedule.target.placement
        problem = network.unknown(placement) or _elsewhere(placement, network, ours)
        if not placement.subnets:
            problem = "no subnet is named"
        if problem:
            yield _wrong(
                "target_network",
                service,
                schedule,
                seen={"subnets": list(placement.subnets), "groups": list(placement.groups)},
                expected=sorted(ours),
                words=f"cannot place its task: {problem}",
            )


def _own_networks(snapshot: Snapshot, network: Network) -> frozenset[str]:
    """The VPCs that carry the project's tag; none where nobody tags."""
    tag = {"Key": "Project", "Value": snapshot.scope.catalog.project}
    return frozenset(
        str(subnet["VpcId"])
        for subnet in network.subnets
        if any({"Key": each.get("Key"), "Value": each.get("Value")} == tag for each in subnet.get("Tags") or ())
    )


def _elsewhere(placement: Placement, network: Network, ours: frozenset[str]) -> str | None:
    found = {str(each["VpcId"]) for each in network.subnets if each["SubnetId"] in placement.subnets}
    return f"{', '.join(sorted(found - ours))} is not the project's VPC" if ours and found - ours else None


def _wrong(code: str, service: Service, schedule: Schedule, *, words: str, **more: Any) -> Finding:
    since = more.pop("since", None)
    return Finding(
        code=code,
        subject=service.name,
        severity=Severity.CRITICAL,
        summary=f"the schedule {schedule.name} {words}",
        evidence={"schedule": schedule.arn, **more, "services": [service.name]},
        since=since or schedule.modified_at,
        repair=HEAL,
    )


CHECKS = (
    Check(
        name="clusters_right",
        question="Does every schedule aim at our cluster?",
        codes=("target_cluster",),
        needs=(Triggers, Definitions),
        find=clusters_wrong,
    ),
    Check(
        name="definitions_right",
        question="Does every schedule start something that exists?",
        codes=("target_task_definition",),
        needs=(Triggers, Definitions, Functions),
        find=definitions_wrong,
    ),
    Check(
        name="revisions_current",
        question="Does every schedule start the newest revision?",
        codes=("target_revision_stale",),
        needs=(Triggers, Definitions, Intent),
        find=revisions_stale,
    ),
    Check(
        name="networks_right",
        question="Can every schedule place its task?",
        codes=("target_network",),
        needs=(Triggers, Network),
        find=networks_wrong,
    ),
)

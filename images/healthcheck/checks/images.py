"""Whether what services run is in the registry, and is the image that was meant."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from healthcheck.aws.definitions import Definition, Definitions
from healthcheck.aws.functions import Functions
from healthcheck.aws.images import Images
from healthcheck.aws.intent import Intent
from healthcheck.aws.tasks import Tasks
from healthcheck.aws.triggers import Triggers
from healthcheck.checks import declared
from healthcheck.checks.check import Check
from healthcheck.finding import Finding, Severity
from healthcheck.snapshot import Runs, Snapshot
from pipeline.catalog import Service

BROKEN_FUNCTION = ("ImageDeleted", "ImageAccessDenied", "InvalidImage")


def images_missing(snapshot: Snapshot) -> Iterator[Finding]:
    """A task definition or function names an image that the registry does not hold."""
    images, intent, where = snapshot.part(Images), snapshot.part(Intent), declared.place(snapshot)
    for service in snapshot.scope.catalog:
        found = declared.image(snapshot, service)
        if not found or not all(found):
            continue  # one from elsewhere is in no registry of ours
        repository, digest = found
        held = images.repositories.get(repository)
        if images.find(repository, digest):
            continue
        if held == () and intent.meant(service.name, digest):
            continue  # nothing was ever pushed where this was applied; a task that cannot be started would say so
        yield Finding(
            code="image_missing",
            subject=service.name,
            severity=Severity.CRITICAL,
            summary=f"{service.name} is to run {repository}@{digest[:19]}, which the registry does not hold"
            + ("; there is no such repository" if held is None else f"; it holds {len(held)} others"),
            evidence={
                "repository": repository,
                "digest": digest,
                "expected_repository": where.repository(service),
                "newest": held[0].digest if held else None,
                "services": [service.name],
            },
            repair="make push, or set images.lock.json back to an image that is there; then "
            f"{declared.apply(snapshot)}",
        )


def images_stale(snapshot: Snapshot) -> Iterator[Finding]:
    """The image that runs is not what the last apply meant, or a new revision crashes with the old one's image.

    An older image on purpose is what the lock file says. Judged of the newest revision: what an older one holds that a
    schedule is pinned to is another matter."""
    intent = snapshot.part(Intent)
    for service in snapshot.scope.catalog:
        found = declared.image(snapshot, service)
        if not found or _young(snapshot, service) or not _runs_newest(snapshot, service):
            continue
        digest = _held(snapshot, *found)
        if digest is None:
            continue
        if intent.meant(service.name, digest) is False:
            yield _not_meant(snapshot, service, digest, intent)
        else:
            yield from _not_rebuilt(snapshot, service)


def _held(snapshot: Snapshot, repository: str, reference: str) -> str | None:
    """The digest of what is to run; None where the registry holds no such image, which is then what is wrong."""
    images = snapshot.parts.get(Images)
    if not repository or not isinstance(images, Images):
        return reference
    found = images.find(repository, reference)
    if found:
        return found.digest
    return reference if images.repositories.get(repository) == () else None  # nothing was ever pushed


def _runs_newest(snapshot: Snapshot, service: Service) -> bool:
    if service.kind != "task":
        return True
    return declared.definition(snapshot, service) == snapshot.part(Definitions).newest(service.task_definition)


def _young(snapshot: Snapshot, service: Service) -> bool:
    """Whether a deployment may be under way: intent, revision and schedule change one after the other."""
    changed: list[datetime | None] = [snapshot.part(Intent).modified_at]
    if service.kind == "task":
        definition = declared.definition(snapshot, service)
        changed.append(definition.registered_at if definition else None)
    else:
        function = snapshot.part(Functions).functions.get(service.task_definition)
        changed.append(function.modified_at if function else None)
    return any(at is not None and snapshot.now - at < declared.DEPLOYING for at in changed)


def _not_meant(snapshot: Snapshot, service: Service, digest: str, intent: Intent) -> Finding:
    images, where = snapshot.parts.get(Images), declared.place(snapshot)
    held = images.repositories.get(where.repository(service), ()) if isinstance(images, Images) else ()
    definition = declared.definition(snapshot, service) if service.kind == "task" else None
    return Finding(
        code="image_stale",
        subject=service.name,
        severity=Severity.CRITICAL,
        summary=f"{service.name} runs the image {digest[:19]}, the last apply meant {intent.images[service.name]}",
        evidence={
            "digest": digest,
            "expected": intent.images[service.name],
            "newest_pushed": held[0].digest if held else None,
            "definition": definition.arn if definition else None,
            "services": [service.name],
        },
        since=definition.registered_at if definition else None,
        repair=declared.apply(snapshot),
    )


def _not_rebuilt(snapshot: Snapshot, service: Service) -> Iterator[Finding]:
    """A revision that was to mend a crash has the very image that crashed before, and crashes alike."""
    definition = declared.definition(snapshot, service) if service.kind == "task" else None
    before = _predecessor(snapshot, definition) if definition else None
    if not definition or not before or before.reference != definition.reference:
        return
    crashed = _crashed(snapshot, service)
    own, older = crashed.get(definition.revision, 0), crashed.get(before.revision, 0)
    if own >= declared.CRASHES_MIN and older >= declared.CRASHES_MIN:
        yield Finding(
            code="image_stale",
            subject=service.name,
            severity=Severity.CRITICAL,
            summary=f"revision {definition.revision} of {definition.family} crashes like revision {before.revision}, "
            f"and has the same image {definition.reference[:19]}: it was not rebuilt",
            evidence={
                "definition": definition.arn,
                "before": before.arn,
                "digest": definition.digest,
                "crashes": {str(revision): count for revision, count in crashed.items()},
                "services": [service.name],
            },
            since=definition.registered_at,
            repair=f"make build-images push, then {declared.apply(snapshot)}",
        )


def _predecessor(snapshot: Snapshot, definition: Definition) -> Definition | None:
    older = [
        each
        for each in snapshot.part(Definitions).described.values()
        if each.family == definition.family and each.revision < definition.revision
    ]
    return max(older, key=lambda each: each.revision, default=None)


def _crashed(snapshot: Snapshot, service: Service) -> dict[int, int]:
    """Revision → lately crashed tasks. One whose run recorded another cause than a crash did not crash."""
    runs = snapshot.parts.get(Runs)
    known = runs.recent.get(service.name, ()) if isinstance(runs, Runs) else ()
    explained = {run.execution_id for run in known if run.error_code not in (None, "task_crash")}
    found: dict[int, int] = {}
    for task in snapshot.part(Tasks).stopped:
        ran = task.failed and task.exit_code is not None
        if task.family == service.task_definition and ran and task.execution_id not in explained:
            found[task.revision] = found.get(task.revision, 0) + 1
    return found


def functions_broken(snapshot: Snapshot) -> Iterator[Finding]:
    """A function that Lambda has set aside, and says why."""
    for service in snapshot.scope.catalog:
        function = snapshot.part(Functions).functions.get(service.task_definition)
        if service.kind != "lambda" or not function or function.state in ("Active", "Pending", "Inactive"):
            continue
        yield Finding(
            code="image_missing" if any(word in function.state_reason for word in BROKEN_FUNCTION) else "task_crash",
            subject=service.name,
            severity=Severity.CRITICAL,
            summary=f"the function {function.name} is {function.state}: {function.state_reason}",
            evidence={"function": function.arn, "state": function.state, "services": [service.name]},
            repair=declared.apply(snapshot),
        )


CHECKS = (
    Check(
        name="images_held",
        question="Is every image in the registry that something runs?",
        codes=("image_missing",),
        needs=(Definitions, Functions, Images, Intent, Triggers),
        find=images_missing,
    ),
    Check(
        name="images_meant",
        question="Does every service run the image that was meant?",
        codes=("image_stale",),
        needs=(Definitions, Functions, Intent, Tasks, Triggers),
        find=images_stale,
    ),
    Check(
        name="functions_work",
        question="Can every function be invoked?",
        codes=("image_missing", "task_crash"),
        needs=(Functions,),
        find=functions_broken,
    ),
)

"""A plan validated before it is applied: what of it would not work, by plan, catalogue, lock and account."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from healthcheck import checks
from healthcheck.aws.images import Images
from healthcheck.aws.intent import Intent
from healthcheck.aws.triggers import Triggers
from healthcheck.checks import declared
from healthcheck.checks.check import HEAL, Check
from healthcheck.finding import Finding, Severity
from healthcheck.snapshot import Snapshot
from ops import diagnose_read, images_lock, inventories, planned
from ops.planned import Planned
from ops.surroundings import Surroundings
from ops.terraform_plan import PlanRefused
from ops.terraform_workspace import LOCAL
from ops.validate_live import STANDING
from ops.validate_result import Result

# What only the running system can answer, or a person.
AFTERWARDS = ("alarms_heard", "functions_work", "parameters_used", "logs_exist", "images_meant", "revisions_current")
OF_NETWORK = ("networks_right", "ways_out_open")


def validate(surroundings: Surroundings, file: Path) -> Result:
    """Raises PlanRefused where the file is no plan, or there is no account to compare it with."""
    began = time.monotonic()
    document = planned.read(file)
    taken = diagnose_read.take_account(surroundings)
    where = taken.snapshot.scope.place
    if where is None:
        raise PlanRefused('there is no AWS account to compare it with; log in, or eval "$(scripts/local-aws env)"')
    plan = Planned(document=document, catalog=surroundings.catalog, place=where, now=taken.snapshot.now)
    snapshot = replace(taken.snapshot, parts=plan.parts(taken.snapshot.parts))
    report = checks.evaluate(snapshot, _checks(snapshot))
    known = _inventories(plan, snapshot)
    found = tuple(_before(each, _environment(snapshot)) for each in report.findings)
    return Result(
        now=snapshot.now,
        environment=_environment(snapshot),
        report=report,
        findings=(*found, *inventories.findings(known, snapshot, found)),
        inventories=known,
        left_out=_unknown(plan, snapshot),
        seconds=time.monotonic() - began,
    )


def _before(finding: Finding, environment: str) -> Finding:
    """What mends the live account mends no plan."""
    repair = f"correct services.yaml or terraform/, then make plan ENV={environment}"
    return replace(finding, repair=repair) if finding.repair == HEAL else finding


def _checks(snapshot: Snapshot) -> tuple[Check, ...]:
    left = AFTERWARDS if _is_placed(snapshot) else (*AFTERWARDS, *OF_NETWORK)
    standing = [
        check for check in checks.ALL if check.needs and set(check.needs) <= set(STANDING) and check.name not in left
    ]
    return (*standing, PUSHED)


def _is_placed(snapshot: Snapshot) -> bool:
    """Whether the subnets of the targets are known yet."""
    triggers = snapshot.parts.get(Triggers)
    return isinstance(triggers, Triggers) and any(each.target.placement.subnets for each in triggers.schedules)


def images_unpushed(snapshot: Snapshot) -> Iterator[Finding]:
    """A repository is there and empty: what the plan starts was never pushed. Locally nothing needs to be."""
    images, environment = snapshot.part(Images), snapshot.part(Intent).environment
    for service in snapshot.scope.catalog if environment != LOCAL else ():
        found = declared.image(snapshot, service)
        if found and found[1] and not images.repositories.get(found[0]):
            yield Finding(
                code="image_missing",
                subject=service.name,
                severity=Severity.CRITICAL,
                summary=f"{service.name} is to run {found[0]}@{found[1][:19]}, and nothing was ever pushed there",
                evidence={"repository": found[0], "digest": found[1], "services": [service.name]},
                repair=f"make push ENV={environment}",
            )


PUSHED = Check(
    name="images_pushed",
    question="Has every image been pushed?",
    codes=("image_missing",),
    needs=(Images, Intent, Triggers),
    find=images_unpushed,
)


def _inventories(plan: Planned, snapshot: Snapshot) -> Mapping[str, frozenset[str]]:
    """The plan is Terraform's word; what is live is what it will make of it, and no witness of its own."""
    found = inventories.here(frozenset(plan.catalog.services))
    if lock := images_lock.load():
        found["image lock"] = frozenset(lock)
    groups = {str(each.get("group_name")) for each in plan.of("aws_scheduler_schedule")}
    live = inventories.live(snapshot)
    found[inventories.TERRAFORM] = frozenset(groups)
    return found | {title: names for title, names in live.items() if title == inventories.LEDGER}


def _environment(snapshot: Snapshot) -> str:
    intent = snapshot.parts.get(Intent)
    return intent.environment if isinstance(intent, Intent) else "unknown"


def _unknown(plan: Planned, snapshot: Snapshot) -> str | None:
    """What only the apply will tell, in words."""
    told = [f"{count} {what}" for what, count in sorted(plan.unknown.items())]
    if not _is_placed(snapshot):
        told.append("the network")
    return f"only the apply will tell: {', '.join(told)}; they were taken to be as declared" if told else None

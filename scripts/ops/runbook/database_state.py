"""Terraform's state brought along after a restore: it is told that the new instance is the database."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from ops import heal, terraform_plan
from ops.runbook import account_database, declared_instance
from ops.runbook.account_database import Instance
from ops.runbook.acting import Hands
from ops.runbook.errors import Failed, Refused
from ops.runbook.finding import Finding
from ops.runbook.reading import Look
from ops.terraform_workspace import PATIENT_LOCK_SECONDS, ROOT, TerraformFailed, Workspace
from ops.terraform_workspace import Refused as TerraformRefused

WORK = "OPS_RUNBOOK_WORK"  # the folder of the runbook's Terraform, where it is not .local/runbook-…
ADDRESS = "module.database[0].aws_db_instance.this"
FOLLOWS = "module.migration[0]."  # what is told of the database's endpoint and of its master's secret
# The database and what is told of it, and not the schedules, which are stopped on purpose meanwhile.
TARGETS = ("module.database", "module.migration")


def declared(look: Look) -> Mapping[str, Any]:
    """The instance's attributes as they were applied last; those that a run has noted, since the state lacks the
    database for a moment. Raises Refused where no state has it."""
    if "declared" in look.facts:
        return dict(look.facts["declared"])
    attributes = _attributes(look)
    if attributes is None:
        raise Refused(
            f"Terraform's state of {look.environment} has no {ADDRESS}, which says what a restored database is to be "
            "like; take the state before this from the bucket's versions, then go on"
        )
    return {name: attributes[name] for name in declared_instance.ATTRIBUTES}


def _attributes(look: Look) -> Mapping[str, Any] | None:
    bucket, key = heal.state_bucket(look.client), f"{look.environment}/terraform.tfstate"  # type: ignore[arg-type]
    try:
        state = json.loads(look.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read())
    except ClientError as error:
        raise Refused(f"Terraform's state in {bucket} cannot be read: {error}") from error
    for resource in state.get("resources", []):
        if resource.get("module") == "module.database[0]" and resource["type"] == "aws_db_instance":
            for instance in resource["instances"]:
                return dict(instance["attributes"])
    return None


def is_reconciled(look: Look, instance: Instance) -> Finding:
    """Whether the state's database is this instance, and a plan of what is told of it was seen to be empty."""
    known, resource = (_attributes(look) or {}).get("resource_id"), instance["DbiResourceId"]
    if known != resource:
        return Finding.no(f"Terraform's state has {known or 'no database'}, not {resource}")
    if look.facts.get("reconciled") != resource:
        return Finding.no("what is told of the database (the migration's task and its rights) is still to follow")
    return Finding.yes(f"Terraform's state has {resource}, and the plan was empty after it")


def reconcile(hands: Hands) -> None:
    """Imports the instance in the place of the one before, then applies what is told of it. Raises Failed."""
    look, project = hands.look, hands.look.catalog.project
    work = workspace(look)
    try:
        work.ready()
        if (_attributes(look) or {}).get("resource_id") != account_database.load(look)["DbiResourceId"]:
            if _attributes(look) is not None:
                work.must("state", "rm", work.lock_timeout, ADDRESS, quiet=True)
            hands.say(f"importing {project}")
            told = (work.lock_timeout, f"-var-file={work.settings}", *work.variable_arguments())
            work.must("import", *told, ADDRESS, project, quiet=True)
        _follow(hands, work)
        hands.note(reconciled=account_database.load(look)["DbiResourceId"])
    except (TerraformFailed, TerraformRefused) as error:
        raise Failed(f"{error}; the services are stopped, so go on soon: --resume") from error


def _follow(hands: Hands, work: Workspace) -> None:
    """The instance first: what is told of it can be planned only once it stands."""
    for targets in ((ADDRESS,), TARGETS):
        given = [f"-target={each}" for each in targets]
        found = changes(work, *given)
        beyond = [each for each in found if not _expected(*each)]
        if beyond:
            told = ", ".join(f"{word} {address}" for address, word in beyond)
            raise Failed(
                f"Terraform would change more than what is told of the database: {told}; look at it (make plan "
                f"ENV={hands.look.environment}), then --resume"
            )
        if found:
            hands.say("applying " + ", ".join(f"{word} {address}" for address, word in found))
            work.apply_file()
    if left := changes(work, *given):
        told = "; ".join(f"{address} ({', '.join(_attributes_of(work, address))})" for address, _ in left)
        raise Failed(f"the plan is not empty after it: {told}")


def _expected(address: str, word: str) -> bool:
    return (address == ADDRESS and word == "change") or address.startswith(FOLLOWS)


def changes(work: Workspace, *arguments: str) -> list[tuple[str, str]]:
    """What Terraform would change: (address, word)."""
    work.plan(*arguments)
    return list(terraform_plan.changes(_planned(work)))


def _planned(work: Workspace) -> dict[str, Any]:
    """The last plan."""
    return dict(json.loads(work.files.json.read_text(encoding="utf-8")))


def _attributes_of(work: Workspace, address: str) -> list[str]:
    """Which attributes of a resource the last plan would change."""
    for resource in _planned(work)["resource_changes"]:
        if resource["address"] == address:
            before, after = resource["change"]["before"] or {}, resource["change"]["after"] or {}
            unknown = resource["change"].get("after_unknown", {})
            return sorted(
                name for name in {*before, *after, *unknown} if before.get(name) != after.get(name) or unknown.get(name)
            )
    return []


def workspace(look: Look) -> Workspace:
    """The environment's, beside that of make plan: whoever reviews a plan there keeps it."""
    return Workspace(
        environment=look.environment,
        environ=look.environ,
        work=Path(look.environ.get(WORK) or ROOT / ".local" / f"runbook-{look.environment}"),
        shown=False,
        account=look.account,
        lock_seconds=PATIENT_LOCK_SECONDS,
    )

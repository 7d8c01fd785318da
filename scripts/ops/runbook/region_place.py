"""From which region to which: whether the account is the right one, and whether the old region starts anything."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
from botocore.exceptions import BotoCoreError, ClientError

from ops import state_bucket
from ops.runbook.acting import Hands
from ops.runbook.errors import Refused
from ops.runbook.finding import Finding
from ops.runbook.reading import Look, is_no_answer, make_client
from ops.terraform_workspace import LOCAL, ROOT, TERRAFORM, Workspace, environments

WORK = "OPS_REBUILD_WORK"  # the folder of the runbook's Terraform, where it is not .local/rebuild-…
# What an update of a schedule takes of what a look at it gives: what it leaves out, AWS resets.
FIELDS = (
    *("Name", "GroupName", "ScheduleExpression", "ScheduleExpressionTimezone", "StartDate", "EndDate", "Description"),
    *("KmsKeyArn", "Target", "FlexibleTimeWindow", "ActionAfterCompletion"),
)


def check(options: Mapping[str, Any]) -> None:
    """Of a run that begins. Raises UsageError."""
    if not options.get("region"):
        raise click.UsageError(f"--region is missing; name the one that has copies of the database: {_copies()}")


def _copies() -> str:
    """Where each environment's backups go, as the code declares it."""
    found = {}
    for name in environments():
        text = (TERRAFORM / "environments" / f"{name}.tfvars").read_text(encoding="utf-8")
        told = re.search(r'^\s*copy_region\s*=\s*"([^"]+)"', text, re.MULTILINE)
        found[name] = told.group(1) if told else "none"
    return ", ".join(f"{name} has {region}" for name, region in found.items() if name != LOCAL)


def old(look: Look) -> str:
    """The region that is to be left."""
    return look.catalog.region


def new(look: Look) -> str:
    """The region to build in. Raises Refused where none was named that is another."""
    named = str(look.options.get("region") or "")
    if named in ("", old(look)):
        raise Refused(
            f"--region is missing, or is {old(look)}, the one to be left; name one that has copies of the database: "
            f"{_copies()}"
        )
    return named


def folder(look: Look) -> Path:
    """Where plans, provider links and a copy of the code lie."""
    told = look.environ.get(WORK)
    return Path(told) if told else ROOT / ".local" / f"rebuild-{look.environment}-{new(look)}"


def bucket(look: Look) -> str:
    """The new region's state bucket: lock and journals lie there too, since it is the first thing that there is."""
    return state_bucket.name(look.catalog, look.account, new(look))


def make_bucket(look: Look) -> None:
    """Makes the bucket, bare, where it is not there: without it there is no lock to be had. Raises Refused."""
    s3 = make_client(look.environ, "s3", look.region)
    try:
        # us-east-1 is said by saying nothing
        where = {} if look.region == "us-east-1" else {"LocationConstraint": look.region}
        s3.create_bucket(Bucket=bucket(look), **({"CreateBucketConfiguration": where} if where else {}))
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("BucketAlreadyOwnedByYou", "OperationAborted"):
            raise Refused(f"{bucket(look)} for state and lock cannot be made in {look.region}: {error}") from error


# ── where to ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def is_right(look: Look) -> Finding:
    """Whether the account is the environment's. Raises Refused."""
    if Workspace(environment=look.environment, work=folder(look)).region != old(look):
        raise Refused(f"{look.environment} has been moved before: its backend names another region than services.yaml")
    named = _environment(look)
    if named != look.environment:
        told = f"holds {named}" if named else f"has no role {look.catalog.scheduler_role} that says whose it is"
        raise Refused(f"account {look.account} {told}, not {look.environment}; log in to the right one")
    return Finding.yes(f"account {look.account} holds {look.environment}; it leaves {old(look)} for {new(look)}")


def _environment(look: Look) -> str:
    """What the account's roles say, which have no region and so are there still."""
    try:
        role = look.client("iam").get_role(RoleName=look.catalog.scheduler_role)["Role"]
    except ClientError as error:
        if error.response["Error"]["Code"] == "NoSuchEntity":
            return ""
        raise Refused(f"account {look.account} cannot be looked at: {error}") from error
    return {tag["Key"]: tag["Value"] for tag in role.get("Tags", [])}.get("Environment", "")


# ── the old region ───────────────────────────────────────────────────────────────────────────────────────────────────


def starts_nothing(look: Look) -> Finding:
    """Whether the old region is out of reach or has no schedule enabled. Raises Refused where it lives, unless it is
    left on purpose."""
    enabled = _enabled(look)
    if enabled is None:
        return Finding.yes(f"{old(look)} does not answer; after the next step its schedules have no role to start with")
    if not enabled:
        return Finding.yes(f"{old(look)} answers, and none of its schedules is enabled")
    told = f"{old(look)} answers, and {len(enabled)} of its schedules are enabled"
    if not look.options["planned"]:
        raise Refused(
            f"{told}: beside the new ones they would trade twice. Mend it there (scripts/diagnose), or leave it on "
            "purpose with --planned, which disables them first"
        )
    return Finding.no(told)


def _enabled(look: Look) -> list[tuple[str, str]] | None:
    """(group, name) of the old region's schedules of ours that would fire; None where it does not answer."""
    try:
        scheduler = look.client("scheduler", old(look), hurried=True)
        return [each for service in look.catalog for each in _enabled_in(scheduler, service.name)]
    except (ClientError, BotoCoreError) as error:
        if is_no_answer(error):  # all else says nothing of the region
            return None
        if isinstance(error, ClientError):
            raise Refused(
                f"{old(look)} answers, but not whether its schedules are enabled: {error}; log in with a role that may "
                "list schedules there, then again"
            ) from error
        raise Refused(
            f"{old(look)} could not be asked whether its schedules are enabled: {error}; mend the login (aws sts "
            "get-caller-identity), then again"
        ) from error


def _enabled_in(scheduler: Any, group: str) -> list[tuple[str, str]]:
    try:
        listed = scheduler.list_schedules(GroupName=group, State="ENABLED").get("Schedules", [])
    except scheduler.exceptions.ResourceNotFoundException:  # a group that is gone starts nothing
        return []
    return [(each["GroupName"], each["Name"]) for each in listed]


def stop(hands: Hands) -> None:
    """Disables them, each written whole."""
    scheduler = hands.client("scheduler", old(hands.look))
    for group, name in _enabled(hands.look) or ():
        found: Mapping[str, Any] = scheduler.get_schedule(GroupName=group, Name=name)
        scheduler.update_schedule(**{key: found[key] for key in FIELDS if key in found}, State="DISABLED")
        hands.say(f"disabled {old(hands.look)} {group}/{name}")

"""The rebuild's Terraform: the state's bucket, what database and images need, everything paused, everything."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from ops import images_lock, terraform_bootstrap, terraform_plan, terraform_takeover
from ops import terraform_workspace as terraform
from ops.runbook import region_place
from ops.runbook.acting import Hands
from ops.runbook.errors import Failed, Refused
from ops.runbook.finding import Blast, Finding
from ops.runbook.reading import Look
from ops.terraform_plan import PlanRefused
from ops.terraform_workspace import PATIENT_LOCK_SECONDS, ROOT, TERRAFORM, TerraformFailed, Workspace

TAKEOVER = "takeover.tf"
BESIDE = ("services.yaml", "services.schema.json", "images.lock.json")  # what the root reads from above it
# What comes before the database and the images: and the role of the schedules, which then is the old region's no more.
FOUNDATION = (
    "module.network",
    "module.delivery",
    "aws_kms_alias.this",
    "aws_iam_role_policy.scheduler",
    "module.database[0].aws_db_subnet_group.this",
    "module.database[0].aws_db_parameter_group.this",
    "module.database[0].aws_iam_role_policy_attachment.monitoring",
)
DATABASE = "module.database[0].aws_db_instance.this"
NEEDED = ("aws_db_subnet_group", "aws_db_parameter_group", "aws_kms_alias", "aws_ecr_repository", "aws_iam_role_policy")
Values = Mapping[str, Any]


def lock_file(look: Look) -> Path:
    """The images that are deployed."""
    return Path(look.options["images"] or images_lock.COMMITTED).absolute()


def _workspace(look: Look, *, paused: bool = False, code: Path = TERRAFORM) -> Workspace:
    variables: dict[str, Any] = {"images_lock_file": str(lock_file(look))}
    if look.options["copies_to"]:
        variables["copy_region"] = look.options["copies_to"]
    if paused:
        variables["paused_services"] = [service.name for service in look.catalog]
    work = region_place.folder(look) / ("code" if code == TERRAFORM else "takeover")
    return Workspace(
        environment=look.environment,
        environ=look.environ,
        terraform=code,
        work=work,
        variables=variables,
        shown=False,
        lock_seconds=PATIENT_LOCK_SECONDS,
        finish=True,
        region=region_place.new(look),
    )


def _taking_over(look: Look, *, paused: bool = True) -> Workspace:
    """As the checkout's, with room for import blocks beside the root's files."""
    place = region_place.folder(look) / "root"
    place.mkdir(parents=True, exist_ok=True)
    for name in BESIDE:
        (place / name).unlink(missing_ok=True)
        (place / name).symlink_to(ROOT / name)
    shutil.rmtree(place / "terraform", ignore_errors=True)
    shutil.copytree(TERRAFORM, place / "terraform", ignore=shutil.ignore_patterns("bootstrap", "tests", ".terraform"))
    return _workspace(look, paused=paused, code=place / "terraform")


def _translated(error: Exception) -> Refused | Failed:
    return (Refused if isinstance(error, terraform.Refused | PlanRefused) else Failed)(str(error))


# ── the state ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _state(look: Look) -> Values:
    """The new region's state file, empty where there is none yet."""
    key = f"{look.environment}/terraform.tfstate"
    try:
        body = look.client("s3").get_object(Bucket=region_place.bucket(look), Key=key)["Body"]
        return dict(json.loads(body.read()))
    except ClientError as error:
        if error.response["Error"]["Code"] in ("NoSuchKey", "NoSuchBucket"):
            return {}
        raise


def _lock(look: Look) -> Values:
    """Who holds the state's lock, in Terraform's own words; empty where nobody does."""
    key = f"{look.environment}/terraform.tfstate.tflock"
    try:
        return dict(json.loads(look.client("s3").get_object(Bucket=region_place.bucket(look), Key=key)["Body"].read()))
    except ClientError:
        return {}  # Terraform itself looks again, and says why it cannot


def _counts(look: Look) -> dict[str, int]:
    """Instances in the state by type, tainted ones not counted."""
    found: dict[str, int] = {}
    for resource in _state(look).get("resources", []):
        if resource["mode"] == "managed":
            sound = [each for each in resource["instances"] if each.get("status") != "tainted"]
            found[resource["type"]] = found.get(resource["type"], 0) + len(sound)
    return found


def _bucket_lacks(look: Look) -> list[str]:
    """What terraform/bootstrap gives the bucket and it has not got."""
    s3, name = look.client("s3"), region_place.bucket(look)
    asked = {
        "versions": lambda: s3.get_bucket_versioning(Bucket=name).get("Status") == "Enabled",
        "encryption": lambda: s3.get_bucket_encryption(Bucket=name),
        "a policy": lambda: s3.get_bucket_policy(Bucket=name),
        "no public access": lambda: s3.get_public_access_block(Bucket=name),
    }
    lacking = []
    for what, look_at in asked.items():
        try:
            if not look_at():
                lacking.append(what)
        except ClientError:
            lacking.append(what)
    return lacking


# ── what comes first ─────────────────────────────────────────────────────────────────────────────────────────────────


def has_foundation(look: Look) -> Finding:
    """Whether the state's bucket is whole, and the state has what database and images need."""
    if lacking := _bucket_lacks(look):
        return Finding.no(f"{region_place.bucket(look)} is not there, or lacks {', '.join(lacking)}")
    counts = _counts(look)
    if missing := [kind for kind in NEEDED if not counts.get(kind)]:
        return Finding.no(f"the state of {look.region} lacks {', '.join(missing)}")
    if counts["aws_ecr_repository"] < len(look.catalog.services):
        return Finding.no(f"{counts['aws_ecr_repository']} of {len(look.catalog.services)} repositories are made")
    if short := _short(look, "foundation", counts):
        return short
    return Finding.yes(f"{look.region} has state, network, keys and {counts['aws_ecr_repository']} repositories")


def lay_foundation(hands: Hands) -> None:
    """Makes the state's bucket whole, then all that database and images need; global roles are taken over."""
    look = hands.look
    try:
        workspace = _taking_over(look)
        with ThreadPoolExecutor(1, "bootstrap") as beside:  # the bare bucket holds a state already
            lacks = bool(_bucket_lacks(look))
            whole = beside.submit(_complete_bucket, look, workspace) if lacks else None
            _take_over(hands, workspace)
            workspace.plan(*(f"-target={address}" for address in FOUNDATION))
            _say(hands, workspace, "foundation")
            workspace.apply_file()
            if whole:
                whole.result()
    except (TerraformFailed, terraform.Refused, PlanRefused) as error:
        raise _translated(error) from error


def _complete_bucket(look: Look, workspace: Workspace) -> None:
    terraform_bootstrap.complete(workspace, _bootstrapped(look))


def _bootstrapped(look: Look) -> dict[str, str]:
    """What an apply of terraform/bootstrap would find there already."""
    alias = f"alias/{look.catalog.project}-state"
    found = {"aws_s3_bucket.state": region_place.bucket(look)}
    try:
        key = look.client("kms").describe_key(KeyId=alias)["KeyMetadata"]["KeyId"]
        found |= {"aws_kms_key.state": key, "aws_kms_alias.state": alias}
    except ClientError as error:
        if error.response["Error"]["Code"] != "NotFoundException":
            raise
    return found


def _take_over(hands: Hands, workspace: Workspace) -> Values:
    """Plans everything, and writes import blocks for what of it is there already; the plan as JSON."""
    look, blocks = hands.look, workspace.terraform / TAKEOVER
    blocks.write_text("", encoding="utf-8")  # what was taken over stands in the state by now, or is found again
    if held := _lock(look):
        hands.say(
            f"{held.get('Who')} has been at the state since {held.get('Created')} ({held.get('Operation')}); waiting "
            f"for it, at most {PATIENT_LOCK_SECONDS // 60} minutes"
        )
    workspace.plan()
    plan: Values = json.loads(workspace.files.json.read_text(encoding="utf-8"))
    found = dict(terraform_takeover.there(plan, look.client, look.account))
    if found:
        blocks.write_text(terraform_takeover.blocks(found), encoding="utf-8")
        hands.say(f"{len(found)} things are there already and are taken over")
    return plan


def _say(hands: Hands, workspace: Workspace, what: str) -> None:
    """Says what is about to be applied, and notes how many resources the state has after it."""
    plan = json.loads(workspace.files.json.read_text(encoding="utf-8"))
    counts = terraform_plan.counts(plan)
    hands.note(**{what: sum(1 for _ in _managed(plan["planned_values"]["root_module"]))})
    told = ", ".join(f"{count} to {word}" for word, count in counts.items())
    hands.say(f"applying {told or 'no changes'}")


def _managed(module: Values) -> Iterator[str]:
    """Addresses of what a planned module holds, data sources not counted."""
    yield from (each["address"] for each in module.get("resources", []) if each["mode"] == "managed")
    for child in module.get("child_modules", []):
        yield from _managed(child)


def _short(look: Look, what: str, counts: Mapping[str, int]) -> Finding | None:
    """What an apply that was begun and not ended has still to make."""
    there, wanted = sum(counts.values()), int(look.facts.get(what, 0))
    return Finding.no(f"the state has {there} of {wanted} resources") if there < wanted else None


def planned_database(hands: Hands) -> Values:
    """The database instance as the code would make it, once its surroundings are there. Raises Failed."""
    try:
        plan = _take_over(hands, _taking_over(hands.look))
    except (TerraformFailed, terraform.Refused, PlanRefused) as error:
        raise _translated(error) from error
    for resource in plan["resource_changes"]:
        if resource["address"] == DATABASE:
            return dict(resource["change"]["after"])
    raise Failed(f"{hands.look.environment} declares no database of its own, so that there is none to restore")


# ── everything ───────────────────────────────────────────────────────────────────────────────────────────────────────


def has_everything(look: Look) -> Finding:
    """Whether the state has the database and a schedule for each service."""
    counts, wanted = _counts(look), len(look.catalog.services)
    schedules = counts.get("aws_scheduler_schedule", 0)
    if not counts.get("aws_db_instance") or schedules < wanted or not counts.get("aws_ssm_parameter"):
        told = "with" if counts.get("aws_db_instance") else "without"
        return Finding.no(f"the state has {schedules} of {wanted} schedules, {told} the database")
    if short := _short(look, "everything", counts):
        return short
    if "everything" not in look.facts and (left := pending(look)):  # an earlier run's journal would know it
        return Finding.no(f"a plan would still {left[0]}" + (f" and {len(left) - 1} more" if left[1:] else ""))
    return Finding.yes(f"the state of {look.region} has all {wanted} services and the database")


def services(look: Look) -> Blast:
    """What is built: the services of the catalogue, in a region that is to have none."""
    return Blast(what="services", count=len(look.catalog.services), limit=len(look.catalog.services))


def apply_paused(hands: Hands) -> None:
    """Everything, the restored database taken over, every schedule disabled."""
    _apply(hands, paused=True)


def apply_running(hands: Hands) -> None:
    """Everything as declared, schedules as well."""
    _apply(hands, paused=False)


def _apply(hands: Hands, *, paused: bool) -> None:
    try:
        workspace = _taking_over(hands.look, paused=paused)
        _take_over(hands, workspace)
        workspace.plan()
        _say(hands, workspace, "everything")
        workspace.apply_file()
    except (TerraformFailed, terraform.Refused, PlanRefused) as error:
        raise _translated(error) from error


def pending(look: Look) -> list[str]:
    """What a plan of the checkout's own code would change now. Raises Failed."""
    try:
        return [f"{word} {address}" for address, word in _workspace(look).pending()]
    except (TerraformFailed, terraform.Refused) as error:
        raise _translated(error) from error

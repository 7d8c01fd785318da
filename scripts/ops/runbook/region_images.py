"""The images of a rebuild: the digests that the lock names, in the new region's registry, or nothing is begun with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ops import images_lock
from ops.runbook import account, region_terraform
from ops.runbook.acting import Hands
from ops.runbook.errors import Refused
from ops.runbook.finding import Finding
from ops.runbook.reading import Look


def are_there(look: Look) -> Finding:
    """Whether the new region's registry has each service's image by its digest. Raises Refused without a lock."""
    locked, missing = _locked(look), _missing(look)
    if missing:
        return Finding.no(f"{len(locked) - len(missing)} of {len(locked)} digests are in the registry of {look.region}")
    return Finding.yes(f"the registry of {look.region} has all {len(locked)} digests of the lock")


def _locked(look: Look) -> Mapping[str, Mapping[str, Any]]:
    file = region_terraform.lock_file(look)
    found = images_lock.load(file)
    unnamed = sorted(set(look.catalog.services) - found.keys())
    if unnamed:
        raise Refused(f"{file.name} names no image of {', '.join(unnamed)}; check out the commit that was deployed")
    return {name: found[name] for name in look.catalog.services}


def _missing(look: Look) -> list[str]:
    ecr = look.client("ecr")
    there = {each["repositoryName"] for each in ecr.describe_repositories(maxResults=1000)["repositories"]}
    return [name for name, entry in _locked(look).items() if not _is_there(ecr, entry, there)]


def _is_there(ecr: Any, entry: Mapping[str, Any], repositories: set[str]) -> bool:
    if entry["repository"] not in repositories:
        return False
    wanted = [{"imageDigest": entry["digest"]}]
    return bool(ecr.batch_get_image(repositoryName=entry["repository"], imageIds=wanted)["images"])


def bring(hands: Hands) -> None:
    """Brings what can be had without a build. Raises Refused, with what to run, where a digest is nowhere."""
    look = hands.look
    if account.played(look.environ):
        images_lock.push_content(hands.client("ecr"), _locked(look))  # what nobody built, and a played account runs
    missing = _missing(look)
    if missing:
        locked = _locked(look)
        told = ", ".join(f"{name}@{str(locked[name]['digest'])[:19]}" for name in missing)
        raise Refused(
            f"the registry of {look.region} has no {told}; push them from a machine that has them: "
            f"AWS_REGION={look.region} make build-images push ENV={look.environment}, review what that changes in "
            "images.lock.json, then --resume"
        )

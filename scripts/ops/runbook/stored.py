"""Parameters as a rotation sees them: values with their versions, the ones before, the ones that wait beside them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ops.runbook.acting import Hands
from ops.runbook.errors import Failed, Refused
from ops.runbook.reading import Look
from pipeline.settings import Secret, fingerprint

UNSET = "unset"  # what Terraform writes where nothing was given (docs/decisions/0003)
NEXT = "/next"  # beside the parameter, read by no task


@dataclass(frozen=True, kw_only=True)
class Stored:
    """One version of a parameter's value."""

    name: str
    value: Secret
    version: int
    at: datetime

    @property
    def fingerprint(self) -> str:
        """As runs record it (docs/decisions/0007)."""
        return fingerprint(self.value.reveal())

    @property
    def unset(self) -> bool:
        return self.value.reveal() == UNSET


def path(look: Look, name: str) -> str:
    """A parameter's full name, from the catalogue's."""
    return f"/{look.catalog.project}/{name}"


def find(look: Look, name: str) -> Stored | None:
    """What is stored under the name; None where there is no such parameter."""
    found = look.client("ssm").get_parameters(Names=[path(look, name)], WithDecryption=True)["Parameters"]
    return _stored(look, name, found[0]) if found else None


def load(look: Look, name: str) -> Stored:
    """As `find`; raises Refused where there is none."""
    found = find(look, name)
    if found is None:
        raise Refused(f"there is no parameter {path(look, name)}; make it with: make plan apply ENV={look.environment}")
    return found


def history(look: Look, name: str) -> list[Stored]:
    """All versions that the store still has, the newest first (it keeps 100)."""
    pages = (
        look.client("ssm").get_paginator("get_parameter_history").paginate(Name=path(look, name), WithDecryption=True)
    )
    found = [_stored(look, name, each) for page in pages for each in page["Parameters"]]
    return sorted(found, key=lambda each: each.version, reverse=True)


def before(look: Look, name: str, current: str) -> Stored | None:
    """The newest version with another value than the one of fingerprint `current`, or None."""
    return next((each for each in history(look, name) if each.fingerprint != current and not each.unset), None)


def put(hands: Hands, name: str, value: Secret) -> int:
    """Stores a value as a new version under a key of the secrets' own; returns the version. Writes nothing twice.

    Raises Failed where somebody else wrote at the same moment."""
    known = find(hands.look, name)
    if known and known.value.reveal() == value.reveal():
        return known.version
    kept = {} if known else {"Description": "Waits for a runbook to put it in its place."}
    answer = hands.client("ssm").put_parameter(
        Name=path(hands.look, name),
        Value=value.reveal(),
        Type="SecureString",
        KeyId=_key(hands.look, name.removesuffix(NEXT)),
        Overwrite=known is not None,
        **kept,
    )
    version = int(answer["Version"])
    if version != (known.version if known else 0) + 1:
        raise Failed(
            f"{path(hands.look, name)}: somebody wrote version {version - 1} while this wrote {version}; see who did "
            "(CloudTrail), their value is in the parameter's history"
        )
    return version


def drop(hands: Hands, names: list[str]) -> None:
    """Deletes what waits beside; what is not there is no error."""
    hands.client("ssm").delete_parameters(Names=[path(hands.look, name) for name in names])


def _key(look: Look, name: str) -> str:
    """The KMS key of the parameter itself: AWS would take its own default instead."""
    answer = look.client("ssm").describe_parameters(
        ParameterFilters=[{"Key": "Name", "Option": "Equals", "Values": [path(look, name)]}]
    )
    keys = [str(each["KeyId"]) for each in answer["Parameters"] if each.get("KeyId")]
    if not keys:
        raise Refused(f"{path(look, name)} is no SecureString; make plan apply ENV={look.environment} makes it one")
    return keys[0]


def _stored(look: Look, name: str, found: Any) -> Stored:
    hidden = found["Type"] == "SecureString" and found["Value"] != UNSET
    value = look.veil.secret(found["Value"]) if hidden else Secret(found["Value"])
    return Stored(name=name, value=value, version=int(found["Version"]), at=found["LastModifiedDate"])


def readers(look: Look, names: Iterator[str] | tuple[str, ...]) -> Iterator[tuple[Any, dict[str, str]]]:
    """Each task service that is declared to read any of the parameters: (service, variable → the parameter's ARN).

    The ARNs are those of the definition that is deployed."""
    wanted = set(names)
    for service in look.catalog:
        if service.kind == "task" and wanted & {each.name for each in service.environment}:
            described = look.client("ecs").describe_task_definition(taskDefinition=service.task_definition)
            containers = described["taskDefinition"]["containerDefinitions"]
            yield service, {each["name"]: each["valueFrom"] for each in containers[0].get("secrets", [])}

"""What lies in the parameter store, by name and never by value, and the keys that it is encrypted with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from healthcheck import iam
from healthcheck.aws.clients import Clients, found, pages
from healthcheck.aws.memory import Memory
from healthcheck.iam import MalformedPolicy, Policy
from healthcheck.place import Place

# AWS's own key lets everyone of the account in.
OF_AWS = "alias/aws/ssm"
PAGE = 50


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """`key` is the KMS key's id, alias or ARN; empty for one in the clear."""

    name: str
    arn: str
    type: str
    version: int
    modified_at: datetime
    modified_by: str
    key: str


@dataclass(frozen=True, kw_only=True)
class Key:
    """`state` is like Enabled, Disabled or PendingDeletion."""

    arn: str
    state: str
    policy: Policy | None


@dataclass(frozen=True, kw_only=True)
class Parameters:
    """Those under the project's path by name, and the keys by what parameters call them; a key that is gone is None."""

    parameters: Mapping[str, Parameter]
    keys: Mapping[str, Key | None]


def read(clients: Clients, place: Place, memory: Memory) -> Parameters:
    """A call a page, and two for each key."""
    path = [{"Key": "Path", "Option": "Recursive", "Values": [place.parameters_path.rstrip("/")]}]
    listed = pages(clients("ssm"), "describe_parameters", "Parameters", ParameterFilters=path, MaxResults=PAGE)
    parameters = {each["Name"]: _parameter(each, place) for each in listed}
    names = sorted({each.key for each in parameters.values() if each.key and each.key != OF_AWS})
    keys = clients.each(lambda name: _key(clients("kms"), name), names)
    return Parameters(parameters=parameters, keys=dict(zip(names, keys, strict=True)))


def _parameter(described: Mapping[str, Any], place: Place) -> Parameter:
    name = described["Name"]
    return Parameter(
        name=name,
        arn=described.get("ARN") or place.arn("ssm", f"parameter{name}"),
        type=described["Type"],
        version=described.get("Version", 1),
        modified_at=described["LastModifiedDate"].astimezone(UTC),
        modified_by=described.get("LastModifiedUser", ""),
        key=described.get("KeyId", "") or (OF_AWS if described["Type"] == "SecureString" else ""),
    )


def _key(kms: Any, name: str) -> Key | None:
    answer = found(lambda: kms.describe_key(KeyId=name), "NotFoundException")
    if answer is None:
        return None
    described = answer["KeyMetadata"]
    policy = kms.get_key_policy(KeyId=described["KeyId"], PolicyName="default")["Policy"]
    return Key(arn=described["Arn"], state=described.get("KeyState", "Enabled"), policy=_policy(policy))


def _policy(document: str) -> Policy | None:
    try:
        return iam.policy(document, name="key policy")
    except MalformedPolicy:
        return None

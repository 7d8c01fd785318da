"""What lies in the parameter store, the values of settings but of no secret, and the keys that encrypt it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from healthcheck import iam
from healthcheck.aws.clients import Clients, found, pages
from healthcheck.aws.memory import Memory
from healthcheck.iam import MalformedPolicy, Policy
from healthcheck.place import Place
from pipeline.catalog import Catalog

# AWS's own key lets everyone of the account in.
OF_AWS = "alias/aws/ssm"
PAGE = 50
VALUES = 10  # as many as get_parameters takes


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
    """Those under the project's path by name, and the keys by what parameters call them; a key that is gone is None.

    `values` are those of the catalogue's parameters that are no secret, by full name."""

    parameters: Mapping[str, Parameter]
    keys: Mapping[str, Key | None]
    values: Mapping[str, str]


def read(clients: Clients, place: Place, memory: Memory, catalog: Catalog) -> Parameters:
    """A call a page, one for ten settings, and two for each key."""
    path = [{"Key": "Path", "Option": "Recursive", "Values": [place.parameters_path.rstrip("/")]}]
    listed = pages(clients("ssm"), "describe_parameters", "Parameters", ParameterFilters=path, MaxResults=PAGE)
    parameters = {each["Name"]: _parameter(each, place) for each in listed}
    names = sorted({each.key for each in parameters.values() if each.key and each.key != OF_AWS})
    keys = clients.each(lambda name: _key(clients("kms"), name), names)
    settings = [f"{place.parameters_path}{each.name}" for each in catalog.parameters.values() if not each.secret]
    # One that was stored encrypted is not ours to read; whoever looks for a setting in the clear finds none.
    readable = [name for name in settings if name in parameters and parameters[name].type != "SecureString"]
    values = dict(_values(clients("ssm"), readable))
    return Parameters(parameters=parameters, keys=dict(zip(names, keys, strict=True)), values=values)


def _values(ssm: Any, names: Sequence[str]) -> Iterator[tuple[str, str]]:
    for first in range(0, len(names), VALUES):
        for each in ssm.get_parameters(Names=list(names[first : first + VALUES]))["Parameters"]:
            yield each["Name"], each["Value"]


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

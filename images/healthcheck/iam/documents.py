"""Policy documents as IAM's grammar has them, read into statements."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import unquote

from healthcheck.iam.conditions import Condition, condition
from healthcheck.iam.principals import Names

# The version that knows policy variables; a document without a version has the older one.
_VERSION_WITH_VARIABLES = "2012-10-17"
_VERSIONS = (_VERSION_WITH_VARIABLES, "2008-10-17")
_ELEMENTS = frozenset(
    ("Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition")
)


class MalformedPolicy(ValueError):
    """A document that IAM would refuse (MalformedPolicyDocument)."""


@dataclass(frozen=True, kw_only=True)
class Statement:
    """One statement. Of each pair (actions, resources, principals) one at most is given; None means: absent."""

    sid: str
    effect: Literal["Allow", "Deny"]
    actions: tuple[str, ...] | None = None
    not_actions: tuple[str, ...] | None = None
    resources: tuple[str, ...] | None = None
    not_resources: tuple[str, ...] | None = None
    principals: Names | None = None
    not_principals: Names | None = None
    conditions: tuple[Condition, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Policy:
    """A policy with the name by which a diagnosis calls it; `variables` says whether `${…}` means anything in it."""

    name: str
    statements: tuple[Statement, ...]
    variables: bool = True


def policy(document: str | Mapping[str, Any], *, name: str = "policy") -> Policy:
    """Read a document, given as JSON (also URL-encoded, as IAM's API returns it) or as what boto3 made of it.

    Raises MalformedPolicy naming the statement and the element at fault.
    """
    read = _loaded(document, name)
    version = read.get("Version", "2008-10-17")
    if version not in _VERSIONS:
        raise MalformedPolicy(f"{name}: The policy must contain a valid version string, not {version!r}")
    statements = read.get("Statement")
    if not isinstance(statements, list):
        statements = [statements]
    return Policy(
        name=name,
        statements=tuple(_statement(one, f"{name}, statement {number}") for number, one in enumerate(statements, 1)),
        variables=version == _VERSION_WITH_VARIABLES,
    )


def _loaded(document: str | Mapping[str, Any], name: str) -> Mapping[str, Any]:
    if isinstance(document, Mapping):
        return document
    text = document if document.lstrip().startswith("{") else unquote(document)
    try:
        read = json.loads(text)
    except json.JSONDecodeError as error:
        raise MalformedPolicy(f"{name}: This policy contains invalid Json ({error})") from error
    if not isinstance(read, dict):
        raise MalformedPolicy(f"{name}: a policy is an object, not {type(read).__name__}")
    return read


def _statement(read: Any, where: str) -> Statement:
    if not isinstance(read, Mapping):
        raise MalformedPolicy(f"{where}: a statement is an object, not {type(read).__name__}")
    _check_elements(read, where)
    return Statement(
        sid=str(read.get("Sid", "")),
        effect=read["Effect"],
        actions=_texts(read, "Action", where),
        not_actions=_texts(read, "NotAction", where),
        resources=_texts(read, "Resource", where),
        not_resources=_texts(read, "NotResource", where),
        principals=_names(read, "Principal", where),
        not_principals=_names(read, "NotPrincipal", where),
        conditions=_conditions(read.get("Condition", {}), where),
    )


def _check_elements(read: Mapping[str, Any], where: str) -> None:
    unknown = sorted(set(read) - _ELEMENTS)
    if unknown:
        raise MalformedPolicy(f"{where}: Syntax errors in policy: unknown element {', '.join(unknown)}")
    if read.get("Effect") not in ("Allow", "Deny"):
        raise MalformedPolicy(f"{where}: Effect is Allow or Deny, not {read.get('Effect')!r}")
    if ("Action" in read) == ("NotAction" in read):
        raise MalformedPolicy(f"{where}: Policy statement must contain actions.")
    for element in ("Resource", "Principal"):
        if element in read and f"Not{element}" in read:
            raise MalformedPolicy(f"{where}: {element} and Not{element} exclude each other")


def _texts(read: Mapping[str, Any], element: str, where: str) -> tuple[str, ...] | None:
    return None if element not in read else _listed(read[element], f"{where}, {element}")


def _listed(value: Any, where: str) -> tuple[str, ...]:
    values = value if isinstance(value, list | tuple) else [value]
    if not all(isinstance(one, str | bool | int | float) for one in values):
        raise MalformedPolicy(f"{where}: text or a list of texts, not {value!r}")
    return tuple(str(one).lower() if isinstance(one, bool) else str(one) for one in values)


def _names(read: Mapping[str, Any], element: str, where: str) -> Names | None:
    value = read.get(element)
    if value is None:
        return None
    if value == "*":
        return Names(everyone=True)
    if not isinstance(value, Mapping):
        raise MalformedPolicy(f"{where}, {element}: * or an object, not {value!r}")
    return Names(
        aws=_listed(value.get("AWS", []), f"{where}, {element}"),
        services=_listed(value.get("Service", []), f"{where}, {element}"),
        # Terraform's principals of type "*" come out as {"*": "*"} from some services.
        everyone="*" in value,
    )


def _conditions(block: Any, where: str) -> tuple[Condition, ...]:
    if not isinstance(block, Mapping) or not all(isinstance(keys, Mapping) for keys in block.values()):
        raise MalformedPolicy(f"{where}: Condition is an object of operators, each with its keys, not {block!r}")
    try:
        return tuple(
            condition(operator, key, _listed(values, f"{where}, {operator} {key}"))
            for operator, keys in block.items()
            for key, values in keys.items()
        )
    except ValueError as error:
        raise MalformedPolicy(f"{where}: {error}") from error

"""The Lambdas of the catalogue: configuration, image and state."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from healthcheck.aws.clients import Clients, found
from healthcheck.aws.memory import Memory
from healthcheck.place import Place
from pipeline.catalog import Catalog


@dataclass(frozen=True, kw_only=True)
class Function:
    """`parameters` is variable → parameter name, as it is told to fetch them; `state` is like Active or Failed."""

    name: str
    arn: str
    role_arn: str
    image: str
    state: str
    state_reason: str
    update_status: str
    modified_at: datetime | None
    memory: int
    timeout_seconds: int
    environment: Mapping[str, str]
    parameters: Mapping[str, str]

    @property
    def digest(self) -> str:
        return self.image.partition("@")[2]

    @property
    def repository(self) -> str:
        return self.image.partition("/")[2].partition("@")[0].partition(":")[0]


@dataclass(frozen=True, kw_only=True)
class Functions:
    """By name; one that is missing is not there."""

    functions: Mapping[str, Function]


def read(clients: Clients, place: Place, memory: Memory, catalog: Catalog) -> Functions:
    """A call for each Lambda of the catalogue: the list tells neither state nor image."""
    client = clients("lambda")
    names = [service.task_definition for service in catalog if service.kind == "lambda"]
    answers = clients.each(
        lambda name: found(lambda: client.get_function(FunctionName=name), "ResourceNotFoundException"), names
    )
    return Functions(
        functions={name: _function(answer) for name, answer in zip(names, answers, strict=True) if answer is not None}
    )


def _function(answer: Mapping[str, Any]) -> Function:
    described = answer["Configuration"]
    environment = (described.get("Environment") or {}).get("Variables") or {}
    return Function(
        name=described["FunctionName"],
        arn=described["FunctionArn"],
        role_arn=described["Role"],
        image=(answer.get("Code") or {}).get("ImageUri", ""),
        state=described.get("State", "Active"),
        state_reason=described.get("StateReason", ""),
        update_status=described.get("LastUpdateStatus", "Successful"),
        modified_at=_time(described.get("LastModified")),
        memory=described.get("MemorySize", 0),
        timeout_seconds=described.get("Timeout", 0),
        environment=environment,
        parameters=_parameters(environment.get("PARAMETERS", "")),
    )


def _parameters(text: str) -> dict[str, str]:
    try:
        read = json.loads(text)
    except ValueError:
        return {}
    return {str(key): str(value) for key, value in read.items()} if isinstance(read, dict) else {}


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text).astimezone(UTC) if text else None

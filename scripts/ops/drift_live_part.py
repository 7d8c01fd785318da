"""What a part of the inventory is: a function that lists live things and gives those that nobody declared."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from ops.drift_finding import EXISTS, WARNING
from ops.drift_state import Declared

ClientsOf = Callable[[str], Any]
Part = Callable[[ClientsOf, Declared], Iterator["Stray"]]


@dataclass(frozen=True, kw_only=True)
class Stray:
    """A live thing that nobody declared. `attribute` names the place in a declared thing, or says that it exists."""

    arn: str
    name: str
    remove: str
    attribute: str = EXISTS
    expected: Any = False
    actual: Any = True
    severity: str = WARNING


def pages(client: Any, operation: str, key: str, **arguments: Any) -> Iterator[Any]:
    """Every element of a list call, through all its pages. boto3 knows the tokens of the calls that have any."""
    if client.can_paginate(operation):
        for page in client.get_paginator(operation).paginate(**arguments):
            yield from page.get(key) or []
        return
    token: dict[str, Any] = {}
    while True:
        page = getattr(client, operation)(**arguments, **token)
        yield from page.get(key) or []
        if not page.get("NextToken"):
            return
        token = {"NextToken": page["NextToken"]}

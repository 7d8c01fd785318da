"""A scenario file as values: read, checked whole, and refused with every mistake that it has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ops import document
from ops.chaos import expectations, market, steps
from ops.chaos.expectations import Expectation
from ops.chaos.market import Day
from ops.chaos.steps import Step, as_text
from ops.document import Complaints, remedy
from ops.terraform_workspace import LOCAL
from pipeline import catalog
from pipeline.catalog import Catalog

SCHEMA = Path(__file__).with_name("scenario.schema.json")
RUNTIMES = ("fork", "process", "podman")


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """All that a scenario says; `before` and `steps` are in the order in which they are done."""

    path: Path
    name: str
    description: str
    runtime: str | None
    environment: str
    day: Day
    parameters: Mapping[str, str]
    variables: Mapping[str, Any]
    before: tuple[Step, ...]
    steps: tuple[Step, ...]
    expectations: tuple[Expectation, ...]

    def wants(self, *keys: str) -> bool:
        """Whether anything of these kinds is expected."""
        return any(expectation.key in keys for expectation in self.expectations)


def load(path: Path, *, seed: int | None = None, services: Catalog | None = None) -> Scenario:
    """Reads a scenario. Raises DocumentInvalid with `file:line: what is wrong; what would do`, a line each.

    `seed` overrules the made-up market's own."""
    found = document.load(path, SCHEMA)
    complaints = Complaints(found)
    known = services or catalog.load()
    day = market.read(found, complaints, seed)
    parameters = _parameters(complaints, known)
    if day is None:
        complaints.end()
        raise AssertionError("a market that cannot be read leaves a complaint")
    before, done = steps.read(complaints, day, known)
    expected = expectations.read(complaints, day, known)
    complaints.end()
    return Scenario(
        path=path,
        name=found.content.get("name", path.stem),
        description=found.content.get("description", ""),
        runtime=found.content.get("runtime"),
        environment=found.content.get("environment", LOCAL),
        day=day,
        parameters=parameters,
        variables=found.content.get("terraform", {}),
        before=before,
        steps=done,
        expectations=expected,
    )


def _parameters(complaints: Complaints, known: Catalog) -> dict[str, str]:
    """The initial values that the scenario gives."""
    values: dict[str, str] = {}
    for name, value in complaints.document.content.get("parameters", {}).items():
        text = as_text(value)
        if name not in known.parameters:
            complaints.add(f"there is no parameter {name!r}; {remedy(name, known.parameters)}", "parameters", name)
        elif text is None:
            complaints.add("a parameter cannot start as null; delete it in `before` with ssm", "parameters", name)
        else:
            values[name] = text
    return values

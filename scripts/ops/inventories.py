"""Which services there are, by inventories that know nothing of each other, compared pairwise."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from healthcheck.aws.definitions import Definitions
from healthcheck.aws.functions import Functions
from healthcheck.aws.triggers import Triggers
from healthcheck.diagnosis.places import services_of
from healthcheck.finding import Finding, Severity
from healthcheck.snapshot import Runs, Snapshot

ROOT = Path(__file__).resolve().parents[2]
FOLDERS, CATALOGUE, TERRAFORM = "image folders", "catalogue", "Terraform"
GROUPS, RUNNABLE, LEDGER = "live schedules", "live definitions", "run ledger"
# The ledger remembers those that ran; one that has not run yet is no difference.
MEMORIES = frozenset((LEDGER,))

Inventories = Mapping[str, frozenset[str]]


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two inventories, and what only one of them has."""

    left: str
    right: str
    only_left: tuple[str, ...]
    only_right: tuple[str, ...]


def here(catalog: Sequence[str] | frozenset[str], folder: Path = ROOT / "images") -> dict[str, frozenset[str]]:
    """What the checkout says: the catalogue's entries, and each folder with an image of its own."""
    images = {path.parent.name for path in folder.glob("*/Dockerfile")} - {"base"}
    return {FOLDERS: frozenset(images), CATALOGUE: frozenset(catalog)}


def live(snapshot: Snapshot) -> dict[str, frozenset[str]]:
    """What the account and the ledger say, as far as they were read; a schedule is known by its group."""
    triggers, definitions = snapshot.parts.get(Triggers), snapshot.parts.get(Definitions)
    functions, runs = snapshot.parts.get(Functions), snapshot.parts.get(Runs)
    project = f"{snapshot.scope.catalog.project}-"
    found: dict[str, frozenset[str]] = {}
    if isinstance(triggers, Triggers):
        found[GROUPS] = frozenset(each.group for each in triggers.schedules if each.name.startswith(project))
    if isinstance(definitions, Definitions) and isinstance(functions, Functions):
        there = definitions.active.keys() | functions.functions.keys()
        found[RUNNABLE] = frozenset(each.name for each in snapshot.scope.catalog if each.task_definition in there)
    if isinstance(runs, Runs):
        found[LEDGER] = frozenset(runs.remembered)
    return found


def compared(inventories: Inventories) -> tuple[Pair, ...]:
    """Every two of them that differ."""
    pairs = []
    for left, right in combinations(inventories, 2):
        here, there = inventories[left], inventories[right]
        only_left = () if right in MEMORIES else sorted(here - there)
        only_right = () if left in MEMORIES else sorted(there - here)
        if only_left or only_right:
            pairs.append(Pair(left=left, right=right, only_left=tuple(only_left), only_right=tuple(only_right)))
    return tuple(pairs)


def findings(inventories: Inventories, snapshot: Snapshot, known: Sequence[Finding]) -> Iterator[Finding]:
    """A finding for each name that some inventories have and others lack, unless a check has said it better."""
    catalog = snapshot.scope.catalog
    told = {name for each in known for name in (each.subject, *services_of(each, catalog))}
    names = {name for pair in compared(inventories) for name in (*pair.only_left, *pair.only_right)}
    for name in sorted(names - told):
        having = [title for title, held in inventories.items() if name in held]
        lacking = [title for title in inventories if title not in having and title not in MEMORIES]
        yield Finding(
            code="config_invalid",
            subject=name,
            severity=Severity.WARNING,
            summary=f"{name} is in {', '.join(having)}, and not in {', '.join(lacking)}",
            evidence={"in": having, "not_in": lacking, "services": [name] if name in catalog.services else []},
            repair="make check; then make plan and make apply"
            if CATALOGUE in lacking
            else "make plan, then make apply",
        )

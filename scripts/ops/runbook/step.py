"""What a runbook is made of: steps with a reason, a check and an act."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import click

from ops.runbook import account
from ops.runbook.acting import Hands
from ops.runbook.finding import Blast, Finding
from ops.runbook.reading import Look

__all__ = ["Blast", "Finding", "Runbook", "Step"]


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step. `done` looks, `act` acts; without an act the step is a gate, which holds or refuses.

    `told` is what a person does meanwhile, if anything. `irreversible` says in words what can never be taken back: the
    environment's name is then typed first. `blast` counts what the act touches. `undo` takes the act back when a later
    step fails, and returns what it did; after a step that `settles`, nothing before it is undone any more.
    """

    name: str
    why: str
    done: Callable[[Look], Finding]
    act: Callable[[Hands], None] | None = None
    told: str = ""
    irreversible: str = ""
    blast: Callable[[Look], Blast] | None = None
    undo: Callable[[Hands], str] | None = None
    settles: bool = False


@dataclass(frozen=True, kw_only=True)
class Runbook:
    """Steps in their order. `name` is the executable's, `when` says when to reach for it, `after` how to go back.

    `options` are the runbook's own; their values stand in `look.options`. `measures` are told at the end, by label.
    `stands`: the environment must be deployed in the account already. `records` names the bucket for lock and journals;
    `prepare` makes it where it may not be there yet, by whoever acts, before there is a lock to be had. `region` is
    where the runbook works, where that is not the shell's. `required` is what a run that begins says besides --env;
    `check` raises click.UsageError for options that make none.
    """

    name: str
    title: str
    when: str
    steps: Sequence[Step]
    after: str = ""
    options: Sequence[click.Option] = ()
    measures: Callable[[Look], Mapping[str, Any]] | None = None
    stands: bool = True
    records: Callable[[Look], str] = account.records_bucket
    prepare: Callable[[Look], None] | None = None
    region: Callable[[Look], str] | None = None
    required: str = ""
    check: Callable[[Mapping[str, Any]], None] | None = None

    def __post_init__(self) -> None:
        names = [step.name for step in self.steps]
        if len(set(names)) != len(names):
            raise ValueError(f"{self.name}: two steps have one name, by which the journal knows them")

    @property
    def acts(self) -> list[Step]:
        """The steps that do something."""
        return [step for step in self.steps if step.act]

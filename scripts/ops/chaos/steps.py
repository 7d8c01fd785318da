"""The steps of a scenario: when each is done, and what; read with line numbers, every mistake told at once."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from ops.chaos import aws_call, handles, moments, placeholders
from ops.chaos.actions import (
    PROCESSES,
    TIMEOUT_SECONDS,
    Action,
    Command,
    Note,
    Parameters,
    Processes,
    RegionLost,
    Sql,
)
from ops.chaos.market import ROOT, Day
from ops.document import Complaints, Mistake, Place, remedy
from pipeline.catalog import Catalog

# Folders whose commands are ours, so that a misspelt one is told before anything starts.
COMMANDS = ("scripts", "runbooks")
_PARAMETER = re.compile(r"/?[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*")


@dataclass(frozen=True, kw_only=True)
class Step:
    """What is done at one minute, in order. `fault`: the time to detect counts from it. `at` None: before the start."""

    at: datetime | None
    actions: tuple[Action, ...]
    fault: bool
    line: int


def read(complaints: Complaints, day: Day, catalog: Catalog) -> tuple[tuple[Step, ...], tuple[Step, ...]]:
    """(before, steps), the latter by time; steps of the same minute keep the file's order."""
    reader = _Reader(complaints, day, catalog)
    before = reader.steps("before")
    steps = reader.steps("steps")
    _check_clears(complaints)
    return before, tuple(sorted(steps, key=lambda step: step.at or day.start))


class _Reader:
    """Reads the actions of one scenario."""

    def __init__(self, complaints: Complaints, day: Day, catalog: Catalog) -> None:
        self.complaints = complaints
        self.day = day
        self.catalog = catalog
        self.published = frozenset(_published(complaints.document.content))

    def steps(self, key: str) -> tuple[Step, ...]:
        raw: Sequence[Mapping[str, Any]] = self.complaints.document.content.get(key, ())
        return tuple(self._step(step, (key, index)) for index, step in enumerate(raw))

    def _step(self, raw: Mapping[str, Any], place: Place) -> Step:
        at = self._at(raw["at"], place) if "at" in raw else None
        found: list[Action] = []
        for where, action in actions_of(raw, place):
            with self.complaints.collecting(*where):
                found.append(self._action(action))
        fault = raw.get("fault", any(action.breaks for action in found))
        return Step(at=at, actions=tuple(found), fault=fault, line=self.complaints.document.line(*place))

    def _at(self, text: str, place: Place) -> datetime:
        at = moments.on(self.day.date, text)
        if not self.day.start <= at <= self.day.end:
            self.complaints.add(f"{text} {outside(self.day)}", *place, "at")
        return at

    def _action(self, raw: Mapping[str, Any]) -> Action:
        """One action. Raises Mistake with the place from the action's name on."""
        ((kind, value),) = raw.items()
        try:
            if kind == "aws":
                return aws_call.parse(value, self.catalog)
            if kind == "exchange":
                return handles.exchange(value, self.day, self.catalog)
            if kind == "feeds":
                return handles.feeds(value, self.day, self.catalog, self.published)
            if kind == "sql":
                return _sql(value, self.day, self.catalog)
            if kind == "ssm":
                return _parameters(value, self.catalog)
            if kind == "process":
                return _processes(value)
            if kind == "region":
                return _region(value, self.catalog)
            return _command(value) if kind == "run" else Note(note=value)
        except Mistake as mistake:
            raise Mistake(str(mistake), kind, *mistake.place) from mistake


def actions_of(raw: Mapping[str, Any], place: Place) -> list[tuple[Place, Mapping[str, Any]]]:
    """(place, action) of each of a step's actions."""
    do = raw["do"]
    if isinstance(do, list):
        return [((*place, "do", index), action) for index, action in enumerate(do)]
    return [((*place, "do"), do)]


def outside(day: Day) -> str:
    """What to say of a time that is not played."""
    first, last = moments.clock(day.start), moments.clock(day.end)
    return f"lies outside the window that is played, {first} to {last} New York; change it, or the market's from and to"


def _every_action(content: Mapping[str, Any]) -> list[tuple[Place, Mapping[str, Any]]]:
    return [
        found
        for key in ("before", "steps")
        for index, step in enumerate(content.get(key, ()))
        for found in actions_of(step, (key, index))
    ]


def _published(content: Mapping[str, Any]) -> set[str]:
    """The feeds that steps bring up by publishing to them."""
    items = [item for _, action in _every_action(content) for item in action.get("feeds", {}).get("publish", ())]
    return {name for item in items for name in item.get("feeds", ())}


def _check_clears(complaints: Complaints) -> None:
    """A fault of the exchange can only be cleared by an id that one of the scenario's faults has."""
    actions = _every_action(complaints.document.content)
    ids = {action.get("exchange", {}).get("fault", {}).get("id") for _, action in actions} - {None}
    for place, action in actions:
        wanted = action.get("exchange", {}).get("clear", [])
        for name in [wanted] if isinstance(wanted, str) else wanted:
            if name != handles.ALL and name not in ids:
                text = f"no fault of the scenario has the id {name!r}; {remedy(name, {*ids, handles.ALL})}"
                complaints.add(text, *place, "exchange", "clear")


# ── the kinds that need few words ────────────────────────────────────────────────────────────────────────────────────


def _sql(raw: str | Mapping[str, Any], day: Day, catalog: Catalog) -> Sql:
    given: Mapping[str, Any] = {"statement": raw} if isinstance(raw, str) else raw
    if not given["statement"].strip():
        raise Mistake("no statement; write SQL", *(() if isinstance(raw, str) else ("statement",)))
    placeholders.check(given["statement"], catalog)
    until = moments.on(day.date, given["hold_until"]) if "hold_until" in given else None
    if until and not day.start <= until <= day.end:
        raise Mistake(f"{given['hold_until']} {outside(day)}", "hold_until")
    if given.get("sessions", 1) > 1 and not until:
        raise Mistake("several sessions make sense only with hold_until; add it", "sessions")
    return Sql(statement=given["statement"], hold_until=until, sessions=given.get("sessions", 1))


def _parameters(raw: Mapping[str, Any], catalog: Catalog) -> Parameters:
    for name in raw:
        if not _PARAMETER.fullmatch(name):
            raise Mistake(f"{name!r} is no parameter's name; write tickers or /{catalog.project}/tickers", name)
    placeholders.check(raw, catalog)
    return Parameters(values={placeholders.full_name(name, catalog): as_text(value) for name, value in raw.items()})


def as_text(value: Any) -> str | None:
    """A parameter's value as a text: JSON of what is no text; None stays None."""
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value)


def _region(raw: Mapping[str, Any], catalog: Catalog) -> RegionLost:
    if raw["following"] == catalog.region:
        raise Mistake(f"{catalog.region} is the one that is lost; name another", "following")
    return RegionLost(following=raw["following"])


def _processes(raw: Mapping[str, Any]) -> Processes:
    orders = [(verb, name) for verb, names in raw.items() for name in ([names] if isinstance(names, str) else names)]
    for verb, name in orders:
        if name not in PROCESSES:
            raise Mistake(f"there is no process {name!r}; {remedy(name, PROCESSES)}", verb)
    return Processes(orders=tuple(orders))


def _command(raw: str | Mapping[str, Any]) -> Command:
    given: Mapping[str, Any] = {"command": raw} if isinstance(raw, str) else raw
    _require_script(given["command"])
    exits = given.get("expect_exit")
    return Command(
        command=given["command"],
        expect_exit=(exits,) if isinstance(exits, int) else tuple(exits) if exits else None,
        timeout_seconds=given.get("timeout", TIMEOUT_SECONDS),
        wait=given.get("wait", True),
    )


def _require_script(command: str) -> None:
    """Raises Mistake for a command of ours that is not there; what a shell does besides is the shell's."""
    try:
        words = shlex.split(command, comments=True)
    except ValueError as error:
        raise Mistake(f"no shell command: {str(error).lower()}; check its quotes") from error
    if not words:
        raise Mistake("no shell command; write one")
    path = Path(words[0].removeprefix("./"))
    if len(path.parts) != 2 or path.parts[0] not in COMMANDS or (ROOT / path).is_file():
        return
    folder = ROOT / path.parts[0]
    there = [found.name for found in folder.iterdir() if found.is_file()] if folder.is_dir() else []
    raise Mistake(f"there is no {path}; {remedy(path.name, there)}")

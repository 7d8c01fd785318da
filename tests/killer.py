"""A runbook killed wherever it comes to, at the first sight of each place, and taken up until it is done."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from killing_proxy import killing_proxy
from nursery import Child
from runbook_world import Ended, RunbookWorld, events, journal

MOST_KILLS = 80
BUCKET = re.compile(r"PutObject /[^/]+/?")  # which every start asks for
LEAVE_MOST = (
    *("PutObject of the state", "RegisterTaskDefinition", "CreateRepository", "UpdateSchedule"),
    *("CopyDBSnapshot", "RestoreDBInstanceFromDBSnapshot", "ModifyDBInstance"),
)
Labelled = Callable[[str, str, Path], str]  # (call, before or after it, the journal) → the place's name, or "" to pass


def in_acts(call: str, when: str, _: Path) -> str:
    """Before and after every call that changes something; an object that is stored is the journal or the lock."""
    return "" if call.startswith("PutObject") else f"{when} {call}"


def at_boundaries(call: str, when: str, written: Path) -> str:
    """Every copy of the journal, by the line that it ends with: a step just was looked at, passed or done."""
    if "/runbooks/journals/" not in call or when == "after":
        return ""
    last = json.loads(written.read_text().splitlines()[-1])
    return f"{last['event']} {last.get('step', '')}"


def in_first_calls(terraforms: Collection[str]) -> Labelled:
    """Before and after the first call of each kind within each act, and at every boundary; in those acts that are
    Terraform's, which tries a call again for a while, after the calls alone that leave most behind."""

    def labelled(call: str, when: str, written: Path) -> str:
        if "/runbooks/" in call:
            return at_boundaries(call, when, written)
        acts = [each["step"] for each in events(written.parent) if each["event"] == "act"] if written.exists() else []
        kind = call.split()[0] if not call.endswith(".tfstate") else "PutObject of the state"
        if not acts or call.endswith(".tflock") or BUCKET.fullmatch(call):
            return ""
        if acts[-1] in terraforms and (when != "after" or kind not in LEAVE_MOST):
            return ""
        return f"{when} {kind} in {acts[-1]}"

    return labelled


class Killer:
    """For a proxy and for waits: kills the runbook at the first sight of each place that `labelled` has a name for.

    `in_waits`: and in each wait, named after what it waits for. `before`: what else happens at a place, by its name,
    just before the kill."""

    def __init__(
        self,
        folder: Path,
        labelled: Labelled,
        *,
        in_waits: bool = False,
        before: Mapping[str, Callable[[Child], object]] | None = None,
    ) -> None:
        self.folder, self.labelled, self.in_waits, self.before = folder, labelled, in_waits, before or {}
        self.child: Child | None = None
        self.killed: list[str] = []
        self.calls: set[str] = set()  # that had a label

    def __call__(self, call: str, when: str) -> bool:
        label = self.labelled(call, when, journal(self.folder))
        if label:
            self.calls.add(call)
        return self._kill(label)

    def wait(self) -> None:
        """Called when the runbook waits for a minute."""
        if self.in_waits and self.child and self.child.output.exists():
            what = self.child.output.read_text().rpartition("waiting for ")[2].partition(":")[0]
            self._kill(f"waiting for {'the time' if what[:1].isdigit() else what}")

    def _kill(self, label: str) -> bool:
        if not label or label in self.killed or self.child is None:
            return False
        if not self.child.output.exists():  # what the one before had started still calls, and this one has not begun
            return False
        self.killed.append(label)
        if label in self.before:
            self.before[label](self.child)
        with suppress(ProcessLookupError):
            os.kill(self.child.pid, signal.SIGKILL)
        return True

    def over(self, last: str) -> set[str]:
        """The steps after which it was killed at a boundary; what comes after `last` is the end of the journal."""
        told = {label.partition(" ")[2] for label in self.killed}
        return told | ({last} if "finished " in self.killed else set())


def perform_killed(
    world: RunbookWorld,
    runbook: str,
    killer: Killer,
    *,
    first: Sequence[str],
    again: Sequence[str],
    environment: Mapping[str, str] | None = None,
) -> Ended:
    """Begins it with `first` and takes it up with `again` as often as it was killed."""
    with killing_proxy(world.port) as proxy:
        proxy.judge = killer
        surroundings = {**(environment or {}), "AWS_ENDPOINT_URL": proxy.url}
        for _ in range(MOST_KILLS):
            begun = journal(killer.folder).exists() and journal(killer.folder).stat().st_size
            arguments = again if begun else first
            began = time.monotonic()
            killer.child = world.start(runbook, *arguments, folder=killer.folder, environment=surroundings)
            ended = world.follow(killer.child, killer.wait)
            print(f"{time.monotonic() - began:5.1f} s until {killer.killed[-1:] if ended.code < 0 else ended.code}")
            if ended.code != -signal.SIGKILL:
                return ended
    raise AssertionError(f"killed {MOST_KILLS} times and not done:\n" + "\n".join(killer.killed))

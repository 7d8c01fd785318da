"""Plays a scenario against a cloud: minute by minute, steps before runs, with an eye on all that comes of it."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol

from ops.chaos import commands, diagnose, memory, perform
from ops.chaos import record as kinds
from ops.chaos.actions import Action, Command, Note
from ops.chaos.commands import Running
from ops.chaos.perform import Stage, StepFailed
from ops.chaos.record import CommandEnd, Diagnosis, Event, Failure, Record
from ops.chaos.scenario import Scenario
from ops.chaos.steps import Step
from ops.chaos.watch import Watch
from ops.local.cloud import MINUTE, Cloud

# So often a diagnosis is asked for while the findings change.
DIAGNOSIS_EVERY = timedelta(minutes=5)
MEMORY_EVERY = 10  # minutes
POLL_SECONDS = 0.05
# A shell that cannot run a command at all says so with these.
NOT_RUN = (126, 127)


class Audience(Protocol):
    """Who watches the play."""

    def event(self, event: Event) -> None:
        """A line of the timeline."""

    def minute(self, at: datetime, record: Record) -> None:
        """A minute is over."""


@dataclass(kw_only=True)
class Course:
    """The actions of one minute, in order; it stands still while a command that it waits for is under way."""

    actions: deque[tuple[Step, Action]]
    waits_for: Running | None = None


@dataclass(kw_only=True)
class Play:
    """One scenario on one cloud."""

    scenario: Scenario
    cloud: Cloud
    record: Record
    audience: Audience
    speed: float | None = None
    began: float = field(default_factory=time.monotonic)
    now: datetime = field(init=False)
    stage: Stage = field(init=False)
    watch: Watch = field(init=False)
    _courses: list[Course] = field(default_factory=list)
    _running: list[Running] = field(default_factory=list)
    _changed: bool = False

    def __post_init__(self) -> None:
        self.now = self.scenario.day.start
        self.stage = Stage(cloud=self.cloud, day=self.scenario.day)
        self.watch = Watch(self.cloud, self.scenario.day, self.record, self.tell)
        self.record.no_diagnosis = diagnose.missing()

    def all(self) -> None:
        """Plays the window, and on until every command that is waited for has ended; then counts."""
        day = self.scenario.day
        self._begin(self.scenario.before)
        self._begin(step for step in self.scenario.steps if step.at == day.start)
        while self.now < day.end or any(course.waits_for for course in self._courses):
            self.minute()
        self._end()

    def minute(self) -> None:
        """The next virtual minute: its steps, its runs, what came of them."""
        wall = time.monotonic()
        self._pace()
        self.now += MINUTE
        self._steps()
        played = self.cloud.tick(self.now)
        self._changed |= self.watch.minute(played)
        self._go_on()
        self._diagnose()
        if len(self.cloud.minutes) % MEMORY_EVERY == 0:
            self.record.peak_rss_mb = max(self.record.peak_rss_mb, memory.family_mb())
        self.audience.minute(self.now, self.record)
        if self.speed:
            time.sleep(max(0.0, 60 / self.speed - (time.monotonic() - wall)))

    def close(self) -> None:
        """Ends what steps have left running."""
        for running in self._running:
            running.end()
            running.close()
        self._running = []
        self.stage.close()
        self.watch.close()

    def tell(self, kind: str, text: str, **more: Any) -> None:
        """A line for the timeline and for whoever watches."""
        seconds = round(time.monotonic() - self.began, 2)
        event = Event(virtual=self.now, wall_seconds=seconds, kind=kind, text=text, more=more)
        self.record.timeline.append(event)
        self.audience.event(event)

    # ── steps ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _steps(self) -> None:
        """What is due at this minute, with every clock at it."""
        due = [step for step in self.scenario.steps if step.at == self.now]
        held = self.stage.release(self.now)
        if held:
            self.tell(kinds.NOTE, f"{held} held transactions are rolled back")
        if due:
            self._set_clocks()
            self._begin(due)

    def _set_clocks(self) -> None:
        if self.cloud.aws.find():
            self.cloud.aws.set_now(self.now)
        self.cloud.exchange.set_now(self.now)
        self.cloud.feeds.set_now(self.now)

    def _begin(self, steps: Iterable[Step]) -> None:
        course = Course(actions=deque((step, action) for step in steps for action in step.actions))
        if course.actions:
            self._courses.append(course)
            self._advance(course)

    def _advance(self, course: Course) -> None:
        """Does a course's actions up to the next command that has to be waited for."""
        while course.actions and course.waits_for is None:
            step, action = course.actions.popleft()
            if step.fault and action.breaks and self.record.first_fault is None:
                self.record.first_fault = self.now
            self.stage.deployed.now = self.now
            if isinstance(action, Command):
                course.waits_for = self._start(action, step)
            else:
                self._do(action, step)

    def _do(self, action: Action, step: Step) -> None:
        kind = kinds.NOTE if isinstance(action, Note) else kinds.STEP
        try:
            told = perform.do(action, self.stage)
        except StepFailed as error:
            self._failed(step, str(error))
        else:
            self.tell(kind, action.text, **({"answer": told} if told else {}))

    def _failed(self, step: Step, text: str) -> None:
        self.record.failures.append(Failure(at=self.now, line=step.line, text=text))
        self.tell(kinds.STEP_FAILED, f"{self.scenario.path}:{step.line}: {text}")

    # ── commands ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _start(self, command: Command, step: Step) -> Running | None:
        """Starts a command; returned where the course waits for it."""
        self.tell(kinds.COMMAND, command.text)
        running = commands.start(command, step.line, self.now, self.cloud.environment)
        self._running.append(running)
        return running if command.wait else None

    def _pace(self) -> None:
        """While commands work, the virtual clock goes at wall speed; while all of them wait for it, at full speed."""
        deadline = time.monotonic() + MINUTE.total_seconds()
        while self._waited() and time.monotonic() < deadline and not self._wait_in_virtual_time():
            time.sleep(POLL_SECONDS)
        self._go_on()

    def _waited(self) -> list[Running]:
        """The commands that are waited for and still at work."""
        found = [course.waits_for for course in self._courses if course.waits_for]
        return [running for running in found if not running.ended]

    def _wait_in_virtual_time(self) -> bool:
        """Whether as many wait for the clock as are waited for."""
        with suppress(OSError, ValueError, urllib.error.URLError):
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            with opener.open(f"{self.cloud.environment['OPS_CLOCK_URL']}/local-aws/clock", timeout=5) as answer:
                return int(json.loads(answer.read())["waiting"]) >= len(self._waited())
        return False

    def _go_on(self) -> None:
        """Takes in commands that have ended, or whose time is up, and goes on with what waited for them."""
        for running in list(self._running):
            overdue = running.overdue(self.now) and not running.ended
            if overdue:
                running.end()
            if overdue or running.ended:
                self._running.remove(running)
                self._ended(running, None if overdue else running.process.returncode)
                for course in self._courses:
                    if course.waits_for is running:
                        course.waits_for = None
                        self._advance(course)
        self._courses = [course for course in self._courses if course.actions or course.waits_for]

    def _ended(self, running: Running, exit_code: int | None) -> None:
        output, command = running.output(), running.command
        running.close()
        end = CommandEnd(
            command=command.command,
            line=running.line,
            started=running.started,
            ended=self.now,
            exit_code=exit_code,
            expected=command.expect_exit,
            output=output,
        )
        self.record.commands.append(end)
        how = f"exit code {exit_code}" if exit_code is not None else f"ended after {command.timeout_seconds:.0f} s"
        self.tell(kinds.COMMAND, f"{command.text}: {how}", exit_code=exit_code, output=output)
        if exit_code in NOT_RUN and command.expect_exit is None:
            text = f"{command.text}: the shell cannot run it: {output.rpartition(chr(10))[2]}"
            self.record.failures.append(Failure(at=self.now, line=running.line, text=text))

    # ── causes ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def _diagnose(self, *, last: bool = False) -> None:
        """Asks for the causes where findings have changed (not too often), where one is expected, and at the end."""
        if self.record.no_diagnosis:
            return
        expected = any(e.key == "causes_by" and e.by == self.now for e in self.scenario.expectations)
        before = self.record.diagnoses[-1].at if self.record.diagnoses else None
        rested = before is None or self.now - before >= DIAGNOSIS_EVERY
        if not (expected or (last and before != self.now) or (self._changed and rested)):
            return
        self._changed = False
        found = diagnose.ask(self.now, self.cloud.environment)
        self.record.diagnoses.append(found)
        self.tell(kinds.DIAGNOSIS, _in_words(found), verdict=found.verdict, causes=list(found.causes))

    # ── the end ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _end(self) -> None:
        self._diagnose(last=True)
        self.watch.settle(self.now)
        self.record.ended = self.now
        self.record.alarm_names = sorted(self.cloud.plane.alerting.book.standings)
        self.record.peak_rss_mb = max(self.record.peak_rss_mb, memory.family_mb())
        if self.scenario.wants("plan_empty"):
            self.record.plan_changes = self._plan()

    def _plan(self) -> list[str]:
        """What Terraform would change, by address."""
        return [f"{word} {address}" for address, word in self.cloud.workspace.pending()]


def _in_words(found: Diagnosis) -> str:
    if found.error:
        return found.error
    causes = ", ".join(f"{cause.get('code')}:{cause.get('subject')}" for cause in found.causes) or "no cause"
    cleared = ", ".join(dict.fromkeys(str(suspect.get("code")) for suspect in found.cleared))
    return f"{found.verdict}: {causes}" + (f"; cleared: {cleared}" if cleared else "")

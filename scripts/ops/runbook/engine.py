"""The order in which a runbook looks, asks, writes down and acts; the same for all of them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from ops.runbook.acting import Hands
from ops.runbook.errors import CannotUndo, Ended, Failed, Interrupted, MutatingCall, Refused, Remains
from ops.runbook.finding import Finding
from ops.runbook.interrupts import Interrupts
from ops.runbook.journal import Journal, Past
from ops.runbook.reading import Look
from ops.runbook.records import Records
from ops.runbook.report import Report, State
from ops.runbook.step import Runbook, Step
from ops.runbook.voice import Voice


@dataclass(frozen=True, kw_only=True)
class Consent:
    """What the person has said in advance: `confirmed` is the environment's name, where they gave it."""

    yes: bool = False
    force: bool = False
    confirmed: str = ""


def rehearse(runbook: Runbook, look: Look, voice: Voice, report: Report) -> None:
    """Looks at every step and says what would be done. There are no Hands here, so nothing can be."""
    for number, step in enumerate(runbook.steps, start=1):
        voice.step(number, len(runbook.steps), step.name)
        told = report.of(step.name)
        with _timed(report, step):
            told.state, told.saw = _seen(step, look)
        voice.detail(f"{told.state}: {told.saw}")
        if told.state == "to do":
            _say_what_would_be(step, look, voice)


def _seen(step: Step, look: Look) -> tuple[State, str]:
    """A step's state by its check; one that cannot look is told and keeps no other from its turn."""
    try:
        finding = step.done(look)
    except Interrupted:
        raise
    except Exception as error:  # noqa: BLE001 (a rehearsal shows all that it can)
        meant = understood(error)
        states: dict[type[Ended], State] = {Refused: "refused", Remains: "to do"}
        return states.get(type(meant), "failed"), str(meant)
    if step.act:
        return ("done before" if finding.holds else "to do"), finding.saw
    return ("passed" if finding.holds else "refused"), finding.saw


def _say_what_would_be(step: Step, look: Look, voice: Voice) -> None:
    if step.blast:
        blast = step.blast(look)
        beyond = f", beyond its limit of {blast.limit}: needs --force" if blast.too_wide else f" (limit {blast.limit})"
        voice.detail(f"would touch {blast.count} {blast.what}{beyond}")
    if step.irreversible:
        voice.detail(f"asks for {look.environment!r} to be typed first: {step.irreversible}")


def nothing_to_do(runbook: Runbook, look: Look) -> bool:
    """Whether every step that acts is done already."""
    return all(step.done(look).holds for step in runbook.acts)


@dataclass(kw_only=True)
class Engine:
    """One run that acts, under the lock. `hands` exist only here."""

    runbook: Runbook
    hands: Hands
    journal: Journal
    records: Records
    consent: Consent
    report: Report

    def apply(self) -> None:
        """Every step in its order. Raises what ended it early, after undoing what a failure calls for."""
        for number, step in enumerate(self.runbook.steps, start=1):
            self._stop_if_asked(step)
            self.voice.step(number, len(self.runbook.steps), step.name)
            with _timed(self.report, step):
                try:
                    self._take(step)
                except Remains as error:
                    self._ended(step, "interrupted" if isinstance(error, Interrupted) else "remains", "to do", error)
                    self.report.standing = [each.name for each in self._undoable(number - 1)]
                    raise
                except Refused as error:
                    self._ended(step, "refused", "refused", error)
                    self.report.standing = [each.name for each in self._undoable(number - 1)]
                    raise
                except Exception as error:  # whatever it is: it is journalled, undone where that can be, and told
                    self._ended(step, "failed", "failed", error)
                    self.voice.detail(f"failed: {self.report.of(step.name).saw}")
                    self._undo(number - 1)
                    raise understood(error) from error
            self._copy()

    @property
    def voice(self) -> Voice:
        return self.hands.voice

    @property
    def look(self) -> Look:
        return self.hands.look

    @property
    def interrupts(self) -> Interrupts:
        return self.hands.interrupts

    def _stop_if_asked(self, step: Step) -> None:
        try:
            self.interrupts.stop_if_asked()
        except Interrupted as error:
            self.journal.write("interrupted", step.name, why=str(error))
            raise

    def _take(self, step: Step) -> None:
        """One step: looked at, asked for, done, looked at again."""
        if step.act is None:
            self._gate(step)
            return
        finding = step.done(self.look)
        self._compare(step, finding)
        if finding.holds:
            self.journal.write("skipped", step.name, saw=finding.saw)
            self._tell(step, "done before", finding.saw)
            return
        self._ask(step)
        self._act(step)

    def _gate(self, step: Step) -> None:
        """Looks once. After the first act a gate that was passed is not asked again: what it saw may be our doing."""
        past = self.journal.past
        if step.name in past.passed and past.begun:
            self._tell(step, "passed", f"at {_hour(past.passed[step.name])}, before the first act; not asked again")
            return
        finding = step.done(self.look)
        if not finding.holds:
            raise Refused(finding.saw)
        self.journal.write("passed", step.name, saw=finding.saw)
        self._tell(step, "passed", finding.saw)

    def _compare(self, step: Step, finding: Finding) -> None:
        """The journal against the check: the check wins, and the difference is shown."""
        told = disagreement(step, finding, self.journal.past)
        if told:
            self.report.of(step.name).disagreement = told
            self.journal.write("disagreement", step.name, told=told)
            self.voice.detail(told)

    def _ask(self, step: Step) -> None:
        """The blast radius, and at a point of no return the environment's name."""
        if step.blast:
            blast = step.blast(self.look)
            if blast.too_wide and not self.consent.force:
                raise Refused(
                    f"this would touch {blast.count} {blast.what}, and without --force at most {blast.limit}; if you "
                    "mean it, add --force"
                )
        if step.irreversible:
            self._confirm(step)

    def _confirm(self, step: Step) -> None:
        environment = self.look.environment
        self.voice.detail(f"POINT OF NO RETURN: {step.irreversible}")
        typed = self.consent.confirmed or self._typed(environment)
        if typed != environment:
            raise Interrupted(f"{typed!r} is not {environment!r}, so this step was not begun")
        self.journal.write("confirmed", step.name, typed=typed)

    def _typed(self, environment: str) -> str:
        try:
            return self.hands.ask(f"Type {environment} to go on; anything else stops here:")
        except Interrupted as error:
            raise Interrupted(f"{error}; --confirm {environment} answers in advance") from error

    def _act(self, step: Step) -> None:
        assert step.act
        if step.told:
            self.voice.detail(step.told)
        self.hands.permit.require()
        self.journal.write("act", step.name)
        step.act(self.hands)
        self.journal.write("acted", step.name)
        finding = step.done(self.look)
        if not finding.holds:
            raise Failed(f"the act has ended, and yet: {finding.saw}")
        self.journal.write("done", step.name, saw=finding.saw)
        self._tell(step, "done", finding.saw)

    def _undo(self, last: int) -> None:
        """Takes back what can be, the newest first, down to the last step that settled things."""
        for step in self._undoable(last):
            self._undo_one(step)

    def _undoable(self, last: int) -> Iterator[Step]:
        """What was begun since then and could be taken back, the newest first."""
        for step in reversed(self.runbook.steps[: last + 1]):
            if step.settles and self.report.of(step.name).state in ("done", "done before"):
                return
            if step.undo and step.name in self.journal.past.begun:
                yield step

    def _undo_one(self, step: Step) -> None:
        assert step.undo
        self.journal.write("undo", step.name)
        try:
            did = step.undo(self.hands)
        except CannotUndo as reason:
            told = f"NOT undone: {step.name}: {reason}"
        except Exception as error:  # noqa: BLE001 (the first failure is the one to raise; this one is told beside it)
            told = f"NOT undone: {step.name}: {understood(error)}"
        else:
            self.journal.write("undone", step.name, did=did)
            self.report.of(step.name).state = "undone"
            told = f"undone: {step.name}: {did}"
        self.report.undone.append(told)
        self.voice.detail(told)

    def _tell(self, step: Step, state: State, saw: str) -> None:
        told = self.report.of(step.name)
        told.state, told.saw = state, saw
        self.voice.detail(f"{state}: {saw}")

    def _ended(self, step: Step, event: str, state: State, error: BaseException) -> None:
        told = self.report.of(step.name)
        told.state, told.saw = state, str(understood(error))
        self.journal.write(event, step.name, why=told.saw)
        self._copy()

    def _copy(self) -> None:
        self.records.copy(self.journal.path, self.voice)


def disagreement(step: Step, finding: Finding, past: Past) -> str:
    """What the journal says of a step where the check sees something else; empty where they agree."""
    ended, begun = past.ended.get(step.name), past.begun.get(step.name)
    if ended and not finding.holds:
        return (
            f"the journal says that this was done at {_hour(ended)}; the check does not: {finding.saw}. The check wins"
        )
    if begun and not ended and finding.holds:
        return f"the journal says that this was begun at {_hour(begun)} and not how it ended; the check says it is done"
    return ""


def understood(error: BaseException) -> Ended:
    """An error as what it means for the run; one that nobody foresaw by its kind and words."""
    if isinstance(error, Ended):
        return error
    if isinstance(error, MutatingCall):
        return Failed(f"a mistake in this runbook: {error}")
    return Failed(f"{type(error).__name__}: {' '.join(str(error).split())}")


def _hour(at: str) -> str:
    return f"{at[11:19]} UTC"


@contextmanager
def _timed(report: Report, step: Step) -> Iterator[None]:
    began = time.monotonic()
    try:
        yield
    finally:
        report.of(step.name).seconds = round(time.monotonic() - began, 3)

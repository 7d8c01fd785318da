"""The ways in which a runbook ends early, each with its exit code."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from pipeline.errors import PipelineError

DONE, FAILED, USAGE, REMAINS, REFUSED = 0, 1, 2, 3, 4


class Ended(PipelineError):
    """A runbook does not go on; the text says why and what to do. `needs` are the words without which the next command
    would end just so."""

    exit_code: ClassVar[int] = FAILED

    def __init__(self, message: str, *, needs: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.needs = tuple(needs)


class Failed(Ended):
    """An act did not bring what it promised. What can be undone is undone."""


class Refused(Ended):
    """To go on would be unsafe, or is not ours to decide. This step has changed nothing."""

    exit_code = REFUSED


class Remains(Ended):
    """All is well so far, and the rest has to wait: for a person, or for the market to open."""

    exit_code = REMAINS


class Interrupted(Remains):
    """Somebody asked the runbook to stop."""


class CannotUndo(PipelineError):
    """What was done cannot be taken back; the text says plainly why and what is left to do."""


class MutatingCall(PipelineError):
    """A check, or a rehearsal, was about to change something: a mistake in the runbook, stopped before it happened."""

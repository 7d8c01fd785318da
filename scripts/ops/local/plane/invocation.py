"""The rows that a minute of the plane leaves: invocations, ended tasks, refusals."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

Result = Literal["started", "failed", "dead_letter", "dropped"]


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """Why a target could not be invoked: the API's error code and message; `retryable` as AWS would judge it."""

    code: str
    message: str
    retryable: bool = False


@dataclass(frozen=True, kw_only=True)
class Invocation:
    """One attempt at a target. `trigger` is the schedule's or rule's ARN, `attempt` counts from 1.

    "failed": will be tried again. "dead_letter": given up, the queue has it. "dropped": given up, and nobody has it.
    """

    at: datetime
    trigger: str
    name: str
    attempt: int
    result: Result
    execution_id: str
    error_code: str = ""
    error_message: str = ""


@dataclass(frozen=True, kw_only=True)
class EndedTask:
    """A task that stopped, or a Lambda's run that ended (then `stop_code` is empty and `task_arn` the request's id)."""

    at: datetime
    service: str
    task_arn: str
    definition: str
    stop_code: str
    stopped_reason: str
    exit_code: int | None
    output: str = field(repr=False, default="")


@dataclass(frozen=True, kw_only=True)
class Minute:
    """What happened in one tick. `transitions` are alarms' changes of state, `mail` what subscribers were sent."""

    at: datetime
    invocations: list[Invocation]
    ended: list[EndedTask]
    transitions: list[Any]

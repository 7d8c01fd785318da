"""What happens when a target refuses: retries, until their number or the event's age is used up, then the dead letter.

Source: EventBridge Scheduler, "Configuring a schedule's dead-letter queue" and RetryPolicy; EventBridge, "Event retry
policy and using dead-letter queues". AWS documents "exponential backoff" with "jitter" and up to 185 retries in 24
hours, but no figures: here the wait doubles from one second to ten minutes, half of it random, so that 185 retries take
about 22 hours.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from ops.local.schedules.definitions import Rule, Schedule, Target

Condition = Literal["MaximumRetryAttempts", "MaximumEventAgeInSeconds"]

_FIRST_WAIT_SECONDS = 1.0
_LONGEST_WAIT_SECONDS = 600.0

# What SQS takes unless a queue says otherwise; the attributes count too.
_MESSAGE_BYTES = 262_144

# "Missing permissions to a target, or a target resource that no longer exists" go to the queue without a retry. So a
# refusal is taken for permanent unless its code says that it will pass: throttling, capacity, the service's own fault.
_PASSING = ("throttl", "toomanyrequests", "limitexceeded", "unavailable", "internal", "timeout", "timedout")
_PASSING_CODES = frozenset({"ServerException", "ServiceException", "ResourceNotReadyException"})

# The universal name of what Scheduler calls on a target of each service.
_ACTIONS = {
    "ecs": "ecs:runTask",
    "lambda": "lambda:invoke",
    "sqs": "sqs:sendMessage",
    "sns": "sns:publish",
    "states": "sfn:startExecution",
    "events": "eventbridge:putEvents",
    "kinesis": "kinesis:putRecord",
    "firehose": "firehose:putRecord",
    "codebuild": "codebuild:startBuild",
    "codepipeline": "codepipeline:startPipelineExecution",
    "sagemaker": "sagemaker:startPipelineExecution",
    "inspector": "inspector:startAssessmentRun",
}


@dataclass(frozen=True, kw_only=True)
class RetryPolicy:
    """How often and for how long; the defaults are AWS's."""

    maximum_retry_attempts: int = 185
    maximum_event_age_seconds: int = 86400


@dataclass(frozen=True, kw_only=True)
class Retry:
    """Try again: `number` counts retries from 1, so it is attempt number + 1."""

    at: datetime
    number: int


@dataclass(frozen=True, kw_only=True)
class Exhausted:
    """No further attempt. `condition` is None for a permanent error, which is never retried."""

    at: datetime
    retry_attempts: int
    condition: Condition | None


@dataclass(frozen=True, kw_only=True)
class DeadLetter:
    """A message for the queue, as in sqs.send_message(MessageBody=body, MessageAttributes=attributes)."""

    body: str
    attributes: Mapping[str, Mapping[str, str]]


def is_retryable(error_code: str) -> bool:
    """Whether EventBridge would try again after this error of the target's API.

    AWS gives the principle (see `_PASSING`) but no list of codes; a caller that knows better decides itself.
    """
    code = error_code.rsplit(".", 1)[-1]
    return code in _PASSING_CODES or any(sign in code.lower() for sign in _PASSING)


def backoff_seconds(number: int, *, jitter: float) -> float:
    """How long to wait before retry `number` (from 1); `jitter` in [0, 1] picks from the random half."""
    longest = min(_LONGEST_WAIT_SECONDS, _FIRST_WAIT_SECONDS * 2 ** min(number - 1, 16))
    return longest * (0.5 + 0.5 * jitter)


def after_failure(
    policy: RetryPolicy,
    *,
    fired_at: datetime,
    failed_at: datetime,
    retries_made: int,
    retryable: bool,
    jitter: float = 0.5,
) -> Retry | Exhausted:
    """What follows a failed attempt: `fired_at` is the scheduled time, from which the event's age counts."""
    if not retryable:
        return Exhausted(at=failed_at, retry_attempts=retries_made, condition=None)
    if retries_made >= policy.maximum_retry_attempts:
        return Exhausted(at=failed_at, retry_attempts=retries_made, condition="MaximumRetryAttempts")
    again = failed_at + timedelta(seconds=backoff_seconds(retries_made + 1, jitter=jitter))
    expires = fired_at + timedelta(seconds=policy.maximum_event_age_seconds)
    if again > expires:
        return Exhausted(at=max(failed_at, expires), retry_attempts=retries_made, condition="MaximumEventAgeInSeconds")
    return Retry(at=again, number=retries_made + 1)


def attempts_until_exhausted(
    policy: RetryPolicy, fired_at: datetime, *, jitter: float = 0.5, retryable: bool = True
) -> tuple[list[datetime], Exhausted]:
    """All attempts on a target that refuses each at once, the first included, and why there was no other."""
    attempts = [fired_at]
    while True:
        step = after_failure(
            policy,
            fired_at=fired_at,
            failed_at=attempts[-1],
            retries_made=len(attempts) - 1,
            retryable=retryable,
            jitter=jitter,
        )
        if isinstance(step, Exhausted):
            return attempts, step
        attempts.append(step.at)


def api_action_arn(target_arn: str) -> str:
    """The target as a dead letter names it: `arn:aws:scheduler:::aws-sdk:ecs:runTask` for a cluster."""
    parts = target_arn.split(":")
    if parts[2] == "scheduler":
        return target_arn
    action = _ACTIONS.get(parts[2])
    if action is None:
        raise ValueError(f"{target_arn}: no action of {parts[2]} is known; extend _ACTIONS")
    return f"arn:{parts[1]}:scheduler:::aws-sdk:{action}"


def schedule_dead_letter(
    schedule: Schedule,
    exhausted: Exhausted,
    *,
    payload: str | None,
    scheduled_time: str,
    execution_id: str,
    error_code: str,
    error_message: str,
    maximum_message_bytes: int = _MESSAGE_BYTES,
) -> DeadLetter:
    """The message of EventBridge Scheduler: the payload as body, cut when too long for the queue, and attributes.

    `payload` is what the target was sent, `scheduled_time` is as `aws_time` writes it.
    """
    texts = {
        "ERROR_CODE": error_code,
        "ERROR_MESSAGE": error_message,
        "EXECUTION_ID": execution_id,
        "IS_PAYLOAD_TRUNCATED": "false",
        "RETRY_ATTEMPTS": str(exhausted.retry_attempts),
        "SCHEDULED_TIME": scheduled_time,
        "SCHEDULE_ARN": schedule.arn,
        "TARGET_ARN": api_action_arn(schedule.target.arn),
    } | _condition(exhausted)
    body = payload or "{}"
    room = maximum_message_bytes - sum(len(name) + len(b"String") + len(text.encode()) for name, text in texts.items())
    if len(body.encode()) > room:
        texts["IS_PAYLOAD_TRUNCATED"] = "true"
        body = body.encode()[: room + len("false") - len("true")].decode(errors="ignore")
    return DeadLetter(body=body, attributes=_attributes(texts))


def rule_dead_letter(
    rule: Rule,
    target: Target,
    exhausted: Exhausted,
    *,
    event: Mapping[str, Any],
    error_code: str,
    error_message: str,
) -> DeadLetter:
    """The message of an EventBridge rule: the event as body."""
    texts = {
        "RULE_ARN": rule.arn,
        "TARGET_ARN": target.arn,
        "ERROR_CODE": error_code,
        "ERROR_MESSAGE": error_message,
        "RETRY_ATTEMPTS": str(exhausted.retry_attempts),
    } | _condition(exhausted)
    return DeadLetter(body=json.dumps(event), attributes=_attributes(texts))


def _condition(exhausted: Exhausted) -> dict[str, str]:
    return {"EXHAUSTED_RETRY_CONDITION": exhausted.condition} if exhausted.condition else {}


def _attributes(texts: Mapping[str, str]) -> dict[str, dict[str, str]]:
    # SQS refuses an attribute without a value, and some errors come without a message.
    return {name: {"DataType": "String", "StringValue": text or "-"} for name, text in sorted(texts.items())}

"""EventBridge's clockwork without a clock: when schedules and rules fire, retry, and what becomes a dead letter."""

from ops.local.schedules.cron import Cron
from ops.local.schedules.definitions import FlexibleWindow, Rule, Schedule, Target, parse_rule, parse_schedule
from ops.local.schedules.delivery import (
    DeadLetter,
    Exhausted,
    Retry,
    RetryPolicy,
    after_failure,
    api_action_arn,
    attempts_until_exhausted,
    backoff_seconds,
    is_retryable,
    rule_dead_letter,
    schedule_dead_letter,
)
from ops.local.schedules.expressions import At, Expression, Rate, ValidationException, parse_expression
from ops.local.schedules.firing import fires_between, invocation_window, next_fire
from ops.local.schedules.inputs import aws_time, execution_id, rule_input, schedule_input, scheduled_event

__all__ = [
    "At",
    "Cron",
    "DeadLetter",
    "Exhausted",
    "Expression",
    "FlexibleWindow",
    "Rate",
    "Retry",
    "RetryPolicy",
    "Rule",
    "Schedule",
    "Target",
    "ValidationException",
    "after_failure",
    "api_action_arn",
    "attempts_until_exhausted",
    "aws_time",
    "backoff_seconds",
    "execution_id",
    "fires_between",
    "invocation_window",
    "is_retryable",
    "next_fire",
    "parse_expression",
    "parse_rule",
    "parse_schedule",
    "rule_dead_letter",
    "rule_input",
    "schedule_dead_letter",
    "schedule_input",
    "scheduled_event",
]

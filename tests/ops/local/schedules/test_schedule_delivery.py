"""Retries and dead letters as documented, and the inputs that targets get."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ops.local.schedules import (
    Exhausted,
    Retry,
    RetryPolicy,
    Rule,
    Schedule,
    after_failure,
    api_action_arn,
    attempts_until_exhausted,
    backoff_seconds,
    execution_id,
    is_retryable,
    parse_rule,
    parse_schedule,
    rule_dead_letter,
    rule_input,
    schedule_dead_letter,
    schedule_input,
    scheduled_event,
)

FIRED = datetime(2026, 1, 26, 15, 12, tzinfo=UTC)
CLUSTER = "arn:aws:ecs:us-west-2:123456789012:cluster/c"
RULE_ARN = "arn:aws:events:us-west-2:123456789012:rule/old"


def schedule(text: str | None = None, target: str = CLUSTER) -> Schedule:
    return parse_schedule(
        {
            "Name": "DLQ-test",
            "Arn": "arn:aws:scheduler:us-west-2:123456789012:schedule/default/DLQ-test",
            "ScheduleExpression": "rate(1 minute)",
            "CreationDate": FIRED,
            "FlexibleTimeWindow": {"Mode": "OFF"},
            "Target": {"Arn": target, "RoleArn": "arn:aws:iam::123456789012:role/r"}
            | ({"Input": text} if text else {}),
        }
    )


def rule(**target: Any) -> Rule:
    described = {"Name": "old", "Arn": RULE_ARN, "ScheduleExpression": "rate(5 minutes)"}
    return parse_rule(described, [{"Id": "1", "Arn": CLUSTER} | target], created_at=FIRED)


def policy(attempts: int = 185, age: int = 86400) -> RetryPolicy:
    return RetryPolicy(maximum_retry_attempts=attempts, maximum_event_age_seconds=age)


def test_no_retries_means_one_attempt_and_says_so() -> None:
    attempts, end = attempts_until_exhausted(policy(attempts=0), FIRED)
    assert attempts == [FIRED]
    assert end == Exhausted(at=FIRED, retry_attempts=0, condition="MaximumRetryAttempts")


def test_the_number_of_retries_ends_it_first() -> None:
    attempts, end = attempts_until_exhausted(policy(attempts=2, age=300), FIRED, jitter=1.0)
    assert [(one - FIRED).total_seconds() for one in attempts] == [0, 1, 3]
    assert (end.condition, end.retry_attempts) == ("MaximumRetryAttempts", 2)


def test_the_age_of_the_event_ends_it_first() -> None:
    attempts, end = attempts_until_exhausted(policy(age=60), FIRED, jitter=1.0)
    assert [(one - FIRED).total_seconds() for one in attempts] == [0, 1, 3, 7, 15, 31]
    assert (end.condition, end.retry_attempts) == ("MaximumEventAgeInSeconds", 5)
    assert end.at == FIRED + timedelta(seconds=60)


def test_a_permanent_error_is_not_retried_and_has_no_condition() -> None:
    attempts, end = attempts_until_exhausted(policy(), FIRED, retryable=False)
    assert (attempts, end) == ([FIRED], Exhausted(at=FIRED, retry_attempts=0, condition=None))


def test_a_slow_failure_past_the_events_age_is_the_last() -> None:
    late = FIRED + timedelta(seconds=90)
    end = after_failure(policy(age=60), fired_at=FIRED, failed_at=late, retries_made=0, retryable=True)
    assert end == Exhausted(at=late, retry_attempts=0, condition="MaximumEventAgeInSeconds")


def test_awss_default_of_185_retries_fits_into_its_24_hours() -> None:
    attempts, end = attempts_until_exhausted(policy(), FIRED, jitter=0.5)
    assert end.condition == "MaximumRetryAttempts"
    assert timedelta(hours=20) < attempts[-1] - FIRED < timedelta(hours=24)


@settings(max_examples=60)
@given(st.integers(0, 185), st.integers(60, 86400), st.floats(0, 1))
def test_attempts_follow_each_other_within_both_limits(attempts: int, age: int, jitter: float) -> None:
    made, end = attempts_until_exhausted(policy(attempts, age), FIRED, jitter=jitter)
    assert made == sorted(set(made))
    assert len(made) == end.retry_attempts + 1 <= attempts + 1
    assert made[-1] <= FIRED + timedelta(seconds=age)
    assert (end.condition == "MaximumRetryAttempts") == (len(made) == attempts + 1)


@settings(max_examples=40)
@given(st.integers(1, 185), st.floats(0, 1))
def test_the_wait_doubles_up_to_its_limit_and_half_of_it_is_random(number: int, jitter: float) -> None:
    shortest, wait, longest = (backoff_seconds(number, jitter=one) for one in (0.0, jitter, 1.0))
    assert shortest == longest / 2 <= wait <= longest == min(600, 2 ** (number - 1))


def test_a_retry_says_when_and_which() -> None:
    failed = FIRED + timedelta(seconds=2)
    again = after_failure(policy(2), fired_at=FIRED, failed_at=failed, retries_made=1, retryable=True, jitter=0.0)
    assert again == Retry(at=failed + timedelta(seconds=1), number=2)


@pytest.mark.parametrize(
    ("code", "retried"),
    [
        ("ThrottlingException", True),
        ("TooManyRequestsException", True),
        ("ServerException", True),
        ("AWS.Scheduler.InternalServerError", True),
        ("ServiceUnavailableException", True),
        ("RequestTimeout", True),
        ("AccessDeniedException", False),
        ("ClusterNotFoundException", False),
        ("InvalidParameterException", False),
        ("ClientException", False),
        ("AWS.SimpleQueueService.NonExistentQueue", False),
    ],
)
def test_only_what_may_pass_is_retried(code: str, retried: bool) -> None:
    assert is_retryable(code) is retried


def dead_letter(of: Schedule, payload: str | None, **more: Any) -> dict[str, str]:
    end = more.pop("end", Exhausted(at=FIRED, retry_attempts=0, condition="MaximumEventAgeInSeconds"))
    letter = schedule_dead_letter(
        of,
        end,
        payload=payload,
        scheduled_time="2022-05-14T01:12:00Z",
        execution_id="ad06616e51cdf74a",
        error_code="AWS.SimpleQueueService.NonExistentQueue",
        error_message="The specified queue does not exist for this wsdl version.",
        **more,
    )
    assert {one["DataType"] for one in letter.attributes.values()} == {"String"}
    return {"body": letter.body} | {name: one["StringValue"] for name, one in letter.attributes.items()}


def test_a_dead_letter_is_that_of_awss_guide() -> None:
    payload = (
        '{"MessageBody":"Hello, world!","QueueUrl":"https://sqs.us-west-2.amazonaws.com/123456789012/does-not-exist"}'
    )
    assert dead_letter(schedule(target="arn:aws:scheduler:::aws-sdk:sqs:sendMessage"), payload) == {
        "body": payload,
        "ERROR_CODE": "AWS.SimpleQueueService.NonExistentQueue",
        "ERROR_MESSAGE": "The specified queue does not exist for this wsdl version.",
        "EXECUTION_ID": "ad06616e51cdf74a",
        "EXHAUSTED_RETRY_CONDITION": "MaximumEventAgeInSeconds",
        "IS_PAYLOAD_TRUNCATED": "false",
        "RETRY_ATTEMPTS": "0",
        "SCHEDULED_TIME": "2022-05-14T01:12:00Z",
        "SCHEDULE_ARN": "arn:aws:scheduler:us-west-2:123456789012:schedule/default/DLQ-test",
        "TARGET_ARN": "arn:aws:scheduler:::aws-sdk:sqs:sendMessage",
    }


def test_a_permanent_error_leaves_the_condition_out() -> None:
    end = Exhausted(at=FIRED, retry_attempts=0, condition=None)
    assert "EXHAUSTED_RETRY_CONDITION" not in dead_letter(schedule(), None, end=end)


@pytest.mark.parametrize("payload", ["x" * 300_000, "é" * 200_000])
def test_a_payload_too_long_for_the_queue_is_cut_and_marked(payload: str) -> None:
    letter = dead_letter(schedule(), payload, maximum_message_bytes=262_144)
    body, attributes = letter.pop("body"), letter
    total = len(body.encode()) + sum(len(name) + len("String") + len(text) for name, text in attributes.items())
    assert attributes["IS_PAYLOAD_TRUNCATED"] == "true"
    assert payload.startswith(body)
    assert 262_140 <= total <= 262_144


@pytest.mark.parametrize(
    ("target", "action"),
    [
        (CLUSTER, "arn:aws:scheduler:::aws-sdk:ecs:runTask"),
        ("arn:aws:lambda:us-west-2:123456789012:function:f", "arn:aws:scheduler:::aws-sdk:lambda:invoke"),
        ("arn:aws:states:us-west-2:123456789012:stateMachine:m", "arn:aws:scheduler:::aws-sdk:sfn:startExecution"),
    ],
)
def test_a_target_is_named_by_the_call_that_failed(target: str, action: str) -> None:
    assert api_action_arn(target) == action


def test_a_target_of_an_unknown_service_is_said_to_be_so() -> None:
    with pytest.raises(ValueError, match="no action of glue"):
        api_action_arn("arn:aws:glue:us-west-2:123456789012:workflow/w")


def test_a_rules_dead_letter_holds_the_event_and_names_the_rule() -> None:
    of = rule()
    event = scheduled_event(of, FIRED, event_id="53dc4d37")
    end = Exhausted(at=FIRED, retry_attempts=3, condition="MaximumRetryAttempts")
    letter = rule_dead_letter(of, of.targets[0], end, event=event, error_code="ERROR_FROM_TARGET", error_message="")
    assert json.loads(letter.body) == event
    assert {name: one["StringValue"] for name, one in letter.attributes.items()} == {
        "ERROR_CODE": "ERROR_FROM_TARGET",
        "ERROR_MESSAGE": "-",
        "EXHAUSTED_RETRY_CONDITION": "MaximumRetryAttempts",
        "RETRY_ATTEMPTS": "3",
        "RULE_ARN": RULE_ARN,
        "TARGET_ARN": CLUSTER,
    }


def test_context_attributes_are_replaced_within_json_and_within_text() -> None:
    inside = json.dumps(
        {
            "env": [{"value": "<aws.scheduler.execution-id>"}, {"value": "at <aws.scheduler.scheduled-time>!"}],
            "<aws.scheduler.attempt-number>": "<aws.scheduler.schedule-arn>",
        }
    )
    of = schedule(inside)
    sent = schedule_input(of, FIRED, execution_id="d32c5kddcf5bb8c3", attempt=2)
    assert sent is not None
    assert json.loads(sent) == {
        "env": [{"value": "d32c5kddcf5bb8c3"}, {"value": "at 2026-01-26T15:12:00Z!"}],
        "2": of.arn,
    }
    plain = schedule_input(
        schedule("no. <aws.scheduler.attempt-number>, <aws.scheduler.unknown>"), FIRED, execution_id=""
    )
    assert plain == "no. 1, <aws.scheduler.unknown>"


def test_a_keyword_as_terraforms_jsonencode_writes_it_stays_as_it_is() -> None:
    escaped = '{"a":"\\u003caws.scheduler.execution-id\\u003e"}'
    assert schedule_input(schedule(escaped), FIRED, execution_id="x") == escaped


def test_without_input_there_is_nothing_to_replace() -> None:
    assert schedule_input(schedule(), FIRED, execution_id="x") is None


def test_execution_ids_differ_by_their_parts_and_repeat_with_them() -> None:
    ids = {execution_id("arn", FIRED), execution_id("arn", FIRED + timedelta(minutes=1)), execution_id("other", FIRED)}
    assert len(ids) == 3
    assert execution_id("arn", FIRED) in ids
    assert all(len(one) == 16 and int(one, 16) >= 0 for one in ids)


def test_a_scheduled_event_is_that_of_awss_guide() -> None:
    assert scheduled_event(rule(), FIRED, event_id="89d1a02d-5ec7-412e-82f5-13505f849b41") == {
        "version": "0",
        "id": "89d1a02d-5ec7-412e-82f5-13505f849b41",
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": "123456789012",
        "time": "2026-01-26T15:12:00Z",
        "region": "us-west-2",
        "resources": [RULE_ARN],
        "detail": {},
    }


@pytest.mark.parametrize(
    ("target", "sent"),
    [
        ({"Input": '{"a": 1}'}, '{"a": 1}'),
        ({"InputPath": "$.resources[0]"}, json.dumps(RULE_ARN)),
        ({"InputPath": "$.detail.none.deeper"}, "null"),
        (
            {"InputTransformer": {"InputPathsMap": {"at": "$.time"}, "InputTemplate": '{"at": "<at>"}'}},
            '{"at": "2026-01-26T15:12:00Z"}',
        ),
        ({"InputTransformer": {"InputTemplate": '"<aws.events.rule-name>"'}}, '"old"'),
    ],
)
def test_a_rules_target_gets_its_share_of_the_event(target: dict[str, Any], sent: str) -> None:
    of = rule(**target)
    assert rule_input(of, of.targets[0], scheduled_event(of, FIRED, event_id="1")) == sent


def test_a_rules_target_without_input_gets_the_whole_event() -> None:
    of = rule()
    event = scheduled_event(of, FIRED, event_id="1")
    assert json.loads(rule_input(of, of.targets[0], event)) == event

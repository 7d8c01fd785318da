"""Topics of the local AWS, and the people who hear of them."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

from ops.local.aws import LocalAws
from ops.local.aws.environment import ACCOUNT

MORNING = datetime(2026, 1, 26, 14, 30, tzinfo=UTC)


def topic(aws: LocalAws) -> str:
    """A new topic's ARN."""
    return str(aws.client("sns").create_topic(Name=f"t-{uuid.uuid4()}")["TopicArn"])


def subscribe(aws: LocalAws, arn: str, protocol: str = "email", endpoint: str = "", **options: Any) -> str:
    """Subscribe as Terraform does; the subscription's ARN."""
    made = aws.client("sns").subscribe(
        TopicArn=arn,
        Protocol=protocol,
        Endpoint=endpoint or f"{uuid.uuid4()}@example.com",
        ReturnSubscriptionArn=True,
        **options,
    )
    return str(made["SubscriptionArn"])


def attributes(aws: LocalAws, subscription: str) -> dict[str, str]:
    """GetSubscriptionAttributes."""
    found = aws.client("sns").get_subscription_attributes(SubscriptionArn=subscription)
    return dict(found["Attributes"])


def mail(aws: LocalAws, arn: str) -> list[dict[str, Any]]:
    """What a topic sent to people."""
    return [each for each in aws.mail() if each["topic_arn"] == arn]


@pytest.mark.parametrize(("protocol", "endpoint"), [("email", "a@example.com"), ("https", "https://example.com/hook")])
def test_who_is_outside_has_to_confirm(aws: LocalAws, protocol: str, endpoint: str) -> None:
    sns, arn = aws.client("sns"), topic(aws)
    made = sns.subscribe(TopicArn=arn, Protocol=protocol, Endpoint=endpoint)
    assert made["SubscriptionArn"] == "pending confirmation"
    (listed,) = sns.list_subscriptions_by_topic(TopicArn=arn)["Subscriptions"]
    assert (listed["SubscriptionArn"], listed["Endpoint"]) == ("PendingConfirmation", endpoint)
    assert attributes(aws, subscribe(aws, arn, protocol, endpoint))["PendingConfirmation"] == "true"


def test_a_queue_or_a_function_needs_no_confirmation(mended_aws: LocalAws) -> None:
    arn = topic(mended_aws)
    for protocol, endpoint in (
        ("sqs", f"arn:aws:sqs:us-west-2:{ACCOUNT}:q"),
        ("lambda", f"arn:aws:lambda:us-west-2:{ACCOUNT}:function:f"),
    ):
        subscription = subscribe(mended_aws, arn, protocol, endpoint)
        assert attributes(mended_aws, subscription)["PendingConfirmation"] == "false"


def test_only_the_token_from_the_mail_confirms(aws: LocalAws) -> None:
    sns, arn = aws.client("sns"), topic(aws)
    subscription = subscribe(aws, arn)
    with pytest.raises(ClientError, match="InvalidParameter"):
        sns.confirm_subscription(TopicArn=arn, Token="guessed")
    assert attributes(aws, subscription)["PendingConfirmation"] == "true"
    (token,) = (each["token"] for each in aws.pending_subscriptions() if each["topic_arn"] == arn)
    assert sns.confirm_subscription(TopicArn=arn, Token=token)["SubscriptionArn"] == subscription
    assert attributes(aws, subscription)["PendingConfirmation"] == "false"


def test_all_can_be_confirmed_at_once(mended_aws: LocalAws) -> None:
    subscription = subscribe(mended_aws, topic(mended_aws))
    assert subscription in mended_aws.confirm_subscriptions()
    assert mended_aws.pending_subscriptions() == mended_aws.confirm_subscriptions() == []
    assert attributes(mended_aws, subscription)["PendingConfirmation"] == "false"


def test_a_new_subscription_by_the_same_address_is_the_old_one(mended_aws: LocalAws) -> None:
    arn = topic(mended_aws)
    first = subscribe(mended_aws, arn, endpoint="a@example.com")
    mended_aws.confirm_subscriptions()
    assert subscribe(mended_aws, arn, endpoint="a@example.com") == first
    assert attributes(mended_aws, first)["PendingConfirmation"] == "false"


def test_mail_goes_to_whoever_confirmed_and_is_kept(aws: LocalAws) -> None:
    sns, arn = aws.client("sns"), topic(aws)
    aws.set_now(MORNING)
    confirmed = subscribe(aws, arn, endpoint="on-call@example.com")
    aws.confirm_subscriptions()
    subscribe(aws, arn, "https", "https://127.0.0.1:1/never-asked")
    sns.publish(TopicArn=arn, Subject="ALARM", Message="4 schedules are missing")
    (sent,) = mail(aws, arn)
    at = datetime.fromisoformat(sent.pop("at"))
    assert at.date() == MORNING.date()
    assert sent == {
        "topic_arn": arn,
        "subscription_arn": confirmed,
        "protocol": "email",
        "endpoint": "on-call@example.com",
        "subject": "ALARM",
        "message": "4 schedules are missing",
    }
    assert len(mail(aws, arn)) == 1


def test_mail_respects_filters_and_messages_per_protocol(mended_aws: LocalAws) -> None:
    sns, arn = mended_aws.client("sns"), topic(mended_aws)
    subscribe(mended_aws, arn, Attributes={"FilterPolicy": json.dumps({"severity": ["critical"]})})
    mended_aws.confirm_subscriptions()
    for severity in ("info", "critical"):
        sns.publish(
            TopicArn=arn,
            Message=json.dumps({"default": severity, "email": f"by mail: {severity}"}),
            MessageStructure="json",
            MessageAttributes={"severity": {"DataType": "String", "StringValue": severity}},
        )
    assert [each["message"] for each in mail(mended_aws, arn)] == ["by mail: critical"]


def test_a_queue_still_hears_beside_those_who_are_pending(mended_aws: LocalAws) -> None:
    sns, sqs, name, arn = mended_aws.client("sns"), mended_aws.client("sqs"), f"q-{uuid.uuid4()}", topic(mended_aws)
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    subscribe(mended_aws, arn)
    subscribe(mended_aws, arn, "sqs", f"arn:aws:sqs:us-west-2:{ACCOUNT}:{name}")
    sns.publish(TopicArn=arn, Message="silence")
    (message,) = sqs.receive_message(QueueUrl=url)["Messages"]
    assert json.loads(message["Body"])["Message"] == "silence"
    assert mail(mended_aws, arn) == []

"""What could not be delivered: the dead letters, looked at without being taken."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from healthcheck.aws.clients import Clients, found
from healthcheck.aws.memory import Memory
from healthcheck.place import Place

PER_CALL = 10
# SQS shows a sample; a few looks see most of a queue that is not long.
LOOKS = 5


@dataclass(frozen=True, kw_only=True)
class Letter:
    """A message. Of a Lambda's own dead letters `schedule_arn` is empty."""

    id: str
    sent_at: datetime
    schedule_arn: str
    target_arn: str
    error_code: str
    error_message: str


@dataclass(frozen=True, kw_only=True)
class Letters:
    """`count` None: there is no such queue. `seen` are those that SQS showed, newest first."""

    queue: str
    count: int | None
    seen: tuple[Letter, ...]


def read(clients: Clients, place: Place, memory: Memory) -> Letters:
    """How many there are, and a look at them that hides them from nobody."""
    sqs = clients("sqs")
    address = found(
        lambda: sqs.get_queue_url(QueueName=place.queue)["QueueUrl"],
        "AWS.SimpleQueueService.NonExistentQueue",
        "QueueDoesNotExist",
    )
    if address is None:
        return Letters(queue=place.queue, count=None, seen=())
    attributes = sqs.get_queue_attributes(QueueUrl=address, AttributeNames=["ApproximateNumberOfMessages"])
    count = int(attributes["Attributes"]["ApproximateNumberOfMessages"])
    seen: dict[str, Letter] = {}
    for _ in range(LOOKS):
        before = len(seen)
        if before >= count:
            break
        seen |= {letter.id: letter for letter in _look(sqs, address)}
        if len(seen) == before:
            break
    return Letters(queue=place.queue, count=count, seen=tuple(sorted(seen.values(), key=_sent, reverse=True)))


def _sent(letter: Letter) -> datetime:
    return letter.sent_at


def _look(sqs: Any, address: str) -> list[Letter]:
    answer = sqs.receive_message(
        QueueUrl=address,
        MaxNumberOfMessages=PER_CALL,
        VisibilityTimeout=0,
        MessageAttributeNames=["All"],
        MessageSystemAttributeNames=["SentTimestamp"],
    )
    return [_letter(each) for each in answer.get("Messages", ())]


def _letter(message: Mapping[str, Any]) -> Letter:
    told = {name: each.get("StringValue", "") for name, each in (message.get("MessageAttributes") or {}).items()}
    return Letter(
        id=message["MessageId"],
        sent_at=datetime.fromtimestamp(int(message["Attributes"]["SentTimestamp"]) / 1000, UTC),
        schedule_arn=told.get("SCHEDULE_ARN") or told.get("RULE_ARN", ""),
        target_arn=told.get("TARGET_ARN", ""),
        error_code=told.get("ERROR_CODE") or told.get("ErrorCode", ""),
        error_message=told.get("ERROR_MESSAGE") or told.get("ErrorMessage", ""),
    )

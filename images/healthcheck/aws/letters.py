"""What could not be delivered: the dead letters, looked at without being taken, and how many were sent there lately."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from healthcheck.aws.clients import Clients, found
from healthcheck.aws.memory import Memory
from healthcheck.place import Place
from pipeline.catalog import Catalog

PER_CALL = 10
METRICS_PER_CALL = 500
WINDOW = timedelta(minutes=15)
SENT = "InvocationsSentToDeadLetterCount"
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
class GivenUp:
    """How many invocations the scheduler gave up within a quarter of an hour, and when it last did, to the minute."""

    count: int
    newest: datetime | None


@dataclass(frozen=True, kw_only=True)
class Letters:
    """`count` None: there is no such queue. `seen` are those that SQS showed, newest first. `lately`, by group, is
    what the scheduler says: SQS shows no more than a sample."""

    queue: str
    address: str
    count: int | None
    seen: tuple[Letter, ...]
    lately: Mapping[str, GivenUp]


def read(clients: Clients, place: Place, memory: Memory, catalog: Catalog, now: datetime) -> Letters:
    """How many there are and were lately, and a look at them that hides them from nobody."""
    sqs, lately = clients("sqs"), _lately(clients("cloudwatch"), catalog, now)
    address = found(
        lambda: sqs.get_queue_url(QueueName=place.queue)["QueueUrl"],
        "AWS.SimpleQueueService.NonExistentQueue",
        "QueueDoesNotExist",
    )
    if address is None:
        return Letters(queue=place.queue, address="", count=None, seen=(), lately=lately)
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
    newest_first = tuple(sorted(seen.values(), key=_sent, reverse=True))
    return Letters(queue=place.queue, address=address, count=count, seen=newest_first, lately=lately)


def _lately(cloudwatch: Any, catalog: Catalog, now: datetime) -> dict[str, GivenUp]:
    """Schedule group → how many, and when. Each service has a group of its own."""
    names = list(catalog.services)
    found: dict[str, GivenUp] = {}
    for first in range(0, len(names), METRICS_PER_CALL):
        asked = [_query(index, name) for index, name in enumerate(names[first : first + METRICS_PER_CALL])]
        answer = cloudwatch.get_metric_data(MetricDataQueries=asked, StartTime=now - WINDOW, EndTime=now)
        for result in answer["MetricDataResults"]:
            found[names[first + int(result["Id"][1:])]] = _given_up(result)
    return found


def _given_up(result: Mapping[str, Any]) -> GivenUp:
    counted = [at for at, value in zip(result["Timestamps"], result["Values"], strict=True) if value]
    return GivenUp(count=int(sum(result["Values"])), newest=max(counted, default=None))


def _query(index: int, group: str) -> dict[str, Any]:
    metric = {
        "Namespace": "AWS/Scheduler",
        "MetricName": SENT,
        "Dimensions": [{"Name": "ScheduleGroup", "Value": group}],
    }
    return {"Id": f"m{index}", "MetricStat": {"Metric": metric, "Period": 60, "Stat": "Sum"}}


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

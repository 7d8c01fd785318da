"""Who is told: the topic that alarms speak to, and its subscriptions."""

from __future__ import annotations

from dataclasses import dataclass

from healthcheck.aws.clients import Clients, found, pages
from healthcheck.aws.memory import Memory
from healthcheck.place import Place

PENDING = "PendingConfirmation"


@dataclass(frozen=True, kw_only=True)
class Subscription:
    """`confirmed` False: nobody has clicked on the link in the mail yet, and nothing is sent there."""

    protocol: str
    endpoint: str
    confirmed: bool


@dataclass(frozen=True, kw_only=True)
class Topics:
    """The topic's subscriptions; None where there is no such topic."""

    topic_arn: str
    subscriptions: tuple[Subscription, ...] | None


def read(clients: Clients, place: Place, memory: Memory) -> Topics:
    """A call a page."""
    sns = clients("sns")
    listed = found(
        lambda: list(pages(sns, "list_subscriptions_by_topic", "Subscriptions", TopicArn=place.topic_arn)),
        "NotFound",
        "NotFoundException",
    )
    if listed is None:
        return Topics(topic_arn=place.topic_arn, subscriptions=None)
    return Topics(
        topic_arn=place.topic_arn,
        subscriptions=tuple(
            Subscription(
                protocol=each["Protocol"],
                endpoint=each["Endpoint"],
                confirmed=each["SubscriptionArn"] not in (PENDING, "Deleted"),
            )
            for each in listed
        ),
    )

"""SNS: who has to confirm a subscription, and what then goes to people."""

from __future__ import annotations

import threading
from collections import deque
from datetime import UTC, datetime
from typing import Any

from moto.core.responses import ActionResult
from moto.moto_api._internal import mock_random
from moto.sns.exceptions import SNSInvalidParameter
from moto.sns.models import SNSBackend, Subscription, sns_backends
from moto.sns.responses import SNSResponse

from ops.local.aws.patches.tools import around, kept

# Whoever is behind such an endpoint must agree first; queues, functions and phones need not.
CONFIRMED_BY_HAND = ("email", "email-json", "http", "https")
OUTSIDE = (*CONFIRMED_BY_HAND, "sms")
KEPT = 1_000  # the newest


class Mail:
    """What topics have sent to people and to addresses outside: nothing leaves this machine."""

    def __init__(self) -> None:
        self._sent: deque[dict[str, Any]] = deque(maxlen=KEPT)
        self._lock = threading.Lock()

    def add(self, subscription: Any, subject: str | None, message: str) -> None:
        """One more."""
        sent = {
            "at": datetime.now(UTC).isoformat(),
            "topic_arn": subscription.topic_arn,
            "subscription_arn": subscription.arn,
            "protocol": subscription.protocol,
            "endpoint": subscription.endpoint,
            "subject": subject,
            "message": message,
        }
        with self._lock:
            self._sent.append(sent)

    def sent(self) -> list[dict[str, Any]]:
        """All that is kept, the oldest first."""
        with self._lock:
            return list(self._sent)


MAIL = Mail()


def subscriptions_wait_for_confirmation() -> None:
    """A mail or web address is pending until its owner confirms, and is shown so; moto takes everybody at once."""

    @around(SNSBackend, "subscribe")
    def subscribe(original: Any, self: Any, topic_arn: str, endpoint: str, protocol: str) -> Any:
        known = set(self.subscriptions)
        subscription = original(self, topic_arn, endpoint, protocol)
        if protocol in CONFIRMED_BY_HAND and subscription.arn not in known:
            subscription.attributes |= {"PendingConfirmation": True, "ConfirmationWasAuthenticated": False}
            kept(subscription, "confirmation")["token"] = mock_random.get_random_hex(64)
        return subscription

    @around(SNSResponse, "subscribe")
    def answered(original: Any, self: Any) -> ActionResult:
        result: Any = original(self).result
        wants_arn = str(self._get_param("ReturnSubscriptionArn")).lower() == "true"
        if not wants_arn and is_pending(self.backend.subscriptions[result["SubscriptionArn"]]):
            return ActionResult({"SubscriptionArn": "pending confirmation"})
        return ActionResult(result)

    for name in ("list_subscriptions", "list_subscriptions_by_topic"):

        @around(SNSResponse, name)
        def listed(original: Any, self: Any) -> ActionResult:
            result: Any = original(self).result
            return ActionResult({**result, "Subscriptions": [_shown(each) for each in result["Subscriptions"]]})


def is_pending(subscription: Any) -> bool:
    """Whether its owner has not confirmed it yet."""
    return bool(subscription.attributes.get("PendingConfirmation"))


def _shown(subscription: Any) -> dict[str, Any]:
    return {
        "SubscriptionArn": "PendingConfirmation" if is_pending(subscription) else subscription.arn,
        "Owner": subscription.owner,
        "Protocol": subscription.protocol,
        "Endpoint": subscription.endpoint,
        "TopicArn": subscription.topic_arn,
    }


def confirmations() -> None:
    """ConfirmSubscription wants the token that the owner got; moto agrees to any, and confirms nothing."""

    @around(SNSResponse, "confirm_subscription")
    def confirm_subscription(original: Any, self: Any) -> ActionResult:
        original(self)  # which knows whether there is such a topic
        topic, token = self._get_param("TopicArn"), self._get_param("Token")
        for subscription in self.backend.subscriptions.values():
            if subscription.topic_arn == topic and kept(subscription, "confirmation").get("token") == token:
                confirm(subscription, authenticated=str(self._get_param("AuthenticateOnUnsubscribe")) == "true")
                return ActionResult({"SubscriptionArn": subscription.arn})
        raise SNSInvalidParameter("Invalid parameter: Token")


def confirm(subscription: Any, *, authenticated: bool = False) -> None:
    """Its owner agrees."""
    subscription.attributes |= {"PendingConfirmation": False, "ConfirmationWasAuthenticated": authenticated}


def pending() -> list[Any]:
    """All subscriptions that wait for their owner."""
    backends: list[Any] = [backend for _, _, backend in sns_backends.iter_backends()]
    return [each for backend in backends for each in list(backend.subscriptions.values()) if is_pending(each)]


def people_get_mail() -> None:
    """What is published goes to those who confirmed; moto sends to all, over the network to web addresses."""

    @around(Subscription, "publish")
    def publish(original: Any, self: Any, message: str, message_id: str, subject: Any = None, **more: Any) -> None:
        if is_pending(self):
            return
        if self.protocol not in OUTSIDE:
            original(self, message, message_id, subject=subject, **more)
            return
        chosen = self._filter_policy_matcher
        if chosen is None or chosen.matches(more.get("message_attributes"), message):
            as_one = more.get("message_structure") != "json"
            MAIL.add(self, subject, message if as_one else self._parse_message_structure(message, self.protocol))

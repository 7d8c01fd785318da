"""SQS: what a change of a queue leaves alone, and what time takes from it."""

from __future__ import annotations

import time
from typing import Any

from moto.sqs.models import Message, Queue, SQSBackend

from ops.local.aws.patches.tools import around


def attributes_not_named_stay() -> None:
    """SetQueueAttributes changes what it names; moto takes the queue's policy away wherever it is not named."""

    @around(Queue, "_set_attributes")
    def set_attributes(original: Any, self: Any, attributes: dict[str, Any], now: float | None = None) -> None:
        named = "Policy" in attributes or not hasattr(self, "_policy_json")
        original(self, attributes if named else {**attributes, "Policy": self.policy}, now)


def old_messages_are_gone() -> None:
    """What is older than the queue keeps messages is gone; moto does not hand it out, and counts it for ever."""

    @around(SQSBackend, "get_queue")
    def get_queue(original: Any, self: Any, queue_name: str) -> Any:
        queue = original(self, queue_name)
        oldest = (time.time() - queue.message_retention_period) * 1000
        with queue._messages_lock:
            while queue._messages and queue._messages[0].sent_timestamp < oldest:
                queue._messages.pop(0)
        return queue


def long_polls_go_by_the_wall() -> None:
    """A client waits seconds of its own; moto waits for an hour of the day, which never comes if time goes back."""

    @around(SQSBackend, "receive_message")
    def receive_message(
        original: Any,
        self: Any,
        queue_name: str,
        count: int,
        wait_seconds_timeout: int,
        visibility_timeout: int,
        message_attribute_names: list[str] | None = None,
    ) -> list[Message]:
        queue = self.get_queue(queue_name)
        deadline = time.monotonic() + wait_seconds_timeout
        while True:
            found: list[Message] = original(self, queue_name, count, 0, visibility_timeout, message_attribute_names)
            left = deadline - time.monotonic()
            if found or left <= 0:
                return found
            queue.wait_for_messages(min(1, left))

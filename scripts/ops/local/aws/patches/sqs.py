"""SQS: what a change of a queue leaves alone, and what time takes from it."""

from __future__ import annotations

import time
from typing import Any

from moto.sqs.models import Queue, SQSBackend

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

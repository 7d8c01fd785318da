"""SQS: what a change of a queue leaves alone."""

from __future__ import annotations

from typing import Any

from moto.sqs.models import Queue

from ops.local.aws.patches.tools import around


def attributes_not_named_stay() -> None:
    """SetQueueAttributes changes what it names; moto takes the queue's policy away wherever it is not named."""

    @around(Queue, "_set_attributes")
    def set_attributes(original: Any, self: Any, attributes: dict[str, Any], now: float | None = None) -> None:
        named = "Policy" in attributes or not hasattr(self, "_policy_json")
        original(self, attributes if named else {**attributes, "Policy": self.policy}, now)

"""EventBridge rules: where their events go."""

from __future__ import annotations

import json
from typing import Any

from moto.events.models import Rule
from moto.sns.models import sns_backends

from ops.local.aws.patches.tools import around

# What moto delivers to by itself; what is in neither list is left to the plane, where moto would answer 500.
DELIVERED = ("logs", "events", "sqs")


def sns_targets() -> None:
    """A rule publishes to a topic, or starts a function or task; moto fails the whole PutEvents at one of these."""

    @around(Rule, "send_to_targets")
    def send_to_targets(original: Any, self: Any, event: Any, transform_input: bool = True) -> None:
        if not self.event_pattern.matches_event(event):
            return
        targets = self.targets
        try:
            self.targets = [target for target in targets if _service(target) in DELIVERED]
            original(self, event, transform_input)
        finally:
            self.targets = targets
        for target in targets:
            if _service(target) == "sns":
                topic = sns_backends[self.account_id][self.region_name]
                topic.publish(message=json.dumps(event, default=str), arn=target["Arn"])


def _service(target: dict[str, Any]) -> str:
    return str(target["Arn"].split(":")[2])

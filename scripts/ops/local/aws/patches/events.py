"""EventBridge rules: where their events go."""

from __future__ import annotations

import copy
import json
import threading
from collections import deque
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from moto.core.exceptions import ServiceException
from moto.events.models import Rule
from moto.sns.models import sns_backends
from werkzeug.exceptions import HTTPException

from ops.local.aws.patches.tools import around

# What moto delivers to by itself; everything else but topics waits for the plane.
DELIVERED = ("logs", "events", "sqs")
WAITING = 10_000  # the newest


class Deliveries:
    """What rules have for functions, tasks and the like, until somebody who can start those fetches it."""

    def __init__(self) -> None:
        self._waiting: deque[dict[str, Any]] = deque(maxlen=WAITING)
        self._lock = threading.Lock()

    def add(self, rule: Any, target: dict[str, Any], event: Any) -> None:
        """One more, in the order in which they came."""
        with self._lock:
            self._waiting.append(
                {"rule_arn": rule.arn, "target": copy.deepcopy(target), "event": _as_aws_writes_it(event)}
            )

    def take(self) -> list[dict[str, Any]]:
        """All that wait; they are forgotten here."""
        with self._lock:
            taken = list(self._waiting)
            self._waiting.clear()
            return taken


DELIVERIES = Deliveries()


def targets_that_moto_lacks() -> None:
    """A rule publishes to a topic, or starts a function or task, and a target that is gone harms no other.

    moto fails the whole PutEvents at one of these; to the rest it hands each event through a template, without its
    account, and parses that anew each time.
    """

    @around(Rule, "send_to_targets")
    def send_to_targets(original: Any, self: Any, event: Any, transform_input: bool = True) -> None:
        if not self.event_pattern.matches_event(event):
            return
        for target in list(self.targets):
            if _service(target) in DELIVERED:
                alone = copy.copy(self)
                alone.targets = [target]
                with suppress(ServiceException, HTTPException):  # AWS counts it under FailedInvocations
                    original(alone, _for(target, event), transform_input and "InputTransformer" in target)
            elif _service(target) == "sns":
                topic = sns_backends[self.account_id][self.region_name]
                with suppress(ServiceException, HTTPException):
                    topic.publish(message=json.dumps(_as_aws_writes_it(event)), arn=target["Arn"])
            else:
                DELIVERIES.add(self, target, event)


def rules_match_what_they_ask_for() -> None:
    """A rule that is disabled, or has a schedule and no pattern, matches no event; moto's match all."""

    @around(Rule, "send_to_targets")
    def send_to_targets(original: Any, self: Any, event: Any, transform_input: bool = True) -> None:
        if self.state != "DISABLED" and self.event_pattern.get_pattern():
            original(self, event, transform_input)


def _for(target: dict[str, Any], event: Any) -> Any:
    """A copy; `ingestion-time` is for archives and templates only."""
    kept = _service(target) == "events" or "InputTransformer" in target
    return {key: value for key, value in copy.deepcopy(event).items() if kept or key != "ingestion-time"}


def _service(target: dict[str, Any]) -> str:
    return str(target["Arn"].split(":")[2])


def _as_aws_writes_it(event: Any) -> dict[str, Any]:
    """The event with its time in words, and without what only moto's archives need."""
    written = {key: value for key, value in copy.deepcopy(event).items() if key != "ingestion-time"}
    if isinstance(written.get("time"), int | float):
        written["time"] = datetime.fromtimestamp(written["time"], UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return written

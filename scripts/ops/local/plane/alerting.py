"""CloudWatch's alarms over what is deployed: evaluated each minute, their states kept, their actions published."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from ops.local.alarms.actions import Notification, Transition
from ops.local.alarms.book import AlarmBook
from ops.local.alarms.definition import AlarmInvalid, State
from ops.local.plane.deployed import Deployed
from ops.local.plane.permissions import Denied, Permissions
from ops.local.plane.recorder import Recorder

CLOUDWATCH = "cloudwatch.amazonaws.com"
AWS_OWNED_KEY = "alias/aws/sns"


class Alerting:
    """The account's alarms. What an alarm could not tell its topic is kept in `undelivered`."""

    def __init__(self, deployed: Deployed, permissions: Permissions, recorder: Recorder) -> None:
        self.deployed, self.permissions, self.recorder = deployed, permissions, recorder
        self.book = AlarmBook()
        self.undelivered: list[tuple[datetime, str, str]] = []
        self._loaded: Any = None
        self._told: dict[str, str] = {}

    def tick(self, at: datetime) -> list[Transition]:
        """Evaluates what is deployed now; publishes what changed."""
        self._load()
        changed = self.book.tick(at, self.recorder.metrics)
        for transition in changed:
            self._keep_state(transition)
            for notification in transition.notifications:
                self._publish(notification, at)
        return changed

    def _load(self) -> None:
        found = self.deployed.alarms()
        if found is not self._loaded:
            self._take_set_states(found)
            self.book.load(found)
            self._loaded = found

    def _take_set_states(self, found: Any) -> None:
        """SetAlarmState by somebody else: holds until the alarm's next evaluation, as on AWS."""
        for described in [*found["MetricAlarms"], *found["CompositeAlarms"]]:
            name, state = described["AlarmName"], described.get("StateValue", "INSUFFICIENT_DATA")
            standing = self.book.standings.get(name)
            if standing and self._told.get(name) not in (None, state):
                standing.state = State(state)
                self._told[name] = state

    def _keep_state(self, transition: Transition) -> None:
        name = transition.alarm.name
        self._told[name] = str(transition.new)
        self.recorder.later(
            self.deployed.client("cloudwatch").set_alarm_state,
            AlarmName=name,
            StateValue=str(transition.new),
            StateReason=transition.reason[:1023],
            StateReasonData=json.dumps(transition.reason_data)[:4000],
        )

    def _publish(self, notification: Notification, at: datetime) -> None:
        """To the topic, if it exists and its policy and key let CloudWatch; only confirmed subscribers hear of it."""
        topic = notification.target_arn
        problem = self._may_not(topic)
        if problem:
            self.undelivered.append((at, notification.subject, problem))
            return
        self.recorder.later(
            self.deployed.client("sns").publish,
            TopicArn=topic,
            Subject=notification.subject,
            Message=json.dumps(notification.message),
        )

    def _may_not(self, topic: str) -> str | None:
        if ":sns:" not in topic:
            return f"{topic}: only SNS topics are told here"
        found = self.deployed.topic_policy(topic)
        if found is None:
            return f"{topic}: no such topic"
        policy, key_id = found
        denied = self.permissions.service_may(CLOUDWATCH, "sns:Publish", topic, policy)
        if denied:
            return denied.message
        if not key_id or key_id == AWS_OWNED_KEY:
            return None
        return self._may_not_encrypt(key_id)

    def _may_not_encrypt(self, key_id: str) -> str | None:
        key = self.deployed.key(key_id)
        if key is None or not key.enabled:
            return f"the topic's key {key_id} is not there or disabled"
        for action in ("kms:GenerateDataKey", "kms:Decrypt"):
            denied: Denied | None = self.permissions.service_may(CLOUDWATCH, action, key.arn, key.policy)
            if denied:
                return denied.message
        return None


__all__ = ["AlarmInvalid", "Alerting"]

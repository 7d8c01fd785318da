"""Who fires in a minute, and what becomes of each invocation: attempts, retries, dead letters, the scheduler's metrics.

Sources: EventBridge Scheduler user guide, "Monitoring with CloudWatch metrics" and "Configuring a dead-letter queue";
EventBridge user guide, "Monitoring Amazon EventBridge" and "Event retry policy and using dead-letter queues".
"""

from __future__ import annotations

import hashlib
import heapq
import json
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import count
from typing import Any

from ops.local.plane.deployed import Deployed
from ops.local.plane.invocation import Invocation, Refusal
from ops.local.plane.permissions import Denied, Permissions
from ops.local.plane.recorder import Recorder
from ops.local.schedules import (
    DeadLetter,
    Exhausted,
    Retry,
    Rule,
    Schedule,
    Target,
    after_failure,
    execution_id,
    fires_between,
    next_fire,
    rule_dead_letter,
    rule_input,
    schedule_dead_letter,
    schedule_input,
    scheduled_event,
)
from ops.local.schedules.inputs import aws_time

MINUTE = timedelta(minutes=1)
SCHEDULER, EVENTS = "scheduler.amazonaws.com", "events.amazonaws.com"


@dataclass(frozen=True, kw_only=True)
class Call:
    """One invocation on its way to a target: what fired, for which time, with what, and how often it was tried."""

    by: Schedule | Rule
    target: Target
    fired_at: datetime
    execution_id: str
    event: Mapping[str, Any] = field(default_factory=dict)
    retries: int = 0

    @property
    def payload(self) -> str:
        """What the target is sent."""
        if isinstance(self.by, Schedule):
            found = schedule_input(self.by, self.fired_at, execution_id=self.execution_id, attempt=self.retries + 1)
            return found or ""
        return rule_input(self.by, self.target, self.event)

    @property
    def service(self) -> str:
        """The AWS service that makes the call."""
        return SCHEDULER if isinstance(self.by, Schedule) else EVENTS

    @property
    def source_arn(self) -> str:
        """What that service says as aws:SourceArn: a schedule's group, a rule itself."""
        return self.by.group_arn if isinstance(self.by, Schedule) else self.by.arn


Deliver = Callable[[Call], "Refusal | None"]


class Triggers:
    """EventBridge Scheduler and EventBridge rules. `deliver` invokes a target and returns its refusal, or None."""

    def __init__(
        self, deployed: Deployed, permissions: Permissions, recorder: Recorder, deliver: Deliver, *, seed: int
    ) -> None:
        self.deployed, self.permissions, self.recorder, self.deliver = deployed, permissions, recorder, deliver
        self.seed = seed
        self._pending: list[tuple[datetime, int, Call]] = []
        self._numbers = count()
        self._duplicates: dict[str, int] = {}

    def duplicate(self, name: str, times: int = 1) -> None:
        """Delivers the next invocation of a schedule or rule `times` times more: AWS promises at least one."""
        self._duplicates[name] = self._duplicates.get(name, 0) + times

    def tick(self, at: datetime) -> list[Invocation]:
        """Everything that fires in [at, at + 1 min), the retries due by then included."""
        for call in self._calls(at):
            heapq.heappush(self._pending, (at, next(self._numbers), call))
        made = []
        while self._pending and self._pending[0][0] < at + MINUTE:
            due, _, call = heapq.heappop(self._pending)
            made.append(self._attempt(call, max(due, at)))
        self._delete_completed(at)
        return made

    def _delete_completed(self, at: datetime) -> None:
        """A schedule that asks for it is deleted after its last invocation, which its retries belong to."""
        going = {call.by.arn for _, _, call in self._pending}
        for schedule in self.deployed.schedules():
            if schedule.action_after_completion != "DELETE" or schedule.arn in going:
                continue
            over = at - timedelta(minutes=max(0, schedule.window.minutes - 1))
            if next_fire(schedule, over) is None:
                scheduler = self.deployed.client("scheduler")
                with suppress(scheduler.exceptions.ResourceNotFoundException):
                    scheduler.delete_schedule(Name=schedule.name, GroupName=schedule.group)

    def _calls(self, at: datetime) -> list[Call]:
        """This minute's invocations in an order drawn from their names: AWS promises the minute, not the order."""
        found = [*self._of_schedules(at), *self._of_rules(at), *self._of_events(at)]
        return sorted(found, key=lambda call: _lot(self.seed, call.by.arn, at))

    def _of_schedules(self, at: datetime) -> Iterator[Call]:
        for schedule in self.deployed.schedules():
            for fire in self._fires(schedule, at):
                identity = execution_id(self.seed, schedule.arn, fire)
                for _ in range(1 + self._duplicates.pop(schedule.name, 0)):
                    yield Call(by=schedule, target=schedule.target, fired_at=fire, execution_id=identity)

    def _fires(self, schedule: Schedule, at: datetime) -> list[datetime]:
        """The scheduled times that are invoked in this minute: those of a flexible window are spread over it."""
        reach = schedule.window.minutes
        if not reach:
            return fires_between(schedule, at, at + MINUTE)
        earlier = fires_between(schedule, at - timedelta(minutes=reach), at + MINUTE)
        return [fire for fire in earlier if fire + self._delay(schedule, fire) == at]

    def _delay(self, schedule: Schedule, fire: datetime) -> timedelta:
        lot = random.Random(f"{self.seed} {schedule.arn} {fire}")
        return timedelta(minutes=lot.randrange(schedule.window.minutes))

    def _of_rules(self, at: datetime) -> Iterator[Call]:
        for rule in self.deployed.rules():
            for fire in fires_between(rule, at, at + MINUTE):
                event = scheduled_event(rule, fire, event_id=execution_id(self.seed, rule.arn, fire))
                for _ in range(1 + self._duplicates.pop(rule.name, 0)):
                    yield from self._to_targets(rule, event, fire)

    def _of_events(self, at: datetime) -> Iterator[Call]:
        """What rules with a pattern matched since; the emulator keeps what it cannot deliver itself."""
        rules = {rule.arn: rule for rule in self.deployed.rules()}
        for found in self.deployed.aws.deliveries():
            rule = rules.get(found["rule_arn"])
            if rule and rule.enabled:
                targets = [target for target in rule.targets if target.id == found["target"]["Id"]]
                for target in targets:
                    yield self._to_target(rule, target, found["event"], at)

    def _to_targets(self, rule: Rule, event: Mapping[str, Any], fire: datetime) -> Iterator[Call]:
        for target in rule.targets:
            yield self._to_target(rule, target, event, fire)

    def _to_target(self, rule: Rule, target: Target, event: Mapping[str, Any], fire: datetime) -> Call:
        identity = execution_id(self.seed, rule.arn, target.id, event.get("id", fire))
        return Call(by=rule, target=target, fired_at=fire, execution_id=identity, event=event)

    # ── attempts ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _attempt(self, call: Call, at: datetime) -> Invocation:
        self._count(call, at, "InvocationAttemptCount" if isinstance(call.by, Schedule) else "Invocations")
        refusal = self.deliver(call)
        if refusal is None:
            return _row(call, at, "started")
        self._count(call, at, "TargetErrorCount" if isinstance(call.by, Schedule) else "FailedInvocations")
        step = after_failure(
            call.target.retry,
            fired_at=call.fired_at,
            failed_at=at,
            retries_made=call.retries,
            retryable=refusal.retryable,
            jitter=random.Random(f"{self.seed} {call.execution_id} {call.retries}").random(),
        )
        if isinstance(step, Retry):
            heapq.heappush(self._pending, (step.at, next(self._numbers), replace(call, retries=step.number)))
            return _row(call, at, "failed", refusal)
        return self._give_up(call, at, refusal, step)

    def _give_up(self, call: Call, at: datetime, refusal: Refusal, step: Exhausted) -> Invocation:
        """To the dead-letter queue where there is one that takes it."""
        queue = call.target.dead_letter_arn
        if not queue:
            self._count(call, at, "InvocationDroppedCount")
            return _row(call, at, "dropped", refusal)
        problem = self._send(call, queue, _dead_letter(call, refusal, step))
        if problem:
            self._count(call, at, "InvocationsFailedToBeSentToDeadLetterCount", "InvocationsFailedToBeSentToDLQ")
            self._count(call, at, f"InvocationsFailedToBeSentToDeadLetterCount_{problem.code}")
            return _row(call, at, "dropped", refusal)
        self._count(call, at, "InvocationsSentToDeadLetterCount", "InvocationsSentToDLQ")
        return _row(call, at, "dead_letter", refusal)

    def _send(self, call: Call, queue: str, letter: DeadLetter) -> Denied | None:
        found = self.deployed.queue_policy(queue)
        if found is None:
            return Denied(code="QueueDoesNotExist", message=f"The specified queue does not exist: {queue}")
        denied = self._may_send(call, queue, found[1])
        if denied:
            return denied
        self.recorder.later(
            self.deployed.client("sqs").send_message,
            QueueUrl=found[0],
            MessageBody=letter.body,
            MessageAttributes=dict(letter.attributes),
        )
        return None

    def _may_send(self, call: Call, queue: str, policy: Any) -> Denied | None:
        """A schedule sends in its role's name; a rule as the service, by the queue's own policy."""
        if isinstance(call.by, Rule):
            return self.permissions.service_may(EVENTS, "sqs:SendMessage", queue, policy)
        role = self.permissions.assume(call.target.role_arn, SCHEDULER, call.source_arn)
        if isinstance(role, Denied):
            return role
        return self.permissions.may(role, "sqs:SendMessage", queue, resource_policy=policy, session="scheduler")

    def _count(self, call: Call, at: datetime, name: str, rule_name: str = "") -> None:
        if isinstance(call.by, Schedule):
            self.recorder.count("AWS/Scheduler", name, {"ScheduleGroup": call.by.group}, at)
        elif rule_name or name in ("Invocations", "FailedInvocations"):
            self.recorder.count("AWS/Events", rule_name or name, {"RuleName": call.by.name}, at)


def _lot(seed: int, arn: str, at: datetime) -> str:
    return hashlib.sha256(f"{seed} {arn} {at.isoformat()}".encode()).hexdigest()


def _row(call: Call, at: datetime, result: Any, refusal: Refusal | None = None) -> Invocation:
    return Invocation(
        at=at,
        trigger=call.by.arn,
        name=call.by.name,
        attempt=call.retries + 1,
        result=result,
        execution_id=call.execution_id,
        error_code=refusal.code if refusal else "",
        error_message=refusal.message if refusal else "",
    )


def _dead_letter(call: Call, refusal: Refusal, step: Exhausted) -> DeadLetter:
    if isinstance(call.by, Rule):
        return rule_dead_letter(
            call.by,
            call.target,
            step,
            event=dict(call.event),
            error_code=refusal.code,
            error_message=refusal.message,
        )
    return schedule_dead_letter(
        call.by,
        step,
        payload=call.payload,
        scheduled_time=aws_time(call.fired_at),
        execution_id=call.execution_id,
        error_code=refusal.code,
        error_message=refusal.message,
    )


def overrides_of(payload: str) -> dict[str, Any]:
    """The overrides that a payload for ECS holds; none where it is something else (a rule's whole event, say)."""
    try:
        found = json.loads(payload) if payload else {}
    except ValueError:
        return {}
    known = ("containerOverrides", "cpu", "memory", "taskRoleArn", "executionRoleArn", "ephemeralStorage")
    return {key: value for key, value in found.items() if key in known} if isinstance(found, dict) else {}

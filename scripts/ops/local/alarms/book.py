"""All alarms and their states over time: one call per tick, out come the changes and what each of them sends."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from ops.local.alarms import composite
from ops.local.alarms.actions import ChildState, Transition, child_reason
from ops.local.alarms.composite import Rule
from ops.local.alarms.definition import CompositeAlarm, MetricAlarm, State, load
from ops.local.alarms.evaluate import BIRTH, EXTRA_PERIODS, compile_alarm, evaluate, stamp
from ops.local.alarms.series import MetricStore


@dataclass(slots=True)
class Standing:
    """Where an alarm stands. `slot` is the minute (or ten seconds) in which it was evaluated last."""

    state: State = State.INSUFFICIENT_DATA
    reason: str = BIRTH
    reason_data: dict[str, Any] = field(default_factory=dict)
    since: datetime | None = None
    slot: int | None = None
    # A composite alarm whose actions wait for its suppressor: why, and until when (None: as long as it is in ALARM).
    suppressed_by: str | None = None
    suppressed_until: datetime | None = None
    suppressor_left_at: datetime | None = None
    suppressor_was_in_alarm: bool = False


class AlarmBook:
    """The deployed alarms. `load` may be called again whenever they may have changed; states survive it, as on AWS."""

    def __init__(self, *, extra_periods: int = EXTRA_PERIODS) -> None:
        self.extra_periods = extra_periods
        self.metric_alarms: dict[str, MetricAlarm] = {}
        self.composite_alarms: dict[str, CompositeAlarm] = {}
        self.standings: dict[str, Standing] = {}
        self._rules: dict[str, Rule] = {}
        self._order: list[str] = []

    def load(self, response: Mapping[str, Any]) -> None:
        """Takes a whole DescribeAlarms response (all pages). A new alarm begins in INSUFFICIENT_DATA.

        Raises AlarmInvalid or RuleInvalid, and then changes nothing.
        """
        alarms = load(response)
        metric_alarms = {alarm.name: alarm for alarm in alarms if isinstance(alarm, MetricAlarm)}
        composite_alarms = {alarm.name: alarm for alarm in alarms if isinstance(alarm, CompositeAlarm)}
        for alarm in metric_alarms.values():
            if self.metric_alarms.get(alarm.name) != alarm:
                compile_alarm(alarm)
        rules = {alarm.name: composite.parse(alarm.rule) for alarm in composite_alarms.values()}
        self.metric_alarms, self.composite_alarms, self._rules = metric_alarms, composite_alarms, rules
        self._order = evaluation_order(rules)
        self.standings = {alarm.name: self.standings.get(alarm.name, Standing()) for alarm in alarms}

    def state(self, name: str) -> State:
        """The state of one alarm; KeyError where there is none of that name."""
        return self.standings[name].state

    @property
    def states(self) -> dict[str, State]:
        """The state of every alarm."""
        return {name: standing.state for name, standing in self.standings.items()}

    def tick(self, now: datetime, metrics: MetricStore) -> list[Transition]:
        """Evaluates what is due at `now` (aware): metric alarms once a minute, or ten seconds, then composite alarms.

        Call it at least once a minute of virtual time; minutes that are jumped over are not evaluated.
        """
        epoch = int(now.timestamp())
        changed: list[Transition] = []
        for name, alarm in self.metric_alarms.items():
            standing = self.standings[name]
            slot = epoch // alarm.resolution_seconds
            if standing.slot != slot:
                standing.slot = slot
                verdict = evaluate(alarm, metrics, now, standing.state, self.extra_periods)
                if verdict.state is not standing.state:
                    changed.append(self._enter(name, verdict.state, verdict.reason, verdict.reason_data, now))
        changed += self._tick_composites(now)
        return changed

    def set_state(self, name: str, state: State, reason: str, now: datetime) -> list[Transition]:
        """SetAlarmState: holds until the alarm's next evaluation. Composite alarms follow at once."""
        if self.standings[name].state is state:
            return []
        return [self._enter(name, state, reason, {}, now), *self._tick_composites(now)]

    def _enter(
        self,
        name: str,
        state: State,
        reason: str,
        reason_data: dict[str, Any],
        now: datetime,
        children: tuple[ChildState, ...] = (),
    ) -> Transition:
        """Changes an alarm's state."""
        standing = self.standings[name]
        old = standing.state
        standing.state, standing.reason, standing.reason_data, standing.since = state, reason, reason_data, now
        alarm = self.metric_alarms.get(name) or self.composite_alarms[name]
        if isinstance(alarm, CompositeAlarm) and alarm.suppressor:
            self._suppress(alarm, standing, now)
        return Transition(
            alarm=alarm,
            at=now,
            old=old,
            new=state,
            reason=reason,
            reason_data=reason_data,
            suppressed_by=standing.suppressed_by,
            children=children,
        )

    # --- composite alarms ---------------------------------------------------------------------------------------------

    def _tick_composites(self, now: datetime) -> list[Transition]:
        """Composite alarms, children before parents; those in a cycle are not evaluated, as on AWS."""
        states = self.states
        changed: list[Transition] = []
        for name in self._order:
            rule = self._rules[name]
            state = State.ALARM if rule.holds(states) else State.OK
            if state is not self.standings[name].state:
                children = self._triggering(rule)
                reason = "; ".join(child_reason(child) for child in children[:1]) or f"{name} is {state}: {rule.text}"
                data = {
                    "triggeringAlarms": [
                        {"arn": child.arn, "state": {"value": str(child.state), "timestamp": stamp(child.at)}}
                        for child in children
                    ]
                }
                changed.append(self._enter(name, state, reason, data, now, children))
                states[name] = state
            elif self.composite_alarms[name].suppressor:
                changed += self._release(self.composite_alarms[name], now)
        return changed

    def _triggering(self, rule: Rule) -> tuple[ChildState, ...]:
        """The child that changed last; it is what made the composite alarm change."""
        found = [
            ChildState(
                arn=(self.metric_alarms.get(child.name) or self.composite_alarms[child.name]).arn,
                state=self.standings[child.name].state,
                at=since,
            )
            for child in rule.children
            if child.name in self.standings and (since := self.standings[child.name].since)
        ]
        return tuple(sorted(found, key=lambda child: child.at, reverse=True)[:1])

    def _suppress(self, alarm: CompositeAlarm, standing: Standing, now: datetime) -> None:
        """Why the actions of the change just made must wait, if they must."""
        self._watch_suppressor(alarm, standing, now)
        left = standing.suppressor_left_at
        extended_until = left + timedelta(seconds=alarm.extension_seconds) if left else None
        standing.suppressed_by, standing.suppressed_until = None, None
        if standing.suppressor_was_in_alarm:
            standing.suppressed_by = "Alarm"
        elif extended_until and now < extended_until:
            standing.suppressed_by, standing.suppressed_until = "ExtensionPeriod", extended_until
        elif standing.state is State.ALARM and alarm.wait_seconds:
            standing.suppressed_by = "WaitPeriod"
            standing.suppressed_until = now + timedelta(seconds=alarm.wait_seconds)

    def _release(self, alarm: CompositeAlarm, now: datetime) -> Iterable[Transition]:
        """The actions of an earlier change, once nothing suppresses them any more."""
        standing = self.standings[alarm.name]
        self._watch_suppressor(alarm, standing, now)
        if standing.suppressed_by is None:
            return
        if standing.suppressor_was_in_alarm:
            standing.suppressed_by, standing.suppressed_until = "Alarm", None
            return
        if standing.suppressed_by == "Alarm" and standing.suppressor_left_at:
            standing.suppressed_by = "ExtensionPeriod"
            standing.suppressed_until = standing.suppressor_left_at + timedelta(seconds=alarm.extension_seconds)
        if standing.suppressed_until and now >= standing.suppressed_until:
            standing.suppressed_by, standing.suppressed_until = None, None
            state = standing.state
            yield Transition(
                alarm=alarm, at=now, old=state, new=state, reason=standing.reason, reason_data=standing.reason_data
            )

    def _watch_suppressor(self, alarm: CompositeAlarm, standing: Standing, now: datetime) -> None:
        """Notes when the suppressor leaves ALARM."""
        suppressor = self.standings.get(composite.alarm_name(alarm.suppressor or ""))
        in_alarm = suppressor is not None and suppressor.state is State.ALARM
        if standing.suppressor_was_in_alarm and not in_alarm:
            standing.suppressor_left_at = now
        standing.suppressor_was_in_alarm = in_alarm


def evaluation_order(rules: Mapping[str, Rule]) -> list[str]:
    """Composite alarms, children before parents; without those that hang on a cycle."""
    waiting = {name: {child.name for child in rule.children} & rules.keys() for name, rule in rules.items()}
    order: list[str] = []
    while ready := [name for name, children in waiting.items() if children <= set(order)]:
        order += ready
        for name in ready:
            del waiting[name]
    return order

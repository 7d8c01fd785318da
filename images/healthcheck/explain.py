"""Since when, and by whom: the change in CloudTrail's history that a finding goes back to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from healthcheck.aws import trail
from healthcheck.aws.trail import Event, Trail
from healthcheck.finding import Finding

_TARGETS = (*trail.SCHEDULES, "PutTargets")
# Code → the changes that could have made it, by name. Codes that no change on AWS makes are not there.
CHANGES: Mapping[str, tuple[str, ...]] = {
    "schedule_missing": ("DeleteSchedule", "DeleteScheduleGroup"),
    "schedule_disabled": ("UpdateSchedule",),
    "schedule_wrong_rate": ("UpdateSchedule", "CreateSchedule"),
    "schedule_window": ("UpdateSchedule", "CreateSchedule"),
    "schedule_extra": ("CreateSchedule", "UpdateSchedule"),
    "trigger_duplicate": ("PutRule", "PutTargets", "EnableRule", "CreateSchedule"),
    "target_cluster": (*_TARGETS, "DeleteCluster"),
    "target_task_definition": (*_TARGETS, "DeregisterTaskDefinition"),
    "target_revision_stale": (*_TARGETS, "RegisterTaskDefinition"),
    "target_network": (*_TARGETS, "DeleteSubnet", "DeleteSecurityGroup"),
    "role_missing": ("DeleteRole", "UpdateSchedule"),
    "role_trust": ("UpdateAssumeRolePolicy", "CreateRole"),
    "role_run_task": trail.ROLES,
    "role_pass_role": trail.ROLES,
    "image_missing": trail.IMAGES,
    "image_stale": ("RegisterTaskDefinition", *trail.FUNCTIONS),
    "parameter_missing": trail.PARAMETERS,
    "parameter_denied": (*trail.ROLES, *trail.KEYS),
    "parameter_unread": ("PutParameter",),
    "task_network": trail.NETWORK,
    "alarm_missing": ("DeleteAlarms",),
    "alarm_no_action": ("PutMetricAlarm", "PutCompositeAlarm", "DeleteTopic"),
    "alarm_disabled": ("DisableAlarmActions", "PutMetricAlarm", "PutCompositeAlarm"),
    "subscription_unconfirmed": trail.TOPICS,
}
# Whatever of the network was changed is about a part whose name the finding does not know.
ANYWHERE = ("task_network",)


def wanted(findings: Iterable[Finding]) -> tuple[str, ...]:
    """The names of events worth a look for these findings; none for what is no matter of AWS."""
    return tuple(dict.fromkeys(name for each in findings for name in CHANGES.get(each.code, ())))


def explained(findings: Sequence[Finding], history: Trail) -> tuple[Finding, ...]:
    """The findings, each with the newest change that it may go back to."""
    return tuple(_explained(each, history) for each in findings)


def _explained(finding: Finding, history: Trail) -> Finding:
    event = _change(finding, history)
    if event is None:
        return finding
    changed = {"event": event.name, "by": event.by, "at": event.at}
    return replace(finding, since=event.at, evidence={**finding.evidence, "changed_by": changed})


def _change(finding: Finding, history: Trail) -> Event | None:
    """The newest change of a kind that fits and about a thing that the finding names."""
    events = history.of(CHANGES.get(finding.code, ()))
    if finding.code in ANYWHERE:
        return next(iter(events), None)
    things = {finding.subject, *_texts(finding.evidence)}
    return next((event for event in events if any(event.concerns(thing) for thing in things)), None)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _texts(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _texts(each)

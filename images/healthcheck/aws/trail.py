"""Who changed what when, within the last day: CloudTrail's history, asked by name of event.

CloudTrail answers two calls a second and knows one condition a call, and a day holds thousands of RunTask. So events
are asked for by name, and only by those that could explain something.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from healthcheck.aws.clients import Clients

WINDOW = timedelta(hours=24)
# The services without a region are told of there alone.
GLOBAL_REGION = "us-east-1"
PAGE = 50
SCHEDULES = ("CreateSchedule", "UpdateSchedule", "DeleteSchedule", "DeleteScheduleGroup")
RULES = ("PutRule", "PutTargets", "RemoveTargets", "DeleteRule", "DisableRule", "EnableRule")
ROLES = (
    "UpdateAssumeRolePolicy",
    "PutRolePolicy",
    "DeleteRolePolicy",
    "AttachRolePolicy",
    "DetachRolePolicy",
    "PutRolePermissionsBoundary",
    "CreateRole",
    "DeleteRole",
)
DEFINITIONS = ("RegisterTaskDefinition", "DeregisterTaskDefinition", "DeleteCluster", "CreateCluster")
# CloudTrail adds the API's version to some of Lambda's names.
FUNCTIONS = (
    "UpdateFunctionCode",
    "UpdateFunctionCode20150331v2",
    "UpdateFunctionConfiguration",
    "UpdateFunctionConfiguration20150331v2",
    "DeleteFunction20150331",
)
IMAGES = ("PutImage", "BatchDeleteImage")
PARAMETERS = ("PutParameter", "DeleteParameter", "DeleteParameters")
KEYS = ("DisableKey", "EnableKey", "ScheduleKeyDeletion", "PutKeyPolicy")
NETWORK = (
    "RevokeSecurityGroupEgress",
    "AuthorizeSecurityGroupEgress",
    "RevokeSecurityGroupIngress",
    "DeleteSecurityGroup",
    "DeleteRoute",
    "ReplaceRoute",
    "CreateRoute",
    "DeleteSubnet",
    "DeleteNatGateway",
    "DetachInternetGateway",
    "DisassociateRouteTable",
    "ReplaceRouteTableAssociation",
    "DeleteVpcEndpoints",
)
ALARMS = ("PutMetricAlarm", "PutCompositeAlarm", "DeleteAlarms", "DisableAlarmActions", "EnableAlarmActions")
TOPICS = ("Subscribe", "Unsubscribe", "DeleteTopic", "SetTopicAttributes")
EVERY = (
    *SCHEDULES,
    *RULES,
    *ROLES,
    *DEFINITIONS,
    *FUNCTIONS,
    *IMAGES,
    *PARAMETERS,
    *KEYS,
    *NETWORK,
    *ALARMS,
    *TOPICS,
)


@dataclass(frozen=True, kw_only=True)
class Event:
    """A change. `parameters` is what was asked, as CloudTrail keeps it (no secret in it); `error` where it failed."""

    name: str
    at: datetime
    by: str
    source: str
    resources: tuple[str, ...]
    parameters: Mapping[str, Any]
    error: str

    def concerns(self, name: str) -> bool:
        """Whether it was about the thing of that name, id or ARN."""
        short = name.rsplit("/", 1)[-1]
        return any(each in (name, short) or each.rsplit("/", 1)[-1] == short for each in self.resources)


@dataclass(frozen=True, kw_only=True)
class Trail:
    """Newest first. `asked` are the names that were looked up: of others nothing is known."""

    events: tuple[Event, ...]
    asked: frozenset[str]

    def of(self, names: Iterable[str], about: str | None = None) -> tuple[Event, ...]:
        """The successful changes of these names, about a thing or about any."""
        wanted = frozenset(names)
        return tuple(
            each
            for each in self.events
            if each.name in wanted and not each.error and (about is None or each.concerns(about))
        )


def read(clients: Clients, now: datetime, names: Iterable[str] = EVERY) -> Trail:
    """The newest page of each name; IAM's in the region that tells of it."""
    wanted = tuple(dict.fromkeys(names))

    def ask(name: str) -> list[Mapping[str, Any]]:
        client = clients("cloudtrail", GLOBAL_REGION if name in ROLES else None)
        answer = client.lookup_events(
            LookupAttributes=[{"AttributeKey": "EventName", "AttributeValue": name}],
            StartTime=now - WINDOW,
            EndTime=now,
            MaxResults=PAGE,
        )
        found: list[Mapping[str, Any]] = answer["Events"]
        return found

    events = [_event(each) for answer in clients.each(ask, wanted) for each in answer]
    return Trail(events=tuple(sorted(events, key=lambda each: each.at, reverse=True)), asked=frozenset(wanted))


def _event(described: Mapping[str, Any]) -> Event:
    try:
        record = json.loads(described.get("CloudTrailEvent") or "{}")
    except ValueError:
        record = {}
    return Event(
        name=described["EventName"],
        at=described["EventTime"].astimezone(UTC),
        by=described.get("Username") or (record.get("userIdentity") or {}).get("arn", ""),
        source=described.get("EventSource", ""),
        resources=tuple(each.get("ResourceName", "") for each in described.get("Resources") or ()),
        parameters=record.get("requestParameters") or {},
        error=record.get("errorCode", ""),
    )

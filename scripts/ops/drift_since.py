"""Since when a finding holds, and who made it so, where CloudTrail knows."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from ops.drift_finding import PENDING, Finding

# CloudTrail answers two lookups a second, and drift seldom has more causes than this.
LOOKUPS = 20
OF_GLOBAL_SERVICES = re.compile(r"\baws_(iam|budgets)_|\barn:aws:(iam|budgets):")


def with_since(
    findings: Iterable[Finding], cloudtrail: Any, of_global_services: Any = None
) -> tuple[list[Finding], str | None]:
    """The findings, completed by the last change of each one's resource; and why not all could be, if so.

    `of_global_services` is CloudTrail of us-east-1, which alone has IAM's events. All of them hold 90 days.
    What code still waits for has no event, so it is not asked.
    """
    found = list(findings)
    events: dict[str, tuple[str | None, str | None]] = {}
    reason = None
    for name, is_global in _to_ask(found):
        if len(events) == LOOKUPS:
            reason = f"CloudTrail was asked about the first {LOOKUPS} resources only"
            break
        try:
            events[name] = _last_change((is_global and of_global_services) or cloudtrail, name)
        except (ClientError, BotoCoreError) as error:
            reason = f"CloudTrail could not be asked: {' '.join(str(error).split())}"
            break
    completed = []
    for finding in found:
        since, by = next((events[name] for name in _names(finding) if events.get(name, (None,))[0]), (None, None))
        completed.append(replace(finding, since=since, by=by))
    return completed, reason


def _to_ask(findings: list[Finding]) -> Iterator[tuple[str, bool]]:
    """The names to look up, each once, the worst findings' first, and whether CloudTrail has them in us-east-1."""
    asked = [finding for finding in findings if finding.kind != PENDING]
    names = {name: finding for finding in reversed(asked) for name in _names(finding)}
    for name in dict.fromkeys(name for finding in asked for name in _names(finding)):
        yield name, bool(OF_GLOBAL_SERVICES.search(f"{names[name].address} {names[name].resource}"))


def _names(finding: Finding) -> Iterator[str]:
    """What the resource may be called in an event: its name, as most services say it, and its ARN."""
    if not finding.resource.startswith("arn:"):
        yield from filter(None, (finding.resource,))
        return
    short = finding.resource.rsplit(":", 1)[-1]
    if short.startswith("parameter/"):
        yield short.removeprefix("parameter")
    else:
        yield short if short.startswith("/") else short.rsplit("/", 1)[-1]
    yield finding.resource


def _last_change(cloudtrail: Any, name: str) -> tuple[str | None, str | None]:
    """(time, user) of the newest event on a resource that changed something, both None without one."""
    wanted = [{"AttributeKey": "ResourceName", "AttributeValue": name}]
    for page in cloudtrail.get_paginator("lookup_events").paginate(
        LookupAttributes=wanted, PaginationConfig={"MaxItems": 50}
    ):
        for event in page["Events"]:  # the newest first
            if event.get("ReadOnly") != "true":
                return event["EventTime"].isoformat(timespec="seconds"), event.get("Username")
    return None, None

"""Since when, and by whom: what CloudTrail knows."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import boto3
from botocore.stub import ANY, Stubber

from ops.drift_finding import Finding
from ops.drift_since import with_since

EVENT = datetime(2026, 1, 26, 14, 31, tzinfo=UTC)


def finding(kind: str, resource: str) -> Finding:
    return Finding(
        kind=kind,
        address="aws_x.y",
        attribute="state",
        expected=1,
        actual=2,
        severity="critical",
        repair="make",
        resource=resource,
    )


def trail(*answers: list[dict[str, Any]]) -> tuple[Any, Stubber]:
    client = boto3.client("cloudtrail", region_name="us-west-2", aws_access_key_id="x", aws_secret_access_key="x")
    stub = Stubber(client)
    for events in answers:
        stub.add_response("lookup_events", {"Events": events}, {"LookupAttributes": ANY})
    stub.activate()
    return client, stub


def event(read_only: str, minute: int, user: str) -> dict[str, Any]:
    return {"ReadOnly": read_only, "EventTime": EVENT.replace(minute=minute), "Username": user, "EventName": "X"}


def test_the_newest_event_that_changed_something_tells_since_when_and_by_whom() -> None:
    client, _ = trail([event("true", 40, "auditor"), event("false", 31, "kim"), event("false", 2, "terraform")])
    (found,), reason = with_since([finding("changed", "ops-pipeline-x")], client)
    assert (found.since, found.by, reason) == ("2026-01-26T14:31:00+00:00", "kim", None)


def test_a_resource_that_cloudtrail_does_not_know_stays_unknown() -> None:
    client, _ = trail([], [])
    (found,), reason = with_since([finding("undeclared", "arn:aws:sns:us-west-2:1:topic")], client)
    assert (found.since, found.by, reason) == (None, None, None)


def test_code_that_waits_has_no_event_and_is_not_asked_about() -> None:
    client, stub = trail()
    (found,), _ = with_since([finding("pending", "x")], client)
    assert found.since is None
    stub.assert_no_pending_responses()


def test_a_trail_that_does_not_answer_costs_the_time_and_not_the_finding() -> None:
    client, stub = trail()
    stub.add_client_error("lookup_events", "AccessDeniedException", "no")
    (found,), reason = with_since([finding("changed", "x")], client)
    assert found.since is None
    assert "AccessDenied" in str(reason)

"""CloudTrail's event history: who changed what, and when."""

from __future__ import annotations

import json
import traceback
from typing import Any

from moto.cloudtrail.models import cloudtrail_backends
from moto.cloudtrail.responses import CloudTrailResponse
from moto.core.exceptions import JsonRESTError
from moto.core.responses import BaseResponse
from moto.events.models import events_backends
from moto.s3.responses import S3Response

from ops.local.aws.changes import CHANGES, is_change
from ops.local.aws.patches import trail
from ops.local.aws.patches.tools import around, kept, method_of

KEPT = 5_000  # the newest; AWS keeps 90 days
PAGE = 50
BUCKET_CHANGES = ("PUT", "DELETE")  # a POST to a bucket is about its objects
# What LookupEvents can ask for, and where an event has it.
ATTRIBUTES = ("EventId", "EventName", "ReadOnly", "Username", "EventSource", "AccessKeyId")
OF_RESOURCES = ("ResourceName", "ResourceType")


def changes_are_recorded() -> None:
    """Each management call that changes something is counted, and becomes an event of the history; moto keeps none.

    CloudTrail also hands it to the default bus, as `AWS API Call via CloudTrail`.
    """

    @around(BaseResponse, "call_action")
    def call_action(original: Any, self: BaseResponse) -> Any:
        answer = original(self)
        _noted(self, answer)
        return answer

    @around(S3Response, "bucket_response")
    def bucket_response(original: Any, self: Any, request: Any, *args: Any, **kwargs: Any) -> Any:
        answer = original(self, request, *args, **kwargs)
        if request.method in BUCKET_CHANGES:
            self.querystring.pop("Action", None)  # moto's own guess; the router knows AWS's names
            _noted(self, answer)
        return answer


def _noted(response: Any, answer: tuple[int, Any, Any]) -> None:
    """What the trail stumbles over fails no call: it was done, and an SDK that got 500 would do it again."""
    try:
        _note(response, answer)
    except Exception:  # noqa: BLE001 - whatever it is
        traceback.print_exc()  # into the server's log


def _note(response: Any, answer: tuple[int, Any, Any]) -> None:
    service, action = response.boto3_service_name, response._get_action()
    if not is_change(service, action, response.headers.get("User-Agent", "")):
        return
    CHANGES.add(service)
    record = trail.record(response, service, action, answer)
    account, region = record["recipientAccountId"], record["awsRegion"]
    events = history(account, region)
    events.append(trail.event(record, service))
    del events[:-KEPT]
    events_backends[account][region].put_events([_announcement(record)])


def history(account: str, region: str) -> list[dict[str, Any]]:
    """The events of one region, the oldest first; they live in moto's backend, and so in its snapshot."""
    found: list[dict[str, Any]] = kept(cloudtrail_backends[account][region], "history").setdefault("events", [])
    return found


def _announcement(record: dict[str, Any]) -> dict[str, Any]:
    return {
        "Source": f"aws.{record['eventSource'].removesuffix('.amazonaws.com')}",
        "DetailType": "AWS API Call via CloudTrail",
        "Detail": json.dumps(record, default=str),
        "Resources": [each["ARN"] for each in record["resources"]],
    }


def lookups() -> None:
    """LookupEvents, which moto lacks: one attribute, a span of time, the newest first, page by page."""

    @method_of(CloudTrailResponse)
    def lookup_events(self: Any) -> str:
        size = self._get_param("MaxResults") or PAGE
        if not 1 <= size <= PAGE:
            raise JsonRESTError("InvalidMaxResultsException", f"A limit of {size} is not between 1 and {PAGE}.")
        found = [each for each in reversed(history(self.current_account, self.region)) if _matches(self, each)]
        first = int(self._get_param("NextToken") or 0)
        more = {"NextToken": str(first + size)} if len(found) > first + size else {}
        return json.dumps({"Events": found[first : first + size], **more})


def _matches(request: Any, event: dict[str, Any]) -> bool:
    start, end = request._get_param("StartTime"), request._get_param("EndTime")
    if (start and event["EventTime"] < start) or (end and event["EventTime"] > end):
        return False
    wanted = request._get_param("LookupAttributes") or []
    if len(wanted) > 1:
        raise JsonRESTError("InvalidLookupAttributesException", "You can only use one lookup attribute.")
    return all(_has(event, each["AttributeKey"], each["AttributeValue"]) for each in wanted)


def _has(event: dict[str, Any], key: str, value: str) -> bool:
    if key in OF_RESOURCES:
        return any(each.get(key) == value for each in event["Resources"])
    if key not in ATTRIBUTES:
        raise JsonRESTError("InvalidLookupAttributesException", f"{key} is no lookup attribute.")
    return bool(event[key] == value)

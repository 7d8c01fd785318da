"""Which API calls change something, and how many of them each service has answered since the emulator's start."""

from __future__ import annotations

import re
import threading
from collections import Counter

OWN_AGENT = "ops-plane"  # in the User-Agent of the plane, which plays AWS and is nobody's change

# CloudTrail calls these read-only.
READS = re.compile(
    r"(Describe|List|Get|BatchGet|BatchCheck|BatchDescribe|Head|Lookup|Receive|Filter|Search|Simulate|Test|Validate"
    r"|Select|Estimate|Check|Assume|Decode|Query|Scan|StartQuery|StopQuery|StartLiveTail)"
)
# What carries the system's own data through what is deployed, and changes none of that: no management events on AWS,
# or (the cryptographic ones) such as call themselves read-only.
DATA = {
    "cloudwatch": ("PutMetricData",),
    "ecs": ("SubmitTaskStateChange", "SubmitContainerStateChange", "SubmitAttachmentStateChanges"),
    "events": ("PutEvents",),
    "kms": ("Encrypt", "Decrypt", "ReEncrypt", "Sign", "Verify", "GenerateDataKey", "GenerateDataKeyWithoutPlaintext"),
    "lambda": ("Invoke", "InvokeAsync"),
    "logs": ("PutLogEvents",),
    "sns": ("Publish", "PublishBatch"),
    "sqs": (
        *("SendMessage", "SendMessageBatch", "DeleteMessage", "DeleteMessageBatch"),
        *("ChangeMessageVisibility", "ChangeMessageVisibilityBatch"),
    ),
}


class Changes:
    """The counter; services are named as boto3 clients are."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()

    def add(self, service: str) -> None:
        """One more call that changes something, whether it succeeded or not."""
        with self._lock:
            self._counts[service] += 1

    def by_service(self) -> dict[str, int]:
        """How many so far."""
        with self._lock:
            return dict(self._counts)


CHANGES = Changes()


def is_change(service: str, action: str, user_agent: str) -> bool:
    """Whether a call is one that somebody made to change what is deployed."""
    if OWN_AGENT in user_agent or not action:
        return False
    return not READS.match(action) and action not in DATA.get(service, ())

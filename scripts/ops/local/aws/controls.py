"""What can be asked of a running emulator beyond AWS's API: its clock, its changes, what it has for the plane to do."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from pipeline.errors import PipelineError

HOST = "127.0.0.1"  # an address, not a name: clients then put a bucket into the path
CALL_SECONDS = 40  # longer than a page waits


class LocalAwsFailed(PipelineError):
    """The local AWS did not start, answer or save; the text ends with its log."""


class Server(Protocol):
    """A server that is up."""

    @property
    def port(self) -> int:
        """Where it listens on loopback."""


class Controls:
    """The control pages as methods; whoever inherits says where the server is."""

    _asked: int | None = None  # the port that answered last: to look for the process takes longer than to ask

    def load(self) -> Server:
        """The running server; raises LocalAwsFailed."""
        raise NotImplementedError

    def set_now(self, at: datetime) -> None:
        """Sets its clock, which goes on from there."""
        self._page("POST", "clock", now=at.isoformat())

    def now(self) -> datetime | None:
        """Its virtual time; None where none was set yet."""
        told = self._page("GET", "clock")["now"]
        return datetime.fromisoformat(told) if told else None

    def waiting(self) -> int:
        """How many wait for a virtual time to come."""
        return int(self._page("GET", "clock")["waiting"])

    def changes(self) -> dict[str, int]:
        """How many API calls changed something since its start, by service; the plane's own do not count."""
        return self._page("GET", "changes")

    def deliveries(self) -> list[dict[str, Any]]:
        """What rules have for functions, tasks and the like since the last question: rule_arn, target, event."""
        found: list[dict[str, Any]] = self._page("GET", "deliveries")["deliveries"]
        return found

    def mail(self) -> list[dict[str, Any]]:
        """What topics sent to people: at, topic_arn, subscription_arn, protocol, endpoint, subject, message."""
        sent: list[dict[str, Any]] = self._page("GET", "mail")["mail"]
        return sent

    def pending_subscriptions(self) -> list[dict[str, str]]:
        """Which subscriptions wait for their owner, each with the token that the owner got."""
        waiting: list[dict[str, str]] = self._page("GET", "subscriptions/pending")["pending"]
        return waiting

    def confirm_subscriptions(self) -> list[str]:
        """As if every owner followed the link in the mail; the ARNs of what is confirmed by it."""
        confirmed: list[str] = self._page("POST", "subscriptions/confirm")["confirmed"]
        return confirmed

    def report_task(
        self,
        cluster: str,
        task_arn: str,
        status: str,
        *,
        stop_code: str | None = None,
        stopped_reason: str | None = None,
        containers: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        """Moves a task on, as its agent would: `containers` are {"name", "exitCode", "reason", "imageDigest"}."""
        ended = {"stopCode": stop_code, "stoppedReason": stopped_reason, "containers": list(containers)}
        self._page("POST", "ecs-task", cluster=cluster, task=task_arn, status=status, **ended)

    def rds(self) -> list[dict[str, Any]]:
        """Instances and snapshots: kind, region, identifier, resource, status, and what they were made from."""
        seen: list[dict[str, Any]] = self._page("GET", "rds")["seen"]
        return seen

    def report_rds(self, kind: str, region: str, identifier: str, **told: Any) -> None:
        """What the storage behind RDS tells: of an instance status, address, port, latest; of a snapshot status."""
        self._page("POST", "rds", kind=kind, region=region, identifier=identifier, **told)

    def lose_regions(self, *regions: str) -> None:
        """These regions answer nobody any more, and all others do; what is global (IAM, STS, S3's names) stays."""
        self._page("POST", "regions", lost=list(regions))

    def _page(self, method: str, page: str, **asked: Any) -> dict[str, Any]:
        """One of the server's own pages. Raises LocalAwsFailed where it refuses or is gone."""
        status, answer = self._ask(method, page, asked)
        if status != 200:
            raise LocalAwsFailed(f"{method} /local-aws/{page}: {answer.get('error')}")
        return answer

    def _ask(self, method: str, page: str, asked: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
        if self._asked is not None:
            try:
                return ask(self._asked, method, page, CALL_SECONDS, asked)
            except ConnectionRefusedError:
                self._asked = None  # it may have been started anew
        port = self.load().port
        answer = ask(port, method, page, CALL_SECONDS, asked)
        self._asked = port
        return answer


def ask(
    port: int, method: str, page: str, seconds: float, asked: Mapping[str, Any] | None = None
) -> tuple[int, dict[str, Any]]:
    """One of the server's own pages, asked directly: a proxy in the environment has no say on loopback."""
    connection = http.client.HTTPConnection(HOST, port, timeout=seconds)
    try:
        connection.request(method, f"/local-aws/{page}", json.dumps(asked) if asked else None)
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()

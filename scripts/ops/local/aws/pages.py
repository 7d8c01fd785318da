"""The emulator's own pages under /local-aws/: what is asked of it that AWS has no API for."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from moto.core.exceptions import ServiceException
from moto.ecs.models import ecs_backends

from ops.local.aws.changes import CHANGES
from ops.local.aws.clock import Clock
from ops.local.aws.environment import ACCOUNT, REGION
from ops.local.aws.outage import OUTAGE
from ops.local.aws.patches import ecs_life, rds_storage, sns
from ops.local.aws.patches.events import DELIVERIES
from ops.local.aws.patches.tools import kept

POLL_SECONDS = 30  # how long one question for a time may wait
Page = Callable[[dict[str, Any]], dict[str, Any]]
TASK_FIELDS = {"stopCode": "stop_code", "stoppedReason": "stopped_reason", "containers": "containers"}


class PageFailed(Exception):
    """What was asked of a page cannot be done; the text says why."""


def questions(clock: Clock) -> dict[tuple[str, str], Page]:
    """The pages that leave AWS's state alone, by method and name: they answer whatever else is under way."""
    return {
        ("GET", "clock"): lambda _: _shown(clock),
        ("POST", "clock"): lambda asked: _set(clock, asked),
        ("POST", "clock/wait"): lambda asked: _wait(clock, asked),
        ("GET", "changes"): lambda _: dict(CHANGES.by_service()),
        ("GET", "deliveries"): lambda _: {"deliveries": DELIVERIES.take()},
        ("GET", "mail"): lambda _: {"mail": sns.MAIL.sent()},
        ("POST", "regions"): _lose,
    }


def acts() -> dict[tuple[str, str], Page]:
    """The pages that change AWS's state, and so take their turn with its API."""
    return {
        ("POST", "ecs-task"): _report_task,
        ("GET", "rds"): lambda _: {"seen": list(rds_storage.seen())},
        ("POST", "rds"): _report_storage,
        ("GET", "subscriptions/pending"): lambda _: {"pending": [_asked_for(each) for each in sns.pending()]},
        ("POST", "subscriptions/confirm"): _confirm,
    }


def _shown(clock: Clock) -> dict[str, Any]:
    return {"now": _in_words(clock.now()), "set": _in_words(clock.at), "waiting": clock.waiting}


def _set(clock: Clock, asked: dict[str, Any]) -> dict[str, Any]:
    clock.set(_time(asked, "now"))
    return _shown(clock)


def _wait(clock: Clock, asked: dict[str, Any]) -> dict[str, Any]:
    reached = clock.wait(
        _time(asked, "until"), 0 if clock.at is None else min(float(asked.get("seconds", POLL_SECONDS)), POLL_SECONDS)
    )
    return {**_shown(clock), "reached": reached}


def _lose(asked: dict[str, Any]) -> dict[str, Any]:
    OUTAGE.regions = frozenset(map(str, asked.get("lost", ())))
    return {"lost": sorted(OUTAGE.regions)}


def _report_task(asked: dict[str, Any]) -> dict[str, Any]:
    cluster = str(asked.get("cluster", "default"))
    region = cluster.split(":")[3] if cluster.startswith("arn:") else REGION
    given = {name: asked[key] for key, name in TASK_FIELDS.items() if asked.get(key)}
    try:
        backend = ecs_backends[ACCOUNT][region]
        ecs_life.report(backend, cluster, str(asked.get("task")), str(asked.get("status")), **given)
    except ServiceException as error:
        raise PageFailed(f"{asked.get('task')} in {cluster}: {error.message}") from error
    return {}


def _report_storage(asked: dict[str, Any]) -> dict[str, Any]:
    kind, region, identifier = (str(asked.pop(name, "")) for name in ("kind", "region", "identifier"))
    try:
        rds_storage.report(kind, region, identifier, asked)
    except KeyError as error:
        raise PageFailed(f"there is no {kind} {identifier} in {region}") from error
    return {}


def _asked_for(subscription: Any) -> dict[str, str]:
    """What stands in the mail that asks its owner."""
    return {
        "subscription_arn": subscription.arn,
        "topic_arn": subscription.topic_arn,
        "protocol": subscription.protocol,
        "endpoint": subscription.endpoint,
        "token": kept(subscription, "confirmation")["token"],
    }


def _confirm(_: dict[str, Any]) -> dict[str, Any]:
    waiting = sns.pending()
    for subscription in waiting:
        sns.confirm(subscription)
    return {"confirmed": [each.arn for each in waiting]}


def _time(asked: dict[str, Any], name: str) -> datetime:
    try:
        at = datetime.fromisoformat(asked[name])
    except (KeyError, TypeError, ValueError) as error:
        raise PageFailed(f"{name!r} has to be a time such as 2026-01-26T14:30:00Z: {asked}") from error
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _in_words(at: datetime | None) -> str | None:
    return at.isoformat() if at else None


def read(body: bytes) -> dict[str, Any]:
    """What a page was asked, as an object. Raises PageFailed."""
    try:
        asked = json.loads(body or b"{}")
    except ValueError as error:
        raise PageFailed(f"the question is no JSON: {error}") from error
    if not isinstance(asked, dict):
        raise PageFailed(f"the question is no JSON object: {asked!r}")
    return asked

"""Stopping the services that write, so that their database can be moved, and starting them as they were applied."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ops import heal, heal_declared
from ops.heal_declared import StateUnreadable
from ops.heal_plan import TOLD, differing
from ops.runbook import running
from ops.runbook.acting import Hands
from ops.runbook.errors import Refused
from ops.runbook.finding import Finding
from ops.runbook.reading import Look
from pipeline.catalog import Service

DISABLED = "DISABLED"
EVERY_SECONDS, SLACK_SECONDS = 15.0, 120.0


def of(look: Look) -> list[Service]:
    """All but the watcher: it goes on looking, and judges what it can without a database."""
    return [service for service in look.catalog if "findings" not in service.writes]


def _intent(look: Look) -> str:
    return f"/{look.catalog.project}-intent/deployment"


def _schedule(look: Look, service: Service) -> dict[str, Any]:
    scheduler = look.client("scheduler")
    try:
        found = scheduler.get_schedule(Name=service.schedule, GroupName=service.name)
    except scheduler.exceptions.ResourceNotFoundException as error:
        raise Refused(f"{service.name} has no schedule; first: runbooks/recover-schedules") from error
    return {key: value for key, value in found.items() if key not in TOLD}


def are_stopped(look: Look) -> Finding:
    """Whether no schedule starts a writer, and none runs."""
    starting = [each.name for each in of(look) if _schedule(look, each)["State"] != DISABLED]
    if starting:
        return Finding.no(f"{len(starting)} services that write are started by their schedules")
    return _are_still(look)


def _are_still(look: Look) -> Finding:
    at_work = [each.name for each in of(look) if running.going(look, each)]
    if at_work:
        return Finding.no(f"at work: {', '.join(at_work)}")
    return Finding.yes("no service that writes is started, and none is at work")


def stop(hands: Hands) -> None:
    """Says first that it is meant, so that nobody heals it; then disables the schedules and waits for what runs."""
    look = hands.look
    _mean(hands, [service.name for service in of(look)])
    for service in of(look):
        schedule = _schedule(look, service)
        if schedule["State"] != DISABLED:
            hands.client("scheduler").update_schedule(**schedule | {"State": DISABLED})
    most = max(service.deadline_seconds for service in of(look))
    hands.wait(
        "runs that are under way",
        lambda: _are_still(look),
        every_seconds=EVERY_SECONDS,
        most_seconds=most + SLACK_SECONDS,
        else_="stop it by hand (aws ecs stop-task), then --resume",
    )


def _mean(hands: Hands, paused: list[str]) -> None:
    """What the watcher reads as intended. Spelt as Terraform spells it, so that putting it back is no change."""
    told = _meant(hands.look)
    if told["paused"] != sorted(paused):
        text = json.dumps({**told, "paused": sorted(paused)}, sort_keys=True, separators=(",", ":"))
        hands.client("ssm").put_parameter(Name=_intent(hands.look), Value=text, Overwrite=True)


def declared(look: Look) -> Mapping[str, dict[str, Any]]:
    """The schedules as they were applied, by service. Raises Refused."""
    try:
        bucket = heal.state_bucket(look.client)  # type: ignore[arg-type]
        found = heal_declared.read(look.client, bucket, look.environment)
    except StateUnreadable as error:
        raise Refused(str(error)) from error
    return {each["GroupName"]: each for each in found.schedules.values()}


def are_started(look: Look) -> Finding:
    """Whether every writer's schedule is as it was applied."""
    wanted = declared(look)
    wrong = [each.name for each in of(look) if dict(differing(wanted[each.name], _schedule(look, each)))]
    if wrong:
        return Finding.no(f"{len(wrong)} schedules are not as they were applied: {', '.join(wrong)}")
    if _meant(look)["paused"] != _paused(wanted):
        return Finding.no("every schedule is as it was applied, and the watcher still takes services for paused")
    return Finding.yes("every schedule is as it was applied")


def _paused(declared: Mapping[str, Mapping[str, Any]]) -> list[str]:
    return sorted(name for name, each in declared.items() if each["State"] == DISABLED)


def _meant(look: Look) -> dict[str, Any]:
    """What the watcher reads as intended."""
    return dict(json.loads(look.client("ssm").get_parameter(Name=_intent(look))["Parameter"]["Value"]))


def start(hands: Hands) -> None:
    """Puts the schedules back, and then what the watcher takes for intended."""
    look, wanted = hands.look, declared(hands.look)
    for service in of(look):
        hands.client("scheduler").update_schedule(**wanted[service.name])
    _mean(hands, _paused(wanted))

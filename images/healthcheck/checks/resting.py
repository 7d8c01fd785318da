"""What rests on purpose: a service whose schedule is disabled because the catalogue or the last apply says so."""

from __future__ import annotations

from healthcheck.aws.intent import Intent
from healthcheck.snapshot import Snapshot
from pipeline.catalog import Service


def is_paused(service: Service, snapshot: Snapshot) -> bool:
    """Whether its schedule is disabled on purpose: the catalogue says so with an end, or the last apply without."""
    if service.paused_until is not None:
        return service.is_paused(snapshot.now)
    intent = snapshot.parts.get(Intent)
    return isinstance(intent, Intent) and service.name in intent.paused


def rests(table: str, snapshot: Snapshot) -> bool:
    """Whether all that write a table rest: its rows then grow old as they should."""
    return all(is_paused(service, snapshot) for service in snapshot.scope.catalog.writers(table))

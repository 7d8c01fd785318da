"""Which log groups there are: a task whose group is gone does not start."""

from __future__ import annotations

from dataclasses import dataclass

from healthcheck.aws.clients import Clients, pages
from healthcheck.aws.memory import Memory
from healthcheck.place import Place


@dataclass(frozen=True, kw_only=True)
class LogGroups:
    """Names of those that services write to."""

    names: frozenset[str]


def read(clients: Clients, place: Place, memory: Memory) -> LogGroups:
    """A call a page."""
    prefix = f"/ecs/{place.project}/"
    listed = pages(clients("logs"), "describe_log_groups", "logGroups", logGroupNamePrefix=prefix)
    return LogGroups(names=frozenset(each["logGroupName"] for each in listed))

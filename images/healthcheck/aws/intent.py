"""What the last apply meant, beyond the catalogue: which services rest, and which image each was given.

Terraform writes it as one parameter and tells the watcher its ARN (DEPLOYMENT). Where a run is told none, no AWS is
expected, and nothing of it is judged: so it is in a replay.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from healthcheck.aws.clients import Clients
from healthcheck.aws.memory import Memory
from healthcheck.place import Place
from healthcheck.reach import Placement

VARIABLE = "DEPLOYMENT"
# So much of a digest stands in the parameter, which holds 8 kB.
DIGITS = 12


@dataclass(frozen=True, kw_only=True)
class Intent:
    """`images` is service → the first digits of its digest; `database`: whether there is one with alarms of its own;
    `provider`: whether it can be reached from where the watcher runs; `placement`: where tasks run; `tags`: what all
    that the apply made has."""

    environment: str
    paused: frozenset[str]
    images: Mapping[str, str]
    database: bool
    provider: bool
    modified_at: datetime
    placement: Placement | None = None
    tags: Mapping[str, str] = field(default_factory=dict)

    def meant(self, service: str, digest: str) -> bool | None:
        """Whether the digest is the one that was meant; None where nothing was said."""
        wanted = self.images.get(service)
        return digest.removeprefix("sha256:").startswith(wanted) if wanted else None


def parameter(place: Place) -> str:
    """The name of the parameter."""
    return f"/{place.project}-intent/deployment"


def read(clients: Clients, place: Place, memory: Memory) -> Intent:
    """One call."""
    answer = clients("ssm").get_parameter(Name=parameter(place))["Parameter"]
    return parse(answer["Value"], answer["LastModifiedDate"].astimezone(UTC))


def parse(text: str, modified_at: datetime) -> Intent:
    """From the parameter's JSON."""
    told = json.loads(text)
    return Intent(
        environment=str(told["environment"]),
        paused=frozenset(told["paused"]),
        images=dict(told["images"]),
        database=bool(told["database"]),
        provider=bool(told["provider"]),
        modified_at=modified_at,
        placement=_placement(told["network"]) if "network" in told else None,
        tags=dict(told.get("tags", {})),
    )


def _placement(told: Mapping[str, Any]) -> Placement:
    return Placement(
        subnets=tuple(told["subnet_ids"]),
        groups=tuple(told["security_group_ids"]),
        public_ip=bool(told["assign_public_ip"]),
    )

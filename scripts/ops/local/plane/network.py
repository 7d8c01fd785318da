"""The emulator's network, asked what a task can reach; the rules are the healthcheck's own."""

from __future__ import annotations

from dataclasses import fields

from healthcheck import reach
from healthcheck.reach import Placement
from ops.local.plane.deployed import Deployed

__all__ = ["Network", "Placement"]
PARTS = tuple(field.name for field in fields(reach.Network))


class Network:
    """The account's network as it stands at the time of each question."""

    def __init__(self, deployed: Deployed) -> None:
        self.deployed = deployed

    def unknown(self, placement: Placement) -> str | None:
        """What ECS says of a subnet or security group that does not exist; None where all do."""
        return self._now().unknown(placement)

    def reaches_internet(self, placement: Placement) -> bool:
        """Whether HTTPS to anywhere leaves."""
        return self._now().reaches_internet(placement)

    def reaches_service(self, placement: Placement, service: str) -> bool:
        """Whether the AWS API (`ssm`, `ecr.api`, `ecr.dkr`, `logs`) is reached: by the internet or by an endpoint."""
        return self._now().reaches_service(placement, service)

    def _now(self) -> reach.Network:
        return reach.Network(**{part: tuple(self.deployed.described(part)) for part in PARTS})

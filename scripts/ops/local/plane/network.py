"""Whether a task gets out of its subnet: routes, public address, security groups, endpoints, as the VPC has them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ops.local.plane.deployed import Deployed

HTTPS = 443
ANYWHERE = "0.0.0.0/0"


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Where a task is to run, as its awsvpcConfiguration says."""

    subnets: tuple[str, ...]
    groups: tuple[str, ...]
    public_ip: bool

    @classmethod
    def of(cls, configuration: dict[str, Any]) -> Placement:
        """From `networkConfiguration.awsvpcConfiguration`, in either spelling (ECS or Scheduler)."""
        found = configuration.get("awsvpcConfiguration") or configuration.get("AwsvpcConfiguration") or {}
        found = {key.lower(): value for key, value in found.items()}
        return cls(
            subnets=tuple(found.get("subnets", ())),
            groups=tuple(found.get("securitygroups", ())),
            public_ip=found.get("assignpublicip") == "ENABLED",
        )


class Network:
    """The account's network, asked what a placement can reach."""

    def __init__(self, deployed: Deployed) -> None:
        self.deployed = deployed

    def unknown(self, placement: Placement) -> str | None:
        """What ECS says of a subnet or security group that does not exist; None where all do."""
        subnets = {subnet["SubnetId"]: subnet for subnet in self.deployed.described("subnets")}
        for subnet in placement.subnets:
            if subnet not in subnets:
                return (
                    f"Error retrieving subnet information for [{', '.join(placement.subnets)}]: The subnet ID "
                    f"'{subnet}' does not exist (ErrorCode: InvalidSubnetID.NotFound)"
                )
        groups = {group["GroupId"]: group for group in self.deployed.described("security_groups")}
        for group in placement.groups:
            if group not in groups:
                return (
                    f"Error retrieving security group information for [{', '.join(placement.groups)}]: The security "
                    f"group '{group}' does not exist (ErrorCode: InvalidGroup.NotFound)"
                )
        return _different_networks(
            [subnets[each]["VpcId"] for each in placement.subnets], [groups[each]["VpcId"] for each in placement.groups]
        )

    def reaches_internet(self, placement: Placement) -> bool:
        """Whether HTTPS to anywhere leaves: a default route that works for this placement, and a group that lets it."""
        return self._leaves_groups(placement) and all(
            self._default_route(subnet, placement) for subnet in placement.subnets
        )

    def reaches_service(self, placement: Placement, service: str) -> bool:
        """Whether the AWS API (`ssm`, `ecr.api`, `ecr.dkr`, `logs`) is reached: by the internet or by an endpoint."""
        if self.reaches_internet(placement):
            return True
        endpoints = self.deployed.described("vpc_endpoints")
        names = {
            each["ServiceName"].split(".", 3)[-1] for each in endpoints if each.get("State", "").lower() != "deleted"
        }
        return service in names and self._leaves_groups(placement)

    def _default_route(self, subnet: str, placement: Placement) -> bool:
        routes = self._table(subnet).get("Routes", [])
        default = next((route for route in routes if route.get("DestinationCidrBlock") == ANYWHERE), None)
        if default is None or default.get("State") == "blackhole":
            return False
        gateway = str(default.get("GatewayId", ""))
        if gateway.startswith("igw-"):
            return placement.public_ip and self._attached(gateway)
        nat = default.get("NatGatewayId")
        return bool(nat) and any(
            each["NatGatewayId"] == nat and each.get("State", "available") == "available"
            for each in self.deployed.described("nat_gateways")
        )

    def _attached(self, gateway: str) -> bool:
        found = self.deployed.described("internet_gateways")
        return any(each["InternetGatewayId"] == gateway and each.get("Attachments") for each in found)

    def _table(self, subnet: str) -> dict[str, Any]:
        """The subnet's own route table, else its VPC's main one."""
        tables = self.deployed.described("route_tables")
        own = [each for each in tables if any(a.get("SubnetId") == subnet for a in each.get("Associations", []))]
        vpc = next((s["VpcId"] for s in self.deployed.described("subnets") if s["SubnetId"] == subnet), None)
        main = [
            each
            for each in tables
            if each.get("VpcId") == vpc and any(a.get("Main") for a in each.get("Associations", []))
        ]
        return next(iter([*own, *main]), {})

    def _leaves_groups(self, placement: Placement) -> bool:
        groups = {group["GroupId"]: group for group in self.deployed.described("security_groups")}
        permissions = [
            permission
            for each in placement.groups
            for permission in groups.get(each, {}).get("IpPermissionsEgress", [])
        ]
        return any(_lets_https_out(permission) for permission in permissions)


def _lets_https_out(permission: dict[str, Any]) -> bool:
    anywhere = any(each.get("CidrIp") == ANYWHERE for each in permission.get("IpRanges", []))
    if permission.get("IpProtocol") == "-1":
        return anywhere
    first, last = permission.get("FromPort"), permission.get("ToPort")
    return anywhere and permission.get("IpProtocol") == "tcp" and (first or 0) <= HTTPS <= (last or 65535)


def _different_networks(of_subnets: Sequence[str], of_groups: Iterable[str]) -> str | None:
    """ECS refuses security groups of another VPC than the subnets'."""
    networks = {*of_subnets, *of_groups}
    if len(networks) <= 1:
        return None
    return "Subnets and security groups must belong to the same network: " + ", ".join(sorted(networks))

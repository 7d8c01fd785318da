"""Whether a task gets out of its subnet: routes, public address, security groups, endpoints, as the VPC has them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

HTTPS = 443
ANYWHERE = "0.0.0.0/0"

Described = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Where a task is to run, as its awsvpcConfiguration says."""

    subnets: tuple[str, ...]
    groups: tuple[str, ...]
    public_ip: bool

    @classmethod
    def of(cls, configuration: Mapping[str, Any]) -> Placement:
        """From `networkConfiguration.awsvpcConfiguration`, in either spelling (ECS or Scheduler)."""
        found = configuration.get("awsvpcConfiguration") or configuration.get("AwsvpcConfiguration") or {}
        found = {key.lower(): value for key, value in found.items()}
        return cls(
            subnets=tuple(found.get("subnets", ())),
            groups=tuple(found.get("securitygroups", ())),
            public_ip=found.get("assignpublicip") == "ENABLED",
        )


@dataclass(frozen=True, kw_only=True)
class Network:
    """A region's network as EC2 describes it, asked what a placement can reach."""

    subnets: tuple[Described, ...]
    security_groups: tuple[Described, ...]
    route_tables: tuple[Described, ...]
    internet_gateways: tuple[Described, ...]
    nat_gateways: tuple[Described, ...]
    vpc_endpoints: tuple[Described, ...]

    def unknown(self, placement: Placement) -> str | None:
        """What ECS says of a subnet or security group that does not exist; None where all do."""
        subnets = {subnet["SubnetId"]: subnet for subnet in self.subnets}
        for subnet in placement.subnets:
            if subnet not in subnets:
                return (
                    f"Error retrieving subnet information for [{', '.join(placement.subnets)}]: The subnet ID "
                    f"'{subnet}' does not exist (ErrorCode: InvalidSubnetID.NotFound)"
                )
        groups = {group["GroupId"]: group for group in self.security_groups}
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
        return self.obstacle(placement) is None

    def obstacle(self, placement: Placement) -> str | None:
        """What keeps HTTPS from leaving, in words; None where nothing does."""
        if not self._leaves_groups(placement):
            return f"no egress rule of {', '.join(placement.groups) or 'no group'} lets TCP {HTTPS} out to {ANYWHERE}"
        return next(filter(None, (self._no_way_out(subnet, placement) for subnet in placement.subnets)), None)

    def reaches_service(self, placement: Placement, service: str) -> bool:
        """Whether the AWS API (`ssm`, `ecr.api`, `ecr.dkr`, `logs`) is reached: by the internet or by an endpoint."""
        if self.reaches_internet(placement):
            return True
        names = {
            each["ServiceName"].split(".", 3)[-1]
            for each in self.vpc_endpoints
            if each.get("State", "").lower() != "deleted"
        }
        return service in names and self._leaves_groups(placement)

    def _no_way_out(self, subnet: str, placement: Placement) -> str | None:
        routes = self._table(subnet).get("Routes", [])
        default = next((route for route in routes if route.get("DestinationCidrBlock") == ANYWHERE), None)
        if default is None:
            return f"{subnet} has no route to {ANYWHERE}"
        if default.get("State") == "blackhole":
            return f"the route of {subnet} to {ANYWHERE} leads to something that is gone"
        gateway = str(default.get("GatewayId", ""))
        if gateway.startswith("igw-"):
            if not self._attached(gateway):
                return f"{gateway}, the way out of {subnet}, is attached to no VPC"
            return None if placement.public_ip else f"{subnet} leads to {gateway}, and the task gets no public address"
        nat = default.get("NatGatewayId")
        available = any(
            each["NatGatewayId"] == nat and each.get("State", "available") == "available" for each in self.nat_gateways
        )
        return (
            None if nat and available else f"{nat or gateway or 'nothing'}, the way out of {subnet}, is not available"
        )

    def _attached(self, gateway: str) -> bool:
        return any(
            each["InternetGatewayId"] == gateway and bool(each.get("Attachments")) for each in self.internet_gateways
        )

    def _table(self, subnet: str) -> Described:
        """The subnet's own route table, else its VPC's main one."""
        own = [each for each in self.route_tables if any(a.get("SubnetId") == subnet for a in _associations(each))]
        vpc = next((each["VpcId"] for each in self.subnets if each["SubnetId"] == subnet), None)
        main = [
            each
            for each in self.route_tables
            if each.get("VpcId") == vpc and any(a.get("Main") for a in _associations(each))
        ]
        return next(iter([*own, *main]), {})

    def _leaves_groups(self, placement: Placement) -> bool:
        groups = {group["GroupId"]: group for group in self.security_groups}
        permissions = [
            permission
            for each in placement.groups
            for permission in groups.get(each, {}).get("IpPermissionsEgress", [])
        ]
        return any(_lets_https_out(permission) for permission in permissions)


def _associations(table: Described) -> Sequence[Described]:
    found: Sequence[Described] = table.get("Associations", [])
    return found


def _lets_https_out(permission: Described) -> bool:
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

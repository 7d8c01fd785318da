"""The region's network: what targets are placed in, and how one gets out of it."""

from __future__ import annotations

from healthcheck.aws.clients import Clients, pages
from healthcheck.aws.memory import Memory
from healthcheck.place import Place
from healthcheck.reach import Network

ASKED = {
    "subnets": ("describe_subnets", "Subnets"),
    "security_groups": ("describe_security_groups", "SecurityGroups"),
    "route_tables": ("describe_route_tables", "RouteTables"),
    "internet_gateways": ("describe_internet_gateways", "InternetGateways"),
    "nat_gateways": ("describe_nat_gateways", "NatGateways"),
    "vpc_endpoints": ("describe_vpc_endpoints", "VpcEndpoints"),
}


def read(clients: Clients, place: Place, memory: Memory) -> Network:
    """A call a page of each kind."""
    ec2 = clients("ec2")
    answers = clients.each(lambda asked: tuple(pages(ec2, *asked)), ASKED.values())
    return Network(**dict(zip(ASKED, answers, strict=True)))

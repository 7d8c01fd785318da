"""Undeclared network: security groups and rules, routes, and any other part in our VPC."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ops.drift_finding import CRITICAL
from ops.drift_live_part import ClientsOf, Part, Stray, pages
from ops.drift_state import Declared

# What else may lie in a VPC: the call, its answer's key, the id's key, the filter's name, the word for a removal.
VPC_PARTS = (
    ("describe_subnets", "Subnets", "SubnetId", "vpc-id", "subnet"),
    ("describe_internet_gateways", "InternetGateways", "InternetGatewayId", "attachment.vpc-id", "internet-gateway"),
    ("describe_nat_gateways", "NatGateways", "NatGatewayId", "vpc-id", "nat-gateway"),
    ("describe_vpc_endpoints", "VpcEndpoints", "VpcEndpointId", "vpc-id", "vpc-endpoints"),
    ("describe_network_acls", "NetworkAcls", "NetworkAclId", "vpc-id", "network-acl"),
)
MADE_BY_AWS = (100, 101, 32767, 32768)  # rule numbers: all IPv4, all IPv6, and the two that refuse the rest
GONE = ("deleted", "deleting", "failed")


def _vpcs(declared: Declared) -> list[str]:
    return sorted(declared.names("aws_vpc", "id"))


def _arn(declared: Declared, kind: str, identity: str) -> str:
    """EC2's lists give ids; the place before them is our VPC's own."""
    vpc = next(iter(declared.names("aws_vpc", "arn")), "arn:aws:ec2:::vpc/")
    return f"{vpc.rsplit(':', 1)[0]}:{kind}/{identity}"


def security_groups(clients: ClientsOf, declared: Declared) -> Iterator[Stray]:
    """Groups in our VPC, and rules in our groups."""
    ec2 = clients("ec2")
    inline = declared.names("aws_default_security_group", "id")  # holds its whole list: a foreign rule is in its plan
    for vpc in _vpcs(declared):
        filters = [{"Name": "vpc-id", "Values": [vpc]}]
        for group in pages(ec2, "describe_security_groups", "SecurityGroups", Filters=filters):
            identity = group["GroupId"]
            if not declared.has_id(identity):
                remove = f"aws ec2 delete-security-group --group-id {identity}"
                arn = _arn(declared, "security-group", identity)
                yield Stray(arn=arn, name=identity, actual=group["GroupName"], remove=remove)
            elif identity not in inline:
                yield from _rules(ec2, identity, declared)


def _rules(ec2: Any, group: str, declared: Declared) -> Iterator[Stray]:
    filters = [{"Name": "group-id", "Values": [group]}]
    for rule in pages(ec2, "describe_security_group_rules", "SecurityGroupRules", Filters=filters):
        identity = rule["SecurityGroupRuleId"]
        if declared.has_id(identity):
            continue
        way = "egress" if rule["IsEgress"] else "ingress"
        yield Stray(
            arn=_arn(declared, "security-group", group),
            name=group,
            attribute=f"{way}[{identity}]",
            expected=None,
            actual=_rule_in_words(rule),
            severity=CRITICAL,
            remove=f"aws ec2 revoke-security-group-{way} --group-id {group} --security-group-rule-ids {identity}",
        )


def _rule_in_words(rule: dict[str, Any]) -> dict[str, Any]:
    peer = rule.get("CidrIpv4") or rule.get("CidrIpv6") or rule.get("PrefixListId")
    return {
        "protocol": rule.get("IpProtocol"),
        "ports": [rule.get("FromPort"), rule.get("ToPort")],
        "peer": peer or rule.get("ReferencedGroupInfo", {}).get("GroupId"),
    }


def routes(clients: ClientsOf, declared: Declared) -> Iterator[Stray]:
    """Route tables in our VPC, and routes in ours."""
    for vpc in _vpcs(declared):
        filters = [{"Name": "vpc-id", "Values": [vpc]}]
        for table in pages(clients("ec2"), "describe_route_tables", "RouteTables", Filters=filters):
            identity = table["RouteTableId"]
            main = any(each.get("Main") for each in table.get("Associations", []))
            if declared.has_id(identity) or main:
                yield from _routes_of(table, declared)
            else:
                remove = f"aws ec2 delete-route-table --route-table-id {identity}"
                yield Stray(arn=_arn(declared, "route-table", identity), name=identity, remove=remove)


def _routes_of(table: dict[str, Any], declared: Declared) -> Iterator[Stray]:
    identity = table["RouteTableId"]
    for route in table["Routes"]:
        goes_by = str(route.get("GatewayId", ""))
        if goes_by == "local" or goes_by.startswith("vpce-"):
            continue  # AWS's own, and those of a declared gateway endpoint
        if route.get("DestinationPrefixListId") and not route.get("DestinationCidrBlock"):
            continue
        to = route.get("DestinationCidrBlock") or route.get("DestinationIpv6CidrBlock")
        if not declared.has("aws_route", f"{identity} {to}"):
            option = "--destination-ipv6-cidr-block" if ":" in str(to) else "--destination-cidr-block"
            yield Stray(
                arn=_arn(declared, "route-table", identity),
                name=identity,
                attribute=f"route[{to}]",
                expected=None,
                actual={key: value for key, value in route.items() if key.endswith("Id")},
                severity=CRITICAL,
                remove=f"aws ec2 delete-route --route-table-id {identity} {option} {to}",
            )


def vpc_parts(clients: ClientsOf, declared: Declared) -> Iterator[Stray]:
    """Subnets, gateways, endpoints and access lists in our VPC."""
    ec2 = clients("ec2")
    for vpc in _vpcs(declared):
        for call, answer, key, filter_name, word in VPC_PARTS:
            for each in pages(ec2, call, answer, Filters=[{"Name": filter_name, "Values": [vpc]}]):
                identity = each[key]
                gone = str(each.get("State", "")).lower() in GONE
                if gone or each.get("IsDefault") or declared.has_id(identity):
                    continue
                remove = f"aws ec2 delete-{word} --{word.removesuffix('s')}-id{'s' * word.endswith('s')} {identity}"
                yield Stray(arn=_arn(declared, word.removesuffix("s"), identity), name=identity, remove=remove)


def access_lists(clients: ClientsOf, declared: Declared) -> Iterator[Stray]:
    """Entries of our VPC's own access list, which AWS makes with one rule that lets all through, for IPv4 and IPv6."""
    managed = declared.names("aws_default_network_acl", "id")
    for vpc in _vpcs(declared):
        filters = [{"Name": "vpc-id", "Values": [vpc]}, {"Name": "default", "Values": ["true"]}]
        for each in pages(clients("ec2"), "describe_network_acls", "NetworkAcls", Filters=filters):
            identity = each["NetworkAclId"]
            remove = f"aws ec2 delete-network-acl-entry --network-acl-id {identity}"
            foreign = [entry for entry in each["Entries"] if entry["RuleNumber"] not in MADE_BY_AWS]
            for entry in foreign if identity not in managed else []:
                way, number = ("egress" if entry["Egress"] else "ingress"), entry["RuleNumber"]
                yield Stray(
                    arn=_arn(declared, "network-acl", identity),
                    name=identity,
                    attribute=f"{way}[{number}]",
                    expected=None,
                    actual={
                        "action": entry["RuleAction"],
                        "peer": entry.get("CidrBlock") or entry.get("Ipv6CidrBlock"),
                    },
                    severity=CRITICAL,
                    remove=f"{remove} --rule-number {number} --{way}",
                )


PARTS: tuple[tuple[str, Part], ...] = (
    ("security groups and rules", security_groups),
    ("routes", routes),
    ("entries of the VPC's access list", access_lists),
    ("subnets, gateways, endpoints and access lists", vpc_parts),
)

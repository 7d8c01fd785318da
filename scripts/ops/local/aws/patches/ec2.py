"""EC2 networking: what is read back."""

from __future__ import annotations

from typing import Any

from moto.ec2.models.elastic_network_interfaces import NetworkInterface
from moto.ec2.models.security_groups import SecurityGroupRule
from moto.ec2.models.subnets import Subnet

from ops.local.aws.patches.tools import around


def group_rule_descriptions() -> None:
    """A rule that names a group has its description; moto knows only those of address ranges."""

    def description(self: Any) -> str | None:
        return self.ip_range.get("Description") or self.source_group.get("Description")

    SecurityGroupRule.description = property(description)  # type: ignore[method-assign,assignment]


def subnet_ipv6_associations() -> None:
    """A subnet's IPv6 range is found by its association's id and is in state `associated`.

    moto lacks the filter and writes a dictionary where the state belongs, and Terraform waits for it.
    """

    @around(Subnet, "get_filter_value")
    def get_filter_value(original: Any, self: Any, filter_name: str, method_name: str | None = None) -> Any:
        if filter_name == "ipv6-cidr-block-association.association-id":
            return list(self.ipv6_cidr_block_associations)
        return original(self, filter_name, method_name)

    def association_set(self: Any) -> list[dict[str, Any]]:
        return [
            {
                "ipv6CidrBlock": each["ipv6CidrBlock"],
                "associationId": each["associationId"],
                "ipv6CidrBlockState": {"state": each["ipv6CidrBlockState"]["State"]},
            }
            for each in self.ipv6_cidr_block_associations.values()
            if each["ipv6CidrBlockState"]["State"] == "associated"
        ]

    Subnet.ipv6_cidr_block_association_set = property(association_set)  # type: ignore[method-assign,assignment]


def interfaces_without_dns_names() -> None:
    """In a VPC without DNS host names an interface has none; moto leaves the attribute out and RunTask stumbles."""
    NetworkInterface.private_dns_name = None  # type: ignore[assignment]

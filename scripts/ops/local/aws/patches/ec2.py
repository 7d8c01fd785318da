"""EC2 networking: what is read back."""

from __future__ import annotations

from typing import Any

from moto.ec2.models.security_groups import SecurityGroupRule


def group_rule_descriptions() -> None:
    """A rule that names a group has its description; moto knows only those of address ranges."""

    def description(self: Any) -> str | None:
        return self.ip_range.get("Description") or self.source_group.get("Description")

    SecurityGroupRule.description = property(description)  # type: ignore[method-assign,assignment]

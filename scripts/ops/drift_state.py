"""What Terraform's state declares, by the names that AWS's list calls give."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

Values = dict[str, Any]

# How a resource of each type is called where AWS lists it.
KEYS: dict[str, Callable[[Values], Any]] = {
    "aws_scheduler_schedule": lambda v: f"{v['group_name']}/{v['name']}",
    "aws_scheduler_schedule_group": lambda v: v["name"],
    "aws_cloudwatch_event_rule": lambda v: f"{v['event_bus_name']}/{v['name']}",
    "aws_cloudwatch_event_target": lambda v: f"{v['event_bus_name']}/{v['rule']}/{v['target_id']}",
    "aws_ecs_task_definition": lambda v: v["arn"],
    "aws_ecs_cluster": lambda v: v["arn"],
    "aws_lambda_function": lambda v: v["function_name"],
    "aws_cloudwatch_log_group": lambda v: v["name"],
    "aws_ssm_parameter": lambda v: v["name"],
    "aws_cloudwatch_metric_alarm": lambda v: v["alarm_name"],
    "aws_cloudwatch_composite_alarm": lambda v: v["alarm_name"],
    "aws_cloudwatch_dashboard": lambda v: v["dashboard_name"],
    "aws_sns_topic": lambda v: v["arn"],
    "aws_sns_topic_subscription": lambda v: f"{v['topic_arn']} {v['protocol']} {v['endpoint']}",
    "aws_sqs_queue": lambda v: v["name"],
    "aws_iam_role": lambda v: v["name"],
    "aws_iam_policy": lambda v: v["arn"],
    "aws_iam_role_policy": lambda v: f"{v['role']}/{v['name']}",
    "aws_iam_role_policy_attachment": lambda v: f"{v['role']}/{v['policy_arn']}",
    "aws_ecr_repository": lambda v: v["name"],
    "aws_s3_bucket": lambda v: v["bucket"],
    "aws_backup_plan": lambda v: v["name"],
    "aws_backup_vault": lambda v: v["name"],
    "aws_kms_alias": lambda v: v["name"],
    "aws_db_instance": lambda v: v["identifier"],
    "aws_route": lambda v: (
        f"{v['route_table_id']} {v.get('destination_cidr_block') or v.get('destination_ipv6_cidr_block')}"
    ),
}


@dataclass(frozen=True, kw_only=True)
class Declared:
    """The managed resources of a state. `families` and `functions` are what the catalogue starts as well."""

    project: str
    resources: tuple[tuple[str, str, Values], ...]  # type, address, values
    families: frozenset[str] = field(default_factory=frozenset)
    functions: frozenset[str] = field(default_factory=frozenset)

    def of(self, kind: str) -> Iterator[Values]:
        """The values of every resource of a type."""
        return (values for found, _, values in self.resources if found == kind)

    @cached_property
    def _keys(self) -> set[tuple[str, Any]]:
        return {(kind, KEYS[kind](values)) for kind, _, values in self.resources if kind in KEYS and values.get("id")}

    @cached_property
    def _ids(self) -> set[str]:
        named = ("id", "arn", "security_group_rule_id")
        return {str(values[name]) for _, _, values in self.resources for name in named if values.get(name)}

    def has(self, kind: str, key: Any) -> bool:
        """Whether a thing of that type and name is declared."""
        return (kind, key) in self._keys

    def has_id(self, identity: str) -> bool:
        """Whether any resource has this id or ARN (the id at the ARN's end will do)."""
        bare = identity.removesuffix(":*")
        return bool({bare, bare.rsplit("/", 1)[-1], bare.rsplit(":", 1)[-1]} & self._ids)

    def names(self, kind: str, attribute: str) -> set[str]:
        """One attribute of every resource of a type."""
        return {str(values[attribute]) for values in self.of(kind) if values.get(attribute)}

    def ours(self, name: str) -> bool:
        """Whether a name has our prefix."""
        bare = name.removeprefix("/")
        return bare == self.project or bare.startswith((f"{self.project}-", f"{self.project}/", f"{self.project}_"))


def resources(state: dict[str, Any]) -> Iterator[tuple[str, str, Values]]:
    """(type, address, values) of every managed resource of a state (`show -json`, or a plan's `prior_state`)."""
    pending = [state.get("values", {}).get("root_module", {})]
    while pending:
        module = pending.pop()
        pending += module.get("child_modules", [])
        for each in module.get("resources", []):
            if each["mode"] == "managed":
                yield each["type"], each["address"], each.get("values") or {}

"""What has to be done so that every job is started as declared: items, each with its act and its own check."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from botocore.exceptions import ClientError

from ops.drift_live_part import ClientsOf, pages
from ops.heal_declared import Declared, family_of
from pipeline import catalog

# What GetSchedule tells beside what CreateSchedule takes.
TOLD = ("Arn", "CreationDate", "LastModificationDate", "ResponseMetadata", "ActionAfterCompletion")
MISSING = frozenset(("ResourceNotFoundException", "NoSuchEntity", "ClusterNotFoundException"))


@dataclass(frozen=True, kw_only=True)
class Item:
    """One thing to mend. `differences` is place → (expected, actual); `act` does it, `right` looks again whether it is.

    `service` is whose job it concerns, empty where all. An item without `act` is another tool's: `remedy` names it.
    """

    kind: str
    name: str
    what: str
    differences: Mapping[str, tuple[Any, Any]]
    act: Callable[[], object] | None
    right: Callable[[], bool]
    service: str = ""
    remedy: str = ""


@dataclass(frozen=True, kw_only=True)
class Healer:
    """The account as it is against what is declared; `remove` deletes undeclared triggers instead of disabling them."""

    clients: ClientsOf
    declared: Declared
    remove: bool = False

    def plan(self) -> list[Item]:
        """What differs, in the order of mending: roles first, since a schedule may not name one that is not there."""
        return [
            *self._cluster(),
            *self._roles(),
            *self._groups(),
            *self._schedules(),
            *self._rules(),
            *self._undeclared_schedules(),
            *self._undeclared_rules(),
        ]

    # ── the cluster, roles ───────────────────────────────────────────────────────────────────────────────────────────

    def _cluster(self) -> Iterator[Item]:
        arn, ecs = self.declared.cluster, self.clients("ecs")
        name = arn.rsplit("/", 1)[-1]

        def there() -> bool:
            found = ecs.describe_clusters(clusters=[arn])["clusters"]
            return any(each["status"] == "ACTIVE" for each in found)

        if arn and not there():
            yield Item(
                kind="cluster",
                name=name,
                what="make it again",
                differences={"status": ("ACTIVE", None)},
                act=lambda: ecs.create_cluster(clusterName=name),
                right=there,
            )

    def _roles(self) -> Iterator[Item]:
        for name, wanted in self.declared.roles.items():
            live = self._role(name)
            differences = dict(_role_differences(wanted, live))
            if differences:
                yield Item(
                    kind="role",
                    name=name,
                    what="make it again" if live is None else "put its policies right",
                    differences=differences,
                    act=partial(self._mend_role, name, wanted),
                    right=partial(self._is_right_role, name, wanted),
                )

    def _is_right_role(self, name: str, wanted: Mapping[str, Any]) -> bool:
        return not dict(_role_differences(wanted, self._role(name)))

    def _role(self, name: str) -> dict[str, Any] | None:
        """The live role in the shape of a declared one; None where it is not there."""
        iam = self.clients("iam")
        try:
            role = iam.get_role(RoleName=name)["Role"]
        except ClientError as error:
            if _code(error) in MISSING:
                return None
            raise
        inline = list(pages(iam, "list_role_policies", "PolicyNames", RoleName=name))
        return {
            "trust": role["AssumeRolePolicyDocument"],
            "policies": {
                each: iam.get_role_policy(RoleName=name, PolicyName=each)["PolicyDocument"] for each in inline
            },
            "attached": [
                each["PolicyArn"]
                for each in pages(iam, "list_attached_role_policies", "AttachedPolicies", RoleName=name)
            ],
        }

    def _mend_role(self, name: str, wanted: Mapping[str, Any]) -> None:
        iam, live = self.clients("iam"), self._role(name)
        if live is None:
            iam.create_role(
                RoleName=name,
                Path=wanted["path"],
                Description=wanted["description"],
                AssumeRolePolicyDocument=json.dumps(wanted["trust"]),
                Tags=wanted["tags"],
            )
        elif not same_policy(live["trust"], wanted["trust"]):
            iam.update_assume_role_policy(RoleName=name, PolicyDocument=json.dumps(wanted["trust"]))
        held = live["policies"] if live else {}
        for policy, document in wanted["policies"].items():
            if policy not in held or not same_policy(held[policy], document):
                iam.put_role_policy(RoleName=name, PolicyName=policy, PolicyDocument=json.dumps(document))
        for arn in wanted["attached"]:
            if live is None or arn not in live["attached"]:
                iam.attach_role_policy(RoleName=name, PolicyArn=arn)

    # ── schedules ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _groups(self) -> Iterator[Item]:
        for name in sorted(self.declared.groups.keys() - self._live_groups()):
            yield Item(
                kind="schedule group",
                name=name,
                what="make it again",
                differences={"exists": (True, False)},
                act=partial(
                    self.clients("scheduler").create_schedule_group, Name=name, Tags=self.declared.groups[name]
                ),
                right=partial(self._has_group, name),
            )

    def _live_groups(self) -> set[str]:
        return {each["Name"] for each in pages(self.clients("scheduler"), "list_schedule_groups", "ScheduleGroups")}

    def _has_group(self, name: str) -> bool:
        return name in self._live_groups()

    def _schedules(self) -> Iterator[Item]:
        for wanted in self.declared.schedules.values():
            live = self._schedule(wanted)
            differences = dict(differing(wanted, live)) if live else {"exists": (True, False)}
            if differences:
                yield Item(
                    kind="schedule",
                    name=wanted["Name"],
                    what="make it again" if live is None else "put it right",
                    differences=differences,
                    act=partial(self._put_schedule, wanted),
                    right=partial(self._is_right, wanted),
                    service=wanted["GroupName"],
                )
            yield from self._unstartable(wanted)

    def _schedule(self, wanted: Mapping[str, Any]) -> dict[str, Any] | None:
        try:
            found = self.clients("scheduler").get_schedule(Name=wanted["Name"], GroupName=wanted["GroupName"])
        except ClientError as error:
            if _code(error) in MISSING:
                return None
            raise
        return {key: value for key, value in found.items() if key not in TOLD}

    def _put_schedule(self, wanted: Mapping[str, Any]) -> None:
        scheduler = self.clients("scheduler")
        (scheduler.update_schedule if self._schedule(wanted) else scheduler.create_schedule)(**wanted)

    def _is_right(self, wanted: Mapping[str, Any]) -> bool:
        live = self._schedule(wanted)
        return live is not None and not dict(differing(wanted, live))

    def _unstartable(self, wanted: Mapping[str, Any]) -> Iterator[Item]:
        """A revision that was deregistered cannot be brought back by a call; only Terraform makes a new one."""
        definition = wanted["Target"].get("EcsParameters", {}).get("TaskDefinitionArn", "")
        if not definition or self._active(definition):
            return
        yield Item(
            kind="task definition",
            name=definition.rsplit("/", 1)[-1],
            what="cannot be brought back",
            differences={"status": ("ACTIVE", "INACTIVE")},
            act=None,
            right=partial(self._active, definition),
            service=wanted["GroupName"],
            remedy=f"make plan apply ENV={self.declared.environment}",
        )

    def _active(self, definition: str) -> bool:
        try:
            found = self.clients("ecs").describe_task_definition(taskDefinition=definition)["taskDefinition"]
        except ClientError:
            return False
        return bool(found["status"] == "ACTIVE")

    def _undeclared_schedules(self) -> Iterator[Item]:
        """Second schedules on our families and functions, and what is named like ours and that nobody declared."""
        scheduler = self.clients("scheduler")
        for each in pages(scheduler, "list_schedules", "Schedules"):
            key = {"Name": each["Name"], "GroupName": each["GroupName"]}
            mine = self.declared.schedules.get(each["Name"])
            if (mine and mine["GroupName"] == each["GroupName"]) or each.get("State") == "DISABLED":
                continue
            whole = scheduler.get_schedule(**key)
            if not self._starts_ours(whole["Target"]) and not self._looks_ours(each):
                continue
            yield Item(
                kind="undeclared schedule",
                name=f"{each['GroupName']}/{each['Name']}",
                what="delete it" if self.remove else "disable it",
                differences={"state": (None if self.remove else "DISABLED", "ENABLED")},
                act=partial(self._silence_schedule, key, whole),
                right=partial(self._is_silent, key),
            )

    def _looks_ours(self, schedule: Mapping[str, Any]) -> bool:
        prefix = f"{catalog.load().project}-"
        return schedule["Name"].startswith(prefix) or schedule["GroupName"] in self.declared.groups

    def _silence_schedule(self, key: Mapping[str, str], whole: Mapping[str, Any]) -> None:
        scheduler = self.clients("scheduler")
        if self.remove:
            scheduler.delete_schedule(**key)
        else:
            known = {name: value for name, value in whole.items() if name not in TOLD}
            scheduler.update_schedule(**known | {"State": "DISABLED"})

    def _is_silent(self, key: Mapping[str, str]) -> bool:
        live = self._schedule(key)
        return live is None or live.get("State") == "DISABLED"

    # ── rules ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _rules(self) -> Iterator[Item]:
        for name, wanted in self.declared.rules.items():
            differences = dict(self._rule_differences(name, wanted))
            if differences:
                yield Item(
                    kind="rule",
                    name=name,
                    what="put it right",
                    differences=differences,
                    act=partial(self._put_rule, wanted),
                    right=partial(self._is_right_rule, name, wanted),
                )

    def _rule_differences(self, name: str, wanted: Mapping[str, Any]) -> Iterator[tuple[str, tuple[Any, Any]]]:
        events = self.clients("events")
        try:
            live = events.describe_rule(Name=name)
            targets = {each["Id"]: each for each in pages(events, "list_targets_by_rule", "Targets", Rule=name)}
        except ClientError as error:
            if _code(error) not in MISSING:
                raise
            yield "exists", (True, False)
            return
        for key in ("State", "EventPattern", "ScheduleExpression"):
            expected, actual = wanted["rule"].get(key), live.get(key) or None
            if not _same(expected, actual):
                yield key, (expected, actual)
        for identity, target in wanted["targets"].items():
            found = {key: targets.get(identity, {}).get(key) for key in target}
            if found != target:
                yield f"targets[{identity}]", (target["Arn"], found.get("Arn"))

    def _is_right_rule(self, name: str, wanted: Mapping[str, Any]) -> bool:
        return not dict(self._rule_differences(name, wanted))

    def _put_rule(self, wanted: Mapping[str, Any]) -> None:
        events, rule = self.clients("events"), dict(wanted["rule"])
        try:
            events.describe_rule(Name=rule["Name"])
            rule.pop("Tags")  # PutRule takes them for a new rule only
        except ClientError as error:
            if _code(error) not in MISSING:
                raise
        events.put_rule(**rule)
        if wanted["targets"]:
            events.put_targets(Rule=rule["Name"], Targets=list(wanted["targets"].values()))

    def _undeclared_rules(self) -> Iterator[Item]:
        """Rules that start our families or functions: a job has exactly one trigger."""
        events = self.clients("events")
        for each in pages(events, "list_rules", "Rules"):
            name = each["Name"]
            if name in self.declared.rules or each.get("State") == "DISABLED":
                continue
            targets = list(pages(events, "list_targets_by_rule", "Targets", Rule=name))
            if any(self._starts_ours(target) for target in targets):
                yield Item(
                    kind="undeclared rule",
                    name=name,
                    what="delete it" if self.remove else "disable it",
                    differences={"state": (None if self.remove else "DISABLED", each.get("State", "ENABLED"))},
                    act=partial(self._silence_rule, name, targets),
                    right=partial(self._is_silent_rule, name),
                )

    def _silence_rule(self, name: str, targets: list[dict[str, Any]]) -> None:
        events = self.clients("events")
        if self.remove:
            events.remove_targets(Rule=name, Ids=[target["Id"] for target in targets])
            events.delete_rule(Name=name)
        else:
            events.disable_rule(Name=name)

    def _is_silent_rule(self, name: str) -> bool:
        live = {each["Name"]: each.get("State") for each in pages(self.clients("events"), "list_rules", "Rules")}
        return live.get(name, "DISABLED") == "DISABLED"

    def _starts_ours(self, target: Mapping[str, Any]) -> bool:
        definition = target.get("EcsParameters", {}).get("TaskDefinitionArn", "")
        return family_of(definition) in self.declared.families or target["Arn"] in self.declared.functions


def _role_differences(
    wanted: Mapping[str, Any], live: Mapping[str, Any] | None
) -> Iterator[tuple[str, tuple[Any, Any]]]:
    if live is None:
        yield "exists", (True, False)
        return
    if not same_policy(wanted["trust"], live["trust"]):
        yield "trust policy", (wanted["trust"], live["trust"])
    for name, document in wanted["policies"].items():
        if not same_policy(document, live["policies"].get(name)):
            yield f"policy {name}", (document, live["policies"].get(name))
    for arn in wanted["attached"]:
        if arn not in live["attached"]:
            yield f"attached {arn}", (True, False)


def differing(wanted: Mapping[str, Any], live: Mapping[str, Any]) -> Iterator[tuple[str, tuple[Any, Any]]]:
    """(place, (expected, actual)) for each leaf that differs; lists are compared as sets, absent is like empty."""
    for key in sorted(wanted.keys() | live.keys()):
        expected, actual = wanted.get(key), live.get(key)
        if isinstance(expected, Mapping) or isinstance(actual, Mapping):
            inner = differing(expected or {}, actual or {})
            yield from ((f"{key}.{place}", values) for place, values in inner)
        elif not _same(expected, actual):
            yield key, (expected, actual)


def _same(expected: Any, actual: Any) -> bool:
    if isinstance(expected, list) or isinstance(actual, list):
        return sorted(map(str, expected or [])) == sorted(map(str, actual or []))
    if isinstance(expected, datetime) or isinstance(actual, datetime):
        return str(expected) == str(actual)
    if isinstance(expected, str) and isinstance(actual, str) and expected.startswith("{"):
        return _as_json(expected) == _as_json(actual)
    return (expected or None) == (actual or None)


def _as_json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def same_policy(one: Any, other: Any) -> bool:
    """Whether two policy documents say the same: one value and a list of it are, and order means nothing."""
    return _canonical(one) == _canonical(other)


def _canonical(value: Any) -> Any:
    if isinstance(value, Mapping):
        return tuple(sorted((key, _canonical(inner)) for key, inner in value.items()))
    if isinstance(value, list):
        return (
            tuple(sorted((_canonical(inner) for inner in value), key=repr)) if len(value) != 1 else _canonical(value[0])
        )
    return str(value)


def _code(error: ClientError) -> str:
    return str(error.response["Error"]["Code"])

"""Drift as Terraform sees it: from one plan, what reality changed and what the code still waits for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ops.drift_compare import UNKNOWN, Difference, Secret, differences, marked
from ops.drift_finding import CHANGED, EXISTS, PENDING, Finding, severity

CREATE, DELETE, NOTHING = ["create"], ["delete"], (["no-op"], ["read"])
# What each refresh finds new, though nobody changed anything.
RESTLESS = ("latest_restorable_time", "tags_all")
IDENTITY = ("arn", "id", "name", "alarm_name", "function_name")


def findings(plan: dict[str, Any], environment: str) -> list[Finding]:
    """The findings of a plan (`terraform show -json`) that refreshed its state.

    After a first apply Terraform calls nearly every resource drifted: null became {}, and computed attributes took in
    what other resources added. So a difference counts only where this plan would undo it; what it would not undo, no
    apply could heal. A value that only the apply will tell is a consequence of another difference.
    """
    drifted = {each["address"]: each["change"] for each in plan.get("resource_drift", []) if _ours(each)}
    found: list[Finding] = []
    consequences: list[Finding] = []
    for each in plan.get("resource_changes", []):
        if _ours(each):
            for finding in _of_resource(each, drifted.get(each["address"]), environment):
                (consequences if finding.expected is UNKNOWN else found).append(finding)
    return found or consequences


def _ours(resource: dict[str, Any]) -> bool:
    return resource["mode"] == "managed" and resource["change"]["actions"] not in NOTHING


def _of_resource(resource: dict[str, Any], drift: dict[str, Any] | None, environment: str) -> Iterator[Finding]:
    change = resource["change"]
    if change["actions"] == CREATE:
        kind = CHANGED if drift and drift["actions"] == DELETE else PENDING
        before = (drift or change)["before"] or change["after"] or {}
        yield _finding(resource, kind, EXISTS, True, False, before, environment)
    elif change["actions"] == DELETE or "deposed" in resource:
        yield _finding(resource, PENDING, EXISTS, False, True, change["before"] or {}, environment)
    else:
        yield from _of_attributes(resource, drift, environment)


def _of_attributes(resource: dict[str, Any], drift: dict[str, Any] | None, environment: str) -> Iterator[Finding]:
    change = resource["change"]
    reality, code = _side(change, "before"), _side(change, "after")
    drifts = list(_tags_as_one(differences(_side(drift, "before"), _side(drift, "after")))) if drift else []
    replaced = DELETE[0] in change["actions"]
    found = list(_tags_as_one(differences(reality, code)))
    for difference in found:
        by_reality = [each for each in drifts if each.touches(difference)]
        if not by_reality and replaced and difference.after is UNKNOWN:
            continue  # the new resource's own id and ARN
        expected = difference.after
        if expected is UNKNOWN and by_reality:
            expected = by_reality[0].before
        kind = CHANGED if by_reality else PENDING
        before = change["before"] or {}
        yield _finding(resource, kind, difference.attribute, expected, difference.before, before, environment)
    if not found:  # the provider sees a difference that we do not
        what = "/".join(change["actions"])
        yield _finding(resource, CHANGED if drift else PENDING, "plan", "no change", what, {}, environment)


def _side(change: dict[str, Any], side: str) -> Any:
    """`before` or `after` of a change, secrets hidden, unknown values marked."""
    value = marked(change[side], change.get(f"{side}_sensitive"), Secret)
    return marked(value, change.get("after_unknown"), lambda _: UNKNOWN) if side == "after" else value


def _null_and_zero(difference: Difference) -> bool:
    """Whether it is only what a refresh makes of a number that was never given (an expression's `period`, say)."""
    sides = (difference.before, difference.after)
    return None in sides and any(each == 0 and type(each) in (int, float) for each in sides)


def _tags_as_one(differing: Iterator[Difference]) -> Iterator[Difference]:
    """`tags` repeats what `tags_all` says, which knows the provider's default tags too."""
    found = [each for each in differing if not _null_and_zero(each)]
    all_tags = {each.path[1:] for each in found if each.path[0] == "tags_all" and each.after is not UNKNOWN}
    for each in found:
        if each.path[0] not in RESTLESS and not (each.path[0] == "tags" and each.path[1:] in all_tags):
            yield each
        elif each.path[0] == "tags_all" and each.after is not UNKNOWN:
            yield Difference(path=("tags", *each.path[1:]), before=each.before, after=each.after)


def _finding(
    resource: dict[str, Any],
    kind: str,
    attribute: str,
    expected: Any,
    actual: Any,
    values: dict[str, Any],
    environment: str,
) -> Finding:
    missing = attribute == EXISTS and actual is False
    return Finding(
        kind=kind,
        address=resource["address"],
        attribute=attribute,
        expected=expected,
        actual=actual,
        severity=severity(kind, resource["type"], attribute, missing=missing),
        repair=f"make plan apply ENV={environment}",
        resource=next((str(values[name]) for name in IDENTITY if values.get(name)), ""),
    )

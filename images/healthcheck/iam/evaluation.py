"""IAM's evaluation logic: a deny anywhere decides, else something must allow, and a boundary may still take it away.

Source: IAM user guide, "Policy evaluation logic" (within and across accounts) and "IAM JSON policy elements".
Covered: identity policies, resource policies, permissions boundaries, trust policies and KMS key policies. Left out,
because nothing here has them: service and resource control policies, session policies, federated users.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from healthcheck.iam.conditions import holds
from healthcheck.iam.context import Context
from healthcheck.iam.documents import Policy, Statement, policy
from healthcheck.iam.patterns import matches
from healthcheck.iam.principals import Named, Principal, service

Reason = Literal["allowed", "explicit_deny", "implicit_deny"]
Kind = Literal["identity", "resource", "boundary"]

_KINDS: dict[Kind, str] = {
    "identity": "identity-based policy",
    "resource": "resource-based policy",
    "boundary": "permissions boundary",
}


@dataclass(frozen=True, kw_only=True)
class Request:
    """A question to IAM.

    `action` is like `ecs:RunTask`, `resource` an ARN (or `*`), `context` the condition keys beyond those that the
    principal brings along. `resource_account` is needed only where the ARN has no account (S3) and the resource is
    another's.
    """

    principal: Principal
    action: str
    resource: str
    context: Context = field(default_factory=Context)
    resource_account: str = ""

    @cached_property
    def keys(self) -> Context:
        """All condition keys of the request; what the caller said explicitly wins."""
        return self.context.over(self.principal.context())


@dataclass(frozen=True, kw_only=True)
class Policies:
    """What applies: all policies of the identity (inline and attached), its boundary, the resource's own policy."""

    identity: tuple[Policy, ...] = ()
    resource: Policy | None = None
    boundary: Policy | None = None


@dataclass(frozen=True, kw_only=True)
class Match:
    """A statement that applied."""

    kind: Kind
    policy: str
    sid: str
    effect: Literal["Allow", "Deny"]
    naming: Named = ""


@dataclass(frozen=True, kw_only=True)
class NearMiss:
    """An Allow for this action that did not apply, and the one element that kept it from applying."""

    kind: Kind
    policy: str
    sid: str
    element: Literal["Resource", "Principal", "Condition"]
    detail: str


@dataclass(frozen=True, kw_only=True)
class Decision:
    """IAM's answer; true when allowed.

    `matched` are the statements that decided (the denies, or the allows), `missing` is the kind of policy that would
    have had to allow, `near` the statements that nearly did. `message` is worded as AWS words an access denied error.
    """

    allowed: bool
    reason: Reason
    message: str
    matched: tuple[Match, ...] = ()
    missing: Kind | None = None
    near: tuple[NearMiss, ...] = ()

    def __bool__(self) -> bool:
        return self.allowed


def evaluate(request: Request, policies: Policies) -> Decision:
    """Whether IAM allows the request, and why."""
    found = list(_matches(request, policies))
    denies = tuple(match for match in found if match.effect == "Deny")
    if denies:
        return _denied(request, "explicit_deny", denies, denies[0].kind, ())
    missing = _missing(request, policies, {kind: [m for m in found if m.kind == kind] for kind in _KINDS})
    if missing:
        return _denied(request, "implicit_deny", (), missing, tuple(_near_misses(request, policies)))
    return Decision(allowed=True, reason="allowed", message="", matched=tuple(found))


def may_assume(
    trust: Policy | str | Mapping[str, Any],
    principal: Principal | str,
    context: Context | None = None,
    *,
    role_arn: str = "*",
) -> Decision:
    """Whether a role's trust policy lets the service (`scheduler.amazonaws.com`) or other principal assume it.

    A trust policy must name its principal; no identity policy of the caller can stand in for it. `context` holds what
    the service says of the resource it acts for: aws:SourceAccount and aws:SourceArn (for EventBridge Scheduler the ARN
    of the schedule *group*).
    """
    read = trust if isinstance(trust, Policy) else policy(trust, name="trust policy")
    caller = service(principal) if isinstance(principal, str) else principal
    request = Request(principal=caller, action="sts:AssumeRole", resource=role_arn, context=context or Context())
    return evaluate(request, Policies(resource=read))


def _matches(request: Request, policies: Policies) -> Iterable[Match]:
    for kind, one in _all(policies):
        for statement in one.statements:
            if _applies(request, kind, one, statement):
                naming = _naming(statement, request.principal) if kind == "resource" else ""
                yield Match(kind=kind, policy=one.name, sid=statement.sid, effect=statement.effect, naming=naming)


def _near_misses(request: Request, policies: Policies) -> Iterable[NearMiss]:
    for kind, one in _all(policies):
        for statement in one.statements:
            failing = _failing(request, kind, one, statement)
            if statement.effect == "Allow" and len(failing) == 1 and failing[0][0] != "Action":
                element, detail = failing[0]
                yield NearMiss(kind=kind, policy=one.name, sid=statement.sid, element=element, detail=detail)  # type: ignore[arg-type]


def _all(policies: Policies) -> Iterable[tuple[Kind, Policy]]:
    yield from (("identity", one) for one in policies.identity)
    if policies.resource:
        yield "resource", policies.resource
    if policies.boundary:
        yield "boundary", policies.boundary


def _applies(request: Request, kind: Kind, of: Policy, statement: Statement) -> bool:
    """Whether the request meets every element. Most fail at the action, which is all that is then looked at."""
    if not covers_action(statement, request.action):
        return False
    variables = request.keys if of.variables else None
    return (
        _covers_resource(statement, request, kind, variables)
        and (kind != "resource" or bool(_naming(statement, request.principal)))
        and all(holds(test, request.keys, variables) for test in statement.conditions)
    )


def _failing(request: Request, kind: Kind, of: Policy, statement: Statement) -> list[tuple[str, str]]:
    """The elements of the statement that the request does not meet, with what they asked for."""
    keys = request.keys
    variables = keys if of.variables else None
    failing = []
    if not covers_action(statement, request.action):
        failing.append(("Action", request.action))
    if not _covers_resource(statement, request, kind, variables):
        failing.append(("Resource", f"{request.resource} is not in {_shown(statement)}"))
    if kind == "resource" and not _naming(statement, request.principal):
        failing.append(("Principal", f"{request.principal.caller} is not named"))
    failed = [test for test in statement.conditions if not holds(test, keys, variables)]
    if failed:
        failing.append(("Condition", "; ".join(f"{test} (was {_was(test.key, keys)})" for test in failed)))
    return failing


def _shown(statement: Statement) -> str:
    return ", ".join(statement.resources or [f"not {one}" for one in statement.not_resources or ()])


def _was(key: str, keys: Context) -> str:
    return " | ".join(keys.values(key)) or "absent"


def covers_action(statement: Statement, action: str) -> bool:
    if statement.actions is not None:
        return any(matches(one, action, fold=True) for one in statement.actions)
    return not any(matches(one, action, fold=True) for one in statement.not_actions or ())


def _covers_resource(statement: Statement, request: Request, kind: Kind, variables: Context | None) -> bool:
    def covers(pattern: str) -> bool:
        return matches(pattern, request.resource, variables=variables, arn=pattern.startswith("arn:"))

    if statement.resources is not None:
        return any(covers(one) for one in statement.resources)
    if statement.not_resources is not None:
        return not any(covers(one) for one in statement.not_resources)
    # A trust policy has no Resource: it is about the role that it belongs to.
    return kind == "resource"


def _naming(statement: Statement, principal: Principal) -> Named:
    if statement.principals is not None:
        return statement.principals.naming(principal)
    if statement.not_principals is not None:
        return "" if statement.not_principals.naming(principal) else "direct"
    return ""


def _missing(request: Request, policies: Policies, allows: Mapping[Kind, list[Match]]) -> Kind | None:
    """The kind of policy whose allow is lacking, None when the allows suffice.

    By the user guide: within an account the identity's or the resource's allow is enough, except that a role's trust
    policy and a KMS key policy must take part themselves; across accounts both are needed. An allow by the resource to
    the user, the session or everyone is not limited by a boundary, one to the role's ARN is. An allow to the account
    only lets the account's own policies decide. A service has no policies of its own.
    """
    namings = {match.naming for match in allows["resource"]}
    is_service, foreign = request.principal.kind == "service", not _same_account(request)
    if not namings and (is_service or foreign or _must_take_part(request, policies)):
        return "resource"
    if is_service:
        return None
    if foreign:
        return _missing_identity(policies, allows)
    if "direct" in namings:
        return None
    if "role" in namings:
        return "boundary" if policies.boundary and not allows["boundary"] else None
    return _missing_identity(policies, allows)


def _missing_identity(policies: Policies, allows: Mapping[Kind, list[Match]]) -> Kind | None:
    if not allows["identity"]:
        return "identity"
    return "boundary" if policies.boundary and not allows["boundary"] else None


def _must_take_part(request: Request, policies: Policies) -> bool:
    is_key = request.resource.split(":")[2:3] == ["kms"] and policies.resource is not None
    return is_key or request.action.lower() == "sts:assumerole"


def _same_account(request: Request) -> bool:
    parts = request.resource.split(":")
    account = request.resource_account or (parts[4] if len(parts) > 4 else "")
    return account in ("", "*", request.principal.account)


def _denied(
    request: Request, reason: Reason, matched: tuple[Match, ...], kind: Kind, near: tuple[NearMiss, ...]
) -> Decision:
    """AWS's wording: user guide, "Troubleshoot access denied error messages"."""
    subject = f"User: {request.principal.caller} is not authorized to perform: {request.action}"
    because = (
        f"with an explicit deny in {'an' if kind == 'identity' else 'a'} {_KINDS[kind]}"
        if reason == "explicit_deny"
        else f"because no {_KINDS[kind]} allows the {request.action} action"
    )
    return Decision(
        allowed=False,
        reason=reason,
        message=f"{subject} on resource: {request.resource} {because}",
        matched=matched,
        missing=None if reason == "explicit_deny" else kind,
        near=near,
    )

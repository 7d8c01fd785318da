"""Every role of the account: who may take it, and what it may do."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from healthcheck import iam
from healthcheck.aws.clients import Clients, found
from healthcheck.aws.memory import Memory
from healthcheck.iam import Context, Decision, MalformedPolicy, Policies, Policy, Request
from healthcheck.place import Place

# The most that a page takes.
PAGE = 1000
SCHEDULER, EVENTS = "scheduler.amazonaws.com", "events.amazonaws.com"
TASKS, LAMBDA = "ecs-tasks.amazonaws.com", "lambda.amazonaws.com"
TAKERS = (SCHEDULER, EVENTS, TASKS, LAMBDA)


@dataclass(frozen=True, kw_only=True)
class Role:
    """A role with its policies, inline and attached, and its boundary."""

    arn: str
    name: str
    trust: Policy
    policies: Policies

    def assumed_by(self, service: str, source_arn: str) -> Decision:
        """Whether an AWS service may take it on behalf of the resource `source_arn`."""
        keys = {"aws:SourceAccount": self.arn.split(":")[4], "aws:SourceArn": source_arn}
        return iam.may_assume(self.trust, service, Context.of(keys), role_arn=self.arn)

    def may(
        self, action: str, resource: str, keys: Mapping[str, str] | None = None, *, policy: Policy | None = None
    ) -> Decision:
        """Whether it may do that to the resource, whose own policy is `policy`."""
        request = Request(
            principal=iam.role(self.arn, session="healthcheck"),
            action=action,
            resource=resource,
            context=Context.of({"aws:SecureTransport": "true", **(keys or {})}),
        )
        own = self.policies
        return iam.evaluate(request, Policies(identity=own.identity, boundary=own.boundary, resource=policy))


@dataclass(frozen=True, kw_only=True)
class Roles:
    """By ARN."""

    roles: Mapping[str, Role]


def read(clients: Clients, place: Place, memory: Memory) -> Roles:
    """A call a page, and one for each policy of AWS's own that a role has: ours have none."""
    client = clients("iam")
    described: list[Mapping[str, Any]] = []
    managed: dict[str, Any] = {}
    wanted: dict[str, Any] = {"Filter": ["Role", "LocalManagedPolicy"], "MaxItems": PAGE}
    while True:
        page = client.get_account_authorization_details(**wanted)
        described += page["RoleDetailList"]
        managed |= {each["Arn"]: _default_version(each) for each in page["Policies"]}
        if not page.get("IsTruncated"):
            break
        wanted["Marker"] = page["Marker"]
    ours = [each for each in described if _concerns(each, place)]
    missing = sorted({arn for each in ours for arn in _managed_arns(each)} - managed.keys())
    managed |= dict(zip(missing, clients.each(lambda arn: _aws_managed(client, arn), missing), strict=True))
    return Roles(roles={each["Arn"]: _role(each, managed) for each in described})


def _concerns(described: Mapping[str, Any], place: Place) -> bool:
    """Whether a trigger, a task or a function could have it: others are not worth a call for AWS's policies."""
    if described["RoleName"].startswith(f"{place.project}-"):
        return True
    trust = json.dumps(described["AssumeRolePolicyDocument"])
    return any(service in trust for service in TAKERS)


def _managed_arns(described: Mapping[str, Any]) -> Iterable[str]:
    boundary = (described.get("PermissionsBoundary") or {}).get("PermissionsBoundaryArn")
    return [*(each["PolicyArn"] for each in described["AttachedManagedPolicies"]), *([boundary] if boundary else [])]


def _default_version(described: Mapping[str, Any]) -> Any:
    return next(each["Document"] for each in described["PolicyVersionList"] if each["IsDefaultVersion"])


def _aws_managed(client: Any, arn: str) -> Any:
    policy = found(lambda: client.get_policy(PolicyArn=arn), "NoSuchEntity")
    if policy is None:
        return {"Statement": []}
    version = policy["Policy"]["DefaultVersionId"]
    return client.get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]["Document"]


def _role(described: Mapping[str, Any], managed: Mapping[str, Any]) -> Role:
    boundary = (described.get("PermissionsBoundary") or {}).get("PermissionsBoundaryArn")
    attached = [each["PolicyArn"] for each in described["AttachedManagedPolicies"]]
    return Role(
        arn=described["Arn"],
        name=described["RoleName"],
        trust=_policy(described["AssumeRolePolicyDocument"], "trust policy"),
        policies=Policies(
            identity=(
                *(_policy(each["PolicyDocument"], each["PolicyName"]) for each in described["RolePolicyList"]),
                *(_policy(managed[arn], arn.rsplit("/", 1)[-1]) for arn in attached if arn in managed),
            ),
            boundary=_policy(managed.get(boundary, {"Statement": []}), "boundary") if boundary else None,
        ),
    )


def _policy(document: Any, name: str) -> Policy:
    """A policy that cannot be read allows nothing; AWS itself would not have taken it."""
    try:
        return iam.policy(document, name=name)
    except MalformedPolicy:
        return Policy(name=f"{name} (malformed)", statements=())

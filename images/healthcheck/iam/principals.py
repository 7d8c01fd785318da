"""Who asks: users, role sessions and AWS services, and how a Principal element names them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from healthcheck.iam.context import Context

_ACCOUNT = re.compile(r"\d{12}")
_ROOT = re.compile(r"arn:[^:]+:iam::(\d{12}):root")

Named = Literal["direct", "role", "account", ""]


@dataclass(frozen=True, kw_only=True)
class Principal:
    """A caller: `arn` is the user's or role's, `session_arn` a role session's own; a service has only its name."""

    kind: Literal["role", "user", "service"]
    name: str
    arn: str = ""
    session_arn: str = ""

    @property
    def account(self) -> str:
        """Twelve digits; empty for a service."""
        return self.arn.split(":")[4] if self.arn else ""

    @property
    def caller(self) -> str:
        """As AWS names it in an error message."""
        return self.session_arn or self.arn or self.name

    def context(self) -> Context:
        """The condition keys that every request of this principal has."""
        if self.kind == "service":
            return Context.of({"aws:PrincipalServiceName": self.name, "aws:PrincipalIsAWSService": True})
        keys = {
            "aws:PrincipalArn": self.arn,
            "aws:PrincipalAccount": self.account,
            "aws:PrincipalIsAWSService": "false",
        }
        if self.kind == "user":
            return Context.of(keys | {"aws:PrincipalType": "User", "aws:username": self.name})
        return Context.of(keys | {"aws:PrincipalType": "AssumedRole"})


def role(arn: str, *, session: str = "session") -> Principal:
    """A session of the role `arn:aws:iam::ACCOUNT:role/path/NAME`."""
    partition, account, name = arn.split(":")[1], arn.split(":")[4], arn.rsplit("/", 1)[-1]
    return Principal(
        kind="role", name=name, arn=arn, session_arn=f"arn:{partition}:sts::{account}:assumed-role/{name}/{session}"
    )


def user(arn: str) -> Principal:
    """The user `arn:aws:iam::ACCOUNT:user/path/NAME`."""
    return Principal(kind="user", name=arn.rsplit("/", 1)[-1], arn=arn)


def service(name: str) -> Principal:
    """An AWS service acting in its own name, such as `scheduler.amazonaws.com`."""
    return Principal(kind="service", name=name)


@dataclass(frozen=True, kw_only=True)
class Names:
    """A Principal element: `*`, or identifiers by type (Federated and CanonicalUser name none of our callers)."""

    everyone: bool = False
    aws: tuple[str, ...] = ()
    services: tuple[str, ...] = ()

    def naming(self, principal: Principal) -> Named:
        """How the element names the caller.

        "direct" (its user, session, service or everyone), "role" (the role of its session, which the role's boundary
        limits), "account" (its account, which leaves the decision to the account's own policies), or "" (not at all).
        """
        if self.everyone or "*" in self.aws:
            return "direct"
        if principal.kind == "service":
            return "direct" if principal.name.lower() in {name.lower() for name in self.services} else ""
        if principal.session_arn in self.aws or (principal.kind == "user" and principal.arn in self.aws):
            return "direct"
        if principal.arn in self.aws:
            return "role"
        return "account" if principal.account in _accounts(self.aws) else ""


def _accounts(identifiers: Iterable[str]) -> set[str]:
    roots = (_ROOT.fullmatch(identifier) for identifier in identifiers)
    return {root.group(1) for root in roots if root} | {one for one in identifiers if _ACCOUNT.fullmatch(one)}

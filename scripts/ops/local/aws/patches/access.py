"""Calls in a role's name are held to the role's policies; moto lets everybody do everything."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from moto.core.exceptions import ServiceException
from moto.core.responses import ActionResult, BaseResponse
from moto.iam.models import iam_backends

from healthcheck import iam
from healthcheck.iam import Policy
from healthcheck.iam.evaluation import covers_action
from ops.local.aws import roles
from ops.local.aws.patches.tools import around

TOKEN = "X-Amz-Security-Token"
# Anybody may ask who he is; AWS refuses that to nobody.
FREE = ("sts:GetCallerIdentity",)
# How a refusal is called by the services that do not say AccessDeniedException.
CODES = {
    "ec2": "UnauthorizedOperation",
    **dict.fromkeys(("cloudwatch", "iam", "rds", "sns", "sqs", "sts"), "AccessDenied"),
}


class AccessDenied(ServiceException):
    """A class of our own: moto takes the name of an exception's module for that of the service."""


def roles_are_held_to_their_policies() -> None:
    """A call with a role's session is refused where no statement allows the action on anything, or one denies it on
    everything. What single resources it is for, the plane and the checks judge; a call does not say it in one way."""

    @around(BaseResponse, "call_action")
    def call_action(original: Any, self: BaseResponse) -> Any:
        role = roles.role_of(self.headers.get(TOKEN) or "")
        refused = _refused(role, f"{self.boto3_service_name}:{self._get_action()}") if role else None
        if refused is None:
            return original(self)
        code = CODES.get(self.boto3_service_name, "AccessDeniedException")
        status, headers, body = self.serialized(ActionResult(AccessDenied(code, refused)))
        return status, headers, body


def _refused(role_arn: str, action: str) -> str | None:
    """IAM's sentence, or None where the role may."""
    account, name = role_arn.split(":")[4], role_arn.rpartition("/")[2]
    who = f"User: arn:aws:sts::{account}:assumed-role/{name}/session is not authorized to perform: {action}"
    role = next((each for each in iam_backends[account]["aws"].roles.values() if each.name == name), None)
    if role is None:
        return f"{who} because the role does not exist"
    if action in FREE:
        return None
    policies = list(_policies(role))
    concerned = [each for policy in policies for each in policy.statements if covers_action(each, action)]
    if any(each.effect == "Deny" and "*" in (each.resources or ()) and not each.conditions for each in concerned):
        return f"{who} with an explicit deny in an identity-based policy"
    if not any(each.effect == "Allow" for each in concerned):
        return f"{who} because no identity-based policy allows the {action} action"
    return None


def _policies(role: Any) -> Iterator[Policy]:
    for document in role.policies.values():
        yield _parsed(_text(document))
    for attached in role.managed_policies.values():
        yield _parsed(_text(attached.document))


def _text(document: str | Mapping[str, Any]) -> str:
    return document if isinstance(document, str) else json.dumps(document)


@lru_cache(maxsize=512)
def _parsed(document: str) -> Policy:
    return iam.policy(document)

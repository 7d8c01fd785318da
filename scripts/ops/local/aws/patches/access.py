"""Calls in a role's name are held to the role's policies; moto lets everybody do everything."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qs, urlsplit

from moto.core.exceptions import ServiceException
from moto.core.responses import ActionResult, BaseResponse
from moto.iam.models import iam_backends
from moto.s3.exceptions import S3AccessDeniedError
from moto.s3.responses import S3Response

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

# Where an action's prefix is not what the SDK calls the service.
PREFIXES = {"resourcegroupstaggingapi": "tag"}
# What S3's sub-resources are called in an action (service authorization reference, Amazon S3); moto knows some of them.
SUBRESOURCES = {
    "accelerate": "AccelerateConfiguration",
    "acl": "BucketAcl",
    "cors": "BucketCORS",
    "encryption": "EncryptionConfiguration",
    "lifecycle": "LifecycleConfiguration",
    "location": "BucketLocation",
    "logging": "BucketLogging",
    "notification": "BucketNotification",
    "object-lock": "BucketObjectLockConfiguration",
    "ownershipControls": "BucketOwnershipControls",
    "policy": "BucketPolicy",
    "policyStatus": "BucketPolicyStatus",
    "publicAccessBlock": "BucketPublicAccessBlock",
    "replication": "ReplicationConfiguration",
    "requestPayment": "BucketRequestPayment",
    "tagging": "BucketTagging",
    "versioning": "BucketVersioning",
    "website": "BucketWebsite",
}


class AccessDenied(ServiceException):
    """A class of our own: moto takes the name of an exception's module for that of the service."""


def roles_are_held_to_their_policies() -> None:
    """A call with a role's session is refused where no statement allows the action on anything, or one denies it on
    everything. What single resources it is for, the plane and the checks judge; a call does not say it in one way."""

    @around(BaseResponse, "call_action")
    def call_action(original: Any, self: BaseResponse) -> Any:
        role = roles.role_of(self.headers.get(TOKEN) or "")
        prefix = PREFIXES.get(self.boto3_service_name, self.boto3_service_name)
        refused = _refused(role, f"{prefix}:{self._get_action()}") if role else None
        if refused is None:
            return original(self)
        code = CODES.get(self.boto3_service_name, "AccessDeniedException")
        status, headers, body = self.serialized(ActionResult(AccessDenied(code, refused)))
        return status, headers, body


def buckets_are_held_to_policies() -> None:
    """S3 says action and resource of every call, so that whole policies are judged, resources and conditions too."""

    @around(S3Response, "_authenticate_and_authorize_s3_action")
    def authorize(original: Any, self: Any, bucket_name: str | None = None, key_name: str | None = None) -> None:
        original(self, bucket_name=bucket_name, key_name=key_name)
        arn = roles.role_of(self.headers.get(TOKEN) or "")
        if arn is None:
            return
        role = _role(arn)
        resource = "/".join(filter(None, (bucket_name, key_name)))
        asked = iam.Request(
            principal=iam.role(arn),
            action=_bucket_action(self) if bucket_name and not key_name else f"s3:{self.data['Action']}",
            resource=f"arn:aws:s3:::{resource}" if resource else "*",
        )
        if role is None or not iam.evaluate(asked, iam.Policies(identity=tuple(_policies(role)))):
            raise S3AccessDeniedError


def _bucket_action(response: Any) -> str:
    """The action of a call on a bucket itself."""
    query = parse_qs(urlsplit(response.uri).query, keep_blank_values=True)
    named = next((SUBRESOURCES[each] for each in query if each in SUBRESOURCES), None)
    if named is None:
        return "s3:ListBucket" if response.method == "HEAD" else f"s3:{response.data['Action']}"
    if response.method == "DELETE" and named in ("BucketPolicy", "BucketWebsite"):
        return f"s3:Delete{named}"
    return f"s3:{'Get' if response.method == 'GET' else 'Put'}{named}"


def _role(arn: str) -> Any:
    """The role as it is now; None where it is gone."""
    account, name = arn.split(":")[4], arn.rpartition("/")[2]
    return next((each for each in iam_backends[account]["aws"].roles.values() if each.name == name), None)


def _refused(role_arn: str, action: str) -> str | None:
    """IAM's sentence, or None where the role may."""
    account, name = role_arn.split(":")[4], role_arn.rpartition("/")[2]
    who = f"User: arn:aws:sts::{account}:assumed-role/{name}/session is not authorized to perform: {action}"
    role = _role(role_arn)
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

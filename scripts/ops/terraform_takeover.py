"""What a plan would create and the account has already: as import blocks, so that it is taken over and not refused.

IAM and budgets have no region: to build an environment again elsewhere finds them as they were. Of what has a region,
that is here which an apply may have made and not written down when it was killed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

Clients = Callable[..., Any]
Values = Mapping[str, Any]
# What a lookup of something that is not there is answered with, service by service.
ABSENT = frozenset(
    (
        *("NoSuchEntity", "NotFoundException", "ResourceNotFoundException", "RepositoryNotFoundException", "404"),
        *("DBInstanceNotFound", "DBInstanceNotFoundFault", "DBSubnetGroupNotFoundFault", "DBParameterGroupNotFound"),
        *("DBParameterGroupNotFoundFault", "NoSuchBucket", "ParameterNotFound"),
    )
)


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A type of resource: the id that it is imported by, and the call that fails where there is none of that id."""

    identity: Callable[[Values, str], str]
    look: Callable[[Clients, str], Any]


def _named(key: str) -> Callable[[Values, str], str]:
    return lambda values, account: str(values[key])


def _parameter(clients: Clients, name: str) -> Any:
    return clients("ssm").get_parameters(Names=[name])["Parameters"]


def _log_group(clients: Clients, name: str) -> Any:
    found = clients("logs").describe_log_groups(logGroupNamePrefix=name)["logGroups"]
    return [each for each in found if each["logGroupName"] == name]


def _budget(clients: Clients, identity: str) -> Any:
    account, name = identity.split(":")
    return clients("budgets").describe_budget(AccountId=account, BudgetName=name)


def _schedule(clients: Clients, identity: str) -> Any:
    group, name = identity.split("/")
    return clients("scheduler").get_schedule(GroupName=group, Name=name)


def _vault(clients: Clients, name: str) -> Any:
    """Never the one for copies, which lies in another region than the plan's."""
    pages = clients("backup").get_paginator("list_backup_vaults").paginate()
    found = [each for page in pages for each in page["BackupVaultList"] if each["BackupVaultName"] == name]
    return found if not name.endswith("-copy") else None


KINDS: Mapping[str, Kind] = {
    "aws_iam_role": Kind(identity=_named("name"), look=lambda c, name: c("iam").get_role(RoleName=name)),
    "aws_iam_policy": Kind(
        identity=lambda values, account: f"arn:aws:iam::{account}:policy{values.get('path') or '/'}{values['name']}",
        look=lambda c, arn: c("iam").get_policy(PolicyArn=arn),
    ),
    "aws_iam_openid_connect_provider": Kind(
        identity=lambda values, account: (
            f"arn:aws:iam::{account}:oidc-provider/{str(values['url']).removeprefix('https://')}"
        ),
        look=lambda c, arn: c("iam").get_open_id_connect_provider(OpenIDConnectProviderArn=arn),
    ),
    "aws_backup_vault": Kind(identity=_named("name"), look=_vault),
    "aws_budgets_budget": Kind(identity=lambda values, account: f"{account}:{values['name']}", look=_budget),
    "aws_db_instance": Kind(
        identity=_named("identifier"),
        look=lambda c, name: c("rds").describe_db_instances(DBInstanceIdentifier=name)["DBInstances"],
    ),
    "aws_db_subnet_group": Kind(
        identity=_named("name"),
        look=lambda c, name: c("rds").describe_db_subnet_groups(DBSubnetGroupName=name)["DBSubnetGroups"],
    ),
    "aws_db_parameter_group": Kind(
        identity=_named("name"),
        look=lambda c, name: c("rds").describe_db_parameter_groups(DBParameterGroupName=name)["DBParameterGroups"],
    ),
    "aws_ecr_repository": Kind(
        identity=_named("name"),
        look=lambda c, name: c("ecr").describe_repositories(repositoryNames=[name])["repositories"],
    ),
    "aws_kms_alias": Kind(identity=_named("name"), look=lambda c, name: c("kms").describe_key(KeyId=name)),
    "aws_cloudwatch_log_group": Kind(identity=_named("name"), look=_log_group),
    "aws_lambda_function": Kind(
        identity=_named("function_name"), look=lambda c, name: c("lambda").get_function(FunctionName=name)
    ),
    "aws_ssm_parameter": Kind(identity=_named("name"), look=_parameter),
    "aws_s3_bucket": Kind(identity=_named("bucket"), look=lambda c, name: c("s3").head_bucket(Bucket=name)),
    "aws_scheduler_schedule_group": Kind(
        identity=_named("name"), look=lambda c, name: c("scheduler").get_schedule_group(Name=name)
    ),
    "aws_scheduler_schedule": Kind(
        identity=lambda values, account: f"{values['group_name']}/{values['name']}", look=_schedule
    ),
}


def there(plan: Values, clients: Clients, account: str) -> Iterator[tuple[str, str]]:
    """(address, id) of what the plan (as JSON) would create although the account has it. `clients` make boto3 clients
    of the plan's region. Raises ClientError where the account does not say."""
    for resource in plan.get("resource_changes", []):
        kind = KINDS.get(resource["type"])
        if kind is None or resource["change"]["actions"] != ["create"]:
            continue
        identity = kind.identity(resource["change"]["after"], account)
        if _is_there(kind, clients, identity):
            yield resource["address"], identity


def _is_there(kind: Kind, clients: Clients, identity: str) -> bool:
    try:
        return bool(kind.look(clients, identity))
    except ClientError as error:
        if error.response["Error"]["Code"] in ABSENT:
            return False
        raise


def blocks(found: Mapping[str, str]) -> str:
    """HCL that imports each: address → id."""
    return "".join(f"import {{\n  to = {to}\n  id = {json.dumps(identity)}\n}}\n\n" for to, identity in found.items())

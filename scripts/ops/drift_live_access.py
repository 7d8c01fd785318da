"""Undeclared access: roles and policies, who listens to our alarms, what may reach our network."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from botocore.exceptions import ClientError

from ops.drift_finding import CRITICAL
from ops.drift_live_part import ClientsOf, Part, Stray, pages
from ops.drift_state import Declared

# Terraform resources that hold the whole list of a role's policies: a foreign one is in their plan already.
EXCLUSIVE = {
    "inline_policy": "aws_iam_role_policies_exclusive",
    "managed_policy_arns": "aws_iam_role_policy_attachments_exclusive",
}
PENDING = "PendingConfirmation"  # stands in the place of an ARN


def identities(clients: ClientsOf, declared: Declared) -> Iterator[Stray]:
    """Roles, users and policies under our prefix; policies in our roles that no exclusive list watches."""
    iam = clients("iam")
    wanted = {"Filter": ["Role", "User", "LocalManagedPolicy"]}
    for page in iam.get_paginator("get_account_authorization_details").paginate(**wanted):
        for role in page["RoleDetailList"]:
            if declared.has("aws_iam_role", role["RoleName"]):
                yield from _policies_of(role, declared)
            elif declared.ours(role["RoleName"]) or _tagged(role.get("Tags", []), declared):
                remove = f"aws iam delete-role --role-name {role['RoleName']}  # after its policies"
                yield Stray(arn=role["Arn"], name=role["RoleName"], severity=CRITICAL, remove=remove)
        for user in page["UserDetailList"]:
            if declared.ours(user["UserName"]) and not declared.has_id(user["Arn"]):
                remove = f"aws iam delete-user --user-name {user['UserName']}  # after its keys and policies"
                yield Stray(arn=user["Arn"], name=user["UserName"], severity=CRITICAL, remove=remove)
        for policy in page["Policies"]:
            if declared.ours(policy["PolicyName"]) and not declared.has("aws_iam_policy", policy["Arn"]):
                remove = f"aws iam delete-policy --policy-arn {policy['Arn']}"
                yield Stray(arn=policy["Arn"], name=policy["PolicyName"], remove=remove)


def _tagged(tags: list[dict[str, str]], declared: Declared) -> bool:
    return {"Key": "Project", "Value": declared.project} in [{"Key": t["Key"], "Value": t["Value"]} for t in tags]


def _policies_of(role: dict[str, Any], declared: Declared) -> Iterator[Stray]:
    name = role["RoleName"]
    watched = {attribute: name in declared.names(kind, "role_name") for attribute, kind in EXCLUSIVE.items()}
    for policy in role["RolePolicyList"]:
        if not (watched["inline_policy"] or declared.has("aws_iam_role_policy", f"{name}/{policy['PolicyName']}")):
            yield Stray(
                arn=role["Arn"],
                name=name,
                attribute=f"inline_policy[{policy['PolicyName']}]",
                expected=None,
                actual=policy["PolicyDocument"],
                severity=CRITICAL,
                remove=f"aws iam delete-role-policy --role-name {name} --policy-name {policy['PolicyName']}",
            )
    for policy in role["AttachedManagedPolicies"]:
        arn = policy["PolicyArn"]
        if not (watched["managed_policy_arns"] or declared.has("aws_iam_role_policy_attachment", f"{name}/{arn}")):
            yield Stray(
                arn=role["Arn"],
                name=name,
                attribute=f"managed_policy_arns[{arn}]",
                expected=None,
                actual=arn,
                severity=CRITICAL,
                remove=f"aws iam detach-role-policy --role-name {name} --policy-arn {arn}",
            )


def topics(clients: ClientsOf, declared: Declared) -> Iterator[Stray]:
    """Topics under our prefix, and subscriptions to ours: whoever else is told when the pipeline is down."""
    sns = clients("sns")
    for each in pages(sns, "list_topics", "Topics"):
        arn = each["TopicArn"]
        if declared.has("aws_sns_topic", arn):
            for subscription in pages(sns, "list_subscriptions_by_topic", "Subscriptions", TopicArn=arn):
                yield from _subscription(subscription, declared)
        elif declared.ours(arn.rsplit(":", 1)[-1]):
            yield Stray(arn=arn, name=arn.rsplit(":", 1)[-1], remove=f"aws sns delete-topic --topic-arn {arn}")


def _subscription(found: dict[str, str], declared: Declared) -> Iterator[Stray]:
    who = f"{found['Protocol']} {found['Endpoint']}"
    if declared.has("aws_sns_topic_subscription", f"{found['TopicArn']} {who}"):
        return
    yield Stray(
        arn=found["TopicArn"],
        name=found["TopicArn"].rsplit(":", 1)[-1],
        attribute=f"subscriptions[{who}]",
        expected=None,
        actual=found["SubscriptionArn"],
        remove=_unsubscribe(found["SubscriptionArn"]),
    )


def _unsubscribe(arn: str) -> str:
    if arn == PENDING:
        return "nothing: it is not confirmed, cannot be deleted so, and lapses by itself after 48 hours"
    return f"aws sns unsubscribe --subscription-arn {arn}"


def repositories(clients: ClientsOf, declared: Declared) -> Iterator[Stray]:
    """Repositories under our prefix, and policies on ours, which would let others pull or push."""
    ecr = clients("ecr")
    for each in pages(ecr, "describe_repositories", "repositories"):
        name, arn = each["repositoryName"], each["repositoryArn"]
        if declared.has("aws_ecr_repository", name):
            policy = _repository_policy(ecr, name)
            if policy and name not in declared.names("aws_ecr_repository_policy", "repository"):
                yield Stray(
                    arn=arn,
                    name=name,
                    attribute="policy",
                    expected=None,
                    actual=policy,
                    severity=CRITICAL,
                    remove=f"aws ecr delete-repository-policy --repository-name {name}",
                )
        elif declared.ours(name):
            yield Stray(arn=arn, name=name, remove=f"aws ecr delete-repository --repository-name {name}")


def _repository_policy(ecr: Any, name: str) -> str | None:
    try:
        return str(ecr.get_repository_policy(repositoryName=name)["policyText"])
    except ClientError as error:
        if error.response["Error"]["Code"] == "RepositoryPolicyNotFoundException":
            return None
        raise


PARTS: tuple[tuple[str, Part], ...] = (
    ("roles, users and policies", identities),
    ("topics and subscriptions", topics),
    ("image repositories", repositories),
)

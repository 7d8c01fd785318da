"""What is deployed, read through AWS's own API and kept until the emulator has counted a change of that service."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar

from botocore.exceptions import ClientError

from healthcheck import iam
from healthcheck.iam import MalformedPolicy, Policies, Policy
from ops.local.aws import LocalAws
from ops.local.schedules import Rule, Schedule, ValidationException, parse_rule, parse_schedule

Value = TypeVar("Value")
VISIBLE = "ApproximateNumberOfMessages"
NAMES_PER_CALL = 10  # GetParameters takes no more
# What a lookup of something that is not there is answered with, service by service.
ABSENT = frozenset(
    (
        "AccessDeniedException",
        "ClientException",
        "ClusterNotFoundException",
        "ImageNotFoundException",
        "InvalidAction",
        "InvalidParameterValue",
        "NoSuchEntity",
        "NotFoundException",
        "QueueDoesNotExist",
        "AWS.SimpleQueueService.NonExistentQueue",
        "RepositoryNotFoundException",
        "ResourceNotFoundException",
    )
)


@dataclass(frozen=True, kw_only=True)
class Role:
    """An IAM role: who may take it, and what it may do."""

    arn: str
    name: str
    trust: Policy
    policies: Policies


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """A parameter of the store; `key` is the KMS key id, alias or ARN that it is encrypted with, empty in the clear."""

    name: str
    arn: str
    value: str
    version: int
    key: str


@dataclass(frozen=True, kw_only=True)
class Key:
    """A KMS key: its ARN, whether it can be used, its policy."""

    arn: str
    enabled: bool
    policy: Policy | None


class Deployed:
    """The account as it stands. `refresh` once a minute; what it then reads again is only what has changed."""

    def __init__(self, aws: LocalAws) -> None:
        self.aws = aws
        self._clients: dict[str, Any] = {}
        self._counted: dict[str, int] = {}
        self._kept: defaultdict[str, dict[Any, Any]] = defaultdict(dict)
        self._first_seen: dict[str, tuple[Any, datetime]] = {}
        self.now = datetime.now(UTC)

    def client(self, service: str) -> Any:
        """A boto3 client whose calls the emulator does not count as changes."""
        if service not in self._clients:
            self._clients[service] = self.aws.client(service, plane=True)
        return self._clients[service]

    def refresh(self, now: datetime) -> None:
        """Forgets what may have changed since the last time."""
        self.now = now
        counted = self.aws.changes()
        for service in counted.keys() | self._counted.keys():
            if counted.get(service) != self._counted.get(service):
                self._kept[service].clear()
        self._counted = counted

    def reconnect(self) -> None:
        """Forgets everything: the emulator was started anew."""
        self._clients.clear()
        self._kept.clear()
        self._counted.clear()

    def kept(self, service: str, key: Any, read: Callable[[], Value]) -> Value:
        """What `read` gave since the service last changed."""
        found = self._kept[service]
        if key not in found:
            found[key] = read()
        value: Value = found[key]
        return value

    # ── triggers ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def schedules(self) -> list[Schedule]:
        """All schedules of all groups; one that AWS would not have taken is left out."""
        return self.kept("scheduler", "schedules", self._schedules)

    def _schedules(self) -> list[Schedule]:
        scheduler = self.client("scheduler")
        listed = _pages(scheduler, "list_schedules", "Schedules")
        named = [{"Name": each["Name"], "GroupName": each["GroupName"]} for each in listed]
        read = (_found(partial(scheduler.get_schedule, **each)) for each in named)
        return [parsed for described in read if described and (parsed := _parsed(described))]

    def rules(self) -> list[Rule]:
        """All EventBridge rules of the default bus with their targets."""
        return self.kept("events", "rules", self._rules)

    def _rules(self) -> list[Rule]:
        events = self.client("events")
        rules = []
        for described in _pages(events, "list_rules", "Rules"):
            targets = events.list_targets_by_rule(Rule=described["Name"]).get("Targets", [])
            born = self._born(described["Arn"], described.get("ScheduleExpression"))
            rules.append(parse_rule(described, targets, created_at=born))
        return rules

    def _born(self, arn: str, expression: Any) -> datetime:
        """No API tells when a rule was made: it counts from when it was first seen with this expression."""
        if arn not in self._first_seen or self._first_seen[arn][0] != expression:
            self._first_seen[arn] = (expression, self.now)
        return self._first_seen[arn][1]

    # ── identity ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def role(self, arn: str) -> Role | None:
        """The role, None where there is none of that ARN."""
        return self.kept("iam", ("role", arn), lambda: self._role(arn))

    def _role(self, arn: str) -> Role | None:
        client, name = self.client("iam"), arn.rsplit("/", 1)[-1]
        answer = _found(lambda: client.get_role(RoleName=name))
        if answer is None or answer["Role"]["Arn"] != arn:
            return None
        inline = [
            iam.policy(client.get_role_policy(RoleName=name, PolicyName=each)["PolicyDocument"], name=each)
            for each in client.list_role_policies(RoleName=name)["PolicyNames"]
        ]
        attached = client.list_attached_role_policies(RoleName=name)["AttachedPolicies"]
        boundary = answer["Role"].get("PermissionsBoundary", {}).get("PermissionsBoundaryArn")
        return Role(
            arn=arn,
            name=name,
            trust=iam.policy(answer["Role"]["AssumeRolePolicyDocument"], name="trust policy"),
            policies=Policies(
                identity=(*inline, *(self._managed(each["PolicyArn"]) for each in attached)),
                boundary=self._managed(boundary) if boundary else None,
            ),
        )

    def _managed(self, arn: str) -> Policy:
        client = self.client("iam")
        version = client.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
        found = client.get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]["Document"]
        return iam.policy(found, name=arn.rsplit("/", 1)[-1])

    def key(self, wanted: str) -> Key | None:
        """A KMS key by id, alias or ARN; None where there is none."""
        return self.kept("kms", ("key", wanted), lambda: self._key(wanted))

    def _key(self, wanted: str) -> Key | None:
        kms = self.client("kms")
        answer = _found(lambda: kms.describe_key(KeyId=wanted))
        if answer is None:
            return None
        described = answer["KeyMetadata"]
        policy = _found(lambda: kms.get_key_policy(KeyId=described["KeyId"], PolicyName="default"))
        return Key(
            arn=described["Arn"],
            enabled=described.get("KeyState", "Enabled") == "Enabled",
            policy=iam.policy(policy["Policy"], name="key policy") if policy else None,
        )

    # ── what runs ────────────────────────────────────────────────────────────────────────────────────────────────────

    def task_definition(self, name: str) -> dict[str, Any] | None:
        """A revision by ARN, `family:revision` or `family` (the newest ACTIVE one), inactive ones included."""
        return self.kept("ecs", ("definition", name), lambda: self._task_definition(name))

    def _task_definition(self, name: str) -> dict[str, Any] | None:
        answer = _found(lambda: self.client("ecs").describe_task_definition(taskDefinition=name, include=["TAGS"]))
        return answer and {**answer["taskDefinition"], "tags": answer.get("tags", [])}

    def function(self, arn: str) -> dict[str, Any] | None:
        """A Lambda's configuration and code, None where there is none."""
        return self.kept("lambda", ("function", arn), lambda: self._function(arn))

    def _function(self, arn: str) -> dict[str, Any] | None:
        return _found(lambda: self.client("lambda").get_function(FunctionName=arn))

    def parameters(self, names: Sequence[str]) -> dict[str, Parameter]:
        """The parameters of these names or ARNs, by what they were asked as; those that do not exist are left out."""
        wanted = {name: name.split(":parameter", 1)[-1] for name in names}
        found = self.kept("ssm", tuple(sorted(wanted.values())), lambda: self._parameters(sorted(set(wanted.values()))))
        return {asked: found[name] for asked, name in wanted.items() if name in found}

    def _parameters(self, names: list[str]) -> dict[str, Parameter]:
        ssm = self.client("ssm")
        keys = self.kept("ssm", "keys", self._parameter_keys)
        found = {}
        for start in range(0, len(names), NAMES_PER_CALL):
            answer = ssm.get_parameters(Names=names[start : start + NAMES_PER_CALL], WithDecryption=True)
            for each in answer["Parameters"]:
                found[each["Name"]] = Parameter(
                    name=each["Name"],
                    arn=each["ARN"],
                    value=each["Value"],
                    version=each["Version"],
                    key=keys.get(each["Name"], "alias/aws/ssm") if each["Type"] == "SecureString" else "",
                )
        return found

    def _parameter_keys(self) -> dict[str, str]:
        described = _pages(self.client("ssm"), "describe_parameters", "Parameters")
        return {each["Name"]: each["KeyId"] for each in described if each.get("KeyId")}

    def has_image(self, repository: str, reference: str) -> bool:
        """Whether the registry has the image (`sha256:…` or a tag)."""
        return self.kept("ecr", (repository, reference), lambda: self._has_image(repository, reference))

    def _has_image(self, repository: str, reference: str) -> bool:
        wanted = {"imageDigest" if reference.startswith("sha256:") else "imageTag": reference}
        ecr = self.client("ecr")
        found = _found(lambda: ecr.batch_get_image(repositoryName=repository, imageIds=[wanted]))
        return bool(found and found["images"])

    def log_group(self, name: str) -> bool:
        """Whether the log group exists."""
        return self.kept("logs", ("group", name), lambda: self._log_group(name))

    def _log_group(self, name: str) -> bool:
        found = self.client("logs").describe_log_groups(logGroupNamePrefix=name)["logGroups"]
        return any(each["logGroupName"] == name for each in found)

    # ── network ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def described(self, what: str) -> list[dict[str, Any]]:
        """All that `ec2.describe_<what>` lists: subnets, security_groups, route_tables, nat_gateways …"""
        result = {"nat_gateways": "NatGateways"}.get(what) or "".join(part.title() for part in what.split("_"))
        return self.kept("ec2", what, lambda: list(_pages(self.client("ec2"), f"describe_{what}", result)))

    # ── who is told ──────────────────────────────────────────────────────────────────────────────────────────────────

    def alarms(self) -> dict[str, Any]:
        """A whole DescribeAlarms response."""
        return self.kept("cloudwatch", "alarms", self._alarms)

    def _alarms(self) -> dict[str, Any]:
        cloudwatch = self.client("cloudwatch")
        found: dict[str, Any] = {"MetricAlarms": [], "CompositeAlarms": []}
        for page in cloudwatch.get_paginator("describe_alarms").paginate(AlarmTypes=["MetricAlarm", "CompositeAlarm"]):
            for kind in found:
                found[kind] += page.get(kind, [])
        return found

    def topic_policy(self, arn: str) -> tuple[Policy | None, str] | None:
        """A topic's policy and its KMS key; None where there is no such topic."""
        return self.kept("sns", ("topic", arn), lambda: self._topic_policy(arn))

    def _topic_policy(self, arn: str) -> tuple[Policy | None, str] | None:
        answer = _found(lambda: self.client("sns").get_topic_attributes(TopicArn=arn))
        if answer is None:
            return None
        attributes = answer["Attributes"]
        document = attributes.get("Policy")
        return (iam.policy(document, name="topic policy") if document else None), attributes.get("KmsMasterKeyId", "")

    def queue_lengths(self) -> dict[str, int]:
        """How many messages are visible in each queue, by its name; asked anew each time."""
        sqs, found = self.client("sqs"), {}
        for url in self.kept("sqs", "queues", lambda: sqs.list_queues().get("QueueUrls", [])):
            asked = {"QueueUrl": url, "AttributeNames": [VISIBLE]}
            attributes = _found(partial(sqs.get_queue_attributes, **asked))
            if attributes:
                found[url.rsplit("/", 1)[-1]] = int(attributes["Attributes"][VISIBLE])
        return found

    def queue_policy(self, arn: str) -> tuple[str, Policy | None] | None:
        """A queue's address and policy; None where there is no such queue."""
        return self.kept("sqs", ("queue", arn), lambda: self._queue_policy(arn))

    def _queue_policy(self, arn: str) -> tuple[str, Policy | None] | None:
        sqs = self.client("sqs")
        answer = _found(lambda: sqs.get_queue_url(QueueName=arn.rsplit(":", 1)[-1]))
        if answer is None:
            return None
        attributes = sqs.get_queue_attributes(QueueUrl=answer["QueueUrl"], AttributeNames=["Policy"])
        document = attributes.get("Attributes", {}).get("Policy")
        return answer["QueueUrl"], (iam.policy(document, name="queue policy") if document else None)


def _parsed(described: dict[str, Any]) -> Schedule | None:
    try:
        return parse_schedule(described)
    except (ValidationException, MalformedPolicy):
        return None


def _found(read: Callable[[], Any]) -> Any:
    """What `read` gives, None where AWS says that there is no such thing."""
    try:
        return read()
    except ClientError as error:
        if error.response["Error"]["Code"] in ABSENT:
            return None
        raise


def _pages(client: Any, operation: str, result: str) -> Iterator[dict[str, Any]]:
    if client.can_paginate(operation):
        for page in client.get_paginator(operation).paginate():
            yield from page.get(result, [])
    else:
        token: dict[str, Any] = {}
        while True:
            page = getattr(client, operation)(**token)
            yield from page.get(result, [])
            if not page.get("NextToken"):
                return
            token = {"NextToken": page["NextToken"]}

"""A CloudTrail record of one API call, made from moto's view of the request and its answer."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from moto.core.model import ServiceModel
from moto.core.parse import PROTOCOL_PARSERS, RequestParserError
from moto.core.request import determine_request_protocol
from moto.core.utils import get_service_model
from moto.iam.models import iam_backends
from moto.moto_api._internal import mock_random
from moto.sts.models import sts_backends

HIDDEN = "HIDDEN_DUE_TO_SECURITY_REASONS"
# The services without a region, whose events CloudTrail keeps in us-east-1 alone.
GLOBAL = {"iam", "sts", "organizations", "cloudfront", "route53", "budgets", "ce"}
GLOBAL_REGION = "us-east-1"
# Where an event's source is not the client's name.
SOURCES = {"cloudwatch": "monitoring", "efs": "elasticfilesystem", "elbv2": "elasticloadbalancing"}
NAMES = re.compile(r"(name|arn|id|identifier|family|cluster|rule|bucket|taskdefinition|topic|task|queueurl)s?", re.I)
ENDS_AS_A_NAME = re.compile(r".*(Name|Names|Arn|Arns|ARN|Id|Ids|Identifier)")
# What CloudFormation calls the resource that a parameter names.
KINDS = {
    ("scheduler", "name"): "AWS::Scheduler::Schedule",
    ("scheduler", "groupName"): "AWS::Scheduler::ScheduleGroup",
    ("events", "name"): "AWS::Events::Rule",
    ("events", "rule"): "AWS::Events::Rule",
    ("ecs", "cluster"): "AWS::ECS::Cluster",
    ("ecs", "family"): "AWS::ECS::TaskDefinition",
    ("ecs", "taskDefinition"): "AWS::ECS::TaskDefinition",
    ("iam", "roleName"): "AWS::IAM::Role",
    ("iam", "policyArn"): "AWS::IAM::Policy",
    ("iam", "policyName"): "AWS::IAM::Policy",
    ("iam", "userName"): "AWS::IAM::User",
    ("ssm", "name"): "AWS::SSM::Parameter",
    ("lambda", "functionName"): "AWS::Lambda::Function",
    ("cloudwatch", "alarmName"): "AWS::CloudWatch::Alarm",
    ("cloudwatch", "alarmNames"): "AWS::CloudWatch::Alarm",
    ("logs", "logGroupName"): "AWS::Logs::LogGroup",
    ("ec2", "groupId"): "AWS::EC2::SecurityGroup",
    ("ec2", "subnetId"): "AWS::EC2::Subnet",
    ("ec2", "vpcId"): "AWS::EC2::VPC",
    ("ec2", "routeTableId"): "AWS::EC2::RouteTable",
    ("ecr", "repositoryName"): "AWS::ECR::Repository",
    ("kms", "keyId"): "AWS::KMS::Key",
    ("rds", "dBInstanceIdentifier"): "AWS::RDS::DBInstance",
    ("sns", "topicArn"): "AWS::SNS::Topic",
    ("sqs", "queueName"): "AWS::SQS::Queue",
    ("sqs", "queueUrl"): "AWS::SQS::Queue",
    ("s3", "bucket"): "AWS::S3::Bucket",
}


def record(response: Any, service: str, action: str, answer: tuple[int, Any, Any]) -> dict[str, Any]:
    """The record of a call and its answer (status, headers, body), as CloudTrail documents its contents.

    An error stands in it, what was answered does not.
    """
    parameters = _parameters(response, service, action)
    found = {
        "eventVersion": "1.11",
        "userIdentity": _identity(response),
        "eventTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "eventSource": f"{SOURCES.get(service, service)}.amazonaws.com",
        "eventName": action,
        "awsRegion": region(service, response.region),
        "sourceIPAddress": response.normalized_request.remote_addr or "127.0.0.1",
        "userAgent": response.headers.get("User-Agent", ""),
        "requestParameters": parameters or None,
        "responseElements": None,
        "requestID": str(mock_random.uuid4()),
        "eventID": str(mock_random.uuid4()),
        "readOnly": False,
        "resources": [{"ARN": name, "accountId": response.current_account} for name in _arns(parameters)],
        "eventType": "AwsApiCall",
        "managementEvent": True,
        "recipientAccountId": response.current_account,
        "eventCategory": "Management",
    }
    return {**found, **_error(*answer)}


def region(service: str, called: str) -> str:
    """The region whose event history gets it."""
    return GLOBAL_REGION if service in GLOBAL else called


def event(record: dict[str, Any], service: str) -> dict[str, Any]:
    """What LookupEvents answers of it."""
    identity = record["userIdentity"]
    return {
        "EventId": record["eventID"],
        "EventName": record["eventName"],
        "ReadOnly": "false",
        "AccessKeyId": identity["accessKeyId"],
        "EventTime": datetime.strptime(record["eventTime"], "%Y-%m-%dT%H:%M:%S%z").timestamp(),
        "EventSource": record["eventSource"],
        "Username": username(identity),
        "Resources": [_resource(service, key, name) for key, name in _names(record["requestParameters"] or {})],
        "CloudTrailEvent": json.dumps(record, default=str),
    }


def username(identity: dict[str, Any]) -> str:
    """Of a user its name, of a role its session's."""
    return str(identity.get("userName") or identity["principalId"].rsplit(":", 1)[-1])


def _identity(response: Any) -> dict[str, Any]:
    account, key = response.current_account, _access_key(response)
    common = {"accountId": account, "accessKeyId": key}
    role = sts_backends[account]["aws"].get_assumed_role_from_access_key(key)
    if role:
        return {"type": "AssumedRole", "principalId": role.user_id, "arn": role.arn, **common}
    owner = next((user.name for user in _users(account) for each in user.access_keys if each.access_key_id == key), key)
    arn = f"arn:aws:iam::{account}:user/{owner}"
    return {"type": "IAMUser", "principalId": key, "arn": arn, **common, "userName": owner}


def _access_key(response: Any) -> str:
    """As it was sent; moto knows only such that look like AWS's."""
    signed = re.search(r"Credential=([^/,\s]+)/", response.headers.get("Authorization", ""))
    return signed.group(1) if signed else str(response.access_key)


def _users(account: str) -> list[Any]:
    return list(iam_backends[account]["aws"].users.values())


def _parameters(response: Any, service: str, action: str) -> dict[str, Any]:
    """What was asked for, in CloudTrail's spelling; hidden is what the service's model marks as a secret."""
    model: ServiceModel = get_service_model(service)
    operation = model.operation_model(action)
    if operation.input_shape is None:
        return {}
    request = response.normalized_request
    parser = PROTOCOL_PARSERS[determine_request_protocol(model, request.content_type)](operation)
    asked: Any = {
        "method": request.method,
        "values": request.values,
        "headers": request.headers,
        "body": request.data,
        "url_path": request.path,
        "url_params": response.uri_match,
    }
    try:
        parsed = parser.parse(asked)
    except RequestParserError:
        return {}  # a call that AWS would not understand either
    shown: dict[str, Any] = _shown(operation.input_shape, parsed)
    return shown


def _shown(shape: Any, value: Any) -> Any:
    if value is None:
        return None
    if shape.metadata.get("sensitive") or shape.name.lower().endswith("password"):
        return HIDDEN
    if shape.type_name == "structure":
        return {_spelt(key): _shown(shape.members[key], each) for key, each in value.items() if key in shape.members}
    if shape.type_name == "list":
        return [_shown(shape.member, each) for each in value]
    if shape.type_name == "map":
        return {key: _shown(shape.value, each) for key, each in value.items()}
    return value.decode(errors="replace") if isinstance(value, bytes) else value


def _spelt(name: str) -> str:
    return name[:1].lower() + name[1:]


def _names(parameters: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """(parameter, name) of each resource that the call is about."""
    for key, value in parameters.items():
        if NAMES.fullmatch(key) or ENDS_AS_A_NAME.fullmatch(key):
            values = value if isinstance(value, list) else [value]
            yield from ((key, each) for each in values if isinstance(each, str) and each != HIDDEN)


def _arns(parameters: dict[str, Any]) -> list[str]:
    return [name for _, name in _names(parameters) if name.startswith("arn:")]


def _resource(service: str, key: str, name: str) -> dict[str, str]:
    kind = KINDS.get((service, key))
    return {**({"ResourceType": kind} if kind else {}), "ResourceName": name}


def _error(status: int, headers: Any, body: Any) -> dict[str, str]:
    """errorCode and errorMessage of an answer that refuses, in whichever protocol."""
    if int(status) < 400:
        return {}
    text = body.decode(errors="replace") if isinstance(body, bytes) else str(body)
    try:
        told = {key.lower(): value for key, value in json.loads(text).items()}
    except (ValueError, AttributeError):
        return {"errorCode": _tagged("Code", text) or str(status), "errorMessage": _tagged("Message", text)}
    typed = {name.lower(): value for name, value in dict(headers).items()}.get("x-amzn-errortype")
    code = str(typed or told.get("__type") or told.get("code") or status)
    return {"errorCode": code.rsplit("#", 1)[-1].split(":", 1)[0], "errorMessage": str(told.get("message") or "")}


def _tagged(tag: str, text: str) -> str:
    found = re.search(rf"<{tag}>(.*?)</{tag}>", text, re.S)
    return found.group(1) if found else ""

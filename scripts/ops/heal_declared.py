"""What Terraform applied last, as the calls that would make it again: read from its state in the account's bucket."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from pipeline.errors import PipelineError

Values = Mapping[str, Any]
# Who takes the roles that jobs need: others (CI's, say) start nothing.
STARTERS = ("scheduler.amazonaws.com", "events.amazonaws.com", "ecs-tasks.amazonaws.com", "lambda.amazonaws.com")


class StateUnreadable(PipelineError):
    """The state that says what should be there cannot be read."""


@dataclass(frozen=True, kw_only=True)
class Declared:
    """The triggers of the pipeline and what they need, by name. Schedules are CreateSchedule's parameters.

    A role is {"trust", "policies": {name: document}, "attached": [arn], "path", "description", "tags"}. `families` and
    `functions` are what the schedules start; `definitions` the revisions that they start, by family.
    """

    environment: str
    cluster: str
    groups: Mapping[str, list[dict[str, str]]]
    schedules: Mapping[str, dict[str, Any]]
    roles: Mapping[str, dict[str, Any]]
    rules: Mapping[str, dict[str, Any]]

    @property
    def families(self) -> frozenset[str]:
        """The task families that a declared schedule starts."""
        starts = (_definition(each) for each in self.schedules.values())
        return frozenset(family_of(definition) for definition in starts if definition)

    @property
    def functions(self) -> frozenset[str]:
        """ARNs of the functions that a declared schedule invokes."""
        return frozenset(each["Target"]["Arn"] for each in self.schedules.values() if not _definition(each))


def read(clients: Any, bucket: str, environment: str | None = None) -> Declared:
    """The declared triggers of the account's environment; it holds one, so that its name need not be given.

    Raises StateUnreadable."""
    s3 = clients("s3")
    try:
        key = f"{environment}/terraform.tfstate" if environment else _only_state(s3, bucket)
        state = json.loads(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
    except (ClientError, BotoCoreError, ValueError) as error:
        raise StateUnreadable(
            f"Terraform's state in {bucket} cannot be read: {error}; --env names the environment, make plan makes one"
        ) from error
    return declared(state, key.split("/")[0])


def _only_state(s3: Any, bucket: str) -> str:
    found = [each["Key"] for each in s3.list_objects_v2(Bucket=bucket).get("Contents", [])]
    states = [key for key in found if key.endswith("/terraform.tfstate")]
    if len(states) != 1:
        raise StateUnreadable(
            f"{bucket} holds {len(states)} states ({', '.join(states) or 'none'}); name one with --env"
        )
    return states[0]


def declared(state: Values, environment: str) -> Declared:
    """From a state file (version 4)."""
    by_type = {kind: list(_instances(state, kind)) for kind in _KINDS}
    return Declared(
        environment=environment,
        cluster=next((each["arn"] for each in by_type["aws_ecs_cluster"]), ""),
        groups={each["name"]: _tags(each) for each in by_type["aws_scheduler_schedule_group"]},
        schedules={each["name"]: schedule(each) for each in by_type["aws_scheduler_schedule"]},
        roles=_roles(by_type),
        rules=_rules(by_type),
    )


_KINDS = (
    "aws_ecs_cluster",
    "aws_scheduler_schedule_group",
    "aws_scheduler_schedule",
    "aws_iam_role",
    "aws_iam_role_policy",
    "aws_iam_role_policy_attachment",
    "aws_cloudwatch_event_rule",
    "aws_cloudwatch_event_target",
)


def _instances(state: Values, kind: str) -> Iterator[Values]:
    for resource in state.get("resources", []):
        if resource["mode"] == "managed" and resource["type"] == kind:
            yield from (instance["attributes"] for instance in resource["instances"])


def schedule(values: Values) -> dict[str, Any]:
    """CreateSchedule's (and UpdateSchedule's) parameters of an aws_scheduler_schedule, complete: what an update leaves
    out, AWS resets."""
    target, window = values["target"][0], values["flexible_time_window"][0]
    optional = {
        "Description": values.get("description"),
        "StartDate": values.get("start_date"),
        "EndDate": values.get("end_date"),
        "KmsKeyArn": values.get("kms_key_arn"),
    }
    width = window.get("maximum_window_in_minutes")
    return {
        "Name": values["name"],
        "GroupName": values["group_name"],
        "ScheduleExpression": values["schedule_expression"],
        "ScheduleExpressionTimezone": values["schedule_expression_timezone"],
        "State": values["state"],
        "FlexibleTimeWindow": {"Mode": window["mode"], **({"MaximumWindowInMinutes": width} if width else {})},
        "Target": _target(target),
        **{name: value for name, value in optional.items() if value},
    }


def _target(values: Values) -> dict[str, Any]:
    found: dict[str, Any] = {"Arn": values["arn"], "RoleArn": values["role_arn"]}
    if values.get("input"):
        found["Input"] = values["input"]
    for queue in values.get("dead_letter_config") or ():
        found["DeadLetterConfig"] = {"Arn": queue["arn"]}
    for retry in values.get("retry_policy") or ():
        found["RetryPolicy"] = {
            "MaximumEventAgeInSeconds": retry["maximum_event_age_in_seconds"],
            "MaximumRetryAttempts": retry["maximum_retry_attempts"],
        }
    for parameters in values.get("ecs_parameters") or ():
        found["EcsParameters"] = _ecs(parameters)
    return found


def _ecs(values: Values) -> dict[str, Any]:
    optional = {
        "LaunchType": values.get("launch_type"),
        "PlatformVersion": values.get("platform_version"),
        "Group": values.get("group"),
        "PropagateTags": values.get("propagate_tags"),
        "ReferenceId": values.get("reference_id"),
    }
    found = {
        "TaskDefinitionArn": values["task_definition_arn"],
        "TaskCount": values["task_count"],
        "EnableECSManagedTags": bool(values.get("enable_ecs_managed_tags")),
        "EnableExecuteCommand": bool(values.get("enable_execute_command")),
        **{name: value for name, value in optional.items() if value},
    }
    for network in values.get("network_configuration") or ():
        found["NetworkConfiguration"] = {
            "awsvpcConfiguration": {
                "Subnets": sorted(network["subnets"]),
                "SecurityGroups": sorted(network["security_groups"] or ()),
                "AssignPublicIp": "ENABLED" if network["assign_public_ip"] else "DISABLED",
            }
        }
    return found


def _roles(by_type: Mapping[str, list[Values]]) -> dict[str, dict[str, Any]]:
    return {
        each["name"]: {
            "trust": json.loads(each["assume_role_policy"]),
            "path": each.get("path") or "/",
            "description": each.get("description") or "",
            "tags": _tags(each),
            "policies": {
                policy["name"]: json.loads(policy["policy"])
                for policy in by_type["aws_iam_role_policy"]
                if policy["role"] == each["name"]
            },
            "attached": [
                attachment["policy_arn"]
                for attachment in by_type["aws_iam_role_policy_attachment"]
                if attachment["role"] == each["name"]
            ],
        }
        for each in by_type["aws_iam_role"]
        if any(service in each["assume_role_policy"] for service in STARTERS)
    }


def _rules(by_type: Mapping[str, list[Values]]) -> dict[str, dict[str, Any]]:
    """Rule name → PutRule's parameters and its targets, by id."""
    return {
        each["name"]: {
            "rule": {
                "Name": each["name"],
                "State": each.get("state") or "ENABLED",
                "Description": each.get("description") or "",
                **({"EventPattern": each["event_pattern"]} if each.get("event_pattern") else {}),
                **({"ScheduleExpression": each["schedule_expression"]} if each.get("schedule_expression") else {}),
                "Tags": _tags(each),
            },
            "targets": {
                target["target_id"]: {
                    "Id": target["target_id"],
                    "Arn": target["arn"],
                    **({"RoleArn": target["role_arn"]} if target.get("role_arn") else {}),
                    **({"Input": target["input"]} if target.get("input") else {}),
                }
                for target in by_type["aws_cloudwatch_event_target"]
                if target["rule"] == each["name"]
            },
        }
        for each in by_type["aws_cloudwatch_event_rule"]
    }


def _tags(values: Values) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in sorted((values.get("tags_all") or {}).items())]


def _definition(parameters: Mapping[str, Any]) -> str:
    return str(parameters["Target"].get("EcsParameters", {}).get("TaskDefinitionArn", ""))


def family_of(definition: str) -> str:
    """The family in `arn:…:task-definition/family:7`, `family:7` or `family`."""
    return definition.rsplit("/", 1)[-1].split(":")[0]

"""Undeclared triggers: whatever starts our tasks and functions beside the one schedule that each has."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from botocore.exceptions import ClientError

from ops.drift_finding import CRITICAL
from ops.drift_live_part import ClientsOf, Part, Stray, pages
from ops.drift_state import Declared


def schedules(clients: ClientsOf, declared: Declared) -> Iterator[Stray]:
    """Schedules under our prefix, in one of our groups, or starting a task or function of ours, wherever they lie."""
    scheduler = clients("scheduler")
    groups = declared.names("aws_scheduler_schedule_group", "name")
    for each in pages(scheduler, "list_schedules", "Schedules"):
        key = f"{each['GroupName']}/{each['Name']}"
        if declared.has("aws_scheduler_schedule", key):
            continue
        may_be = declared.ours(each["Name"]) or each["GroupName"] in groups or _is_target(each["Target"], declared)
        if may_be or ":cluster/" in each["Target"]["Arn"]:
            whole = scheduler.get_schedule(GroupName=each["GroupName"], Name=each["Name"])
            if may_be or _is_target(whole["Target"], declared):
                yield Stray(
                    arn=each["Arn"],
                    name=each["Name"],
                    actual=_schedule_in_words(whole),
                    severity=CRITICAL,
                    remove=f"aws scheduler delete-schedule --group-name {each['GroupName']} --name {each['Name']}",
                )


def _schedule_in_words(schedule: dict[str, Any]) -> dict[str, Any]:
    target = schedule["Target"]
    return {
        "schedule_expression": schedule.get("ScheduleExpression"),
        "state": schedule.get("State"),
        "starts": target.get("EcsParameters", {}).get("TaskDefinitionArn") or target["Arn"],
    }


def _is_target(target: dict[str, Any], declared: Declared) -> bool:
    """Whether a target, of Scheduler or of an EventBridge rule, starts something of ours."""
    definition = target.get("EcsParameters", {}).get("TaskDefinitionArn", "")
    if _family(definition) in declared.families:
        return True
    arn = target["Arn"]
    function = arn.split(":function:")[-1].split(":")[0] if ":function:" in arn else None
    return function in declared.functions or arn in declared.names("aws_ecs_cluster", "arn")


def _family(definition: str) -> str:
    """The family in `arn:…:task-definition/family:7`, `family:7` or `family`."""
    return definition.rsplit("/", 1)[-1].split(":")[0]


def schedule_groups(clients: ClientsOf, declared: Declared) -> Iterator[Stray]:
    """Schedule groups under our prefix, or under the name of a service that has gone."""
    for each in pages(clients("scheduler"), "list_schedule_groups", "ScheduleGroups"):
        if declared.ours(each["Name"]) and not declared.has("aws_scheduler_schedule_group", each["Name"]):
            remove = f"aws scheduler delete-schedule-group --name {each['Name']}"
            yield Stray(arn=each["Arn"], name=each["Name"], remove=remove)


def rules(clients: ClientsOf, declared: Declared) -> Iterator[Stray]:
    """Rules under our prefix or starting something of ours, on every bus; foreign targets of our own rules."""
    events = clients("events")
    for bus in pages(events, "list_event_buses", "EventBuses"):
        for rule in pages(events, "list_rules", "Rules", EventBusName=bus["Name"]):
            targets = list(
                pages(events, "list_targets_by_rule", "Targets", Rule=rule["Name"], EventBusName=bus["Name"])
            )
            yield from _of_rule(rule, bus["Name"], targets, declared)


def _of_rule(rule: dict[str, Any], bus: str, targets: list[dict[str, Any]], declared: Declared) -> Iterator[Stray]:
    key, where = f"{bus}/{rule['Name']}", f"--event-bus-name {bus}"
    if declared.has("aws_cloudwatch_event_rule", key):
        for target in targets:
            if not declared.has("aws_cloudwatch_event_target", f"{key}/{target['Id']}"):
                yield Stray(
                    arn=rule["Arn"],
                    name=rule["Name"],
                    attribute=f"targets[{target['Id']}]",
                    expected=None,
                    actual=_target_in_words(target),
                    severity=CRITICAL,
                    remove=f"aws events remove-targets {where} --rule {rule['Name']} --ids {target['Id']}",
                )
        return
    starting = [target for target in targets if _is_target(target, declared)]
    if starting or declared.ours(rule["Name"]):
        ids = " ".join(target["Id"] for target in targets)
        without = f"aws events remove-targets {where} --rule {rule['Name']} --ids {ids} && " if targets else ""
        yield Stray(
            arn=rule["Arn"],
            name=rule["Name"],
            actual={
                "schedule_expression": rule.get("ScheduleExpression"),
                "event_pattern": rule.get("EventPattern"),
                "state": rule.get("State"),
                "targets": {target["Id"]: _target_in_words(target) for target in targets},
            },
            severity=CRITICAL,
            remove=f"{without}aws events delete-rule {where} --name {rule['Name']}",
        )


def _target_in_words(target: dict[str, Any]) -> str:
    return str(target.get("EcsParameters", {}).get("TaskDefinitionArn") or target["Arn"])


def task_definitions(clients: ClientsOf, declared: Declared) -> Iterator[Stray]:
    """Active revisions of our families beside the one that is declared, and families under our prefix."""
    ecs = clients("ecs")
    families = list(pages(ecs, "list_task_definition_families", "families", status="ACTIVE"))
    for family in (name for name in families if name in declared.families or declared.ours(name)):
        for arn in pages(ecs, "list_task_definitions", "taskDefinitionArns", familyPrefix=family, status="ACTIVE"):
            if _family(arn) == family and not declared.has("aws_ecs_task_definition", arn):
                revision = arn.rsplit("/", 1)[-1]
                remove = f"aws ecs deregister-task-definition --task-definition {revision}"
                yield Stray(arn=arn, name=revision, remove=remove)


def clusters(clients: ClientsOf, declared: Declared) -> Iterator[Stray]:
    """Clusters under our prefix, and services in ours: a service would keep a job running for ever."""
    ecs = clients("ecs")
    for arn in pages(ecs, "list_clusters", "clusterArns"):
        name = arn.rsplit("/", 1)[-1]
        if declared.has("aws_ecs_cluster", arn):
            for service in pages(ecs, "list_services", "serviceArns", cluster=arn):
                short = service.rsplit("/", 1)[-1]
                remove = f"aws ecs delete-service --force --cluster {name} --service {short}"
                yield Stray(arn=service, name=short, severity=CRITICAL, remove=remove)
        elif declared.ours(name):
            yield Stray(arn=arn, name=name, remove=f"aws ecs delete-cluster --cluster {name}")


def functions(clients: ClientsOf, declared: Declared) -> Iterator[Stray]:
    """Functions under our prefix; who else may invoke ours, and what else feeds it."""
    client = clients("lambda")
    for each in pages(client, "list_functions", "Functions"):
        name = each["FunctionName"]
        if declared.has("aws_lambda_function", name):
            yield from _invokers(client, each, declared)
        elif declared.ours(name):
            remove = f"aws lambda delete-function --function-name {name}"
            yield Stray(arn=each["FunctionArn"], name=name, severity=CRITICAL, remove=remove)


def _invokers(client: Any, function: dict[str, Any], declared: Declared) -> Iterator[Stray]:
    name = function["FunctionName"]
    known = declared.names("aws_lambda_permission", "statement_id")
    for statement in json.loads(_policy(client, name)).get("Statement", []):
        if statement.get("Sid") not in known:
            yield Stray(
                arn=function["FunctionArn"],
                name=name,
                attribute=f"policy.Statement[{statement.get('Sid')}]",
                expected=None,
                actual=statement,
                severity=CRITICAL,
                remove=f"aws lambda remove-permission --function-name {name} --statement-id {statement.get('Sid')}",
            )
    for mapping in pages(client, "list_event_source_mappings", "EventSourceMappings", FunctionName=name):
        if not declared.has_id(mapping["UUID"]):
            yield Stray(
                arn=function["FunctionArn"],
                name=name,
                attribute=f"event_source_mappings[{mapping['UUID']}]",
                expected=None,
                actual=mapping.get("EventSourceArn"),
                severity=CRITICAL,
                remove=f"aws lambda delete-event-source-mapping --uuid {mapping['UUID']}",
            )


def _policy(client: Any, function: str) -> str:
    try:
        return str(client.get_policy(FunctionName=function)["Policy"])
    except ClientError as error:
        if error.response["Error"]["Code"] == "ResourceNotFoundException":
            return "{}"
        raise


PARTS: tuple[tuple[str, Part], ...] = (
    ("schedules", schedules),
    ("schedule groups", schedule_groups),
    ("EventBridge rules and their targets", rules),
    ("task definitions", task_definitions),
    ("clusters and their services", clusters),
    ("functions and who may invoke them", functions),
)

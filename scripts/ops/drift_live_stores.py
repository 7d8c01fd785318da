"""Undeclared things that only have to be listed: whatever has our prefix, and whatever carries our tags."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from ops.drift_finding import WARNING
from ops.drift_live_part import ClientsOf, Part, Stray, pages
from ops.drift_state import Declared

# Where our log groups lie.
LOG_PREFIXES = ("/ecs/{0}", "/aws/events/{0}", "/aws/lambda/{0}", "/vpc/{0}", "/{0}")
# What AWS makes from a thing of ours and labels alike: running tasks, network cards, snapshots, recovery points; and
# task definitions, whose revisions have a part of their own (a deregistered one keeps its tags).
LABELLED_BY_AWS = re.compile(
    r":ecs:[^:]*:[^:]*:(task|task-definition|container-instance)/|:network-interface/|:snapshot:|:recovery-point:"
    r"|:secret:rds!|:backup-job:|:copy-job:"
)


def log_groups(clients: ClientsOf, declared: Declared) -> Iterator[Stray]:
    """Log groups where ours lie."""
    for prefix in LOG_PREFIXES:
        begin = prefix.format(declared.project)
        for each in pages(clients("logs"), "describe_log_groups", "logGroups", logGroupNamePrefix=begin):
            name = each["logGroupName"]
            inside = name == begin or name[len(begin)] in "/-_"
            if inside and not declared.has("aws_cloudwatch_log_group", name):
                remove = f"aws logs delete-log-group --log-group-name {name}"
                yield Stray(arn=each["arn"].removesuffix(":*"), name=name, remove=remove)


def log_filters(clients: ClientsOf, declared: Declared) -> Iterator[Stray]:
    """Filters on our log groups: one makes metrics up, or hands every line to somebody else."""
    logs = clients("logs")
    for group in declared.of("aws_cloudwatch_log_group"):
        name = group["name"]
        for call, answer, word in (
            ("describe_subscription_filters", "subscriptionFilters", "subscription"),
            ("describe_metric_filters", "metricFilters", "metric"),
        ):
            for each in pages(logs, call, answer, logGroupName=name):
                filter_name = each["filterName"]
                if filter_name in declared.names(f"aws_cloudwatch_log_{word}_filter", "name"):
                    continue
                yield Stray(
                    arn=group["arn"],
                    name=name,
                    attribute=f"{word}_filters[{filter_name}]",
                    expected=None,
                    actual=each.get("destinationArn") or each.get("metricTransformations"),
                    remove=f"aws logs delete-{word}-filter --log-group-name {name} --filter-name {filter_name}",
                )


def parameters(clients: ClientsOf, declared: Declared) -> Iterator[Stray]:
    """Parameters under our prefix: one that nobody declared is read by nobody, often a misspelt name. Never a value."""
    for each in pages(clients("ssm"), "describe_parameters", "Parameters"):
        name = each["Name"]
        if declared.ours(name) and not declared.has("aws_ssm_parameter", name):
            arn = each.get("ARN") or _place(declared, "ssm", f"parameter{name}")
            yield Stray(arn=arn, name=name, actual=each["Type"], remove=f"aws ssm delete-parameter --name {name}")


def alarms(clients: ClientsOf, declared: Declared) -> Iterator[Stray]:
    """Alarms and dashboards under our prefix."""
    cloudwatch = clients("cloudwatch")
    for kind, resource in (
        ("MetricAlarm", "aws_cloudwatch_metric_alarm"),
        ("CompositeAlarm", "aws_cloudwatch_composite_alarm"),
    ):
        which: dict[str, Any] = {"AlarmNamePrefix": declared.project, "AlarmTypes": [kind]}
        for each in pages(cloudwatch, "describe_alarms", f"{kind}s", **which):
            name = each["AlarmName"]
            if declared.ours(name) and not declared.has(resource, name):
                yield Stray(
                    arn=each["AlarmArn"], name=name, remove=f"aws cloudwatch delete-alarms --alarm-names {name}"
                )
    for each in pages(cloudwatch, "list_dashboards", "DashboardEntries", DashboardNamePrefix=declared.project):
        name = each["DashboardName"]
        if declared.ours(name) and not declared.has("aws_cloudwatch_dashboard", name):
            remove = f"aws cloudwatch delete-dashboards --dashboard-names {name}"
            yield Stray(arn=each.get("DashboardArn") or name, name=name, remove=remove)


def queues(clients: ClientsOf, declared: Declared) -> Iterator[Stray]:
    """Queues under our prefix."""
    for url in pages(clients("sqs"), "list_queues", "QueueUrls", QueueNamePrefix=declared.project):
        name = url.rsplit("/", 1)[-1]
        if declared.ours(name) and not declared.has("aws_sqs_queue", name):
            arn = _place(declared, "sqs", name)
            yield Stray(arn=arn, name=name, remove=f"aws sqs delete-queue --queue-url {url}")


def buckets(clients: ClientsOf, declared: Declared) -> Iterator[Stray]:
    """Buckets under our prefix, but for the state's own, which terraform/bootstrap declares."""
    for each in pages(clients("s3"), "list_buckets", "Buckets"):
        name = each["Name"]
        declared_elsewhere = name.startswith(f"{declared.project}-state-")
        if declared.ours(name) and not declared_elsewhere and not declared.has("aws_s3_bucket", name):
            yield Stray(arn=f"arn:aws:s3:::{name}", name=name, remove=f"aws s3 rb --force s3://{name}")


def _named(
    service: str, call: str, answer: str, name_key: str, arn_key: str, kind: str, remove: str
) -> Callable[[ClientsOf, Declared], Iterator[Stray]]:
    """A part that lists things with a name and an ARN, no more."""

    def part(clients: ClientsOf, declared: Declared) -> Iterator[Stray]:
        for each in pages(clients(service), call, answer):
            name = each[name_key].removeprefix("alias/")
            if declared.ours(name) and not declared.has(kind, each[name_key]):
                yield Stray(arn=each.get(arn_key) or name, name=name, remove=f"{remove} {each[name_key]}")

    return part


databases = _named(
    "rds",
    "describe_db_instances",
    "DBInstances",
    "DBInstanceIdentifier",
    "DBInstanceArn",
    "aws_db_instance",
    "aws rds delete-db-instance --db-instance-identifier",
)
secrets = _named(
    "secretsmanager", "list_secrets", "SecretList", "Name", "ARN", "", "aws secretsmanager delete-secret --secret-id"
)
aliases = _named(
    "kms", "list_aliases", "Aliases", "AliasName", "AliasArn", "aws_kms_alias", "aws kms delete-alias --alias-name"
)
vaults = _named(
    "backup",
    "list_backup_vaults",
    "BackupVaultList",
    "BackupVaultName",
    "BackupVaultArn",
    "aws_backup_vault",
    "aws backup delete-backup-vault --backup-vault-name",
)
plans = _named(
    "backup",
    "list_backup_plans",
    "BackupPlansList",
    "BackupPlanName",
    "BackupPlanArn",
    "aws_backup_plan",
    "aws backup delete-backup-plan  # by the id of the plan named",
)


def backup_selections(clients: ClientsOf, declared: Declared) -> Iterator[Stray]:
    """What else our backup plan was told to copy."""
    backup = clients("backup")
    for plan in declared.of("aws_backup_plan"):
        for each in pages(backup, "list_backup_selections", "BackupSelectionsList", BackupPlanId=plan["id"]):
            if not declared.has_id(each["SelectionId"]):
                identity = f"--backup-plan-id {plan['id']} --selection-id {each['SelectionId']}"
                yield Stray(
                    arn=plan["arn"],
                    name=plan["name"],
                    attribute=f"selections[{each['SelectionName']}]",
                    expected=None,
                    actual=each.get("IamRoleArn"),
                    remove=f"aws backup delete-backup-selection {identity}",
                )


def tagged(clients: ClientsOf, declared: Declared) -> Iterator[Stray]:
    """Whatever carries our Project tag, of any service, whatever its name."""
    filters = [{"Key": "Project", "Values": [declared.project]}]
    client = clients("resourcegroupstaggingapi")
    for each in pages(client, "get_resources", "ResourceTagMappingList", TagFilters=filters):
        arn = each["ResourceARN"]
        tags: dict[str, Any] = {tag["Key"]: tag["Value"] for tag in each["Tags"]}
        if tags.get("ManagedBy") == "terraform-bootstrap" or LABELLED_BY_AWS.search(arn) or declared.has_id(arn):
            continue
        remove = "scripts/drift cannot tell how to remove it: look it up by its ARN"
        yield Stray(
            arn=arn, name=arn.rsplit("/", 1)[-1].rsplit(":", 1)[-1], actual=tags, severity=WARNING, remove=remove
        )


def _place(declared: Declared, service: str, name: str) -> str:
    """An ARN for a list call that gives names alone: region and account are those of our cluster."""
    cluster = next(iter(declared.names("aws_ecs_cluster", "arn")), "arn:aws:ecs:::")
    region, account = cluster.split(":")[3:5]
    return f"arn:aws:{service}:{region}:{account}:{name}"


PARTS: tuple[tuple[str, Part], ...] = (
    ("log groups", log_groups),
    ("filters on log groups", log_filters),
    ("parameters", parameters),
    ("alarms and dashboards", alarms),
    ("queues", queues),
    ("buckets", buckets),
    ("databases", databases),
    ("secrets", secrets),
    ("key aliases", aliases),
    ("backup vaults", vaults),
    ("backup plans", plans),
    ("backup selections", backup_selections),
    ("anything tagged as ours", tagged),
)

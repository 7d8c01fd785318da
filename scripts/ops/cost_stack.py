"""What there is to pay for: the resources of a plan, or those that catalogue and settings will make."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline import catalog
from pipeline.catalog import Catalog, Service
from pipeline.errors import PipelineError

SHARED = "(shared)"
_SERVICE = re.compile(r'(?:module\.service|aws_ecr_repository\.this|no_bars|blind)\["([^"]+)"\]')
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[A-Za-z_][\w-]*|-?\d+(?:\.\d+)?|[={}\[\],\n]')


class StackUnreadable(PipelineError):
    """Plan or settings cannot be read."""


@dataclass(frozen=True, kw_only=True)
class Resource:
    """One thing to pay for: Terraform address and type, the values that its price depends on, whose it is."""

    address: str
    type: str
    values: Mapping[str, Any] = field(default_factory=dict)

    @property
    def service(self) -> str:
        """The catalogue's service that it belongs to, else SHARED."""
        found = _SERVICE.search(self.address)
        return found.group(1) if found else SHARED


def of_plan(path: Path) -> list[Resource]:
    """Everything that will be there once the plan (`terraform show -json`) is applied. Raises StackUnreadable."""
    try:
        plan = json.loads(path.read_text(encoding="utf-8"))
        root = plan["planned_values"].get("root_module", {})
    except (OSError, ValueError, KeyError) as error:
        raise StackUnreadable(f"{path}: no plan to read ({type(error).__name__}); make one: make plan ENV=…") from error
    found = list(_planned(root))
    if not found:
        raise StackUnreadable(f"{path}: the plan leaves nothing standing; make one that is not a destruction")
    return found


def _planned(module: dict[str, Any]) -> Iterator[Resource]:
    for each in module.get("resources", []):
        if each["mode"] == "managed":
            yield Resource(address=each["address"], type=each["type"], values=each.get("values") or {})
    for child in module.get("child_modules", []):
        yield from _planned(child)


def of_catalogue(settings_file: Path, services: Catalog | None = None) -> list[Resource]:
    """The same without Terraform: what costs, as the modules make it from the catalogue and an environment's tfvars.

    A test holds both against each other, to the cent.
    """
    given = settings(settings_file.read_text(encoding="utf-8"))
    services = services or catalog.load()
    private = given.get("network", {}).get("private_tasks", False)
    found = [resource for service in services for resource in _of_service(service, not private, given)]
    found += [
        Resource(address=f'module.observability.aws_cloudwatch_metric_alarm.{alarm}["{each.name}"]', type=_ALARM)
        for alarm, table in (("no_bars", "bars"), ("blind", "findings"))
        for each in services.writers(table)
    ]
    return [*found, *_shared(given), *_network(given), *_database(given)]


_ALARM = "aws_cloudwatch_metric_alarm"


def _of_service(service: Service, public: bool, given: dict[str, Any]) -> Iterator[Resource]:
    at = f'module.service["{service.name}"]'
    days = given.get("log_retention_days", 30)
    task = service.kind == "task"
    ecs = [{"network_configuration": [{"assign_public_ip": public}]}] if task else []
    yield Resource(
        address=f"{at}.aws_scheduler_schedule.this",
        type="aws_scheduler_schedule",
        values={
            "schedule_expression": market_hours(service) if service.market_hours_only else service.rate,
            "state": "DISABLED" if service.name in given.get("paused_services", []) else "ENABLED",
            "target": [{"ecs_parameters": ecs}],
        },
    )
    if task:
        values: dict[str, Any] = {"cpu": str(service.cpu), "memory": str(service.memory)}
        yield Resource(address=f"{at}.aws_ecs_task_definition.this[0]", type="aws_ecs_task_definition", values=values)
    else:
        values = {"memory_size": service.memory}
        yield Resource(address=f"{at}.aws_lambda_function.this[0]", type="aws_lambda_function", values=values)
    yield Resource(
        address=f"{at}.aws_cloudwatch_log_group.this",
        type="aws_cloudwatch_log_group",
        values={"retention_in_days": days},
    )
    for name in ("silent", "failing", "not_started"):
        yield Resource(address=f"{at}.{_ALARM}.{name}", type=_ALARM)
    repository = f'module.delivery.aws_ecr_repository.this["{service.name}"]'
    yield Resource(address=repository, type="aws_ecr_repository")


def market_hours(service: Service) -> str:
    """The schedule of a service that rests while the market is closed, as terraform/modules/catalog makes it."""
    minutes = int(service.period.total_seconds()) // 60
    if minutes >= 60:
        return "cron(0 9-17 ? * MON-FRI *)"
    return f"cron({'*' if minutes == 1 else f'0/{minutes}'} 9-16 ? * MON-FRI *)"


def _shared(given: dict[str, Any]) -> Iterator[Resource]:
    at = "module.observability"
    days = {"retention_in_days": given.get("log_retention_days", 30)}
    yield Resource(address=f"{at}.{_ALARM}.dead_letters", type=_ALARM)
    yield Resource(address=f"{at}.aws_cloudwatch_composite_alarm.down", type="aws_cloudwatch_composite_alarm")
    yield Resource(address=f'{at}.aws_cloudwatch_dashboard.this["ops-pipeline"]', type="aws_cloudwatch_dashboard")
    yield Resource(address=f"{at}.aws_s3_bucket.records", type="aws_s3_bucket")
    yield Resource(address=f"{at}.aws_sns_topic.alarms", type="aws_sns_topic")
    yield Resource(address=f"{at}.aws_cloudwatch_log_group.stopped_tasks", type="aws_cloudwatch_log_group", values=days)
    yield Resource(address="module.network.aws_cloudwatch_log_group.flow", type="aws_cloudwatch_log_group", values=days)
    if given.get("database"):  # a private database has a task of its own that migrates it
        migration = "module.migration[0].aws_cloudwatch_log_group.this"
        yield Resource(address=migration, type="aws_cloudwatch_log_group", values=days)
    for name in ("operations", "secrets", *(["data"] if given.get("database") else [])):
        yield Resource(address=f'aws_kms_key.this["{name}"]', type="aws_kms_key")


def _network(given: dict[str, Any]) -> Iterator[Resource]:
    network = given.get("network", {})
    if not network.get("private_tasks"):
        return
    zones = network.get("zones", ["a", "b"])
    yield Resource(address="module.network.aws_eip.nat[0]", type="aws_eip")
    yield Resource(address="module.network.aws_nat_gateway.this[0]", type="aws_nat_gateway")
    for name in ("ecr.api", "ecr.dkr", "logs", "ssm"):
        yield Resource(
            address=f'module.network.aws_vpc_endpoint.interface["{name}"]',
            type="aws_vpc_endpoint",
            values={"vpc_endpoint_type": "Interface", "service_name": f".{name}", "subnet_ids": zones},
        )


def _database(given: dict[str, Any]) -> Iterator[Resource]:
    database, at = given.get("database"), "module.database[0]"
    if not database:
        return
    copy = database.get("copy_region")
    yield Resource(
        address=f"{at}.aws_db_instance.this",
        type="aws_db_instance",
        values={
            "instance_class": database.get("instance_class", "db.t4g.micro"),
            "allocated_storage": database.get("storage_gib", 20),
            "multi_az": database.get("multi_az", False),
            "manage_master_user_password": True,
            "monitoring_interval": 60,
        },
    )
    for name in ("storage", "cpu", "connections"):
        yield Resource(address=f'module.observability.{_ALARM}.database["{name}"]', type=_ALARM)
    rule = {"lifecycle": [{"delete_after": database.get("daily_days", 35)}], "copy_action": [{}] if copy else []}
    yield Resource(address=f"{at}.aws_backup_plan.daily", type="aws_backup_plan", values={"rule": [rule]})
    if copy:
        yield Resource(address=f'{at}.aws_kms_key.copy["{copy}"]', type="aws_kms_key")


def settings(text: str) -> dict[str, Any]:
    """A tfvars file as values: literals, lists and maps, all that it may hold. Raises StackUnreadable."""
    without_comments = "\n".join(_without_comment(line) for line in text.splitlines())
    tokens = _TOKEN.findall(without_comments + "\n")
    found, rest = _map(tokens, end=None)
    if rest:
        raise StackUnreadable(f"settings: cannot be read from {' '.join(rest[:5])!r} on")
    return found


def _without_comment(line: str) -> str:
    return re.sub(r'^((?:[^"#]|"(?:[^"\\]|\\.)*")*?)(?:#|//).*$', r"\1", line)


def _map(tokens: list[str], end: str | None) -> tuple[dict[str, Any], list[str]]:
    found: dict[str, Any] = {}
    while tokens:
        head, tokens = tokens[0], tokens[1:]
        if head in ("\n", ","):
            continue
        if head == end:
            return found, tokens
        if not tokens or tokens[0] != "=":
            raise StackUnreadable(f"settings: expected {head} = …")
        found[head.strip('"')], tokens = _value(tokens[1:])
    return found, tokens


def _value(tokens: list[str]) -> tuple[Any, list[str]]:
    tokens = tokens[next((i for i, token in enumerate(tokens) if token != "\n"), 0) :]
    head, rest = tokens[0], tokens[1:]
    if head == "{":
        return _map(rest, end="}")
    if head == "[":
        items: list[Any] = []
        while rest[0] != "]":
            if rest[0] in (",", "\n"):
                rest = rest[1:]
                continue
            item, rest = _value(rest)
            items.append(item)
        return items, rest[1:]
    return (None if head == "null" else json.loads(head)), rest

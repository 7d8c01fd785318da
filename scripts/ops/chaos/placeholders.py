"""What ${…} in a scenario stands for: names, ARNs and ids of what is deployed, and times."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cached_property
from typing import Any

from ops.chaos import moments
from ops.chaos.market import Day
from ops.document import Mistake, remedy
from ops.local.exchange import Exchange
from pipeline.catalog import Catalog, Service

_FOUND = re.compile(r"\$\$\{|\$\{(?P<inside>[^{}]*)\}")
_OFFSET = re.compile(r"now(?P<sign>[+-])(?P<count>\d+)(?P<unit>[smhd])")
SAMPLE = "sample"
_ANY_DAY = date(2026, 1, 26)
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


class Deployed:
    """The deployed environment as placeholders ask for it; what it once told stays true for the scenario."""

    def __init__(self, client: Callable[[str], Any], catalog: Catalog, day: Day, exchange: Exchange) -> None:
        self.client = client
        self.catalog = catalog
        self.day = day
        self.exchange = exchange
        self.now = day.start

    @cached_property
    def account(self) -> str:
        return str(self.client("sts").get_caller_identity()["Account"])

    @cached_property
    def network(self) -> Mapping[str, Any]:
        """Where tasks run, as the first task's schedule has it."""
        service = next(service for service in self.catalog if service.kind == "task")
        schedule = self.client("scheduler").get_schedule(Name=service.schedule, GroupName=service.name)
        found: Mapping[str, Any] = schedule["Target"]["EcsParameters"]["NetworkConfiguration"]["awsvpcConfiguration"]
        return found

    def arn(self, service: str, rest: str, *, region: bool = True) -> str:
        return f"arn:aws:{service}:{self.catalog.region if region else ''}:{self.account}:{rest}"

    def task_definition(self, name: str) -> Mapping[str, Any]:
        """The newest active revision of a service's task definition."""
        family = self.catalog[name].task_definition
        found: Mapping[str, Any] = self.client("ecs").describe_task_definition(taskDefinition=family)["taskDefinition"]
        return found

    def key(self, name: str) -> str:
        """The id of a KMS key by its alias, with or without the project's name before it."""
        wanted = {f"alias/{name}", f"alias/{self.catalog.project}-{name}"}
        for page in self.client("kms").get_paginator("list_aliases").paginate():
            for alias in page["Aliases"]:
                if alias["AliasName"] in wanted and "TargetKeyId" in alias:
                    return str(alias["TargetKeyId"])
        raise Mistake(f"there is no KMS key with the alias {' or '.join(sorted(wanted))}")

    def parameter(self, name: str) -> str:
        path = full_name(name, self.catalog)
        return str(self.client("ssm").get_parameter(Name=path, WithDecryption=True)["Parameter"]["Value"])

    def prefixed(self, name: str) -> str:
        """A resource's name, with the project's before it where it is left out."""
        project = self.catalog.project
        return name if name.startswith(project) else f"{project}-{name}"


def full_name(name: str, catalog: Catalog) -> str:
    """A parameter's path from its short name."""
    return name if name.startswith("/") else f"/{catalog.project}/{name}"


@dataclass(frozen=True, kw_only=True)
class Placeholder:
    """One of them. `argument` says what stands after the colon ('' for nothing, in brackets where it may be left out);
    `sample` is used where only the form is checked."""

    argument: str
    meaning: str
    find: Callable[[Deployed, str], Any]
    sample: Any = SAMPLE


def _family(deployed: Deployed, name: str, back: int) -> str:
    arn, _, revision = str(deployed.task_definition(name)["taskDefinitionArn"]).rpartition(":")
    return f"{arn}:{int(revision) - back}"


SERVICE, TASK, FUNCTION = "SERVICE", "TASK SERVICE", "LAMBDA SERVICE"
KNOWN: Mapping[str, Placeholder] = {
    "account": Placeholder(argument="", meaning="the account's number", find=lambda d, _: d.account),
    "region": Placeholder(argument="", meaning="the region", find=lambda d, _: d.catalog.region),
    "project": Placeholder(argument="", meaning="the project's name", find=lambda d, _: d.catalog.project),
    "cluster": Placeholder(argument="", meaning="the cluster's name", find=lambda d, _: d.catalog.cluster),
    "cluster_arn": Placeholder(
        argument="", meaning="the cluster's ARN", find=lambda d, _: d.arn("ecs", f"cluster/{d.catalog.cluster}")
    ),
    "schedule": Placeholder(
        argument=SERVICE, meaning="name of its schedule", find=lambda d, name: d.catalog[name].schedule
    ),
    "schedule_arn": Placeholder(
        argument=SERVICE,
        meaning="ARN of its schedule",
        find=lambda d, name: d.arn("scheduler", f"schedule/{name}/{d.catalog[name].schedule}"),
    ),
    "family": Placeholder(
        argument=TASK, meaning="name of its task definition", find=lambda d, name: d.catalog[name].task_definition
    ),
    "task_definition": Placeholder(
        argument=TASK,
        meaning="ARN of the newest active revision of its task definition",
        find=lambda d, name: _family(d, name, 0),
    ),
    "previous_task_definition": Placeholder(
        argument=TASK, meaning="ARN of the revision before that", find=lambda d, name: _family(d, name, 1)
    ),
    "container_definitions": Placeholder(
        argument=TASK,
        meaning="the containers of that revision (a list)",
        find=lambda d, name: d.task_definition(name)["containerDefinitions"],
        sample=[{"name": "sample", "image": "sample"}],
    ),
    "image": Placeholder(
        argument=TASK,
        meaning="the image of that revision",
        find=lambda d, name: d.task_definition(name)["containerDefinitions"][0]["image"],
    ),
    "execution_role": Placeholder(
        argument=TASK,
        meaning="ARN of the role that ECS starts it with",
        find=lambda d, name: d.task_definition(name)["executionRoleArn"],
    ),
    "task_role": Placeholder(
        argument=TASK,
        meaning="ARN of the role that its code has",
        find=lambda d, name: d.task_definition(name)["taskRoleArn"],
    ),
    "function": Placeholder(
        argument=FUNCTION, meaning="name of its function", find=lambda d, name: d.catalog[name].task_definition
    ),
    "function_arn": Placeholder(
        argument=FUNCTION,
        meaning="ARN of its function",
        find=lambda d, name: d.arn("lambda", f"function:{d.catalog[name].task_definition}"),
    ),
    "log_group": Placeholder(
        argument=SERVICE, meaning="name of its log group", find=lambda d, name: f"/ecs/{d.catalog.project}/{name}"
    ),
    "role": Placeholder(
        argument="[NAME]",
        meaning="ARN of a role; without a name the scheduler's",
        find=lambda d, name: d.arn("iam", f"role/{name or d.catalog.scheduler_role}", region=False),
    ),
    "role_name": Placeholder(
        argument="", meaning="name of the scheduler's role", find=lambda d, _: d.catalog.scheduler_role
    ),
    "topic": Placeholder(
        argument="[NAME]",
        meaning="ARN of a topic; without a name the one that alarms speak to",
        find=lambda d, name: d.arn("sns", d.prefixed(name or "alarms")),
    ),
    "queue": Placeholder(
        argument="[NAME]",
        meaning="ARN of a queue; without a name the dead-letter queue",
        find=lambda d, name: d.arn("sqs", d.prefixed(name or "dead-letters")),
    ),
    "queue_url": Placeholder(
        argument="[NAME]",
        meaning="its address",
        find=lambda d, name: d.client("sqs").get_queue_url(QueueName=d.prefixed(name or "dead-letters"))["QueueUrl"],
    ),
    "subnets": Placeholder(
        argument="",
        meaning="the subnets that tasks run in (a list)",
        find=lambda d, _: list(d.network["Subnets"]),
        sample=["subnet-0"],
    ),
    "subnet": Placeholder(argument="", meaning="the first of them", find=lambda d, _: d.network["Subnets"][0]),
    "security_groups": Placeholder(
        argument="",
        meaning="the security groups that tasks have (a list)",
        find=lambda d, _: list(d.network["SecurityGroups"]),
        sample=["sg-0"],
    ),
    "security_group": Placeholder(
        argument="", meaning="the first of them", find=lambda d, _: d.network["SecurityGroups"][0]
    ),
    "key": Placeholder(
        argument="ALIAS",
        meaning="id of a KMS key: secrets, operations or any alias",
        find=lambda d, name: d.key(name),
    ),
    "parameter": Placeholder(
        argument="NAME", meaning="what a parameter holds at that time", find=lambda d, name: d.parameter(name)
    ),
    "alpaca_key_id": Placeholder(
        argument="", meaning="the key id that the exchange began with", find=lambda d, _: d.exchange.key_id
    ),
    "alpaca_secret_key": Placeholder(argument="", meaning="its secret", find=lambda d, _: d.exchange.secret_key),
    "now": Placeholder(
        argument="",
        meaning="the step's minute as 2026-01-26T15:12:00Z; also ${now+10m}, ${now-2h}, ${now+1d}",
        find=lambda d, _: _stamp(d),
        sample="2026-01-26T15:12:00Z",
    ),
    "at": Placeholder(
        argument="HH:MM",
        meaning="that minute of the day, New York, in the same form",
        find=lambda d, text: _instant(moments.on(d.day.date, text)),
        sample="2026-01-26T15:12:00Z",
    ),
    "date": Placeholder(argument="", meaning="the day that is played", find=lambda d, _: str(d.day.date)),
}


def _instant(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"


def _stamp(deployed: Deployed, offset: timedelta = timedelta()) -> str:
    return _instant(deployed.now + offset)


def check(value: Any, catalog: Catalog) -> None:
    """Raises Mistake, leading to the place within `value`, for a placeholder that means nothing."""
    for place, text in _texts(value, ()):
        for match in _FOUND.finditer(text):
            if match["inside"] is not None:
                try:
                    _require(match["inside"], catalog)
                except Mistake as mistake:
                    raise Mistake(str(mistake), *place) from mistake
        if (at := _FOUND.sub("", text).find("${")) >= 0:
            raise Mistake(
                f"{_FOUND.sub('', text)[at : at + 20]!r} has no end; write ${{account}}, or $${{ for ${{", *place
            )


def _texts(value: Any, place: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    if isinstance(value, str):
        yield place, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _texts(item, (*place, key))
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _texts(item, (*place, index))


def _require(inside: str, catalog: Catalog) -> None:
    name, colon, argument = inside.partition(":")
    if _OFFSET.fullmatch(inside):
        return
    if name not in KNOWN:
        raise Mistake(f"${{{inside}}} stands for nothing; {remedy(name, KNOWN)}; write $${{ for a plain ${{")
    wanted = KNOWN[name].argument
    if colon and not wanted:
        raise Mistake(f"${{{inside}}}: {name} takes nothing after a colon")
    if wanted and not argument and not wanted.startswith("["):
        raise Mistake(f"${{{inside}}} lacks its argument; write ${{{name}:{wanted}}}")
    if wanted in (SERVICE, TASK, FUNCTION):
        _require_service(inside, argument, wanted, catalog)
    if wanted == "HH:MM":
        try:
            moments.on(_ANY_DAY, argument)
        except ValueError as error:
            raise Mistake(f"${{{inside}}}: {error}") from error


def _require_service(inside: str, argument: str, wanted: str, catalog: Catalog) -> None:
    fitting = [service.name for service in catalog if _fits(service, wanted)]
    if argument not in fitting:
        why = "is no task" if wanted == TASK else "is no Lambda"
        text = why if argument in catalog.services else "is no service"
        raise Mistake(f"${{{inside}}}: {argument!r} {text}; {remedy(argument, fitting)}")


def _fits(service: Service, wanted: str) -> bool:
    return wanted == SERVICE or (service.kind == "task") == (wanted == TASK)


def fill(value: Any, find: Callable[[str], Any]) -> Any:
    """A copy of `value` with every placeholder replaced. One that is a whole text keeps its kind (a list, say)."""
    if isinstance(value, str):
        return _filled(value, find)
    if isinstance(value, Mapping):
        return {_filled(key, find): fill(item, find) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [fill(item, find) for item in value]
    return value


def _filled(text: str, find: Callable[[str], Any]) -> Any:
    whole = _FOUND.fullmatch(text)
    if whole and whole["inside"] is not None:
        return find(whole["inside"])
    return _FOUND.sub(lambda match: "${" if match["inside"] is None else str(find(match["inside"])), text)


def sampled(value: Any) -> Any:
    """A copy with values of the right kind, for checking the form before anything runs."""
    return fill(value, lambda inside: KNOWN[_name(inside)].sample)


def filled(value: Any, deployed: Deployed) -> Any:
    """A copy with what the deployed environment says now."""
    return fill(value, lambda inside: _looked_up(inside, deployed))


def _looked_up(inside: str, deployed: Deployed) -> Any:
    if match := _OFFSET.fullmatch(inside):
        offset = timedelta(**{_UNITS[match["unit"]]: int(match["count"])})
        return _stamp(deployed, -offset if match["sign"] == "-" else offset)
    name, _, argument = inside.partition(":")
    return KNOWN[name].find(deployed, argument)


def _name(inside: str) -> str:
    return "now" if _OFFSET.fullmatch(inside) else inside.partition(":")[0]

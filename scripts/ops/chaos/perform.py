"""Does what a step says, to the running cloud; what cannot be done is told in words."""

from __future__ import annotations

import http.client
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import singledispatch
from typing import Any

import psycopg
from botocore.exceptions import BotoCoreError, ClientError

from ops.chaos import aws_call, handles, placeholders
from ops.chaos.actions import (
    Action,
    ExchangeClear,
    ExchangeFault,
    ExchangeKeys,
    ExchangeSetting,
    FeedClear,
    FeedFault,
    FeedPublish,
    Note,
    Parameters,
    Processes,
    RegionLost,
    Sql,
)
from ops.chaos.aws_call import AwsCall
from ops.chaos.market import Day
from ops.chaos.placeholders import Deployed
from ops.local.cloud import Cloud
from ops.local.news_file import DEFAULT_FEED, NewsItem
from pipeline import catalog, store
from pipeline.errors import PipelineError

SQL_SECONDS = 60


class StepFailed(PipelineError):
    """A step could not be done; the text says which part and why."""


@dataclass(kw_only=True)
class Stage:
    """The cloud as steps see it: clients, placeholders, and sessions that hold a transaction open."""

    cloud: Cloud
    day: Day
    deployed: Deployed = field(init=False)
    _clients: dict[tuple[str, str | None], Any] = field(default_factory=dict)
    _held: list[tuple[datetime, ExitStack]] = field(default_factory=list)

    def __post_init__(self) -> None:
        known = catalog.load()
        self.deployed = Deployed(self.client, known, self.day, self.cloud.exchange)

    def client(self, service: str, region: str | None = None) -> Any:
        """A boto3 client of the cloud's AWS; a step is an operator's doing, never the plane's."""
        if (service, region) not in self._clients:
            made = self.cloud.aws.client(service, region or self.deployed.catalog.region)
            self._clients[service, region] = made
        return self._clients[service, region]

    def fill(self, value: Any) -> Any:
        return placeholders.filled(value, self.deployed)

    def forget_clients(self) -> None:
        """After a restart the address may be another."""
        self._clients.clear()

    def hold(self, until: datetime, sessions: ExitStack) -> None:
        self._held.append((until, sessions))

    def release(self, now: datetime) -> int:
        """Ends the sessions whose time is up; how many holds that were."""
        due = [held for held in self._held if held[0] <= now]
        self._held = [held for held in self._held if held[0] > now]
        for _, sessions in due:
            sessions.close()
        return len(due)

    def close(self) -> None:
        for _, sessions in self._held:
            sessions.close()
        self._held = []


def do(action: Action, stage: Stage) -> str:
    """Performs an action; returns what is worth telling beside its own text. Raises StepFailed."""
    try:
        return perform(action, stage)
    except ClientError as error:
        told = error.response["Error"]
        raise StepFailed(f"{action.text}: AWS refused it: {told.get('Code')}: {told.get('Message')}") from error
    except (PipelineError, BotoCoreError, psycopg.Error, OSError, http.client.HTTPException) as error:
        text = " ".join(str(error).split())
        raise StepFailed(text if text.startswith(action.text) else f"{action.text}: {text}") from error


@singledispatch
def perform(action: Any, stage: Stage) -> str:
    """Performs one kind of action."""
    raise TypeError(f"nobody performs {type(action).__name__}")


@perform.register
def _(action: AwsCall, stage: Stage) -> str:
    return aws_call.perform(action, stage.client, stage.fill)


@perform.register
def _(action: Note, stage: Stage) -> str:
    return ""


@perform.register
def _(action: Sql, stage: Stage) -> str:
    statement = stage.fill(action.statement)
    with ExitStack() as stack:
        for _ in range(action.sessions):
            connection = _session(stage, stack)
            if action.hold_until:
                connection.execute("begin")
            cursor = connection.execute(statement.encode())
        if action.hold_until:
            stage.hold(action.hold_until, stack.pop_all())
        rows = cursor.fetchmany(3) if cursor.description else []
        return f"{cursor.statusmessage or ''} {rows if rows else ''}".strip()


def _session(stage: Stage, stack: ExitStack) -> store.Connection:
    """A superuser's connection, closed with the stack, that gives up rather than wait for ever."""
    connection = store.connect(stage.cloud.database_url, name="chaos")
    stack.callback(connection.close)
    connection.execute(f"set statement_timeout = '{SQL_SECONDS}s'".encode())
    return connection


@perform.register
def _(action: ExchangeFault, stage: Stage) -> str:
    fault = handles.fault_of(stage.fill(action.values))
    if action.id:
        fault.id = action.id
    stage.cloud.exchange.faults.add(fault)
    return fault.id


@perform.register
def _(action: ExchangeClear, stage: Stage) -> str:
    book = stage.cloud.exchange.faults
    if not action.ids:
        book.clear()
        return ""
    if missing := [name for name in action.ids if not book.remove(name)]:
        raise StepFailed(f"the fault {', '.join(missing)} is not in force at that time")
    return ""


@perform.register
def _(action: ExchangeKeys, stage: Stage) -> str:
    values = stage.fill(action.values)
    keys = stage.cloud.exchange.keys
    if action.action == "revoke":
        keys.revoke(values.get("key_id"))
    elif action.action == "issue":
        keys.issue(values.pop("key_id"), values.pop("secret_key"), **values)
    else:
        overlap = timedelta(seconds=values.get("overlap_seconds", 0))
        keys.replace(values["key_id"], values["secret_key"], overlap=overlap)
    return ""


@perform.register
def _(action: ExchangeSetting, stage: Stage) -> str:
    exchange = stage.cloud.exchange
    if action.name == "rate_limit":
        exchange.limits.per_minute = action.value
    elif action.name == "delays":
        exchange.data.delay({symbol: timedelta(minutes=minutes) for symbol, minutes in action.value.items()})
    else:
        exchange.delay_fills(timedelta(seconds=action.value))
    return ""


@perform.register
def _(action: FeedFault, stage: Stage) -> str:
    stage.cloud.feeds.fault(action.feed, action.kind, action.times, **stage.fill(action.options))
    return ""


@perform.register
def _(action: FeedClear, stage: Stage) -> str:
    stage.cloud.feeds.clear_faults(action.feed)
    return ""


@perform.register
def _(action: FeedPublish, stage: Stage) -> str:
    stage.cloud.feeds.add(_news(item, stage) for item in map(stage.fill, action.items))
    return ""


def _news(item: dict[str, Any], stage: Stage) -> NewsItem:
    at = item["published_at"]
    return NewsItem(
        published_at=datetime.fromisoformat(at) if at else stage.deployed.now,
        title=item["title"],
        summary=item.get("summary", ""),
        link=item.get("link", ""),
        feeds=tuple(item.get("feeds", ()) or (stage.cloud.feeds.names or [DEFAULT_FEED])[:1]),
    )


@perform.register
def _(action: Parameters, stage: Stage) -> str:
    ssm = stage.client("ssm")
    for name, value in stage.fill(action.values).items():
        if value is None:
            ssm.delete_parameter(Name=name)
        else:
            ssm.put_parameter(Name=name, Value=value, Overwrite=True, **_kind(ssm, name, stage))
    return ""


def _kind(ssm: Any, name: str, stage: Stage) -> dict[str, Any]:
    """Type and key as they are; a new parameter is encrypted where its name sounds like a secret's."""
    wanted = [{"Key": "Name", "Option": "Equals", "Values": [name]}]
    for found in ssm.describe_parameters(ParameterFilters=wanted)["Parameters"]:
        key = {"KeyId": found["KeyId"]} if found.get("KeyId") else {}
        return {"Type": found["Type"], **key}
    if any(word in name.rpartition("/")[2] for word in ("key", "secret", "password", "token", "database_url")):
        return {"Type": "SecureString", "KeyId": stage.deployed.key("secrets")}
    return {"Type": "String"}


@perform.register
def _(action: RegionLost, stage: Stage) -> str:
    stage.cloud.lose_region(action.following)
    stage.forget_clients()
    return ""


@perform.register
def _(action: Processes, stage: Stage) -> str:
    cloud = stage.cloud
    orders: dict[str, tuple[Callable[[str], None], ...]] = {
        "kill": (cloud.kill,),
        "stop": (cloud.stop,),
        "start": (cloud.start,),
        "restart": (cloud.stop, cloud.start),
    }
    for verb, name in action.orders:
        for order in orders[verb]:
            order(name)
    stage.forget_clients()
    return ""

"""Everything that a diagnosis looks at, read from where an operator stands: the account, the database, the provider."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from botocore.exceptions import BotoCoreError, ClientError

from healthcheck import aws, checks, provider, snapshot
from healthcheck.aws import clients as aws_clients
from healthcheck.aws.clients import Clients
from healthcheck.aws.memory import Memory
from healthcheck.checks import ended, images, monitors, rights, schedules, stored, targets, undelivered
from healthcheck.checks import provider as provider_checks
from healthcheck.place import Place
from healthcheck.provider import Access, Provider
from healthcheck.snapshot import Scope, Snapshot, Unreadable
from ops import clock
from ops.surroundings import Surroundings
from pipeline import settings, store
from pipeline.errors import ConfigInvalid, DatabaseUnreachable, PipelineError
from pipeline.provider import AlpacaError

MODULES = (schedules, targets, rights, images, stored, ended, undelivered, monitors, provider_checks)
CHECKS = tuple(
    {
        check.name: check
        for check in (
            *checks.ALL,
            *(each for module in MODULES for each in module.CHECKS),
        )
    }.values()
)
# In the run ledger nobody is called so: no service is taken for the one that asks.
ASKS = "diagnose"


@dataclass(frozen=True, kw_only=True)
class Taken:
    """A snapshot, and the clients to ask for more with; None where there is no account."""

    snapshot: Snapshot
    clients: Clients | None


def take(surroundings: Surroundings) -> Taken:
    """All of it at once; what cannot be read is Unreadable and spoils nothing else."""
    clients = aws_clients.clients(region(surroundings))
    where = _place(surroundings, clients)
    scope = _scope(surroundings, where)
    with ThreadPoolExecutor(3, "source") as pool:
        of_database = pool.submit(_database, surroundings, scope)
        of_provider = pool.submit(_provider, surroundings, scope)
        of_aws = pool.submit(_aws, clients, scope, where)
        parts = {**of_database.result(), **of_aws.result(), Provider: of_provider.result()}
    return Taken(snapshot=Snapshot(scope=scope, parts=parts), clients=clients if scope.place else None)


def take_account(surroundings: Surroundings) -> Taken:
    """The account alone: what there is of it where nothing runs yet."""
    clients = aws_clients.clients(region(surroundings))
    where = _place(surroundings, clients)
    scope = _scope(surroundings, where)
    return Taken(snapshot=Snapshot(scope=scope, parts=_aws(clients, scope, where)), clients=clients)


def _scope(surroundings: Surroundings, where: Place | Unreadable) -> Scope:
    return Scope(
        now=clock.now(surroundings.environ),
        catalog=surroundings.catalog,
        tickers=_tickers(surroundings),
        service=ASKS,
        execution_id=str(uuid.uuid4()),
        place=where if isinstance(where, Place) else None,
    )


def region(surroundings: Surroundings) -> str:
    """The shell's region, else the catalogue's."""
    environ = surroundings.environ
    return environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or surroundings.catalog.region


def _place(surroundings: Surroundings, clients: Clients) -> Place | Unreadable:
    """The account that the shell's credentials open."""
    try:
        told = clients("sts").get_caller_identity()
    except (ClientError, BotoCoreError) as error:
        return Unreadable(reason=f"no AWS account: {' '.join(str(error).split())}", code=None)
    partition = str(told["Arn"]).split(":")[1]
    return Place.of(surroundings.catalog, f"arn:{partition}:sts:{region(surroundings)}:{told['Account']}:")


def _tickers(surroundings: Surroundings) -> tuple[str, ...]:
    """The followed symbols; of a malformed list those that can be made out, for the fault is found elsewhere."""
    try:
        text = surroundings.value("tickers")
    except ConfigInvalid:
        return ()
    items = dict.fromkeys(item.strip() for item in text.split(","))
    return tuple(item for item in items if settings.SYMBOL.fullmatch(item))


def _aws(clients: Clients, scope: Scope, where: Place | Unreadable) -> Mapping[type, object]:
    if isinstance(where, Unreadable):
        return dict.fromkeys(aws.PARTS, where)
    return aws.read(clients, scope, Memory())


def _database(surroundings: Surroundings, scope: Scope) -> Mapping[type, object]:
    (watcher,) = surroundings.catalog.writers("findings")
    try:
        with store.connect(surroundings.database_url(watcher.name), role=watcher.name, name=ASKS) as connection:
            return snapshot.read(connection, scope).parts
    except (DatabaseUnreachable, ConfigInvalid, psycopg.Error) as error:
        code = error.code if isinstance(error, DatabaseUnreachable) else None
        return dict.fromkeys(snapshot.DATABASE, Unreadable(reason=" ".join(str(error).split()), code=code))


def _provider(surroundings: Surroundings, scope: Scope) -> object:
    (watcher,) = surroundings.catalog.writers("findings")
    try:
        access = Access.of(surroundings.environ, surroundings.values_of(watcher.name))
        return provider.read(access, scope.tickers)
    except (PipelineError, AlpacaError, ValueError) as error:
        return Unreadable(reason=" ".join(str(error).split()), code=None)


def now_of(surroundings: Surroundings) -> datetime:
    """The instant that counts as now."""
    return clock.now(surroundings.environ)


def ask(clients: Clients | None, when: datetime, names: tuple[str, ...]) -> Any:
    """CloudTrail's history; None where it cannot be asked."""
    if clients is None:
        return None
    try:
        return aws.trail.read(clients, when, names)
    except (ClientError, BotoCoreError):
        return None

"""Everything that a diagnosis looks at, read from where an operator stands: the account, the database, the provider."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from botocore.exceptions import BotoCoreError, ClientError

from healthcheck import aws, provider, reading, snapshot
from healthcheck.aws import clients as aws_clients
from healthcheck.aws.clients import Clients
from healthcheck.aws.memory import Memory
from healthcheck.place import Place
from healthcheck.provider import Access, Provider
from healthcheck.snapshot import Market, Scope, Snapshot, Symbols, Unreadable
from ops import clock
from ops.surroundings import Surroundings
from pipeline import store
from pipeline.catalog import Service
from pipeline.errors import ConfigInvalid, DatabaseUnreachable, PipelineError
from pipeline.provider import AlpacaError
from pipeline.settings import Values

# In the run ledger nobody is called so: no service is taken for the one that asks.
ASKS = "diagnose"
# A person waits longer than a Lambda may.
SECONDS = 30.0


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
    if not scope.tickers:
        parts[Symbols] = Unreadable(reason="which symbols are followed is not known", code=None)
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
        tickers=_followed(surroundings),
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


def _followed(surroundings: Surroundings) -> tuple[str, ...]:
    try:
        texts = {reading.TICKERS: surroundings.value(reading.TICKERS)}
    except ConfigInvalid:
        texts = {}
    return reading.followed(Values(texts=texts, declared=surroundings.catalog.parameters))


def _aws(clients: Clients, scope: Scope, where: Place | Unreadable) -> Mapping[type, object]:
    if isinstance(where, Unreadable):
        return dict.fromkeys(aws.PARTS, where)
    return aws.read(clients, scope, Memory(), seconds=SECONDS)


def _database(surroundings: Surroundings, scope: Scope) -> Mapping[type, object]:
    watcher, *_ = surroundings.catalog.writers("findings")
    try:
        with store.connect(surroundings.database_url(watcher.name), role=watcher.name, name=ASKS) as connection:
            return snapshot.read(connection, scope).parts
    except (DatabaseUnreachable, ConfigInvalid, psycopg.Error) as error:
        code = error.code if isinstance(error, DatabaseUnreachable) else None
        reason = Unreadable(reason=" ".join(str(error).split()), code=code)
        return {**dict.fromkeys(snapshot.DATABASE, reason), Market: snapshot.market(scope)}


def _provider(surroundings: Surroundings, scope: Scope) -> object:
    watcher, *_ = surroundings.catalog.writers("findings")
    try:
        access = Access.of(surroundings.environ, _stored(surroundings, watcher))
        return provider.read(access, scope.tickers)
    except (PipelineError, AlpacaError, ValueError) as error:
        return Unreadable(reason=" ".join(str(error).split()), code=None)


def _stored(surroundings: Surroundings, service: Service) -> Values:
    """The service's parameters as far as there are any: one that is missing keeps no other from being tried."""
    declared = {parameter.name: parameter for parameter in service.environment}
    texts: dict[str, str] = {}
    for name in declared:
        with suppress(ConfigInvalid):
            texts[name] = surroundings.value(name)
    return Values(texts=texts, declared=declared)


def ask(clients: Clients | None, when: datetime, names: tuple[str, ...]) -> Any:
    """CloudTrail's history; None where it cannot be asked."""
    if clients is None:
        return None
    try:
        return aws.trail.read(clients, when, names)
    except (ClientError, BotoCoreError):
        return None

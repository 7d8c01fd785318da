"""One reading of all that is judged: the database, the account and the provider, at once.

What cannot be read is Unreadable and spoils nothing else. The watcher reads with its run's environment and parameters;
an operator's command reads the same parts with the operator's own (scripts/ops/diagnose_read.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import Any

from healthcheck import aws, provider, snapshot
from healthcheck.aws import Clients, Intent, Memory, intent
from healthcheck.aws import clients as aws_clients
from healthcheck.place import Place
from healthcheck.provider import Access, Provider
from healthcheck.snapshot import Market, Scope, Snapshot, Symbols, Unreadable
from pipeline import settings
from pipeline.catalog import Catalog
from pipeline.errors import ConfigInvalid, PipelineError
from pipeline.settings import Values
from pipeline.store import Connection

Parts = dict[type, object]
TICKERS = "tickers"


@dataclass(frozen=True, kw_only=True)
class Account:
    """The way to the account, and what was seen there before."""

    clients: Clients
    memory: Memory


def place(catalog: Catalog, environment: Mapping[str, str]) -> Place | None:
    """Where the run is, from what Terraform told it; None where it told nothing, as in a replay."""
    told = environment.get(intent.VARIABLE)
    return Place.of(catalog, told) if told else None


def account(scope: Scope, environment: Mapping[str, str]) -> Account | None:
    """The account of the scope; None where no AWS is expected."""
    return _account(scope.place.region, environment.get("AWS_ENDPOINT_URL")) if scope.place else None


@cache
def _account(region: str, endpoint: str | None) -> Account:
    """A warm Lambda keeps it from one run to the next. boto3 finds the endpoint by itself; here it tells two apart."""
    return Account(clients=aws_clients.clients(region), memory=Memory())


def followed(values: Values) -> tuple[str, ...]:
    """The followed symbols; of a malformed list those that can be made out, for the fault itself is found elsewhere."""
    try:
        text = values.text(TICKERS)
    except ConfigInvalid:
        return ()
    items = dict.fromkeys(item.strip() for item in text.split(","))
    return tuple(item for item in items if settings.SYMBOL.fullmatch(item))


def read(
    scope: Scope,
    environment: Mapping[str, str],
    values: Values,
    where: Account | None,
    database: Connection | PipelineError,
) -> Snapshot:
    """The snapshot of a run. `database` is the connection, or why there is none."""
    with ThreadPoolExecutor(2, "source") as pool:
        started = _elsewhere(pool, scope, environment, values, where)
        parts = _of_database(scope, database)
        for future in started:
            parts |= future.result()
    if not scope.tickers:
        reason = f"which symbols are followed is not known: the parameter {TICKERS} is missing or names none"
        parts[Symbols] = Unreadable(reason=reason, code=None)
    return Snapshot(scope=scope, parts=parts)


def _elsewhere(
    pool: ThreadPoolExecutor,
    scope: Scope,
    environment: Mapping[str, str],
    values: Values,
    where: Account | None,
) -> list[Future[Parts]]:
    if where is None:
        return []
    return [
        pool.submit(aws.read, where.clients, scope, where.memory),
        pool.submit(_of_provider, scope, environment, values, where),
    ]


def _of_database(scope: Scope, database: Connection | PipelineError) -> Parts:
    if not isinstance(database, PipelineError):
        return dict(snapshot.read(database, scope).parts)
    reason = Unreadable(reason=" ".join(str(database).split()), code=database.code)
    return {**dict.fromkeys(snapshot.DATABASE, reason), Market: snapshot.market(scope)}


def _of_provider(scope: Scope, environment: Mapping[str, str], values: Values, where: Account) -> Parts:
    """Nothing where the last apply says that it cannot be reached from here."""
    if not _in_reach(scope, where):
        return {}
    try:
        return {Provider: provider.read(Access.of(environment, values), scope.tickers)}
    except (PipelineError, ValueError) as error:
        return {Provider: Unreadable(reason=" ".join(str(error).split()), code=None)}


def _in_reach(scope: Scope, where: Account) -> bool:
    """Asked for by itself, since the provider's answer takes longest; what was meant cannot be told without AWS."""
    from botocore.exceptions import BotoCoreError, ClientError

    assert scope.place
    try:
        meant: Any = intent.read(where.clients, scope.place, where.memory)
    except (ClientError, BotoCoreError, OSError, ValueError, KeyError):
        return True
    return isinstance(meant, Intent) and meant.provider

"""The database of a local cloud: a server beside the account, or the account's own behind the emulator's RDS."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol

from ops.local.applied import BORN
from ops.local.aws import LocalAws
from ops.local.postgres import Postgres
from ops.local.rds import Storage
from ops.terraform_workspace import Workspace
from pipeline import catalog, migrate, store
from pipeline.migrate import Account, Addresses
from pipeline.settings import Secret
from pipeline.store import logins, migrations

NAME = "pipeline"


class CloudDatabase(Protocol):
    """Where the rows are. `url` is a superuser's address; it may be another after a restore."""

    @property
    def url(self) -> str: ...

    @property
    def trust(self) -> Mapping[str, str]:
        """What whoever connects must be told, beyond the address."""

    def kill(self) -> None: ...

    def stop(self) -> None: ...

    def start(self) -> None: ...

    def tick(self) -> None:
        """What takes its time goes on."""


@dataclass(kw_only=True)
class Beside:
    """A server of its own, of which the account knows nothing but the address in its parameters."""

    server: Postgres
    url: str
    trust: Mapping[str, str] = field(default_factory=dict)

    def kill(self) -> None:
        self.server.kill()

    def stop(self) -> None:
        self.server.stop()

    def start(self) -> None:
        self.server.start()

    def tick(self) -> None:
        pass


@dataclass(kw_only=True)
class Managed:
    """The account's RDS instance of that name, whichever server stands behind it at the moment."""

    storage: Storage
    identifier: str

    @property
    def url(self) -> str:
        return self.storage.url(self.identifier, NAME)

    @property
    def trust(self) -> Mapping[str, str]:
        return self.storage.trust

    def kill(self) -> None:
        """The instance is lost; its volume, and so all that was committed, is not."""
        self.storage.lose(self.identifier)

    def stop(self) -> None:
        self.storage.machine(self.identifier).server.stop()

    def start(self) -> None:
        self.storage.machine(self.identifier).server.start()

    def follow(self, aws: LocalAws) -> None:
        """From now on the instance of that name in that region is meant."""
        self.storage.aws = aws

    def tick(self) -> None:
        self.storage.tick()


def beside(stack: ExitStack) -> Beside:
    """A migrated database on a server that ends with the stack."""
    server = stack.enter_context(Postgres(durable=False))
    database = server.create_database(NAME)
    with store.connect(database.url, name="cloud") as connection:
        migrations.migrate(connection, catalog.load())
    return Beside(server=server, url=database.url)


def managed(workspace: Workspace, stack: ExitStack) -> Managed:
    """A server behind the applied environment's RDS instance, migrated, with a login a service, as `scripts/migrate
    --env NAME` leaves it. Raises TerraformFailed."""
    aws = workspace.aws
    assert aws
    aws.set_now(BORN + timedelta(hours=1))
    storage = stack.enter_context(Storage(aws))
    identifier = catalog.load().project
    storage.adopt(identifier)
    workspace.plan()  # what is told of the database's address has to tell the new one
    workspace.apply_file()
    outputs = workspace.outputs()
    held = aws.client("secretsmanager").get_secret_value(SecretId=outputs["database"]["master_secret_arn"])
    master = json.loads(held["SecretString"])
    base = f"postgresql://{outputs['database']['endpoint']}/{NAME}?sslmode={storage.trust['PGSSLMODE']}"
    account = Account(base=base, master=logins.join(base, master["username"], Secret(master["password"])), key="")
    key = aws.client("kms").describe_key(KeyId=f"alias/{identifier}-secrets")["KeyMetadata"]["Arn"]
    addresses = Addresses(ssm=aws.client("ssm", plane=True), project=identifier, key=key)
    with trusting(storage.trust):
        migrate.prepare(account, addresses, catalog.load(), lambda line: None)
    return Managed(storage=storage, identifier=identifier)


@contextmanager
def trusting(trust: Mapping[str, str]) -> Iterator[None]:
    """libpq of this process knows whom to trust, as that of a task does."""
    before = {name: os.environ.get(name) for name in trust}
    os.environ.update(trust)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value

"""The task that prepares an account's database: its schema, the grants, and a login of its own for each service.

`scripts/migrate --env NAME` starts it, any time and as often as one likes: what is right already it leaves alone. It
alone is given the master password, and it alone may write the services' addresses in the parameter store.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NoReturn

import psycopg

from pipeline import catalog, store
from pipeline.catalog import Catalog, Service
from pipeline.errors import ConfigInvalid, PipelineError
from pipeline.settings import Secret
from pipeline.store import Connection, logins, migrations

DONE, FAILED, WORK_REMAINS = 0, 1, 3
# Any constant will do, as long as no other lock uses it. Held around all: migrations take their own inside.
LOCK = 20260127
NEEDED = ("DATABASE_ADDRESS", "MASTER_USERNAME", "MASTER_PASSWORD", "SECRETS_KEY")

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Account:
    """What the task is told: where the database is (without a login), its master, the key for what it stores."""

    base: str
    master: Secret
    key: str


@dataclass(frozen=True, kw_only=True)
class Stored:
    """A service's address as the parameter store has it, and since when. It holds a password: never shown."""

    value: str = field(repr=False)
    at: datetime


@dataclass(frozen=True, kw_only=True)
class Addresses:
    """The services' addresses in the parameter store, /<project>/database_url/<service>."""

    ssm: Any
    project: str
    key: str

    def name(self, service: Service) -> str:
        return f"/{self.project}/database_url/{service.name}"

    def look(self, service: Service) -> Stored | None:
        """What is stored, or None where there is no such parameter."""
        answer = self.ssm.get_parameters(Names=[self.name(service)], WithDecryption=True)
        found = ((str(each["Value"]), each["LastModifiedDate"]) for each in answer["Parameters"])
        return next((Stored(value=value, at=at) for value, at in found), None)

    def find(self, service: Service) -> str | None:
        """The address alone."""
        stored = self.look(service)
        return stored.value if stored else None

    def put(self, service: Service, address: Secret) -> None:
        """Stores it over what was there. The key is said each time: AWS would take its own default instead."""
        self.ssm.put_parameter(
            Name=self.name(service), Value=address.reveal(), Type="SecureString", KeyId=self.key, Overwrite=True
        )


def read(environment: Mapping[str, str]) -> Account:
    """The task's environment. Raises ConfigInvalid naming all that is missing."""
    if missing := [name for name in NEEDED if not environment.get(name)]:
        raise ConfigInvalid(f"missing: {', '.join(missing)}; terraform/modules/migration gives them to the task")
    _, base = logins.split(environment["DATABASE_ADDRESS"])
    master = logins.join(base, environment["MASTER_USERNAME"], Secret(environment["MASTER_PASSWORD"]))
    return Account(base=base, master=master, key=environment["SECRETS_KEY"])


def prepare(account: Account, addresses: Addresses, services: Catalog, say: Say, *, check: bool = False) -> int:
    """Does what is to do, or with `check` only says it; returns the exit code.

    Raises PipelineError, psycopg.Error or the parameter store's errors. Killed at any point, the next one goes on.
    """
    with store.connect(account.master.reveal(), name="migrate") as connection, alone(connection, say):
        left = _schema(connection, services, say, check=check)
        for service in services:
            left += _login(connection, account, addresses, service, say, check=check)
    say("work remains" if left else "database and logins are as they should be")
    return WORK_REMAINS if left else DONE


def _schema(connection: Connection, services: Catalog, say: Say, *, check: bool) -> int:
    """How many migrations remain undone."""
    found = migrations.pending(connection) if check else migrations.migrate(connection, services)
    for migration in found:
        say(f"{'pending' if check else 'applied'}: {migration.version:04d}_{migration.name}")
    return len(found) if check else 0


def _login(
    connection: Connection, account: Account, addresses: Addresses, service: Service, say: Say, *, check: bool
) -> bool:
    """Whether the service remains without an address that works."""
    stored = addresses.find(service)
    if stored is None:
        say(f"{service.name}: there is no parameter {addresses.name(service)}; make plan apply makes it")
        return True
    reason = logins.fault(connection, account.base, service, stored)
    if reason is None or check:
        say(f"{service.name}: {reason or 'its login works'}")
        return reason is not None
    login = logins.choose(stored, service)
    addresses.put(service, logins.renew(connection, account.base, service, login))
    say(f"{service.name}: {reason}; gave {login} a new password and stored its address")
    return False


@contextmanager
def alone(connection: Connection, say: Say) -> Iterator[None]:
    """Two at once are one after the other; whoever dies gives the lock back with its connection."""
    got = connection.execute("select pg_try_advisory_lock(%s)", (LOCK,)).fetchone()
    if not (got and got[0]):
        say("another migration is at work; waiting for it")
        connection.execute("select pg_advisory_lock(%s)", (LOCK,))
    try:
        yield
    finally:
        if store.idle(connection):
            connection.execute("select pg_advisory_unlock(%s)", (LOCK,))


def run(environment: Mapping[str, str], arguments: Sequence[str] = ()) -> int:
    """One run from environment to exit code: 0 all is as it should be, 1 failed, 3 something remains to be done."""

    def act(account: Account, addresses: Addresses, services: Catalog, say: Say) -> int:
        if unknown := [word for word in arguments if word != "--check"]:
            raise ConfigInvalid(f"unknown argument {' '.join(unknown)}; there is --check")
        return prepare(account, addresses, services, say, check="--check" in arguments)

    return in_account(environment, act)


def in_account(environment: Mapping[str, str], act: Callable[[Account, Addresses, Catalog, Say], int]) -> int:
    """Does that with what the task was given; its exit code, 1 with one line where it fails."""
    import boto3  # no other module of the runtime needs it, and only one image carries it
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        account, services = read(environment), catalog.load()
        ssm = boto3.session.Session(region_name=environment.get("AWS_REGION") or services.region).client("ssm")
        return act(account, Addresses(ssm=ssm, project=services.project, key=account.key), services, _say)
    except (PipelineError, psycopg.Error, ClientError, BotoCoreError) as error:
        print(f"migrate: {type(error).__name__}: {' '.join(str(error).split())}", file=sys.stderr, flush=True)
        return FAILED


def _say(line: str) -> None:
    print(line, flush=True)


def main() -> NoReturn:
    """Runs once in this process and exits with its code."""
    sys.exit(run(os.environ, sys.argv[1:]))


if __name__ == "__main__":
    main()

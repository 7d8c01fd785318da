"""The task that moves every service to the other of its two database logins, and later closes the one that it left.

`scripts/migrate --env NAME --renew-logins` starts it, and `--close-logins` once no run can come with the old address.
Between the two both logins work, so that no run fails. Either may be killed and started again at any point: whom it
has served already it leaves alone.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import NoReturn

from pipeline import clock, migrate, store
from pipeline.catalog import Catalog, Service
from pipeline.errors import ConfigInvalid
from pipeline.migrate import DONE, WORK_REMAINS, Account, Addresses, Say, Stored
from pipeline.store import Connection, logins

# A run is given the address that was stored when ECS prepared its start, and may take that long to connect.
STARTING = timedelta(minutes=5)

# One service's turn: whether something remains to be done.
Turn = Callable[[Connection, Account, Addresses, Service, Stored], bool]


def renew(account: Account, addresses: Addresses, services: Catalog, say: Say, now: datetime) -> int:
    """Gives each service's other login a new password and stores its address; returns the exit code.

    A service whose address is younger than its longest run is left alone: its other login may still be in use, and it
    was most likely served by a run of this task that was killed. Raises PipelineError, psycopg.Error or the parameter
    store's errors.
    """

    def turn(connection: Connection, account: Account, addresses: Addresses, service: Service, stored: Stored) -> bool:
        if reason := logins.fault(connection, account.base, service, stored.value):
            say(f"{service.name}: {reason}; first let scripts/migrate heal that")
            return True
        if now < (free := settled(service, stored)):
            say(f"{service.name}: was moved at {_at(stored.at)}; its other login may be in use until {_at(free)}")
            return False
        login = logins.other(stored.value, service)
        addresses.put(service, logins.renew(connection, account.base, service, login))
        say(f"{service.name}: {login} has a new password, its address is stored; {_used(stored)} works on")
        return False

    return _each(account, addresses, services, say, turn)


def close(account: Account, addresses: Addresses, services: Catalog, say: Say, now: datetime) -> int:
    """Closes the login that each service has left; returns the exit code, WORK_REMAINS while one may still be in use.

    A login is closed only where the service's stored one works. Raises as `renew`.
    """

    def turn(connection: Connection, account: Account, addresses: Addresses, service: Service, stored: Stored) -> bool:
        if reason := logins.fault(connection, account.base, service, stored.value):
            say(f"{service.name}: {reason}; first let scripts/migrate heal that")
            return True
        login = logins.other(stored.value, service)
        known = logins.find(connection, login)
        if known is None or not known.may_connect:
            say(f"{service.name}: {login} is closed")
            return False
        if now < (free := settled(service, stored)):
            say(f"{service.name}: a run may still come with {login}; it can be closed from {_at(free)} on")
            return True
        logins.close(connection, login)
        say(f"{service.name}: closed {login}; {_used(stored)} is the one in use")
        return False

    return _each(account, addresses, services, say, turn)


def settled(service: Service, stored: Stored) -> datetime:
    """From when on no run of the service can come with, or still use, the address before the stored one."""
    return stored.at + STARTING + timedelta(seconds=service.deadline_seconds)


def _each(account: Account, addresses: Addresses, services: Catalog, say: Say, turn: Turn) -> int:
    left = False
    with store.connect(account.master.reveal(), name="rotation") as connection, migrate.alone(connection, say):
        for service in services:
            stored = addresses.look(service)
            if stored is None:
                say(f"{service.name}: there is no parameter {addresses.name(service)}; make plan apply makes it")
                left = True
            else:
                left |= turn(connection, account, addresses, service, stored)
    return WORK_REMAINS if left else DONE


def _used(stored: Stored) -> str:
    return logins.split(stored.value)[0]


def _at(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%H:%M:%S} UTC"


ACTS = {"--renew": renew, "--close": close}


def run(environment: Mapping[str, str], arguments: Sequence[str] = ()) -> int:
    """One run from environment to exit code: 0 done, 1 failed, 3 something remains to be done."""

    def act(account: Account, addresses: Addresses, services: Catalog, say: Say) -> int:
        if len(arguments) != 1 or arguments[0] not in ACTS:
            raise ConfigInvalid(f"say one of {', '.join(ACTS)}")
        return ACTS[arguments[0]](account, addresses, services, say, clock.from_environment(environment)())

    return migrate.in_account(environment, act)


def main() -> NoReturn:
    """Runs once in this process and exits with its code."""
    sys.exit(run(os.environ, sys.argv[1:]))


if __name__ == "__main__":
    main()

"""The services' logins: who may connect as which service, with which password. Grants are the role's, not theirs."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from urllib.parse import SplitResult, quote, unquote, urlsplit, urlunsplit

from psycopg import sql as ddl

from pipeline import store
from pipeline.catalog import Service
from pipeline.errors import ConfigInvalid, DatabaseUnreachable, PipelineError
from pipeline.settings import Secret
from pipeline.store import Connection

# Two a service: a rotation makes the other one good, moves the service over, then closes the first.
SLOTS = ("a", "b")
PASSWORD_BYTES = 32


class LoginUnsafe(PipelineError):
    """A login has more power than a service's may have, and we cannot take it away."""

    code = "db_permission"


@dataclass(frozen=True, kw_only=True)
class Login:
    """A login as the server knows it. `powers` are attributes such as `superuser`, `memberships` roles."""

    may_connect: bool
    powers: tuple[str, ...]
    memberships: tuple[str, ...]


def names(service: Service) -> tuple[str, ...]:
    """The logins that a service may have, the first one first."""
    return tuple(f"{service.name}_{slot}" for slot in SLOTS)


def find(connection: Connection, login: str) -> Login | None:
    """The login of that name, or None."""
    row = connection.execute(store.sql("logins/login"), (login,)).fetchone()
    return Login(may_connect=row[0], powers=tuple(row[1]), memberships=tuple(row[2])) if row else None


def split(address: str) -> tuple[str, str]:
    """(login, the address without login and password); the login is empty where there is none.

    Raises ConfigInvalid, which never repeats the address.
    """
    try:
        parts = urlsplit(address)
        host = f"{parts.hostname}:{parts.port or 5432}"
    except ValueError:
        parts, host = SplitResult("", "", "", "", ""), ""
    if parts.scheme not in ("postgresql", "postgres") or not parts.hostname:
        raise ConfigInvalid("not a PostgreSQL address (postgresql://login:password@host:port/name?sslmode=verify-full)")
    return unquote(parts.username or ""), urlunsplit(parts._replace(scheme="postgresql", netloc=host))


def join(base: str, login: str, password: Secret) -> Secret:
    """The address of a login at `base`, an address without one."""
    parts = urlsplit(base)
    return Secret(
        urlunsplit(parts._replace(netloc=f"{quote(login)}:{quote(password.reveal(), safe='')}@{parts.netloc}"))
    )


def fault(connection: Connection, base: str, service: Service, stored: str) -> str | None:
    """Why the service could not work with the address that is stored for it, in words; None where it could.

    Raises DatabaseUnreachable where that cannot be told.
    """
    try:
        login, place = split(stored)
    except ConfigInvalid:
        return "no address is stored"
    if login not in names(service):
        return f"the stored address has the login {login!r}, which is not its own"
    if place != base:
        return "the stored address leads to another database"
    return _wrong(find(connection, login), login, service) or _refused(stored, login, service)


def _wrong(known: Login | None, login: str, service: Service) -> str | None:
    if known is None:
        return f"there is no login {login}"
    if known.powers:
        return f"{login} has powers of its own: {', '.join(known.powers)}"
    if not known.may_connect:
        return f"{login} may not connect"
    if known.memberships != (service.name,):
        return f"{login} is a member of {', '.join(known.memberships) or 'nothing'} instead of {service.name} alone"
    return None


def _refused(stored: str, login: str, service: Service) -> str | None:
    """Connects as the service would. What is not a matter of this login is raised: another password would not help."""
    try:
        store.connect(stored, role=service.name, name="migrate").close()
    except DatabaseUnreachable as error:
        if error.code == "db_permission" or "password authentication failed" in str(error):
            return f"{login} does not open with the stored password"
        raise
    return None


def renew(connection: Connection, base: str, service: Service, login: str) -> Secret:
    """Makes the login, or gives it a new password and its service's role alone; returns its address, proven by use.

    The server, and so its log of statements, gets the password as a SCRAM verifier only. Raises LoginUnsafe.
    """
    password = Secret(secrets.token_urlsafe(PASSWORD_BYTES))
    with connection.transaction():
        known = find(connection, login)
        if known and known.powers:
            raise LoginUnsafe(
                f"login {login} was given {', '.join(known.powers)}; see who did, `drop role {login}` and run again"
            )
        _set_password(connection, login, password, new=known is None)
        for role in known.memberships if known else ():
            _run(connection, "revoke {role} from {login}", login, role)
        _run(connection, "grant {role} to {login}", login, service.name)
    address = join(base, login, password)
    if reason := fault(connection, base, service, address.reveal()):
        raise LoginUnsafe(
            f"{service.name}: {reason}, though it was just made so; look at the server's pg_hba and roles"
        )
    return address


def other(stored: str, service: Service) -> str:
    """The login of the service that the stored address does not name. Raises ConfigInvalid where it is no address."""
    login, _ = split(stored)
    return next(each for each in names(service) if each != login)


def close(connection: Connection, login: str) -> None:
    """Lets nobody connect with it any more, whatever the password; sessions that it has end with their runs."""
    connection.execute(ddl.SQL("alter role {login} nologin password null").format(login=ddl.Identifier(login)))


def _set_password(connection: Connection, login: str, password: Secret, *, new: bool) -> None:
    verifier = connection.pgconn.encrypt_password(password.reveal().encode(), login.encode(), b"scram-sha-256")
    statement = "create role {login} login password {verifier}" if new else (
        "alter role {login} login password {verifier} valid until 'infinity'"
    )  # fmt: skip
    connection.execute(ddl.SQL(statement).format(login=ddl.Identifier(login), verifier=ddl.Literal(verifier.decode())))


def _run(connection: Connection, statement: str, login: str, role: str) -> None:
    connection.execute(ddl.SQL(statement).format(login=ddl.Identifier(login), role=ddl.Identifier(role)))


def choose(stored: str, service: Service) -> str:
    """The login to renew where the stored address does not serve: the one it names if that is the service's own."""
    try:
        login, _ = split(stored)
    except ConfigInvalid:
        login = ""
    return login if login in names(service) else names(service)[0]

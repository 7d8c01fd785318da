"""PostgreSQL: connections, and the SQL statements by name. Nothing else opens a connection or finds a statement."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Any

import psycopg
from psycopg import conninfo, pq

from pipeline.errors import DatabaseUnreachable

QUERIES = Path(__file__).with_name("queries")
# AWS's own file (docs/decisions/0013): RDS signs its servers with these, and no system's trust store holds them.
RDS_AUTHORITIES = Path(__file__).with_name("rds-global-bundle.pem")
Connection = psycopg.Connection[tuple[Any, ...]]

CONNECT_TIMEOUT_SECONDS = 10
# A backend that waits for a lock on behalf of a dead client would keep that client's locks.
CLIENT_CHECK = "-c client_connection_check_interval=1000"


def connect(url: str, *, role: str | None = None, name: str | None = None) -> Connection:
    """An autocommit connection; statements that belong together go into `with connection.transaction()`.

    `role` is the database role whose grants apply from then on (the login must be a member of it). Times come back in
    UTC. An address with `sslmode=verify-full` is held to RDS's authorities, unless it or PGSSLROOTCERT names others.
    Raises DatabaseUnreachable, with the server's words and without the password.
    """
    options = f"{CLIENT_CHECK} -c timezone=UTC" + (f" -c role={role}" if role else "")
    try:
        return psycopg.connect(
            url,
            autocommit=True,
            application_name=name or role or "ops",
            connect_timeout=CONNECT_TIMEOUT_SECONDS,
            options=options,
            prepare_threshold=None,  # a run asks each question once or twice
            sslrootcert=_trust(url),
        )
    except psycopg.OperationalError as error:
        raise _unreachable(error) from error
    except psycopg.ProgrammingError as error:
        raise DatabaseUnreachable(
            "DATABASE_URL is not a PostgreSQL address: postgresql://user@host:port/name"
        ) from error


def _trust(url: str) -> str | None:
    """Whom to believe that a server is the one it says; None where nobody asks, or address or libpq's own say it."""
    asked = conninfo.conninfo_to_dict(url)
    verified = str(asked.get("sslmode") or os.environ.get("PGSSLMODE") or "").startswith("verify-")
    if not verified or asked.get("sslrootcert") or os.environ.get("PGSSLROOTCERT"):
        return None
    return str(RDS_AUTHORITIES)


def _unreachable(error: psycopg.OperationalError) -> DatabaseUnreachable:
    text = " ".join(str(error).split())
    if any(words in text for words in ("too many clients", "too many connections", "remaining connection slots")):
        return DatabaseUnreachable(f"{text}; close idle sessions or raise max_connections", code="db_connections")
    if ("role" in text and "does not exist" in text) or "permission denied to set role" in text:
        return DatabaseUnreachable(f"{text}; run scripts/migrate to create roles and grants", code="db_permission")
    return DatabaseUnreachable(f"{text}; is PostgreSQL up, and DATABASE_URL right?")


def idle(connection: Connection) -> bool:
    """Whether the connection can take a new statement."""
    return not connection.closed and connection.info.transaction_status == pq.TransactionStatus.IDLE


@cache
def sql(name: str) -> bytes:
    """The statement in `queries/<name>.sql`, e.g. sql("ledger/begin"). Raises FileNotFoundError."""
    return (QUERIES / f"{name}.sql").read_bytes()

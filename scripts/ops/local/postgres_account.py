"""A PostgreSQL as RDS hands one over: passwords, a master login that is no superuser, and TLS where the build can."""

from __future__ import annotations

import ipaddress
import os
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from psycopg import sql

from ops.local.postgres import HOST, SUPERUSER, Postgres, PostgresFailed
from pipeline import store
from pipeline.errors import DatabaseUnreachable
from pipeline.settings import Secret

# Ours still gets in by itself; everybody else with a password, and by TLS (RDS: rds.force_ssl).
ACCESS = f"host all {SUPERUSER} {HOST}/32 trust\n{{host}} all all {HOST}/32 scram-sha-256\n"
LOGGED = "ddl"  # as terraform/modules/database has it
CERTIFICATE, KEY = "server.crt", "server.key"
RELOAD_SECONDS = 10


@dataclass(frozen=True, kw_only=True)
class AccountDatabase:
    """What terraform tells of its database: an address without a login, and who vouches for the server.

    `authority` is None where this build of PostgreSQL knows no TLS; the wheel's does not.
    """

    server: Postgres
    name: str
    authority: Path | None

    @property
    def address(self) -> str:
        """Without a login; asked of the server each time, since a restart may change the port."""
        mode = "verify-full" if self.authority else "disable"
        return self.server.url(self.name).replace(f"{SUPERUSER}@", "") + f"?sslmode={mode}"

    @property
    def environment(self) -> dict[str, str]:
        """What a task must be told beyond its definition."""
        trust = {"PGSSLROOTCERT": str(self.authority)} if self.authority else {}
        return {"DATABASE_ADDRESS": self.address, **trust}


def hand_over(server: Postgres, name: str, master: str, password: Secret) -> AccountDatabase:
    """Makes a running server of ours into one like RDS's, with an empty database that the master owns.

    Again on the same data it gives the master the password anew and leaves the database as it is.
    """
    tls = _knows_tls(server)
    if tls and not (server.data_dir / CERTIFICATE).exists():
        _certify(server)
    _place(server, "pg_hba.conf", ACCESS.format(host="hostssl" if tls else "host").encode())
    _settle(server, {"log_statement": LOGGED, "ssl": "on" if tls else "off"})
    with store.connect(server.url(), name="ops") as connection:
        login, database = sql.Identifier(master), sql.Identifier(name)
        if not connection.execute("select 1 from pg_roles where rolname = %s", (master,)).fetchone():
            connection.execute(sql.SQL("create role {} login createrole createdb").format(login))
        connection.execute(sql.SQL("alter role {} password {}").format(login, sql.Literal(password.reveal())))
        if not connection.execute("select 1 from pg_database where datname = %s", (name,)).fetchone():
            connection.execute(sql.SQL("create database {} owner {}").format(database, login))
    return AccountDatabase(server=server, name=name, authority=server.data_dir / CERTIFICATE if tls else None)


def _knows_tls(server: Postgres) -> bool:
    with store.connect(server.url(), name="ops") as connection:
        return _setting(connection, "ssl_library") not in ("", None)


def _settle(server: Postgres, settings: dict[str, str]) -> None:
    """Has the server read settings and files anew, and waits until it has."""
    with store.connect(server.url(), name="ops") as connection:
        for key, value in settings.items():
            connection.execute(sql.SQL("alter system set {} = {}").format(sql.Identifier(key), sql.Literal(value)))
        connection.execute("select pg_reload_conf()")
    deadline = time.monotonic() + RELOAD_SECONDS
    while time.monotonic() < deadline:
        # one that it takes in while it reads its certificate anew, it may drop
        with suppress(DatabaseUnreachable), store.connect(server.url(), name="ops") as connection:
            if all(_setting(connection, key) == value for key, value in settings.items()):
                return
        time.sleep(0.02)
    raise PostgresFailed(f"the embedded PostgreSQL does not take up its settings; see {server.data_dir}/server.log")


def _setting(connection: store.Connection, name: str) -> str | None:
    row = connection.execute("select current_setting(%s)", (name,)).fetchone()
    return str(row[0]) if row else None


def _certify(server: Postgres) -> None:
    """A certificate that vouches for itself, for this machine's own address."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "ops-pipeline rehearsal")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=3650))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(HOST))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    _place(server, KEY, key.private_bytes(pem, *plain))
    _place(server, CERTIFICATE, made.public_bytes(pem))


def _place(server: Postgres, name: str, content: bytes) -> None:
    path = server.data_dir / name
    path.touch(mode=0o600)
    path.write_bytes(content)
    os.chown(path, server.account.uid, server.account.gid)

"""Brings a database to this image's schema and gives each service's role its grants, from the catalogue."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import psycopg
from psycopg import sql

from pipeline.catalog import Catalog, Service
from pipeline.errors import SchemaDiffers
from pipeline.store import Connection

FOLDER = Path(__file__).with_name("migrations")
# Any constant will do, as long as no other lock uses it.
LOCK = 20260126


@dataclass(frozen=True, kw_only=True)
class Migration:
    """A numbered SQL file; `checksum` is the sha256 of its text, so that edited history is seen."""

    version: int
    name: str
    text: str
    checksum: str


@cache
def known(folder: Path = FOLDER) -> tuple[Migration, ...]:
    """This image's migrations, oldest first. Raises SchemaDiffers where the numbers do not run 1, 2, 3, …"""
    found = []
    for expected, path in enumerate(sorted(folder.glob("*.sql")), start=1):
        number, _, name = path.stem.partition("_")
        if not number.isdigit() or int(number) != expected:
            raise SchemaDiffers(f"{path.name}: expected migration number {expected:04d}")
        text = path.read_text(encoding="utf-8")
        checksum = hashlib.sha256(text.encode()).hexdigest()
        found.append(Migration(version=expected, name=name, text=text, checksum=checksum))
    return tuple(found)


def migrate(connection: Connection, catalog: Catalog, folder: Path = FOLDER) -> list[Migration]:
    """Applies what is pending, each in one transaction with its record, then sets the grants; returns what it applied.

    Runs under an advisory lock, so two at once are one after the other. Raises SchemaDiffers on edited history.
    """
    connection.execute("select pg_advisory_lock(%s)", (LOCK,))
    try:
        connection.execute(
            "create table if not exists schema_migrations (version integer primary key, name text not null,"
            " checksum text not null, applied_at timestamptz not null default now())"
        )
        waiting = pending(connection, folder)
        for migration in waiting:
            _apply(connection, migration)
        grant(connection, catalog)
        return waiting
    finally:
        connection.execute("select pg_advisory_unlock(%s)", (LOCK,))


def pending(connection: Connection, folder: Path = FOLDER) -> list[Migration]:
    """The migrations that the database has not had. Raises SchemaDiffers when one that it had reads differently now.

    Migrations that only the database knows are fine: a deployment migrates first, and older images run on meanwhile.
    """
    try:
        rows = connection.execute("select version, checksum from schema_migrations").fetchall()
    except psycopg.errors.UndefinedTable:
        return list(known(folder))
    applied: dict[int, str] = dict(rows)
    for migration in known(folder):
        if applied.get(migration.version, migration.checksum) != migration.checksum:
            raise SchemaDiffers(
                f"migration {migration.version:04d}_{migration.name} was edited after it was applied; "
                "restore its text and write a new migration"
            )
    return [migration for migration in known(folder) if migration.version not in applied]


def version(connection: Connection) -> int:
    """The newest migration that the database has had; 0 without any."""
    row = connection.execute("select coalesce(max(version), 0) from schema_migrations").fetchone()
    return int(row[0]) if row else 0


def _apply(connection: Connection, migration: Migration) -> None:
    with connection.transaction():
        connection.execute(migration.text.encode())
        connection.execute(
            "insert into schema_migrations (version, name, checksum) values (%s, %s, %s)",
            (migration.version, migration.name, migration.checksum),
        )


def require_current(connection: Connection) -> None:
    """Raises SchemaDiffers when a migration of this image is pending or was edited."""
    if waiting := pending(connection):
        names = ", ".join(f"{m.version:04d}_{m.name}" for m in waiting)
        raise SchemaDiffers(f"migration pending: {names}; run scripts/migrate")


def grant(connection: Connection, catalog: Catalog) -> None:
    """Gives every service's role exactly what its catalogue entry reads, claims and writes, and takes all else."""
    with connection.transaction():
        for service in catalog:
            _create_role(connection, service.name)
            _grant_service(connection, service)


def _create_role(connection: Connection, role: str) -> None:
    # Roles belong to the whole server: another database's migration may be creating the same one just now.
    try:
        with connection.transaction():
            connection.execute(sql.SQL("create role {}").format(sql.Identifier(role)))
            connection.execute(sql.SQL("grant {} to current_user").format(sql.Identifier(role)))
    except (psycopg.errors.DuplicateObject, psycopg.errors.UniqueViolation):
        pass


def _grant_service(connection: Connection, service: Service) -> None:
    def run(statement: str, table: str) -> None:
        names = {"role": sql.Identifier(service.name), "table": sql.Identifier(table)}
        connection.execute(sql.SQL(statement).format(**names))

    role = sql.Identifier(service.name)
    connection.execute(sql.SQL("revoke all on all tables in schema public from {}").format(role))
    run("grant select on {table} to {role}", "schema_migrations")
    run("grant select, insert, update on {table} to {role}", "task_runs")
    for table in service.reads:
        run("grant select on {table} to {role}", table)
    for table in service.claims:
        # "for update" asks for the update right on some column; an identity column can be updated to nothing else
        run("grant update (id) on {table} to {role}", table)
    for table in service.writes:
        run("grant select, insert, update, delete on {table} to {role}", table)

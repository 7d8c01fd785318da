"""Writes the schema that the healthcheck expects: what the migrations make of an empty database."""

from __future__ import annotations

import sys
from pathlib import Path

import click
import psycopg

from healthcheck import schema
from ops.local.postgres import Postgres
from pipeline import catalog, store
from pipeline.errors import PipelineError
from pipeline.store import migrations

ROOT = Path(__file__).resolve().parents[2]


def migrated_schema(url: str) -> str:
    """The schema's lines after all migrations, as the file holds them. `url` is an empty database's."""
    with store.connect(url, name="schema") as connection:
        migrations.migrate(connection, catalog.load())
        rows = connection.execute(store.sql(f"{schema.__package__}/schema"))
        return "".join(f"{line}\n" for (line,) in rows)


@click.command()
@click.option("--check", is_flag=True, help="Write nothing; exit 3 if the file is out of date.")
def main(check: bool) -> None:
    """Run the migrations on a database of its own and write expected_schema.txt. Exit codes: 0, 1 failed, 3 stale."""
    try:
        with Postgres(durable=False) as server:
            wanted = migrated_schema(server.create_database("schema").url)
    except (PipelineError, psycopg.Error, OSError) as error:
        click.echo(f"schema: {' '.join(str(error).split())}", err=True)
        sys.exit(1)
    name = schema.FILE.relative_to(ROOT)
    before = set(schema.FILE.read_text(encoding="utf-8").splitlines())
    after = set(wanted.splitlines())
    for sign, lines in (("-", before - after), ("+", after - before)):
        for line in sorted(lines):
            click.echo(f"{sign} {line}")
    if before == after:
        click.echo(f"{name} is what the migrations make")
    elif not check:
        schema.FILE.write_text(wanted, encoding="utf-8")
        click.echo(f"written: {name}")
    sys.exit(3 if check and before != after else 0)


if __name__ == "__main__":
    main()

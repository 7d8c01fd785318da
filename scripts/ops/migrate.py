"""Brings the database in DATABASE_URL to this checkout's schema, roles and grants."""

from __future__ import annotations

import sys

import click
import psycopg

from pipeline import catalog, store
from pipeline.errors import PipelineError
from pipeline.store import migrations


@click.command()
@click.option("--database", "url", envvar="DATABASE_URL", required=True, metavar="URL", help="[default: DATABASE_URL]")
@click.option("--check", is_flag=True, help="Change nothing; say what is pending.")
def main(url: str, check: bool) -> None:
    """Apply pending migrations, then set the services' grants. Exit codes: 0 up to date, 1 failed, 3 pending."""
    try:
        with store.connect(url, name="migrate") as connection:
            found = migrations.pending(connection) if check else migrations.migrate(connection, catalog.load())
    except (PipelineError, psycopg.Error) as error:
        click.echo(f"migrate: {' '.join(str(error).split())}", err=True)
        sys.exit(1)
    for migration in found:
        click.echo(f"{'pending' if check else 'applied'}: {migration.version:04d}_{migration.name}")
    click.echo(f"{len(found)} {'pending' if check else 'applied'}" if found else "the schema is up to date")
    sys.exit(3 if check and found else 0)


if __name__ == "__main__":
    main()

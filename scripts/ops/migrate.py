"""Brings a database to this checkout's schema, roles and grants; an account's by a task inside its network."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import click
import psycopg
from botocore.exceptions import BotoCoreError, ClientError

from ops import task_run
from ops.drift import clients_of
from ops.task_run import Order
from ops.terraform_workspace import Refused, Workspace, open_workspace
from pipeline import catalog, store
from pipeline.errors import PipelineError
from pipeline.store import migrations

if TYPE_CHECKING:
    from ops.migrate_rehearsal import Rehearsal

DONE, FAILED, PENDING, REFUSED = 0, 1, 3, 4
# Option → what the task runs instead of a whole migration.
ACTS = {
    "--check": ("pipeline.migrate", "--check"),
    "--renew-logins": ("pipeline.rotation", "--renew"),
    "--close-logins": ("pipeline.rotation", "--close"),
}


@click.command()
@click.option("--database", "url", envvar="DATABASE_URL", metavar="URL", help="[default: DATABASE_URL]")
@click.option("--env", "environment", metavar="NAME", help="Instead: an account's database, by a task of its own.")
@click.option("--rehearse", is_flag=True, help="With --env: on a local AWS and PostgreSQL in the account's place.")
@click.option("--check", is_flag=True, help="Change nothing; say what is pending.")
@click.option("--renew-logins", is_flag=True, help="With --env: move every service to its other login, anew.")
@click.option("--close-logins", is_flag=True, help="With --env: close the logins that the services have left.")
def cli(
    url: str | None, environment: str | None, rehearse: bool, check: bool, renew_logins: bool, close_logins: bool
) -> int:
    """Apply pending migrations, then set the services' grants.

    With --env also make or heal one login a service and store its address. Passwords are rotated in two steps, between
    which both logins of a service work: --renew-logins, and ten minutes later --close-logins. Exit codes: 0 done or up
    to date, 1 failed, 2 usage, 3 pending or too early, 4 refused.
    """
    asked = [option for option, given in zip(ACTS, (check, renew_logins, close_logins), strict=True) if given]
    if len(asked) > 1:
        raise click.UsageError(f"one at a time: {' '.join(asked)}")
    if environment:
        workspace = open_workspace(environment, rehearse=rehearse, shown=False)
        return in_account(workspace, ACTS[asked[0]] if asked else ())
    if renew_logins or close_logins:
        raise click.UsageError(f"{asked[0]} goes with --env: only an account has logins of its own for the services")
    if rehearse:
        raise click.UsageError("--rehearse goes with --env: it plays an account")
    if not url:
        raise click.UsageError("which database? Set DATABASE_URL or give --database URL; an account's: --env NAME")
    return here(url, check=check)


def here(url: str, *, check: bool) -> int:
    """Migrates a database that this machine reaches."""
    with store.connect(url, name="migrate") as connection:
        found = migrations.pending(connection) if check else migrations.migrate(connection, catalog.load())
    for migration in found:
        click.echo(f"{'pending' if check else 'applied'}: {migration.version:04d}_{migration.name}")
    click.echo(f"{len(found)} {'pending' if check else 'applied'}" if found else "the schema is up to date")
    return PENDING if check and found else DONE


def in_account(workspace: Workspace, command: Sequence[str] = ()) -> int:
    """Starts the task that migrates, shows what it says, and returns its exit code. `command` stands for its own."""
    outputs = workspace.outputs()
    if not outputs.get("migration"):
        raise Refused(
            f"{workspace.environment} has no database of its own; migrate the one in DATABASE_URL: scripts/migrate"
        )
    clients = clients_of(workspace)
    with _rehearsing(workspace, outputs) as rehearsal:
        order = Order(
            cluster=outputs["cluster_arn"],
            definition=outputs["migration"]["task_definition_arn"],
            network=outputs["network"],
            environment=rehearsal.environment if rehearsal else {},
            command=command,
        )
        task = task_run.start(clients, order)
        if rehearsal:
            rehearsal.play()
        return task_run.follow(clients, task, click.echo)


def _rehearsing(workspace: Workspace, outputs: Mapping[str, Any]) -> AbstractContextManager[Rehearsal | None]:
    if workspace.aws is None:
        return nullcontext()
    from ops.migrate_rehearsal import rehearsing  # needs what only a checkout for development has

    return rehearsing(workspace, outputs)


def main() -> None:
    """Runs it and maps its result to the exit code; an error is one line."""
    try:
        sys.exit(cli(standalone_mode=False) or DONE)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except Refused as error:
        click.echo(f"migrate: refused: {error}", err=True)
        sys.exit(REFUSED)
    except (PipelineError, psycopg.Error, ClientError, BotoCoreError) as error:
        click.echo(f"migrate: {' '.join(str(error).split())}", err=True)
        sys.exit(FAILED)


if __name__ == "__main__":
    main()

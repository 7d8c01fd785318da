"""The commands make plan, apply and destroy: what is applied is the plan that was reviewed, and nothing else."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import click

from ops import clock, terraform_bootstrap
from ops.terraform_plan import PlanRefused, Record
from ops.terraform_workspace import LOCAL, ROOT, Refused, Workspace, open_workspace
from pipeline import catalog
from pipeline.errors import PipelineError

DONE, FAILED, CHANGES, REFUSED = 0, 1, 3, 4


def environment_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that say which environment, and whether its account is only played."""
    command = click.option("--rehearse", is_flag=True, help="On a local AWS of its own in the place of the account.")(
        command
    )
    return click.option("--env", "environment", envvar="ENV", required=True, help="local, paper or production.")(
        command
    )


@click.group()
def cli() -> None:
    """Terraform for one environment.

    Exit codes: 0 done, 1 failed, 2 usage, 3 changes planned, or findings after an apply, 4 refused as unsafe.
    """


@cli.command()
@environment_options
def bootstrap(environment: str, rehearse: bool) -> int:
    """Make the bucket and the key that the state lies in, once an account."""
    workspace = open_workspace(environment, rehearse=rehearse)
    with workspace.alone():
        made = terraform_bootstrap.bootstrap(workspace)
    click.echo(f"\n{environment}: {workspace.state_bucket} {'is made' if made else 'is there already'}")
    return DONE


@cli.command()
@environment_options
@click.option("--allow-removal", multiple=True, metavar="NAME", help="A service whose removal is meant.")
@click.option("--first", is_flag=True, help="Only what a new account needs to take images: repositories, CI roles.")
@click.option("--paused", is_flag=True, help="With every schedule disabled, while database and keys are not ready.")
@click.option("--refresh-only", is_flag=True, help="Only take over what is live into the state.")
def plan(
    environment: str, rehearse: bool, allow_removal: tuple[str, ...], first: bool, paused: bool, refresh_only: bool
) -> int:
    """Plan, and keep plan and its JSON under .local/<env>/ for review and apply."""
    variables = {"allow_removal": list(allow_removal)} if allow_removal else {}
    variables |= {"paused_services": [service.name for service in catalog.load()]} if paused else {}
    workspace = open_workspace(environment, rehearse=rehearse, variables=variables)
    with workspace.alone():
        record = workspace.plan(*(["-refresh-only"] if refresh_only else []), first=first)
    click.echo(f"\n{environment}: {record.summary}; plan {record.plan_sha256[:12]} in {workspace.files.plan}")
    return CHANGES if record.applyable else DONE


@cli.command()
@environment_options
def apply(environment: str, rehearse: bool) -> int:
    """Apply exactly the plan that was made last; refuses where code, catalogue or images changed since.

    It ends with scripts/validate: 3 says that all was applied, and that something is wrong with it all the same. After
    a plan of --first there is nothing to validate yet."""
    workspace = open_workspace(environment, rehearse=rehearse)
    with workspace.alone():
        record = workspace.apply()
    click.echo(f"\n{environment}: applied {record.summary} (plan {record.plan_sha256[:12]})")
    if record.first:
        click.echo(f"next: make build-images push ENV={environment}, then make plan ENV={environment}")
        return DONE
    return _validated(workspace)


def _validated(workspace: Workspace) -> int:
    """What scripts/validate finds in what was applied: 0 or 3; 1 where it could not look."""
    environ = dict(workspace.environ)
    if workspace.aws:
        environ = {**workspace.aws.environment(environ), clock.URL: workspace.aws.url}
    ended = subprocess.run([sys.executable, "-P", "-m", "ops", "validate"], cwd=ROOT, env=environ)
    return ended.returncode if ended.returncode in (DONE, CHANGES) else FAILED


@cli.command()
@environment_options
@click.option("--confirm", metavar="NAME", help="The environment's name, where nobody can type it.")
@click.option("--unprotect", is_flag=True, help="First lift the protection of database, backups, images and pages.")
def destroy(environment: str, rehearse: bool, confirm: str | None, unprotect: bool) -> int:
    """Destroy everything in the environment, once its name has been typed."""
    variables = {"protected": False} if unprotect else {}
    workspace = open_workspace(environment, rehearse=rehearse, variables=variables)
    with workspace.alone():
        _refuse_shared(workspace)
        record = workspace.plan(destroy=True)
        if not (rehearse or environment == LOCAL):
            _confirm(environment, record, confirm)
        if unprotect:
            workspace.plan()
            workspace.apply_file()
            workspace.plan(destroy=True)
        workspace.apply_file()
    click.echo(f"\n{environment}: destroyed ({record.summary})")
    return DONE


@cli.command(context_settings={"ignore_unknown_options": True})
@environment_options
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, required=True)
def run(environment: str, rehearse: bool, arguments: tuple[str, ...]) -> int:
    """Run any other terraform command there: output, state list, force-unlock …"""
    workspace = open_workspace(environment, rehearse=rehearse)
    workspace.ready()
    return workspace.run(*arguments).code


def _refuse_shared(workspace: Workspace) -> None:
    """A region that was left still has what has no region in its state. Raises Refused."""
    if rebuilt := terraform_bootstrap.elsewhere(workspace):
        raise Refused(
            f"{workspace.environment} was rebuilt in another region (its state: {', '.join(rebuilt)}) and shares "
            f"the account's roles with {workspace.region}: this would take them from what runs. Clear "
            f"{workspace.region} by hand, and commit the new region in "
            f"terraform/environments/{workspace.environment}.backend.hcl"
        )


def _confirm(environment: str, record: Record, confirm: str | None) -> None:
    if confirm is None:
        click.echo(f"This destroys {environment}: {record.summary}. There is no way back.", err=True)
        try:
            confirm = click.prompt(f"Type {environment} to go on", err=True, default="", show_default=False)
        except click.Abort:
            confirm = ""
    if confirm != environment:
        raise Refused(f"{environment} was not confirmed (typed: {confirm!r}); nothing was destroyed")


def main() -> None:
    """Runs a command and maps its result to the exit code; an error is one line."""
    try:
        sys.exit(cli(standalone_mode=False) or DONE)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (Refused, PlanRefused) as error:
        click.echo(f"terraform: refused: {error}", err=True)
        sys.exit(REFUSED)
    except PipelineError as error:
        click.echo(f"terraform: {error}", err=True)
        sys.exit(FAILED)


if __name__ == "__main__":
    main()

"""The command scripts/local-aws: a private AWS that stays up between commands."""

from __future__ import annotations

import json
import os
import shlex
import sys
from pathlib import Path

import click

from ops.local.aws import environment
from ops.local.aws.emulator import STATE_DIR, LocalAws
from pipeline.errors import PipelineError


@click.group()
@click.option("--state-dir", type=click.Path(path_type=Path), default=STATE_DIR, help="[default: .local/aws]")
@click.pass_context
def cli(context: click.Context, state_dir: Path) -> None:
    """A private AWS on this machine: moto, mended, its state kept. Exit codes: 0 done, 1 failed, 2 usage, 3 not up."""
    context.obj = LocalAws(state_dir)


@cli.command()
@click.option("--fresh", is_flag=True, help="Start empty, whatever was saved.")
@click.pass_obj
def up(aws: LocalAws, fresh: bool) -> None:
    """Start it from what was saved; once is enough."""
    running = aws.find()
    if running:
        click.echo(f"already up at {running.url} (pid {running.pid})")
        return
    running = aws.up(fresh=fresh)
    click.echo(f"up at {running.url} (pid {running.pid}), {running.restored}")
    click.echo('eval "$(scripts/local-aws env)" leads aws, boto3 and terraform there')


@cli.command()
@click.pass_obj
def down(aws: LocalAws) -> None:
    """Stop it; what was not saved is gone."""
    stopped = aws.down()
    kept = "the next up starts from what was saved" if aws.snapshot_path.exists() else "nothing was saved"
    click.echo(f"stopped; {kept}" if stopped else "it was not up")


@cli.command()
@click.pass_obj
def env(aws: LocalAws) -> None:
    """Print shell lines that lead aws, boto3 and terraform there, and psql where a demo runs beside it."""
    click.echo(environment.exports(os.environ, aws.url))
    if aws.beside_path.exists():
        beside: dict[str, str] = json.loads(aws.beside_path.read_text(encoding="utf-8"))
        known = environment.settings(aws.url)
        for name, value in beside.items():
            if name not in known:
                click.echo(f"export {name}={shlex.quote(value)}")


@cli.command()
@click.pass_obj
def save(aws: LocalAws) -> None:
    """Keep its state for the next up, Terraform's state of ENV=local with it (it lies in a bucket there)."""
    saved = aws.save()
    click.echo(f"saved {saved['bytes'] / 2**20:.1f} MB in {saved['seconds']} s to {aws.snapshot_path}")


@cli.command()
@click.pass_obj
def status(aws: LocalAws) -> None:
    """Say whether it is up, and what it started from."""
    running = aws.find()
    if running:
        click.echo(f"up at {running.url} (pid {running.pid}), {running.restored}")
        return
    died = aws.state_path.exists()
    click.echo(f"it died; its log ends:\n{aws.log_tail()}" if died else "not up")
    sys.exit(3)


def main() -> None:
    """Runs the command; an error is one line."""
    try:
        cli()
    except PipelineError as error:
        click.echo(f"local-aws: {error}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()

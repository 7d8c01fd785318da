"""The commands scripts/build-images and scripts/push-images."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import boto3
import click

from ops import images_build, images_engine, images_lock, images_offline, images_push, images_sbom
from ops.images_build import Built
from ops.images_engine import Engine
from ops.images_push import Pushed, PushRefused
from ops.local.aws import LocalAws
from ops.terraform_workspace import Refused, open_workspace
from pipeline import catalog
from pipeline.errors import PipelineError

FAILED, REFUSED = 1, 4


@click.group()
def cli() -> None:
    """The images of the catalogue. Exit codes: 0 done, 1 failed, 2 usage, 4 refused as unsafe."""


@cli.command()
@click.option("--base-image", default=images_build.BASE_IMAGE, show_default=True, help="What they are built on.")
@click.option(
    "--base-from-debian", is_flag=True, help="Make that image from Debian's packages; without a registry, as root."
)
@click.option("--sbom", type=click.Path(file_okay=False, path_type=Path), help="List each one's packages there.")
def build(base_image: str, base_from_debian: bool, sbom: Path | None) -> None:
    """Build them all, each once its files have changed. OPS_IMAGE_ENGINE takes docker, podman or buildah."""
    engine = _prepared(base_image) if base_from_debian else find_engine()
    built = build_and_tell(engine, base_image)
    if sbom:
        for each in built.values():
            click.echo(f"  {images_sbom.write(engine, each, sbom)}")


@cli.command()
@click.option("--env", "environment", envvar="ENV", required=True, help="local, paper or production.")
@click.option("--rehearse", is_flag=True, help="On a local AWS of its own in the place of the account.")
@click.option("--allow-dirty", is_flag=True, help="Push what no commit has.")
@click.option("--base-image", default=images_build.BASE_IMAGE, show_default=True, help="What they are built on.")
@click.option("--lock", type=click.Path(dir_okay=False, path_type=Path), help="Write the digests there.")
def push(environment: str, rehearse: bool, allow_dirty: bool, base_image: str, lock: Path | None) -> None:
    """Build what changed, push it to the environment's ECR, then write images.lock.json.

    On the local AWS the digests go to .local/images.lock.json: no account has those images."""
    workspace = open_workspace(environment, rehearse=rehearse)
    engine = find_engine()
    built = build_and_tell(engine, base_image)
    services = [built[service.name] for service in catalog.load()]
    if workspace.aws:
        entries = push_locally(engine, workspace.aws, services)
    else:
        images_push.require_committed(services, allow_dirty=allow_dirty)
        ecr = boto3.session.Session(region_name=catalog.load().region).client("ecr")
        with images_push.logged_in(engine, ecr) as (own, host):
            entries = images_push.push_all(own, ecr, host, services, _tell_pushed)
    path = lock or (images_lock.LOCAL if workspace.aws else images_lock.COMMITTED)
    images_lock.write(entries, path)
    click.echo(
        f"{path}: {len(entries)} digests" + ("; make plan takes them from there" if workspace.aws else "; commit it")
    )


def push_locally(engine: Engine, aws: LocalAws, services: list[Built]) -> dict[str, dict[str, Any]]:
    """Pushes to a registry that is up meanwhile, its content kept beside the local AWS."""
    aws.up()
    ecr = aws.client("ecr")
    with (
        images_push.local_registry(ecr, aws.state_dir / "registry") as registry,
        images_push.logged_in(engine, ecr, registry.host) as (own, host),
    ):
        entries = images_push.push_all(own, ecr, host, services, _tell_pushed)
    aws.save()
    return entries


def _tell_pushed(pushed: Pushed) -> None:
    digest = pushed.stored.digest[:19]
    click.echo(f"  {pushed.built.source.name:<20} {digest}…  {'pushed' if pushed.new else 'already pushed'}")
    if not pushed.same:
        click.echo(
            f"    with another content than the image here ({pushed.built.image.id[:12]}): from the same commit, on "
            "another base image or by another engine. Tags never move, so the registry's stays; to replace it, "
            "commit a change (a base image named by digest, say)",
            err=True,
        )


def build_and_tell(engine: Engine, base_image: str = images_build.BASE_IMAGE) -> dict[str, Built]:
    """Builds all, a line for each."""
    begin = time.monotonic()
    built = images_build.build_all(engine, list(catalog.load().services), base_image=base_image, tell=_tell)
    new = sum(each.seconds is not None for each in built.values())
    click.echo(f"{len(built)} images, {new} of them built, in {time.monotonic() - begin:.1f} s")
    return built


def find_engine() -> Engine:
    """The engine, said aloud."""
    engine = images_engine.choose(images_offline.environment())
    click.echo(f"engine: {engine} ({images_engine.CHOICE} takes another)")
    return engine


def _prepared(base_image: str) -> Engine:
    """An engine and a base image made here, where there were none."""
    begin = time.monotonic()
    environ = images_offline.prepare()
    engine = images_engine.choose({images_engine.CHOICE: "podman", **environ})
    made = images_offline.make_base(engine, base_image)
    told = f"made in {time.monotonic() - begin:.0f} s" if made else "is there"
    click.echo(f"engine: {engine}; {base_image} from Debian {images_offline.RELEASE} {told}")
    return engine


def _tell(built: Built) -> None:
    done = "unchanged" if built.seconds is None else f"built in {built.seconds:.1f} s"
    size = f"{built.image.size / 1e6:.0f} MB" if built.image.size else ""
    click.echo(f"  {built.source.name:<20} {built.source.tag[:24]:<24} {size:>8}  {done}")


def main() -> None:
    """Runs a command; an error is told without a traceback."""
    try:
        cli(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (Refused, PushRefused) as error:
        click.echo(f"images: refused: {error}", err=True)
        sys.exit(REFUSED)
    except PipelineError as error:
        click.echo(f"images: {error}", err=True)
        sys.exit(FAILED)


if __name__ == "__main__":
    main()

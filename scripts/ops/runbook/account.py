"""Which account a runbook works in: the shell's, or the local AWS; and whether it is the environment that was named."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from botocore.exceptions import BotoCoreError, ClientError

from ops.local.aws import LocalAws
from ops.local.aws.controls import HOST
from ops.runbook.errors import Refused
from ops.runbook.reading import Look
from ops.terraform_workspace import LOCAL

ENDPOINT = "AWS_ENDPOINT_URL"


def led(environ: Mapping[str, str], environment: str, *, drill: bool) -> dict[str, str]:
    """The shell's environment, led to the environment's account. Raises Refused where it leads elsewhere.

    `local` is the local AWS of the shell, else of this checkout. With `drill` a local AWS plays another environment."""
    endpoints = sorted(name for name in environ if name.startswith(ENDPOINT) and environ[name])
    if environment == LOCAL and not endpoints:
        return _of_this_checkout(environ)
    if environment != LOCAL and not drill:
        if endpoints:
            raise Refused(
                f"{environment} is a real account, but {endpoints[0]} leads elsewhere ({environ[endpoints[0]]}); unset "
                "it, or play the account on this machine with --drill"
            )
        return dict(environ)
    if endpoints != [ENDPOINT] or urlsplit(environ[ENDPOINT]).hostname != HOST:
        raise Refused(
            f"{ENDPOINT} does not lead to a local AWS on {HOST}, and nothing else may stand in for an account; "
            'run: eval "$(scripts/local-aws env)"'
        )
    return dict(environ)


def _of_this_checkout(environ: Mapping[str, str]) -> dict[str, str]:
    aws = LocalAws()
    if not aws.find():
        raise Refused(
            "no local AWS runs here (make local-aws, then make plan apply ENV=local); for a real account say which: "
            "--env paper or --env production"
        )
    return aws.environment(environ)


def played(environ: Mapping[str, str]) -> bool:
    """Whether a local AWS plays the account."""
    return bool(environ.get(ENDPOINT))


def require_login(look: Look) -> None:
    """Raises Refused where the shell's credentials open no account: before anything else seems to be the trouble."""
    assert look.account


def require_environment(look: Look) -> None:
    """Raises Refused unless the account holds the environment: its cluster says which one it belongs to."""
    cluster = look.catalog.cluster
    try:
        found = look.client("ecs").describe_clusters(clusters=[cluster], include=["TAGS"])["clusters"]
    except (ClientError, BotoCoreError) as error:
        raise Refused(f"account {look.account} cannot be looked at: {error}") from error
    tags = {tag["key"]: tag["value"] for each in found for tag in each.get("tags", [])}
    named = tags.get("Environment", "")
    if named != look.environment:
        told = f"holds {named}" if named else f"has no cluster {cluster} that says which environment it is"
        raise Refused(
            f"account {look.account} in {look.region} {told}, not {look.environment}; log in to the right one"
        )


def records_bucket(look: Look) -> str:
    """Where an environment keeps its pages, its runbooks' journals and their lock (terraform/modules/observability)."""
    return f"{look.catalog.project}-records-{look.account}-{look.region}"

"""The runbook rebuild-region: which steps in which order, and why."""

from __future__ import annotations

import click

from ops.runbook import (
    command,
    region_database,
    region_images,
    region_parameters,
    region_place,
    region_proof,
    region_terraform,
    schedules_recovery,
)
from ops.runbook.finding import Finding
from ops.runbook.reading import Look
from ops.runbook.step import Runbook, Step

OPTIONS = (
    click.Option(["--region"], metavar="NAME", default="", help="Where to build; copies of the backups lie there."),
    click.Option(["--planned"], is_flag=True, help="The old region still answers: disable its schedules first."),
    click.Option(
        ["--set"], metavar="NAME=VALUE", multiple=True, help="A parameter's value, where services.yaml has another."
    ),
    click.Option(["--copies-to"], metavar="NAME", default="", help="The region that now gets copies of backups."),
    click.Option(["--images"], type=click.Path(dir_okay=False), default="", help="Lock file, if not the checkout's."),
    click.Option(["--from-stdin"], is_flag=True, help="Read Alpaca's key id and secret from stdin, a line each."),
)


def _sources(look: Look) -> Finding:
    """Whether all is there that cannot be made from code."""
    copy, pair = region_database.has_copy(look), region_parameters.is_good(look)
    return Finding.yes(f"{copy.saw}; {pair.saw}")


STEPS = (
    Step(
        name="it is the right account, and another region",
        why="IAM has no region: its roles say whose account this is, even with the old region gone.",
        done=region_place.is_right,
    ),
    Step(
        name="there is a copy of the database, and secrets that were given are good",
        why="Code makes neither. ALPACA_NEW_KEY_ID and ALPACA_NEW_SECRET_KEY are tried now, typed keys in step 8.",
        done=_sources,
    ),
    Step(
        name="the old region starts nothing",
        why="Two sets of jobs would trade twice. A region that does not answer may still run jobs: step 4 ends that.",
        done=region_place.starts_nothing,
        act=region_place.stop,
    ),
    Step(
        name="make state, network, keys and registries",
        why="In a state bucket of the region's own. What has no region (roles, budget) is taken over by import.",
        done=region_terraform.has_foundation,
        act=region_terraform.lay_foundation,
        irreversible="the account's roles then serve the new region: no job of the old one can be started again",
        blast=region_terraform.services,
    ),
    Step(
        name="have every image by its digest",
        why="The same bytes as before or nothing: a digest that is nowhere is refused, with what to push.",
        done=region_images.are_there,
        act=region_images.bring,
    ),
    Step(
        name="restore the database from its newest copy",
        why="Copied once more for the region's own key, then restored into the new network. May take an hour.",
        done=region_database.is_restored,
        act=region_database.restore,
    ),
    Step(
        name="apply everything, every schedule disabled",
        why="The restored database is imported, not made. Nothing may run on half a system.",
        done=region_terraform.has_everything,
        act=region_terraform.apply_paused,
    ),
    Step(
        name="enter parameters and secrets again",
        why="They lay in the old region alone. The ledger knows by fingerprints if one is not what it was.",
        done=region_parameters.are_entered,
        act=region_parameters.enter,
    ),
    Step(
        name="give every service its login",
        why="The task inside the network migrates, grants, and stores new addresses; the old logins are of no use.",
        done=region_database.has_logins,
        act=region_database.make_logins,
    ),
    Step(
        name="let the schedules start",
        why="Only now all stands that a job needs, and only when somebody hears the alarms.",
        done=region_proof.is_started,
        act=region_proof.start,
        told="confirm the mail that AWS sent in step 7, within 30 minutes.",
    ),
    Step(
        name="wait for the first run of every service",
        why="In the ledger, begun by its own schedule. Outside the session only of those that work then.",
        done=region_proof.have_run,
        act=schedules_recovery.wait_for_runs,
    ),
    Step(
        name="see validate find nothing and the plan empty",
        why="From outside, and from the checkout's own code.",
        done=region_proof.is_proven,
        act=region_proof.prove,
    ),
)

RUNBOOK = Runbook(
    name="rebuild-region",
    title="Build everything again in another region: code, images by digest, the copied database.",
    when="the environment's region is gone for hours, and copies lie in another. Not for a database alone.",
    after="there is none. Commit region in terraform/environments/ENV.backend.hcl and, after --copies-to, copy_region "
    "in ENV.tfvars; set AWS_REGION everywhere. When the old region answers, clear it by hand: "
    "make destroy is refused, since both share the account's roles.",
    options=OPTIONS,
    steps=STEPS,
    measures=region_proof.measures,
    stands=False,
    records=region_place.bucket,
    prepare=region_place.make_bucket,
    region=region_place.new,
    required="--region NAME",
    check=region_place.check,
)

if __name__ == "__main__":
    command.main(RUNBOOK)

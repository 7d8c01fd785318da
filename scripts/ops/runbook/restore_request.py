"""What a restore of the account's database is asked for, and whether it can be had and is needed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import click
from botocore.exceptions import ClientError

from ops.runbook import account, account_database, database_state
from ops.runbook.account_database import AVAILABLE, Instance
from ops.runbook.errors import Refused
from ops.runbook.finding import Finding
from ops.runbook.reading import Look
from pipeline import clock
from pipeline.errors import ConfigInvalid

LATEST = "latest"
LIST = (
    "list them: aws rds describe-db-snapshots, and those of AWS Backup, which it leaves out unasked: aws rds "
    "describe-db-snapshots --snapshot-type awsbackup"
)
RECORD = "runbooks/database-restore.json"  # in the records bucket: which instance was restored to what
OVER = Finding.yes("the database is there and is as was asked for")


def asked(look: Look) -> str:
    """What to restore to, as one word: a time, `snapshot:NAME`, or `latest`."""
    if "asked" in look.facts:
        return str(look.facts["asked"])
    to, snapshot = look.options["to"], look.options["snapshot"]
    if snapshot:
        return f"snapshot:{snapshot}"
    return clock.parse(to).isoformat() if to else LATEST


def check_moment(context: click.Context, parameter: click.Parameter, text: str) -> str:
    """Option `--to`: a time with its zone, and not a snapshot's name as well."""
    _check_one(context, "snapshot", text)
    try:
        return clock.parse(text).isoformat() if text else ""
    except ConfigInvalid as error:
        raise click.BadParameter(str(error)) from error


def check_snapshot(context: click.Context, parameter: click.Parameter, text: str) -> str:
    """Option `--snapshot`: not beside a time."""
    _check_one(context, "to", text)
    return text


def _check_one(context: click.Context, other: str, text: str) -> None:
    if text and context.params.get(other):
        raise click.UsageError("--to and --snapshot are two different things; give one of them")


def is_over(look: Look) -> bool:
    """Whether what is asked for was done by an earlier run, or there is nothing to be done."""
    if "new" in look.facts:
        return False
    instance = account_database.find(look)
    if instance is None:
        return False
    if asked(look) == LATEST:
        return _answers(look, instance)
    known = record(look)
    return (known.get("resource"), known.get("asked")) == (instance["DbiResourceId"], asked(look))


def _answers(look: Look, instance: Instance) -> bool:
    if "Endpoint" not in instance:
        return False
    try:  # whatever its status: one that is being backed up answers
        with look.database(account_database.master_url(look, instance)):
            return True
    except Refused:
        return False


def record(look: Look) -> Mapping[str, Any]:
    """What the last restore wrote down; empty where there was none."""
    try:
        found = look.client("s3").get_object(Bucket=account.records_bucket(look), Key=RECORD)
        return dict(json.loads(found["Body"].read()))
    except ClientError as error:
        if error.response["Error"]["Code"] in ("NoSuchKey", "NoSuchBucket"):
            return {}
        raise


def can_be_restored(look: Look) -> Finding:
    """Whether there is a backup that reaches there. Raises Refused."""
    database_state.declared(look)
    account_database.definition(look)
    word = asked(look)
    if word.startswith("snapshot:"):
        found = snapshot(look, word.removeprefix("snapshot:"))
        return Finding.yes(f"the snapshot of {taken(found):%Y-%m-%d %H:%M:%S} UTC is available")
    instance = account_database.find(look)
    if instance is None:
        raise Refused(
            f"the instance was deleted, and its log with it: what is left is a snapshot; {LIST}, then --snapshot NAME"
        )
    latest = instance.get("LatestRestorableTime")
    if latest is None:
        raise Refused(f"RDS says of {instance['DBInstanceIdentifier']} no time to restore to; use --snapshot NAME")
    if word != LATEST and datetime.fromisoformat(word) > latest:
        raise Refused(
            f"--to {word} is after the latest restorable time, {latest:%Y-%m-%dT%H:%M:%SZ}; wait, or say less"
        )
    return Finding.yes(f"it can be restored to any time up to {latest:%Y-%m-%d %H:%M:%S} UTC")


def taken(found: Mapping[str, Any]) -> datetime:
    """When a snapshot's data were: a copy is younger than they."""
    at: datetime = found.get("OriginalSnapshotCreateTime") or found["SnapshotCreateTime"]
    return at


def snapshot(look: Look, name: str) -> Mapping[str, Any]:
    try:
        found = look.client("rds").describe_db_snapshots(DBSnapshotIdentifier=name)["DBSnapshots"]
    except ClientError as error:
        raise Refused(f"there is no snapshot {name}: {error}; {LIST}") from error
    if not found or found[0]["Status"] != AVAILABLE:
        raise Refused(f"the snapshot {name} is not available yet")
    return dict(found[0])


def is_needed(look: Look) -> Finding:
    """Whether it is the database. Raises Refused where it answers and no other point was asked for."""
    word = asked(look)
    if word != LATEST:
        return Finding.yes(f"asked for: {word.replace(':', ' ', 1) if word.startswith('snapshot') else word}")
    instance = account_database.load(look)
    if look.options["retire"]:
        if not _answers(look, instance):
            raise Refused(
                "--retire NAME alone deletes what an earlier restore left, and only beside a database that answers; "
                "this one does not, from here. Restore it first (without --retire), or run this inside the VPC"
            )
        return Finding.yes("the database answers and stays as it is; only what an earlier restore left is to go")
    if _answers(look, instance):
        raise Refused("the database is available and answers; to go back to an earlier point add --to or --snapshot")
    status = instance["DBInstanceStatus"]
    if status == AVAILABLE:
        raise Refused(
            "RDS says that the database is available, but this machine does not reach it: that may be the network. "
            "Run this from inside it (CloudShell in the VPC), and see scripts/diagnose; --to restores all the same"
        )
    return Finding.yes(f"the database is {status}, and does not answer")

"""The database of a rebuild: its newest copy in the new region, under that region's key, as the code declares it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from botocore.exceptions import ClientError

from ops.runbook import account_database, declared_instance, region_terraform
from ops.runbook.acting import Hands
from ops.runbook.errors import Refused
from ops.runbook.finding import Finding
from ops.runbook.reading import Look
from ops.runbook.restore_request import taken

KINDS = ("manual", "automated", "awsbackup")  # unasked, RDS does not tell of the copies that AWS Backup keeps
EVERY_SECONDS, COPY_SECONDS, RESTORE_SECONDS = 30.0, 4 * 3600.0, 4 * 3600.0
Values = Mapping[str, Any]


def newest(look: Look) -> Values | None:
    """The newest copy of the pipeline's database in the new region that is whole, by when its data were taken."""
    found = [each for each in _snapshots(look) if each["Status"] == "available" and not _is_ours(look, each)]
    return max(found, key=taken, default=None)


def _snapshots(look: Look) -> Iterator[Values]:
    pages = look.client("rds").get_paginator("describe_db_snapshots")
    for kind in KINDS:
        for page in pages.paginate(SnapshotType=kind, DBInstanceIdentifier=look.catalog.project):
            yield from page["DBSnapshots"]


def _is_ours(look: Look, snapshot: Values) -> bool:
    return str(snapshot["DBSnapshotIdentifier"]).startswith(f"{look.catalog.project}-rebuild-")


def has_copy(look: Look) -> Finding:
    """Whether there is something to restore, or it is restored already. Raises Refused."""
    if account_database.find(look):
        return Finding.yes(f"the database is in {look.region} already")
    found = newest(look)
    if found is None:
        raise Refused(
            f"{look.region} holds no copy of the database {look.catalog.project}: nothing could be restored there. "
            "--region has to be where copies go (database.copy_region); while the old region answers, copy a snapshot "
            f"there: aws rds copy-db-snapshot --region {look.region} --source-region …"
        )
    hours = (look.now() - taken(found)).total_seconds() / 3600
    return Finding.yes(
        f"{found['DBSnapshotIdentifier']} was taken {hours:.1f} hours ago; what was written since is not in it"
    )


def is_restored(look: Look) -> Finding:
    """Whether the instance is there, available, in its own network, its master password in a secret."""
    found = account_database.find(look)
    if found is None:
        return Finding.no(f"{look.region} has no database yet")
    if not account_database.is_available(found).holds:
        return Finding.no(f"the database is {found['DBInstanceStatus']}")
    group = found["DBSubnetGroup"]["DBSubnetGroupName"]
    if group != look.catalog.project or not account_database.master_secret(found):
        return Finding.no(f"the database is available, but in subnet group {group}, or without a master's secret")
    if int(found.get("MonitoringInterval") or 0) == 0:
        return Finding.no("the database is available, but not monitored as declared")
    return Finding.yes(f"the database is available in {look.region}, in its own network")


def restore(hands: Hands) -> None:
    """Copies the newest copy under the new region's key, and restores that as the code declares the instance."""
    look = hands.look
    wanted = region_terraform.planned_database(hands)
    if account_database.find(look) is None:
        _restore(hands, _under_our_key(hands, str(wanted["kms_key_id"])), wanted)
    hands.wait(
        "the database to be restored", lambda: _is_available(look), every_seconds=EVERY_SECONDS,
        most_seconds=RESTORE_SECONDS, else_="see its events: aws rds describe-events",
    )  # fmt: skip
    if changes := declared_instance.lacking(wanted, account_database.load(look)):
        name = look.catalog.project
        hands.client("rds").modify_db_instance(DBInstanceIdentifier=name, ApplyImmediately=True, **changes)
    hands.wait(
        "the database to take its settings", lambda: is_restored(look), every_seconds=EVERY_SECONDS,
        most_seconds=RESTORE_SECONDS, else_="see its events: aws rds describe-events",
    )  # fmt: skip


def _under_our_key(hands: Hands, key: str) -> str:
    """A restored instance has its snapshot's key, and no call gives it another: so the snapshot gets it first."""
    look = hands.look
    source = newest(look)
    if source is None:
        raise Refused(f"the copy of the database in {look.region} is gone")
    name = f"{look.catalog.project}-rebuild-{taken(source):%Y%m%d-%H%M%S}"
    if _found(look, name) is None:
        hands.note(restored_from=source["DBSnapshotIdentifier"], taken=taken(source).isoformat())
        hands.client("rds").copy_db_snapshot(
            SourceDBSnapshotIdentifier=source["DBSnapshotArn"],
            TargetDBSnapshotIdentifier=name,
            KmsKeyId=key,
            CopyTags=True,
        )
    hands.wait(
        "the copy under this region's key", lambda: _whole(look, name), every_seconds=EVERY_SECONDS,
        most_seconds=COPY_SECONDS,
    )  # fmt: skip
    return name


def _found(look: Look, name: str) -> Values | None:
    try:
        return dict(look.client("rds").describe_db_snapshots(DBSnapshotIdentifier=name)["DBSnapshots"][0])
    except ClientError as error:
        if error.response["Error"]["Code"] in ("DBSnapshotNotFound", "DBSnapshotNotFoundFault"):
            return None
        raise


def _whole(look: Look, name: str) -> Finding:
    found = _found(look, name)
    status = found["Status"] if found else "not there"
    return Finding(holds=status == "available", saw=f"{name} is {status}")


def _restore(hands: Hands, snapshot: str, wanted: Values) -> None:
    hands.client("rds").restore_db_instance_from_db_snapshot(
        DBInstanceIdentifier=hands.look.catalog.project,
        DBSnapshotIdentifier=snapshot,
        **declared_instance.restored(wanted),
    )
    hands.say(f"asked RDS to restore {snapshot}")


def _is_available(look: Look) -> Finding:
    return account_database.is_available(account_database.find(look))


# ── its logins ───────────────────────────────────────────────────────────────────────────────────────────────────────


def has_logins(look: Look) -> Finding:
    """Whether each service's address leads to this database."""
    found = account_database.find(look)
    if found is None or "Endpoint" not in found:
        return Finding.no(f"{look.region} has no database yet")
    names = [f"/{look.catalog.project}/database_url/{service.name}" for service in look.catalog]
    here = f"@{found['Endpoint']['Address']}:{found['Endpoint']['Port']}/"
    right = 0
    for start in range(0, len(names), 10):  # GetParameters takes no more
        asked = look.client("ssm").get_parameters(Names=names[start : start + 10], WithDecryption=True)
        right += sum(here in each["Value"] for each in asked["Parameters"])
    if right < len(names):
        return Finding.no(f"{right} of {len(names)} services have an address that leads to the restored database")
    return Finding.yes(f"all {right} services have an address of their own that leads to the restored database")


def make_logins(hands: Hands) -> None:
    """Runs the task inside the network that migrates, grants, and stores each service's address."""
    account_database.run_task(hands)

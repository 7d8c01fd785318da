"""The steps of a restore of the account's database: each as a look and an act."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.exceptions import ClientError

from ops.runbook import (
    account,
    account_database,
    broker_orders,
    database_proof,
    database_state,
    running,
    schedules_recovery,
    writers,
)
from ops.runbook.account_database import Instance
from ops.runbook.acting import Hands
from ops.runbook.errors import Failed, Refused
from ops.runbook.finding import Finding
from ops.runbook.reading import Look
from pipeline import clock
from pipeline.errors import ConfigInvalid

LATEST = "latest"
AVAILABLE = "available"
RECORD = "runbooks/database-restore.json"  # in the records bucket: which instance was restored to what
EVERY_SECONDS, CREATED_SECONDS, RENAMED_SECONDS = 30.0, 4 * 3600.0, 1800.0
# A dispatch is decided, sent and stored within a run; what the broker had before that the database has too.
BROKER_MARGIN = timedelta(hours=1)


def asked(look: Look) -> str:
    """What to restore to, as one word: a time, `snapshot:NAME`, or `latest`. Raises Refused."""
    if "asked" in look.facts:
        return str(look.facts["asked"])
    to, snapshot = look.options["to"], look.options["snapshot"]
    if to and snapshot:
        raise Refused("--to and --snapshot are two different things; give one of them")
    if snapshot:
        return f"snapshot:{snapshot}"
    if not to:
        return LATEST
    try:
        return clock.parse(to).isoformat()
    except ConfigInvalid as error:
        raise Refused(f"--to: {error}") from error


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
    if instance["DBInstanceStatus"] != AVAILABLE:
        return False
    try:
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


OVER = Finding.yes("the database is there and is as was asked for")


# ── before anything is touched ───────────────────────────────────────────────────────────────────────────────────────


def can_be_restored(look: Look) -> Finding:
    """Whether there is a backup that reaches there. Raises Refused."""
    database_state.declared(look)
    account_database.definition(look)
    word, instance = asked(look), account_database.load(look)
    if word.startswith("snapshot:"):
        found = _snapshot(look, word.removeprefix("snapshot:"))
        return Finding.yes(f"the snapshot of {found['SnapshotCreateTime']:%Y-%m-%d %H:%M:%S} UTC is available")
    latest = instance.get("LatestRestorableTime")
    if latest is None:
        raise Refused(f"RDS says of {instance['DBInstanceIdentifier']} no time to restore to; use --snapshot NAME")
    if word != LATEST and datetime.fromisoformat(word) > latest:
        raise Refused(
            f"--to {word} is after the latest restorable time, {latest:%Y-%m-%dT%H:%M:%SZ}; wait, or say less"
        )
    return Finding.yes(f"it can be restored to any time up to {latest:%Y-%m-%d %H:%M:%S} UTC")


def _snapshot(look: Look, name: str) -> Mapping[str, Any]:
    try:
        found = look.client("rds").describe_db_snapshots(DBSnapshotIdentifier=name)["DBSnapshots"]
    except ClientError as error:
        raise Refused(f"there is no snapshot {name}: {error}; list them: aws rds describe-db-snapshots") from error
    if not found or found[0]["Status"] != AVAILABLE:
        raise Refused(f"the snapshot {name} is not available yet")
    return dict(found[0])


def is_needed(look: Look) -> Finding:
    """Whether it is the database. Raises Refused where it answers and no other point was asked for."""
    instance, word = account_database.load(look), asked(look)
    if word != LATEST:
        return Finding.yes(f"asked for: {word.replace(':', ' ', 1) if word.startswith('snapshot') else word}")
    if _answers(look, instance):
        raise Refused("the database is available and answers; to go back to an earlier point add --to or --snapshot")
    status = instance["DBInstanceStatus"]
    if status == AVAILABLE:
        raise Refused(
            "RDS says that the database is available, but this machine does not reach it: that may be the network. "
            "Run this from inside it (CloudShell in the VPC), and see scripts/diagnose; --to restores all the same"
        )
    return Finding.yes(f"the database is {status}, and does not answer")


# ── writers ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def is_stopped(look: Look) -> Finding:
    """Whether nobody writes; once they were started again they are not stopped any more."""
    if is_over(look):
        return OVER
    if "repaired_at" in look.facts:
        return Finding.yes("they were stopped, and started again")
    return writers.are_stopped(look)


def stop_writers(hands: Hands) -> None:
    """Notes what this is about, and stops what writes."""
    look = hands.look
    if "new" not in look.facts:
        instance, stamp = account_database.load(look), f"{look.now():%Y%m%d%H%M%S}"
        hands.note(
            asked=asked(look),
            old_resource=instance["DbiResourceId"],
            new=f"{look.catalog.project}-restored-{stamp}",
            old=f"{look.catalog.project}-before-{stamp}",
            stopped_at=look.now().isoformat(),
        )
    writers.stop(hands)


def start_again(hands: Hands) -> str:
    """Nothing was moved yet: the writers go on with the database that they had."""
    writers.start(hands)
    return "the services run again, with the database that they had"


# ── the new instance ─────────────────────────────────────────────────────────────────────────────────────────────────


def new_instance(look: Look) -> Instance | None:
    """The restored one, under its first name or in its place."""
    if "new" not in look.facts:
        return None
    found = account_database.find(look, look.facts["new"])
    if found is None and (present := account_database.find(look)):
        found = present if present["DbiResourceId"] != look.facts["old_resource"] else None
    return found


def _load_new(look: Look) -> Instance:
    found = new_instance(look)
    if found is None:
        raise Failed("the restored instance is not there any more; begin a new run")
    return found


def is_restored(look: Look) -> Finding:
    """Whether the new instance is there, with all that it is to have."""
    if is_over(look):
        return OVER
    found = new_instance(look)
    if found is None:
        return Finding.no(f"it would be restored beside the old one, to: {asked(look)}")
    name, status = found["DBInstanceIdentifier"], found["DBInstanceStatus"]
    if status != AVAILABLE:
        return Finding.no(f"{name} is {status}")
    lacking = sorted(_lacking(look, found))
    if lacking:
        return Finding.no(f"{name} is there and lacks {', '.join(lacking)}")
    return Finding.yes(f"{name} ({found['DbiResourceId']}) is available and like the one before")


def restore(hands: Hands) -> None:
    """Asks RDS for it, waits, and gives it what a restore leaves out."""
    look = hands.look
    if new_instance(look) is None:
        _ask_for_it(hands)
    hands.wait(
        "RDS to restore it",
        lambda: _is_available(_load_new(look)),
        every_seconds=EVERY_SECONDS,
        most_seconds=CREATED_SECONDS,
        else_="see its events: aws rds describe-events",
    )
    found = _load_new(look)
    if lacking := _lacking(look, found):
        hands.client("rds").modify_db_instance(
            DBInstanceIdentifier=found["DBInstanceIdentifier"], ApplyImmediately=True, **lacking
        )
    hands.wait(
        "RDS to change it",
        lambda: is_restored(look),
        every_seconds=EVERY_SECONDS,
        most_seconds=CREATED_SECONDS,
        else_="see its events: aws rds describe-events",
    )


def _is_available(instance: Instance) -> Finding:
    return Finding(holds=instance["DBInstanceStatus"] == AVAILABLE, saw=f"it is {instance['DBInstanceStatus']}")


def _ask_for_it(hands: Hands) -> None:
    look, word, rds = hands.look, asked(hands.look), hands.client("rds")
    like = _like(database_state.declared(look))
    if word.startswith("snapshot:"):
        name = word.removeprefix("snapshot:")
        hands.note(point=_snapshot(look, name)["SnapshotCreateTime"].isoformat())
        rds.restore_db_instance_from_db_snapshot(
            DBInstanceIdentifier=look.facts["new"], DBSnapshotIdentifier=name, **like
        )
        return
    source = account_database.load(look)
    latest = source["LatestRestorableTime"].astimezone(UTC)
    hands.note(point=(latest if word == LATEST else datetime.fromisoformat(word)).isoformat())
    when = {"UseLatestRestorableTime": True} if word == LATEST else {"RestoreTime": datetime.fromisoformat(word)}
    rds.restore_db_instance_to_point_in_time(
        SourceDBInstanceIdentifier=source["DBInstanceIdentifier"],
        TargetDBInstanceIdentifier=look.facts["new"],
        **when,
        **like,
    )


def _like(declared: Mapping[str, Any]) -> dict[str, Any]:
    """What RDS is told of the new one at once, from what Terraform applied: it copies neither groups nor protection."""
    told = {
        "DBInstanceClass": declared["instance_class"],
        "DBSubnetGroupName": declared["db_subnet_group_name"],
        "VpcSecurityGroupIds": list(declared["vpc_security_group_ids"]),
        "DBParameterGroupName": declared["parameter_group_name"],
        "MultiAZ": declared["multi_az"],
        "PubliclyAccessible": declared["publicly_accessible"],
        "AutoMinorVersionUpgrade": declared["auto_minor_version_upgrade"],
        "CopyTagsToSnapshot": declared["copy_tags_to_snapshot"],
        "StorageType": declared["storage_type"],
        "EnableIAMDatabaseAuthentication": declared["iam_database_authentication_enabled"],
        "EnableCloudwatchLogsExports": list(declared["enabled_cloudwatch_logs_exports"]),
        "DeletionProtection": declared["deletion_protection"],
        "ManageMasterUserPassword": True,
        "MasterUserSecretKmsKeyId": declared["master_user_secret_kms_key_id"],
        "Tags": [{"Key": key, "Value": value} for key, value in sorted((declared.get("tags_all") or {}).items())],
    }
    return {name: value for name, value in told.items() if value is not None}


def _lacking(look: Look, instance: Instance) -> dict[str, Any]:
    """What has to be set once it is there: name of ModifyDBInstance's parameter → value."""
    declared = database_state.declared(look)
    wanted = {
        "BackupRetentionPeriod": declared["backup_retention_period"],
        "PreferredBackupWindow": declared["backup_window"],
        "PreferredMaintenanceWindow": declared["maintenance_window"],
        "MonitoringInterval": declared["monitoring_interval"],
        "MonitoringRoleArn": declared["monitoring_role_arn"],
        "EnablePerformanceInsights": declared["performance_insights_enabled"],
        "PerformanceInsightsKMSKeyId": declared["performance_insights_kms_key_id"],
        "PerformanceInsightsRetentionPeriod": declared["performance_insights_retention_period"],
        "MaxAllocatedStorage": declared["max_allocated_storage"],
        "DeletionProtection": declared["deletion_protection"],
    }
    shown = {"EnablePerformanceInsights": "PerformanceInsightsEnabled"}
    lacking = {name: value for name, value in wanted.items() if value and instance.get(shown.get(name, name)) != value}
    if not account_database.master_secret(instance):
        lacking |= {
            "ManageMasterUserPassword": True,
            "MasterUserSecretKmsKeyId": declared["master_user_secret_kms_key_id"],
        }
    return lacking


# ── held against what was counted ────────────────────────────────────────────────────────────────────────────────────


def is_compared(look: Look) -> Finding:
    """Whether the restored rows were held against the censuses."""
    if is_over(look):
        return OVER
    if "compared" in look.facts:
        return Finding.yes(str(look.facts["compared"]))
    return Finding.no("what comes back is counted and compared before anything uses it")


def compare(hands: Hands) -> None:
    """Counts. Raises Refused where rows are missing that were there before the point."""
    look = hands.look
    found = database_proof.compare(look, _load_new(look), datetime.fromisoformat(look.facts["point"]))
    if not found.holds and not look.options["accept_loss"]:
        raise Refused(f"{found.saw}; try another point (a new run, --to), or go on with less: --resume --accept-loss")
    hands.note(compared=found.saw)


# ── in the old one's place ───────────────────────────────────────────────────────────────────────────────────────────


def is_in_place(look: Look) -> Finding:
    """Whether the name leads to the restored instance."""
    if is_over(look):
        return OVER
    present, new, project = account_database.find(look), new_instance(look), look.catalog.project
    if not (present and new) or present["DbiResourceId"] != new["DbiResourceId"]:
        return Finding.no(f"{project} is still the old instance")
    return Finding.yes(f"{project} is the restored instance; the old one is {look.facts['old']}")


def put_in_place(hands: Hands) -> None:
    """Swaps the names, and with them the addresses: alarms, backups and tasks go by the name."""
    look, project = hands.look, hands.look.catalog.project
    present = account_database.find(look)
    if present and present["DbiResourceId"] == look.facts["old_resource"]:
        _rename(hands, project, look.facts["old"])
    _rename(hands, look.facts["new"], project)


def _rename(hands: Hands, name: str, other: str) -> None:
    try:
        hands.client("rds").modify_db_instance(
            DBInstanceIdentifier=name, NewDBInstanceIdentifier=other, ApplyImmediately=True
        )
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("InvalidDBInstanceState", "InvalidDBInstanceStateFault"):
            raise
        raise Failed(
            f"RDS does not rename {name} as it is ({error}). If it can never be repaired, it has to go: aws rds "
            f"delete-db-instance --db-instance-identifier {name} --skip-final-snapshot "
            "--no-delete-automated-backups; then --resume"
        ) from error
    hands.wait(
        f"{name} to be called {other}",
        lambda: _is_called(hands.look, name, other),
        every_seconds=EVERY_SECONDS,
        most_seconds=RENAMED_SECONDS,
    )


def _is_called(look: Look, name: str, other: str) -> Finding:
    """RDS takes minutes for it, and tells of both names, or neither, meanwhile."""
    before, after = account_database.find(look, name), account_database.find(look, other)
    if before is None and after and "Endpoint" in after and after["DBInstanceStatus"] not in ("renaming", "modifying"):
        return Finding.yes(f"it is called {other}")
    return Finding.no("RDS is at it")


def is_reconciled(look: Look) -> Finding:
    """Whether Terraform takes the restored instance for the database."""
    if is_over(look):
        return OVER
    if not is_in_place(look).holds:
        return Finding.no("Terraform's state has the old instance")
    return database_state.is_reconciled(look, account_database.load(look))


def are_logins_right(look: Look) -> Finding:
    """Whether every service can work with the restored database."""
    if is_over(look):
        return OVER
    if not (is_in_place(look).holds and is_reconciled(look).holds):
        return Finding.no("the task that migrates gives each service its grants and a login that opens")
    return database_proof.logins_work(look, account_database.load(look))


def give_logins(hands: Hands) -> None:
    """Runs the task that migrates."""
    if account_database.run_task(hands):
        raise Failed(f"the task says that work remains; see: scripts/migrate --env {hands.look.environment} --check")


# ── trades ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def are_orders_known(look: Look) -> Finding:
    """Whether the ledger knows every order of ours that the broker has."""
    if is_over(look):
        return OVER
    if not broker_orders.at_a_broker(look):
        return Finding.yes("trades are simulated: nothing was bought that the database does not know")
    if not is_in_place(look).holds:
        return Finding.no("the broker is asked what was traded after the point")
    orders = _orders(look)
    with look.database(_place(look)) as connection:
        missing = broker_orders.missing(connection, orders)
    if missing:
        return Finding.no(f"the ledger lacks {len(missing)} of {len(orders)} orders that the broker has")
    return Finding.yes(f"the ledger knows all {len(orders)} orders that the broker was sent since the point")


def _orders(look: Look) -> list[broker_orders.Order]:
    return broker_orders.since(look, datetime.fromisoformat(look.facts["point"]) - BROKER_MARGIN)


def _place(look: Look) -> Any:
    return account_database.master_url(look, account_database.load(look))


def write_orders(hands: Hands) -> None:
    """Writes them into the ledger, each in one transaction."""
    look = hands.look
    orders = _orders(look)
    with hands.database(_place(look)) as connection:
        missing = broker_orders.missing(connection, orders)
        for order in missing:
            broker_orders.write(connection, order, look.run)
            hands.say(f"{order.side} {order.quantity:g} {order.symbol} of {order.submitted_at:%H:%M:%S} UTC")
    hands.note(orders_written=len(missing))


# ── running again ────────────────────────────────────────────────────────────────────────────────────────────────────


def are_started(look: Look) -> Finding:
    """Whether the services are started as they were applied."""
    if is_over(look):
        return OVER
    if "repaired_at" not in look.facts:
        return Finding.no("the services are stopped until then")
    return writers.are_started(look)


def start_writers(hands: Hands) -> None:
    """From here on nothing is stopped again."""
    if "repaired_at" not in hands.look.facts:
        hands.note(repaired_at=hands.look.now().isoformat())
    writers.start(hands)


def is_caught_up(look: Look) -> Finding:
    """Whether every service has run since, no bar is missing, and it is written down."""
    if is_over(look):
        return OVER
    if "repaired_at" not in look.facts:
        return Finding.no("what was missed since the point is fetched from the provider again")
    for found in (schedules_recovery.have_run(look), schedules_recovery.is_filled(look)):
        if not found.holds:
            return found
    if record(look).get("resource") != account_database.load(look)["DbiResourceId"]:
        return Finding.no("the restore is not written down yet")
    return Finding.yes("every service has run, and no minute lacks its bar or its features")


def catch_up(hands: Hands) -> None:
    """Waits for the runs, fetches what they do not fetch themselves, and writes the restore down."""
    look = hands.look
    schedules_recovery.wait_for_runs(hands)
    schedules_recovery.fill(hands)
    body = {
        "resource": account_database.load(look)["DbiResourceId"],
        "asked": asked(look),
        "old": look.facts["old"],
        "by": look.run,
        "at": look.now().isoformat(),
    }
    hands.client("s3").put_object(
        Bucket=account.records_bucket(look), Key=RECORD, Body=json.dumps(body, sort_keys=True).encode()
    )


# ── the old one ──────────────────────────────────────────────────────────────────────────────────────────────────────


def is_retired(look: Look) -> Finding:
    """Whether the old instance may stay, or is gone."""
    name = look.options["retire"]
    kept = look.facts.get("old") or record(look).get("old")
    if not name:
        there = kept and account_database.find(look, kept)
        return Finding.yes(f"{kept} is kept until --retire {kept}" if there else "nobody asked for one to go")
    if not name.startswith(f"{look.catalog.project}-before-"):
        raise Refused(f"--retire {name}: only what a restore has left goes, and that is called …-before-…")
    if account_database.find(look, name):
        return Finding.no(f"{name} is still there")
    return Finding.yes(f"{name} is gone")


def retire(hands: Hands) -> None:
    """Deletes it, with a last snapshot where it can still give one."""
    look, rds = hands.look, hands.client("rds")
    name = look.options["retire"]
    instance = account_database.load(look, name)
    alive = instance["DBInstanceStatus"] == AVAILABLE
    last = {"FinalDBSnapshotIdentifier": f"{name}-final"} if alive else {}
    if instance.get("DeletionProtection"):
        rds.modify_db_instance(DBInstanceIdentifier=name, DeletionProtection=False, ApplyImmediately=True)
    rds.delete_db_instance(DBInstanceIdentifier=name, SkipFinalSnapshot=not alive, **last)
    hands.wait(
        f"{name} to go",
        lambda: is_retired(look),
        every_seconds=EVERY_SECONDS,
        most_seconds=CREATED_SECONDS,
    )


def measures(look: Look) -> Mapping[str, Any]:
    """What it cost in time and rows."""
    if "point" not in look.facts or "repaired_at" not in look.facts:
        return {}
    stopped, started = (datetime.fromisoformat(look.facts[name]) for name in ("stopped_at", "repaired_at"))
    point = datetime.fromisoformat(look.facts["point"])
    with look.database(_place(look)) as connection:
        row = connection.execute(running.statement("runbook_fetched_again"), {"since": started, "point": point})
        again = row.fetchone()
    return {
        "restored to": f"{point:%Y-%m-%d %H:%M:%S} UTC",
        "seconds that the services were stopped": round((started - stopped).total_seconds()),
        "bars fetched again": again[0] if again else "unknown",
        "orders written back from the broker": look.facts.get("orders_written", 0),
    }

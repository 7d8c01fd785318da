"""The instance that a restore makes: beside the old one, then in its place; and the old one, kept until told."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError

from ops.runbook import account_database, database_state, declared_instance, restore_request
from ops.runbook.account_database import DEAD, DELETING, Instance
from ops.runbook.acting import Hands
from ops.runbook.errors import Failed, Refused
from ops.runbook.finding import Finding
from ops.runbook.reading import Look
from ops.runbook.restore_request import LATEST, OVER, asked, is_over

EVERY_SECONDS, KNOWN_SECONDS, CREATED_SECONDS, RENAMED_SECONDS = 30.0, 600.0, 4 * 3600.0, 1800.0


def new_instance(look: Look) -> Instance | None:
    """The restored one, under its first name or in its place; while it is renamed RDS may tell of neither."""
    if "new_resource" in look.facts:
        return account_database.find_resource(look, look.facts["new_resource"])
    return account_database.find(look, look.facts["new"]) if "new" in look.facts else None


def load_new(look: Look) -> Instance:
    found = new_instance(look)
    if found is None:
        raise Failed(
            f"the restored instance {look.facts.get('new_resource', '')} is not there; where RDS is renaming it, wait "
            "a minute and --resume; where somebody deleted it, begin a new run"
        )
    return found


def is_restored(look: Look) -> Finding:
    """Whether the new instance is there, with all that it is to have."""
    if is_over(look):
        return OVER
    found = new_instance(look)
    if found is None and "new_resource" in look.facts:
        return Finding.no(f"RDS does not tell of the restored instance {look.facts['new_resource']}")
    if found is None:
        return Finding.no(f"it would be restored beside the old one, to: {asked(look)}")
    name, status = found["DBInstanceIdentifier"], found["DBInstanceStatus"]
    if not account_database.is_available(found).holds:
        return Finding.no(f"{name} is {status}")
    lacking = sorted(_lacking(look, found))
    if lacking:
        return Finding.no(f"{name} is there and lacks {', '.join(lacking)}")
    return Finding.yes(f"{name} ({found['DbiResourceId']}) is available and like the one before")


def restore(hands: Hands) -> None:
    """Asks RDS for it, waits, and gives it what a restore leaves out."""
    look = hands.look
    if "new_resource" not in look.facts:
        if new_instance(look) is None:
            _ask_for_it(hands)
        hands.wait(
            "RDS to tell of it", lambda: _is_known(look), every_seconds=EVERY_SECONDS, most_seconds=KNOWN_SECONDS
        )
        hands.note(new_resource=load_new(look)["DbiResourceId"])
    hands.wait(
        "RDS to restore it",
        lambda: account_database.is_available(new_instance(look)),
        every_seconds=EVERY_SECONDS,
        most_seconds=CREATED_SECONDS,
        else_="see its events: aws rds describe-events",
    )
    found = load_new(look)
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


def _is_known(look: Look) -> Finding:
    return Finding(holds=bool((new_instance(look) or {}).get("DbiResourceId")), saw="not yet")


def _ask_for_it(hands: Hands) -> None:
    look, word, rds = hands.look, asked(hands.look), hands.client("rds")
    like = declared_instance.restored(database_state.declared(look))
    if word.startswith("snapshot:"):
        name = word.removeprefix("snapshot:")
        hands.note(point=restore_request.taken(restore_request.snapshot(look, name)).isoformat())
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


def _lacking(look: Look, instance: Instance) -> dict[str, Any]:
    return declared_instance.lacking(database_state.declared(look), instance)


# ── in the old one's place ────────────────────────────────────────────────────────────────────────────────────────────


def is_in_place(look: Look) -> Finding:
    """Whether the name leads to the restored instance."""
    if is_over(look):
        return OVER
    present, new, project = account_database.find(look), new_instance(look), look.catalog.project
    if not (present and new) or present["DbiResourceId"] != new["DbiResourceId"]:
        return Finding.no(f"{project} is still the old instance")
    return Finding.yes(f"{project} is the restored instance; the old one is {look.facts['old'] or 'gone'}")


def put_in_place(hands: Hands) -> None:
    """Swaps the names, and with them the addresses: alarms, backups and tasks go by the name."""
    look, project = hands.look, hands.look.catalog.project
    present = account_database.find(look)
    if present and present["DbiResourceId"] == look.facts["old_resource"]:
        _rename(hands, project, look.facts["old"])
    _rename(hands, look.facts["new"], project)


def _rename(hands: Hands, name: str, other: str) -> None:
    look = hands.look
    _let_it_rest(hands, name)
    try:
        hands.client("rds").modify_db_instance(
            DBInstanceIdentifier=name, NewDBInstanceIdentifier=other, ApplyImmediately=True
        )
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("InvalidDBInstanceState", "InvalidDBInstanceStateFault"):
            raise
        raise Failed(f"RDS does not rename {name} as it is ({error}); {_way_out(look, name)}") from error
    hands.wait(
        f"{name} to be called {other}",
        lambda: _is_called(look, name, other),
        every_seconds=EVERY_SECONDS,
        most_seconds=RENAMED_SECONDS,
    )


def _let_it_rest(hands: Hands, name: str) -> None:
    """Waits for the end of a backup, or of what was changed a moment ago: RDS takes no order meanwhile."""
    hands.wait(
        f"RDS to be done with {name}",
        lambda: account_database.is_at_rest(account_database.find(hands.look, name)),
        every_seconds=EVERY_SECONDS,
        most_seconds=RENAMED_SECONDS,
    )


def _way_out(look: Look, name: str) -> str:
    """What frees a name: of an instance that is dead its deletion, of any other patience."""
    instance = account_database.find(look, name)
    if instance and instance["DBInstanceStatus"] in DEAD:
        return (
            f"it is {instance['DBInstanceStatus']}, and where RDS cannot repair it, it has to go: aws rds "
            f"delete-db-instance --db-instance-identifier {name} --skip-final-snapshot --no-delete-automated-backups; "
            "then --resume"
        )
    return "when RDS is done with it: --resume"


def _is_called(look: Look, name: str, other: str) -> Finding:
    """RDS takes minutes for it, and tells of both names, or neither, meanwhile."""
    before, after = account_database.find(look, name), account_database.find(look, other)
    if before is None and after and "Endpoint" in after and account_database.is_at_rest(after).holds:
        return Finding.yes(f"it is called {other}")
    return Finding.no("RDS is at it")


# ── the old one ───────────────────────────────────────────────────────────────────────────────────────────────────────


def is_retired(look: Look) -> Finding:
    """Whether the old instance may stay, or is gone."""
    name = look.options["retire"]
    kept = look.facts.get("old") or restore_request.record(look).get("old")
    if not name:
        there = kept and account_database.find(look, kept)
        return Finding.yes(f"{kept} is kept until --retire {kept}" if there else "nobody asked for one to go")
    if not name.startswith(tuple(f"{look.catalog.project}-{left}-" for left in ("before", "restored"))):
        raise Refused(
            f"--retire {name}: only what a restore has left goes, and that is called …-before-… or …-restored-…"
        )
    if account_database.find(look, name):
        return Finding.no(f"{name} is still there")
    return Finding.yes(f"{name} is gone")


def retire(hands: Hands) -> None:
    """Deletes it, with a last snapshot where it can still give one."""
    look = hands.look
    name = look.options["retire"]
    if account_database.load(look, name)["DBInstanceStatus"] != DELETING:
        _delete(hands, name)
    hands.wait(
        f"{name} to go",
        lambda: is_retired(look),
        every_seconds=EVERY_SECONDS,
        most_seconds=CREATED_SECONDS,
    )


def _delete(hands: Hands, name: str) -> None:
    look, rds = hands.look, hands.client("rds")
    if account_database.load(look, name).get("DeletionProtection"):
        rds.modify_db_instance(DBInstanceIdentifier=name, DeletionProtection=False, ApplyImmediately=True)
    _let_it_rest(hands, name)
    dead = account_database.load(look, name)["DBInstanceStatus"] in DEAD
    last = {} if dead else {"FinalDBSnapshotIdentifier": f"{name}-final"}
    rds.delete_db_instance(DBInstanceIdentifier=name, SkipFinalSnapshot=dead, DeleteAutomatedBackups=False, **last)

"""The account's database is restored: killed anywhere and taken up, to a point, from a snapshot, or refused."""

from __future__ import annotations

import json
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from database_world import ENVIRONMENT, DatabaseWorld
from healthcheck import census
from healthcheck.census import Census, Count
from killer import Killer, in_first_calls, perform_killed
from ops import terraform_plan
from ops.runbook.restore_database import RUNBOOK as KNOWN
from pipeline import catalog
from pipeline.store import logins
from runbook_world import Ended, events, journal

RUNBOOK = "restore-database"
PROJECT = "ops-pipeline"
HERE = ("--env", ENVIRONMENT, "--drill")
NOW = (*HERE, "--apply", "--yes", "--confirm", ENVIRONMENT)
RESUME = (*HERE, "--resume", "--confirm", ENVIRONMENT)
SERVICES = [service.name for service in catalog.load()]
STEPS, ACTS = ([step.name for step in steps] for steps in (KNOWN.steps, KNOWN.acts))
# Tables of minutes, and when a row was written: a bar that is fetched again is the same bar.
WRITTEN = {"bars": "ingested_at", "features": "computed_at"}
SUM = "select count(*), sum(hashtextextended((to_jsonb(t) - '{1}')::text, 0)) from {0} t where ts < %s"


@pytest.fixture(scope="module")
def world(database_world: DatabaseWorld) -> DatabaseWorld:
    return database_world


def rows(world: DatabaseWorld, before: datetime) -> dict[str, Any]:
    """Count and checksum, by table, of the rows of minutes that everyone was done with by then."""
    settled = before - timedelta(minutes=3)
    with world.database.connect() as connection:
        return {
            table: connection.execute(SUM.format(table, written).encode(), (settled,)).fetchone()
            for table, written in WRITTEN.items()
        }


def instances(world: DatabaseWorld) -> dict[str, str]:
    """Identifier → what RDS never gives to another."""
    found = world.client("rds").describe_db_instances()["DBInstances"]
    return {each["DBInstanceIdentifier"]: each["DbiResourceId"] for each in found}


def schedules(world: DatabaseWorld) -> dict[str, str]:
    listed = world.client("scheduler").list_schedules()["Schedules"]
    return {each["GroupName"]: each["State"] for each in listed}


def minutes(world: DatabaseWorld, count: int) -> None:
    for _ in range(count):
        world.minute(alarms=False)


def backed_up(world: DatabaseWorld) -> None:
    """Lets minutes pass until RDS has carried away the log of now, as it does every five."""
    minutes(world, 6)


def refused(world: DatabaseWorld, folder: Path, *arguments: str) -> str:
    """Why; with nothing of the account changed."""
    before = world.aws.changes()
    ended = world.perform(RUNBOOK, *(arguments or NOW), folder=folder)
    assert ended.code == 4, ended.output
    assert world.aws.changes() == before
    return " ".join(str(ended.report["why"]).split())


# ── refused ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_database_that_answers_is_restored_to_a_named_point_only(world: DatabaseWorld, tmp_path: Path) -> None:
    ended = world.perform(RUNBOOK, *NOW, folder=tmp_path)
    assert ended.code == 0, ended.output
    assert "Nothing to do" in ended.output
    assert not journal(tmp_path).exists()


def test_a_point_that_no_backup_reaches_yet(world: DatabaseWorld, tmp_path: Path) -> None:
    later = (world.at + timedelta(hours=1)).isoformat()
    assert "is after the latest restorable time" in refused(world, tmp_path, *NOW, "--to", later)


def test_a_snapshot_that_nobody_took(world: DatabaseWorld, tmp_path: Path) -> None:
    assert "there is no snapshot nightly" in refused(world, tmp_path, *NOW, "--snapshot", "nightly")


def test_another_name_than_the_environments(world: DatabaseWorld, tmp_path: Path) -> None:
    assert "which of them is meant" in refused(world, tmp_path, *HERE, "--apply", "--yes", "--confirm", "production")


@pytest.mark.parametrize(
    "arguments",
    [("--to", "yesterday"), ("--to", "2026-01-26T15:00:00"), ("--to", "2026-01-26T15:00:00Z", "--snapshot", "nightly")],
    ids=["no time", "no zone", "two points"],
)
def test_a_point_that_is_none_is_a_matter_of_usage(
    world: DatabaseWorld, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    before = world.aws.changes()
    ended = world.perform(RUNBOOK, *NOW, *arguments, folder=tmp_path)
    assert ended.code == 2, ended.output
    assert "--to" in ended.output
    assert world.aws.changes() == before


def test_the_database_itself_is_never_retired(world: DatabaseWorld, tmp_path: Path) -> None:
    assert "only what a restore has left goes" in refused(world, tmp_path, *NOW, "--retire", PROJECT)


# ── lost ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


# Acts without a call of their own to AWS, or that are killed in their wait.
WAITING = {
    "hold it against what was counted",
    "migrations, grants and logins",
    "write the broker's orders into the ledger",
    "see every service run, and every minute filled",
    "delete the old instance, if --retire names it",
}
TERRAFORMS = [name for name in STEPS if "Terraform" in name]


def test_a_rehearsal_says_what_it_would_do_and_touches_nothing(world: DatabaseWorld, tmp_path: Path) -> None:
    backed_up(world)
    before = world.touched()
    point = (world.at - timedelta(minutes=10)).isoformat()
    ended = world.perform(RUNBOOK, *HERE, "--to", point, folder=tmp_path)
    assert ended.code == 3, ended.output
    assert world.touched() == before
    assert f"Next: runbooks/{RUNBOOK} --env {ENVIRONMENT} --drill --to {point} --apply" in ended.output
    assert not journal(tmp_path).exists()


def test_lost_and_killed_anywhere_it_comes_back_whole(world: DatabaseWorld, tmp_path: Path) -> None:
    """Not a row that was committed is missing, and who begins a second run meanwhile is told who is at work."""
    until, old = world.at, instances(world)[PROJECT]
    before = rows(world, until)
    world.database.managed.kill()
    minutes(world, 2)
    alone = refused(world, tmp_path / "retire", *NOW, "--retire", f"{PROJECT}-before-1")
    assert "only beside a database that answers" in alone
    killer = Killer(tmp_path, in_first_calls(TERRAFORMS), in_waits=True)
    ended = perform_killed(world, RUNBOOK, killer, first=NOW, again=RESUME)
    assert ended.code == 0, ended.output
    assert rows(world, until) == before
    assert_restored(world, ended, old)
    assert [each["event"] for each in events(tmp_path)].count("finished") == 1
    assert killer.over(STEPS[-1]) >= set(STEPS)
    assert {label.partition(" in ")[2] for label in killer.killed} >= {step.name for step in KNOWN.acts} - WAITING


def assert_restored(world: DatabaseWorld, ended: Ended, old: str) -> None:
    """Another instance has the name, everyone works with it, no bar lacks, the plan is empty, no lock is left."""
    kept = {name: resource for name, resource in instances(world).items() if name != PROJECT}
    assert instances(world)[PROJECT] != old
    assert all(name.startswith(f"{PROJECT}-before-") for name in kept), kept
    assert set(schedules(world).values()) == {"ENABLED"}
    assert {service for service, address in world.addresses().items() if not world.opens(service, address)} == set()
    with world.database.connect() as connection:
        missing = connection.execute(
            "select count(*) from gaps where backfilled_at is null and class in ('our_outage', 'feed_late')"
        ).fetchone()
    assert missing == (0,)
    assert world.lock["held"] is False
    world.workspace.plan()
    assert list(terraform_plan.changes(json.loads(world.workspace.files.json.read_text()))) == []


def test_a_second_run_has_nothing_to_do(world: DatabaseWorld, tmp_path: Path) -> None:
    before = world.touched()
    ended = world.perform(RUNBOOK, *NOW, folder=tmp_path)
    assert ended.code == 0, ended.output
    assert "Nothing to do" in ended.output
    assert world.touched() == before
    assert not journal(tmp_path).exists()


# ── to an earlier point ──────────────────────────────────────────────────────────────────────────────────────────────


SIGNAL = """
insert into signals (symbol, ts, rule, side, confidence, volume_multiplier, reason, created_at)
values ('AAPL', %s, 'sentiment_trend', 'BUY', 0.9, 1, '{}', %s)"""


def test_to_a_point_before_rows_were_destroyed_passwords_changed_and_something_bought(
    world: DatabaseWorld, tmp_path: Path
) -> None:
    """The rows come back, the services get in again, and what was bought after the point is not bought twice."""
    limits = json.loads(str(world.parameter("dispatch_limits"))) | {"mode": "ALPACA_PAPER"}
    world.client("ssm").put_parameter(Name=f"/{PROJECT}/dispatch_limits", Value=json.dumps(limits), Overwrite=True)
    backed_up(world)
    point = world.at - timedelta(seconds=30)
    order = buy(world, world.at - timedelta(minutes=2))
    until = world.at
    before, old = rows(world, until), instances(world)[PROJECT]
    change_passwords(world)
    with world.database.connect() as connection:
        connection.execute("truncate bars, features, signals, dispatches cascade")
    backed_up(world)
    key = counted(world, until.date() - timedelta(days=1), rows=7)
    asked = (*NOW, "--to", point.isoformat())
    ended = world.perform(RUNBOOK, *asked, folder=tmp_path)
    assert ended.code == 1, ended.output
    assert "news of 2026-01-25: 7 rows fewer" in ended.report["why"]
    assert "--accept-loss" in ended.report["why"]
    assert "undone: stop the services that write: the services run again" in ended.output
    assert set(schedules(world).values()) == {"ENABLED"}
    assert instances(world)[PROJECT] == old

    ended = world.perform(RUNBOOK, *RESUME, "--accept-loss", folder=tmp_path)
    assert ended.code == 0, ended.output
    world.client("s3").delete_object(Bucket=world.records, Key=key)
    assert rows(world, until) == before
    assert_restored(world, ended, old)
    assert ended.report["measures"]["orders written back from the broker"] == 1
    assert buy(world, order["ts"]) == order

    left = next(name for name in instances(world) if name != PROJECT)
    ended = world.perform(RUNBOOK, *NOW, "--retire", left, folder=tmp_path / "retired")
    assert ended.code == 0, ended.output
    assert "POINT OF NO RETURN" in ended.output
    assert left not in instances(world)
    again = world.perform(RUNBOOK, *NOW, "--retire", left, folder=tmp_path / "again")
    assert (again.code, "Nothing to do" in again.output) == (0, True), again.output


def buy(world: DatabaseWorld, ts: datetime) -> dict[str, Any]:
    """Has a signal of that minute, where there is none, and lets the dispatcher run; what the ledger says of it."""
    with world.database.connect() as connection:
        connection.execute(f"{SIGNAL} on conflict do nothing".encode(), (ts, world.at))
    minutes(world, 3)
    with world.database.connect() as connection:
        ((broker_order_id, count),) = connection.execute(
            "select max(broker_order_id), count(*) from dispatches where state = 'EXECUTED'"
        ).fetchall()
    assert broker_order_id
    return {"ts": ts, "order": broker_order_id, "count": count}


def change_passwords(world: DatabaseWorld) -> None:
    """Every service has another password than at the point."""
    for service, address in world.addresses().items():
        login, _ = logins.split(address)
        with world.database.connect() as connection:
            connection.execute(f"alter role {login} password 'of-after-the-point'".encode())
        before, _, rest = address.partition("@")
        world.put_parameter(f"database_url/{service}", f"{before.rpartition(':')[0]}:of-after-the-point@{rest}")


def counted(world: DatabaseWorld, day: date, rows: int) -> str:
    """Stores a census of a day that had more rows than there are; its key."""
    found = Census(day=day, schema=0, taken_at=world.at, tables={"news": Count(rows=rows, checksum="0")})
    world.client("s3").put_object(Bucket=world.records, Key=census.key(day), Body=found.to_json().encode())
    return census.key(day)


# ── from a snapshot ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_instance_that_was_deleted_comes_back_from_a_snapshot(world: DatabaseWorld, tmp_path: Path) -> None:
    rds = world.client("rds")
    rds.create_db_snapshot(DBInstanceIdentifier=PROJECT, DBSnapshotIdentifier="before-it-went")
    minutes(world, 1)
    until, old = world.at, instances(world)[PROJECT]
    before = rows(world, until)
    minutes(world, 2)
    rds.modify_db_instance(DBInstanceIdentifier=PROJECT, DeletionProtection=False, ApplyImmediately=True)
    rds.delete_db_instance(DBInstanceIdentifier=PROJECT, SkipFinalSnapshot=True)
    minutes(world, 2)
    assert "--snapshot NAME" in refused(world, tmp_path)
    asked = (*NOW, "--snapshot", "before-it-went")
    first = world.start(RUNBOOK, *asked[:-4], *asked[-2:], folder=tmp_path / "restored")
    world.until_waiting(first, "RDS to restore it")
    second = refused(world, tmp_path / "second", *asked)
    assert f"with {RUNBOOK} (pid {first.pid}) since 20" in second
    ended = world.follow(first)
    assert ended.code == 3, ended.output  # nobody confirms the point of no return
    assert "Stays so until --resume: stop the services that write" in ended.output
    ended = world.perform(RUNBOOK, *RESUME, folder=tmp_path / "restored")
    assert ended.code == 0, ended.output
    assert rows(world, until) == before
    assert_restored(world, ended, old)
    again = world.perform(RUNBOOK, *asked, folder=tmp_path / "again")
    assert (again.code, "Nothing to do" in again.output) == (0, True), again.output

"""What an act does where RDS is at work, is stuck, or does not answer: on an AWS without data, status by status."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from ops import clock
from ops.local.aws import LocalAws
from ops.local.aws.environment import REGION
from ops.runbook import account_database, database_restore, region_database, restored_instance
from ops.runbook.acting import Hands
from ops.runbook.errors import CannotUndo, Failed, Remains
from ops.runbook.finding import Finding
from ops.runbook.interrupts import Interrupts
from ops.runbook.lease import Lease
from ops.runbook.reading import Look
from ops.runbook.voice import Voice
from pipeline import catalog

PROJECT = catalog.load().project
OLD, NEW = f"{PROJECT}-before-1", f"{PROJECT}-restored-1"
SETTINGS = {"Engine": "postgres", "DBInstanceClass": "db.t4g.micro", "AllocatedStorage": 20, "DBName": "pipeline"}
MASTER = {"MasterUsername": "pipeline_admin", "ManageMasterUserPassword": True}


@dataclass(kw_only=True)
class Bench:
    """An AWS, hands in it that hold its lock, and what RDS does next whenever they wait."""

    aws: LocalAws
    hands: Hands
    next: list[Callable[[], object]] = field(default_factory=list)
    waited: int = 0

    @property
    def rds(self) -> Any:
        return self.aws.client("rds")

    def make(self, name: str, **settings: Any) -> str:
        """An instance; its resource id."""
        made = self.rds.create_db_instance(DBInstanceIdentifier=name, **SETTINGS, **MASTER, **settings)
        self.status(name, "available")
        return str(made["DBInstance"]["DbiResourceId"])

    def status(self, name: str, status: str) -> None:
        self.aws.report_rds("instance", REGION, name, status=status)

    def sleep(self, *_: object, **__: object) -> None:
        self.waited += 1
        assert self.next, "nothing happens any more, and still it waits"
        self.next.pop(0)()

    def names(self) -> set[str]:
        return {each["DBInstanceIdentifier"] for each in self.rds.describe_db_instances()["DBInstances"]}

    def snapshots(self) -> set[str]:
        found = self.rds.describe_db_snapshots(SnapshotType="manual")["DBSnapshots"]
        return {each["DBSnapshotIdentifier"] for each in found}


class Facts(dict[str, Any]):
    """What acts note, kept in memory."""

    def fact(self, facts: dict[str, Any]) -> None:
        self.update(facts)


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    with LocalAws(tmp_path / "aws") as aws:
        s3, bucket, facts = aws.client("s3"), "records", Facts()
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
        look = Look(environment="paper", environ=aws.environment({}), options={"retire": OLD}, facts=facts)
        with Lease(s3, bucket, run="run", runbook="restore-database", say=print) as permit, Interrupts() as interrupts:
            voice = Voice(look.veil)
            made = Bench(
                aws=aws, hands=Hands(permit=permit, look=look, voice=voice, notes=facts, interrupts=interrupts)
            )
            monkeypatch.setattr(clock, "sleep", made.sleep)
            yield made


# ── the old one goes ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_one_that_lives_leaves_a_last_snapshot_once_rds_is_done_with_it(bench: Bench) -> None:
    bench.make(OLD, DeletionProtection=True)
    bench.status(OLD, "backing-up")
    bench.next = [lambda: bench.status(OLD, "available")]
    restored_instance.retire(bench.hands)
    assert bench.waited == 1
    assert bench.names() == set()
    assert bench.snapshots() == {f"{OLD}-final"}


@pytest.mark.parametrize("status", account_database.DEAD)
def test_one_that_is_dead_goes_without(bench: Bench, status: str) -> None:
    bench.make(OLD)
    bench.status(OLD, status)
    restored_instance.retire(bench.hands)
    assert (bench.names(), bench.snapshots()) == (set(), set())


def test_one_that_is_going_already_is_waited_for(bench: Bench) -> None:
    bench.make(OLD)
    bench.status(OLD, "deleting")
    before, meanwhile = bench.aws.changes(), []

    def goes() -> None:
        meanwhile.append(bench.aws.changes())
        bench.rds.delete_db_instance(DBInstanceIdentifier=OLD, SkipFinalSnapshot=True)

    bench.next = [goes]
    restored_instance.retire(bench.hands)
    assert bench.names() == set()
    assert meanwhile == [before]


# ── the new one comes ────────────────────────────────────────────────────────────────────────────────────────────────


def noted(bench: Bench) -> None:
    """Both are there, as after the restore."""
    old, new = bench.make(PROJECT), bench.make(NEW)
    bench.hands.note(old_resource=old, new_resource=new, new=NEW, old=OLD, asked="latest", declared={})


def test_names_are_swapped_once_rds_is_done_with_both(bench: Bench) -> None:
    noted(bench)
    bench.status(PROJECT, "backing-up")
    bench.status(NEW, "modifying")
    bench.next = [lambda: bench.status(PROJECT, "available"), lambda: bench.status(NEW, "available")]
    restored_instance.put_in_place(bench.hands)
    assert bench.waited == 2
    assert bench.names() == {PROJECT, OLD}
    assert restored_instance.is_in_place(bench.hands.look).holds


def test_it_is_known_by_its_resource_under_any_name(bench: Bench) -> None:
    noted(bench)
    look = bench.hands.look
    assert restored_instance.load_new(look)["DBInstanceIdentifier"] == NEW
    bench.rds.modify_db_instance(DBInstanceIdentifier=NEW, NewDBInstanceIdentifier="other", ApplyImmediately=True)
    assert restored_instance.load_new(look)["DBInstanceIdentifier"] == "other"
    bench.rds.delete_db_instance(DBInstanceIdentifier="other", SkipFinalSnapshot=True)
    before = bench.aws.changes()
    with pytest.raises(Failed, match="begin a new run"):
        restored_instance.load_new(look)
    with pytest.raises(AssertionError, match="still it waits"):  # and never asks for another
        restored_instance.restore(bench.hands)
    assert bench.aws.changes() == before


def test_one_that_never_comes_by_itself_ends_the_wait(bench: Bench) -> None:
    noted(bench)
    bench.status(NEW, "creating")
    bench.next = [lambda: bench.status(NEW, "incompatible-network")]
    with pytest.raises(Failed, match=f"{NEW} is incompatible-network, which it does not leave .* describe-events"):
        restored_instance.restore(bench.hands)
    assert bench.waited == 1
    bench.status(PROJECT, "storage-full")
    with pytest.raises(Failed, match=f"{PROJECT} is storage-full"):
        region_database.is_restored(bench.hands.look)


def test_writers_are_not_started_on_a_database_that_lost_its_name_or_was_never_there(bench: Bench) -> None:
    noted(bench)
    bench.status(PROJECT, "renaming")
    with pytest.raises(CannotUndo, match="lost its name"):
        database_restore.start_again(bench.hands)
    bench.hands.note(old_resource=None)
    with pytest.raises(CannotUndo, match="no database to go on with"):
        database_restore.start_again(bench.hands)


# ── AWS itself ───────────────────────────────────────────────────────────────────────────────────────────────────────


def error(code: str, status: int) -> ClientError:
    told: Any = {"Error": {"Code": code, "Message": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(told, "DescribeDBInstances")


def wait(bench: Bench, *raised: Exception) -> Finding:
    """Waits for what first raises these, one after the other, and then holds."""
    left = list(raised)
    bench.next = [lambda: None] * len(left)

    def check() -> Finding:
        if left:
            raise left.pop(0)
        return Finding.yes("there")

    return bench.hands.wait("it", check, every_seconds=1, most_seconds=60)


def test_an_aws_that_does_not_answer_for_a_moment_is_asked_again(bench: Bench) -> None:
    assert wait(bench, EndpointConnectionError(endpoint_url="rds"), error("InternalFailure", 503)).holds
    assert bench.waited == 2


def test_a_login_that_ends_leaves_all_as_it_stands(bench: Bench) -> None:
    with pytest.raises(Remains, match="log in again, then --resume"):
        wait(bench, error("ExpiredToken", 403))
    with pytest.raises(ClientError, match="AccessDenied"):
        wait(bench, error("AccessDenied", 403))

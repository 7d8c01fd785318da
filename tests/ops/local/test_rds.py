"""The PostgreSQL behind the emulator's RDS: base backups, write-ahead log, restores that bring back what was there."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from ops.local.aws import LocalAws
from ops.local.rds import RestoreFailed, Storage

SOURCE = "database"
SETTINGS: dict[str, Any] = {
    "Engine": "postgres",
    "DBInstanceClass": "db.t4g.micro",
    "AllocatedStorage": 20,
    "DBName": "pipeline",
    "MasterUsername": "pipeline_admin",
    "ManageMasterUserPassword": True,
    "DeletionProtection": True,
}


@pytest.fixture
def aws(tmp_path: Path) -> Iterator[LocalAws]:
    with LocalAws(tmp_path / "aws") as aws:
        aws.client("rds").create_db_instance(DBInstanceIdentifier=SOURCE, **SETTINGS)
        yield aws


@pytest.fixture
def storage(aws: LocalAws) -> Iterator[Storage]:
    with Storage(aws) as storage:
        storage.adopt(SOURCE)
        execute(storage, SOURCE, "create table notes (id int primary key)")
        yield storage


def execute(storage: Storage, identifier: str, statement: str) -> list[Any]:
    url = storage.machine(identifier).server.url("pipeline")
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(statement.encode())
        return [row[0] for row in cursor.fetchall()] if cursor.description else []


def write(storage: Storage, *ids: int) -> None:
    for each in ids:
        execute(storage, SOURCE, f"insert into notes values ({each})")  # noqa: S608 (numbers of our own)


def notes(storage: Storage, identifier: str) -> list[int]:
    return execute(storage, identifier, "select id from notes order by id")


def described(aws: LocalAws, identifier: str) -> dict[str, Any]:
    found: dict[str, Any] = aws.client("rds").describe_db_instances(DBInstanceIdentifier=identifier)["DBInstances"][0]
    return found


def restore(storage: Storage, identifier: str, **how: Any) -> None:
    storage.aws.client("rds").restore_db_instance_to_point_in_time(
        SourceDBInstanceIdentifier=SOURCE, TargetDBInstanceIdentifier=identifier, **how
    )


def moment() -> datetime:
    """A time with nothing written shortly before or after it."""
    time.sleep(0.05)
    at = datetime.now(UTC)
    time.sleep(0.05)
    return at


def test_all_that_was_committed_when_it_was_killed_is_there_again(aws: LocalAws, storage: Storage) -> None:
    write(storage, 1, 2, 3)
    storage.lose(SOURCE)
    assert described(aws, SOURCE)["DBInstanceStatus"] == "failed"
    restore(storage, "again", UseLatestRestorableTime=True)
    assert described(aws, "again")["DBInstanceStatus"] == "creating"
    storage.tick()
    found = described(aws, "again")
    assert (found["DBInstanceStatus"], found["DeletionProtection"]) == ("available", False)
    assert found["Endpoint"]["Port"] == storage.machine("again").server.port
    assert found["DbiResourceId"] != described(aws, SOURCE)["DbiResourceId"]
    assert notes(storage, "again") == [1, 2, 3]


def test_without_its_volume_what_was_not_carried_away_is_lost(storage: Storage) -> None:
    write(storage, 1, 2)
    execute(storage, SOURCE, "checkpoint")
    storage.lose(SOURCE, volume=True)
    restore(storage, "again", UseLatestRestorableTime=True)
    storage.tick()
    assert execute(storage, "again", "select count(*) from pg_tables where tablename = 'notes'") == [0]


def test_to_a_point_in_time_nothing_later_is_there(aws: LocalAws, storage: Storage) -> None:
    write(storage, 1, 2)
    at = moment()
    write(storage, 3)
    storage.lose(SOURCE)
    restore(storage, "early", RestoreTime=at)
    storage.tick()
    assert notes(storage, "early") == [1, 2]
    with pytest.raises(aws.client("rds").exceptions.ClientError, match="is after"):
        restore(storage, "later", RestoreTime=datetime.now(UTC) + timedelta(hours=1))
    restore(storage, "before", RestoreTime=datetime.now(UTC) - timedelta(hours=1))
    with pytest.raises(RestoreFailed, match="the oldest backup ended after"):
        storage.tick()


def test_a_snapshot_brings_back_what_was_there_when_it_was_taken(aws: LocalAws, storage: Storage) -> None:
    write(storage, 1, 2)
    rds = aws.client("rds")
    taken = rds.create_db_snapshot(DBInstanceIdentifier=SOURCE, DBSnapshotIdentifier="taken")["DBSnapshot"]
    assert taken["Status"] == "creating"
    storage.tick()
    assert rds.describe_db_snapshots(DBSnapshotIdentifier="taken")["DBSnapshots"][0]["Status"] == "available"
    write(storage, 3)
    rds.restore_db_instance_from_db_snapshot(DBInstanceIdentifier="again", DBSnapshotIdentifier="taken")
    storage.tick()
    assert notes(storage, "again") == [1, 2]
    assert notes(storage, SOURCE) == [1, 2, 3]


def test_names_that_are_swapped_swap_what_answers_at_their_addresses(aws: LocalAws, storage: Storage) -> None:
    write(storage, 1)
    before, rds = described(aws, SOURCE)["Endpoint"], aws.client("rds")
    rds.create_db_snapshot(DBInstanceIdentifier=SOURCE, DBSnapshotIdentifier="taken")
    storage.tick()
    write(storage, 2)
    rds.restore_db_instance_from_db_snapshot(DBInstanceIdentifier="again", DBSnapshotIdentifier="taken")
    storage.tick()
    rds.modify_db_instance(DBInstanceIdentifier=SOURCE, NewDBInstanceIdentifier="before", ApplyImmediately=True)
    rds.modify_db_instance(DBInstanceIdentifier="again", NewDBInstanceIdentifier=SOURCE, ApplyImmediately=True)
    storage.tick()
    assert described(aws, SOURCE)["Endpoint"] == before
    assert notes(storage, SOURCE) == [1]
    assert notes(storage, "before") == [1, 2]
    write(storage, 3)
    assert notes(storage, SOURCE) == [1, 3]


def test_a_restored_instance_gets_a_masters_secret_by_a_modification_only(aws: LocalAws, storage: Storage) -> None:
    rds = aws.client("rds")
    with pytest.raises(rds.exceptions.ClientError, match="ManageMasterUserPassword"):
        restore(storage, "again", UseLatestRestorableTime=True, ManageMasterUserPassword=True)
    restore(storage, "again", UseLatestRestorableTime=True)
    storage.tick()
    assert "MasterUserSecret" not in described(aws, "again")
    rds.modify_db_instance(DBInstanceIdentifier="again", ManageMasterUserPassword=True, ApplyImmediately=True)
    assert described(aws, "again")["DBInstanceStatus"] == "modifying"
    assert not opens(aws, "again")
    storage.tick()
    assert described(aws, "again")["DBInstanceStatus"] == "available"
    assert opens(aws, "again")
    assert opens(aws, SOURCE)


def opens(aws: LocalAws, identifier: str) -> bool:
    """Whether the master gets in with what stands in the secret that RDS keeps."""
    found = described(aws, identifier)
    kept = aws.client("secretsmanager").get_secret_value(SecretId=found["MasterUserSecret"]["SecretArn"])
    login, at = json.loads(kept["SecretString"]), found["Endpoint"]
    try:
        psycopg.connect(
            host=at["Address"], port=at["Port"], dbname="postgres", user=login["username"], password=login["password"]
        ).close()
    except psycopg.OperationalError:
        return False
    return True

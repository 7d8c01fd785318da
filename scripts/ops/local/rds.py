"""What stands behind the emulator's RDS: an instance is a PostgreSQL of its own, a snapshot a base backup, a restore to
a point in time that backup and the write-ahead log after it. `tick` does what RDS was asked since the last one."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ops.local.aws import LocalAws, LocalAwsFailed
from ops.local.postgres import HOST, SUPERUSER, Postgres, PostgresFailed, make_scratch
from ops.local.postgres_account import hand_over
from ops.local.postgres_binaries import account_for
from pipeline import store
from pipeline.errors import DatabaseUnreachable
from pipeline.settings import Secret

INSTANCE, SNAPSHOT = "instance", "snapshot"
CREATING, AVAILABLE, MODIFYING, FAILED = "creating", "available", "modifying", "failed"
ARCHIVED_EVERY = timedelta(minutes=5)  # how often RDS carries its log away
NOT_COPIED = ("postmaster.pid", "postmaster.opts", "server.log", "pg_wal", "pg_replslot", "pg_stat_tmp")
ARCHIVE_SECONDS = 30
TOO_SHORT = "recovery ended before configured recovery target was reached"


class RestoreFailed(PostgresFailed):
    """What RDS was asked to restore cannot be: no backup before that time, no such snapshot."""


@dataclass(frozen=True, kw_only=True)
class Backup:
    """A base backup; the log from `began` on makes it whole."""

    folder: Path
    ended: datetime


@dataclass(kw_only=True)
class Machine:
    """One instance's server, and what RDS keeps beside it: base backups and the archive of its log.

    `name` is its region and identifier, which a rename changes; `clock` pairs the emulator's virtual times with those
    of the machine, which stand in the log."""

    resource: str
    name: tuple[str, str]
    folder: Path
    server: Postgres
    backups: list[Backup] = field(default_factory=list)
    clock: list[tuple[datetime, datetime]] = field(default_factory=list)
    lost_at: datetime | None = None

    @property
    def archive(self) -> Path:
        return self.folder / "archive"

    @property
    def log(self) -> Path:
        """The log on the instance's own volume."""
        return self.server.data_dir / "pg_wal"

    def wall(self, at: datetime) -> datetime:
        """The machine's time at a virtual one."""
        before = [pair for pair in self.clock if pair[0] <= at]
        if not before:
            return at
        virtual, wall = before[-1]
        later = self.clock[len(before)][1] if len(before) < len(self.clock) else None
        told = wall + (at - virtual)
        return min(told, later) if later else told


class Storage:
    """The servers behind one local AWS; within `with`, all are stopped at the end.

    Nothing happens between ticks, so that a test decides when a restore is ready."""

    def __init__(self, aws: LocalAws) -> None:
        self.aws = aws
        self.account = account_for(Path(os.devnull))
        self.folder = make_scratch(self.account)
        self.machines: dict[str, Machine] = {}
        self.snapshots: dict[tuple[str, str], Path] = {}
        self.ports: dict[tuple[str, str], int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for machine in self.machines.values():
            machine.server.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def authority(self) -> Path:
        """Who vouches for the servers; not there where this build of PostgreSQL knows no TLS."""
        return self.folder / "authority.crt"

    @property
    def trust(self) -> dict[str, str]:
        """What libpq must be told: RDS's authority, which every image carries, does not vouch for this machine."""
        if self.authority.exists():
            return {"PGSSLMODE": "verify-full", "PGSSLROOTCERT": str(self.authority)}
        return {"PGSSLMODE": "disable"}

    # ── what a drill does ────────────────────────────────────────────────────────────────────────────────────────────

    def adopt(self, identifier: str) -> Machine:
        """Gives an instance that has no data yet a server with an empty database, as RDS made it; backed up once."""
        found = self._described(self.aws.region, identifier)
        machine = self._machine(found["DbiResourceId"], (self.aws.region, identifier))
        machine.server.start()
        self._hand_over(machine, found, self.aws.region)
        self._tell_address(machine)
        self.tick()
        self.back_up(identifier)
        return machine

    def machine(self, identifier: str) -> Machine:
        """The server behind an instance, whatever its name was before."""
        return next(
            self.machines[each["resource"]] for each in self._seen(INSTANCE) if each["identifier"] == identifier
        )

    def url(self, identifier: str, database: str) -> str:
        """A superuser's way to whatever answers under that name, now or once it does again. Raises DatabaseUnreachable
        where nothing ever did in this region."""
        port = self.ports.get((self.aws.region, identifier))
        if port is None:
            raise DatabaseUnreachable(f"there is no database {identifier} in {self.aws.region}")
        return f"postgresql://{SUPERUSER}@{HOST}:{port}/{database}"

    def back_up(self, identifier: str) -> None:
        """RDS's own daily backup, now."""
        machine = self.machine(identifier)
        folder = machine.folder / f"base-{len(machine.backups)}"
        ended = _base_backup(machine, folder)
        machine.backups.append(Backup(folder=folder, ended=ended))

    def lose(self, identifier: str, *, volume: bool = False) -> None:
        """The instance is gone as by SIGKILL; with `volume` its disk too, and what was not yet carried away from it."""
        machine = self.machine(identifier)
        machine.server.kill()
        machine.lost_at = self._now()
        if volume:
            shutil.rmtree(machine.log)
        self._report(identifier, status=FAILED)
        self.tick()

    def tick(self) -> None:
        """Does all that waits: restores, passwords, snapshots; and tells until when each instance can be restored."""
        now = self._now()
        for machine in self.machines.values():
            if machine.lost_at is None:
                machine.clock.append((now, datetime.now(UTC)))
        self._follow_names()
        for each in self._seen(INSTANCE):
            if each["status"] == CREATING and each["origin"]:
                self._restore(each)
        for each in self._seen(INSTANCE):
            if each["status"] == MODIFYING:
                self._modify(each)
        for each in self._seen(SNAPSHOT):
            if each["status"] == CREATING:
                self._snapshot(each)
        for each in self._seen(INSTANCE):
            self._tell_latest(each, now)
        self._stop_deleted()

    def _stop_deleted(self) -> None:
        """Nobody answers for an instance that is gone; the next one of its name gets its address."""
        there = {each["resource"] for each in self._seen(INSTANCE)}
        for machine in self.machines.values():
            if machine.resource not in there and machine.server.pid:
                machine.server.stop()

    def _follow_names(self) -> None:
        """An instance that was given another name answers where that name leads; RDS's addresses are made of names."""
        renamed = []
        for each in self._seen(INSTANCE):
            machine, name = self.machines.get(each["resource"]), (each["region"], each["identifier"])
            if machine and machine.name != name:
                machine.name = name
                renamed.append(machine)
        for machine in sorted(renamed, key=lambda each: each.name in self.ports):  # first who leaves a known address
            if machine.server.pid:
                machine.server.move(self.ports.get(machine.name))
                self._tell_address(machine, status=AVAILABLE)
            else:
                self._report_if_there(*machine.name, status=FAILED)

    # ── what RDS does ────────────────────────────────────────────────────────────────────────────────────────────────

    def _restore(self, asked: Mapping[str, Any]) -> None:
        origin = asked["origin"]
        machine = self._machine(asked["resource"], (asked["region"], asked["identifier"]))
        if "snapshot" in origin:
            base = self.snapshots.get((asked["region"], origin["snapshot"]))
            if base is None:
                raise RestoreFailed(f"there are no data of the snapshot {origin['snapshot']} in {asked['region']}")
            shutil.copytree(base, machine.server.data_dir, dirs_exist_ok=True, copy_function=_copy)
            self._recover(machine, {"recovery_target": "immediate"}, [base / "pg_wal"])
        else:
            self._restore_to_time(machine, self.machines[origin["source"]], origin["to"])
        found = self._described(asked["region"], asked["identifier"])
        self._hand_over(machine, found, asked["region"])
        self._tell_address(machine, status=AVAILABLE)
        machine.clock.append((self._now(), datetime.now(UTC)))
        folder = machine.folder / "base-0"
        machine.backups.append(Backup(folder=folder, ended=_base_backup(machine, folder)))

    def _modify(self, asked: Mapping[str, Any]) -> None:
        """Its master gets the password of the secret that RDS keeps since then."""
        machine, name = self.machines.get(asked["resource"]), (asked["region"], asked["identifier"])
        if machine and machine.server.pid:
            self._hand_over(machine, self._described(*name), name[0])
            self._report_if_there(*name, status=AVAILABLE)

    def _restore_to_time(self, machine: Machine, source: Machine, to: str | None) -> None:
        """By the newest base backup that ended before then. A log that ends earlier holds all there was until then."""
        wanted = source.wall(datetime.fromisoformat(to)) if to else None
        usable = [backup for backup in source.backups if wanted is None or backup.ended <= wanted]
        if not usable:
            raise RestoreFailed(f"the oldest backup ended after {to}")
        _carry_away(source)
        target = {"recovery_target_time": wanted.isoformat()} if wanted else {}
        for each in ({**target}, {}):
            shutil.rmtree(machine.server.data_dir, ignore_errors=True)
            shutil.copytree(usable[-1].folder, machine.server.data_dir, copy_function=_copy)
            try:
                self._recover(machine, each, [source.archive, source.log])
                return
            except PostgresFailed as error:
                if TOO_SHORT not in str(error) or not each:
                    raise

    def _recover(self, machine: Machine, target: Mapping[str, str], logs: list[Path]) -> None:
        data = machine.server.data_dir
        (data / "pg_wal").mkdir(exist_ok=True)
        (data / "pg_replslot").mkdir(exist_ok=True)
        (data / "recovery.signal").touch()
        saved = data.parent / "log-to-replay"
        saved.mkdir(exist_ok=True)
        for folder in reversed(logs):  # what was archived is whole, and so takes the place of what lay on the volume
            for segment in folder.iterdir() if folder.is_dir() else ():
                if segment.is_file():
                    shutil.copy(segment, saved / segment.name)
        self._own(data, saved)
        data.chmod(0o700)
        own = dict(machine.server.settings)
        machine.server.settings = {
            **own,
            "restore_command": f"cp {saved}/%f %p",
            "recovery_target_action": "promote",
            **target,
        }
        try:
            machine.server.start()
            _wait_promoted(machine.server)
        finally:
            machine.server.settings = own
        shutil.rmtree(saved)

    def _snapshot(self, asked: Mapping[str, Any]) -> None:
        key = (asked["region"], asked["identifier"])
        if copied := asked["origin"].get("copy_of"):
            self.snapshots[key] = next(folder for (_, name), folder in self.snapshots.items() if name == copied)
        else:
            machine = self.machines.get(asked["resource"])
            if machine is None or machine.lost_at:
                return
            folder = self.folder / f"snapshot-{len(self.snapshots)}"
            _base_backup(machine, folder)
            _carry_away(machine)
            shutil.copytree(machine.archive, folder / "pg_wal", dirs_exist_ok=True, copy_function=_copy)
            self.snapshots[key] = folder
        self.aws.report_rds(SNAPSHOT, *key, status=AVAILABLE)

    def _tell_latest(self, each: Mapping[str, Any], now: datetime) -> None:
        machine = self.machines.get(each["resource"])
        if machine:
            # a volume that is left is carried away to its end; a living one every five minutes
            latest = machine.lost_at or max(now - ARCHIVED_EVERY, machine.clock[0][0])
            self._report_if_there(each["region"], each["identifier"], latest=latest.isoformat())

    # ── parts ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _machine(self, resource: str, name: tuple[str, str]) -> Machine:
        folder = self.folder / resource.lower()
        (folder / "archive").mkdir(parents=True)
        self._own(folder)
        settings = {
            "wal_level": "replica",
            "archive_mode": "on",
            "archive_command": f"cp %p {folder}/archive/.%f && mv {folder}/archive/.%f {folder}/archive/%f",
        }
        server = Postgres(folder / "data", settings=settings)
        machine = Machine(resource=resource, name=name, folder=folder, server=server)
        self.machines[resource] = machine
        return machine

    def _tell_address(self, machine: Machine, **told: Any) -> None:
        """The port belongs to the name, as RDS's addresses do."""
        self.ports[machine.name] = machine.server.port
        self._report_if_there(*machine.name, address=HOST, port=machine.server.port, **told)

    def _report_if_there(self, region: str, identifier: str, **told: Any) -> None:
        """One that was renamed or deleted meanwhile is told of by the next tick, or no more."""
        with suppress(LocalAwsFailed):
            self.aws.report_rds(INSTANCE, region, identifier, **told)

    def _described(self, region: str, identifier: str) -> dict[str, Any]:
        rds = self.aws.client("rds", region=region)
        return dict(rds.describe_db_instances(DBInstanceIdentifier=identifier)["DBInstances"][0])

    def _hand_over(self, machine: Machine, found: Mapping[str, Any], region: str) -> None:
        """Where RDS keeps the master's password in a secret, it is that one; else it stays what it was."""
        if "MasterUserSecret" not in found:
            return
        secrets = self.aws.client("secretsmanager", region=region)
        kept = secrets.get_secret_value(SecretId=found["MasterUserSecret"]["SecretArn"])
        master = json.loads(kept["SecretString"])
        made = hand_over(machine.server, found["DBName"], master["username"], Secret(master["password"]))
        if made.authority and not self.authority.exists():
            shutil.copy(made.authority, self.authority)  # restored ones have the same; this one outlives them

    def _seen(self, kind: str) -> Iterator[dict[str, Any]]:
        return iter([each for each in self.aws.rds() if each["kind"] == kind])

    def _report(self, identifier: str, **told: Any) -> None:
        self.aws.report_rds(INSTANCE, self.aws.region, identifier, **told)

    def _now(self) -> datetime:
        return self.aws.now() or datetime.now(UTC)

    def _own(self, *folders: Path) -> None:
        for folder in folders:
            for path in (folder, *folder.rglob("*")):
                os.chown(path, self.account.uid, self.account.gid, follow_symlinks=False)


def _wait_promoted(server: Postgres) -> None:
    """A server that has recovered answers before it is one that may be written to, and backed up."""
    deadline = time.monotonic() + ARCHIVE_SECONDS
    with store.connect(server.url(), name="rds") as connection:
        while connection.execute("select pg_is_in_recovery()").fetchone() == (True,):
            if time.monotonic() > deadline:
                raise PostgresFailed(f"{server.data_dir} was not promoted within {ARCHIVE_SECONDS} s")
            time.sleep(0.02)


def _base_backup(machine: Machine, folder: Path) -> datetime:
    """A copy of the running server's files, by PostgreSQL's own protocol for it; when it ended."""
    with store.connect(machine.server.url(), name="rds") as connection:
        connection.execute("select pg_backup_start('rds', true)")
        skipped = shutil.ignore_patterns(*NOT_COPIED)
        shutil.copytree(machine.server.data_dir, folder, ignore=skipped, copy_function=_copy)
        row = connection.execute("select labelfile from pg_backup_stop(true)").fetchone()
    assert row
    (folder / "backup_label").write_text(row[0], encoding="utf-8")
    return datetime.now(UTC)


def _carry_away(machine: Machine) -> None:
    """Has a living server archive all it has written; a lost one's last log is read from its volume."""
    if not machine.server.pid:
        return
    with store.connect(machine.server.url(), name="rds") as connection:
        # a commit that is younger than all others, by which a restore to a time knows that it has passed it
        connection.execute("select pg_current_xact_id()")
        row = connection.execute("select pg_walfile_name(pg_switch_wal())").fetchone()
    assert row
    deadline = time.monotonic() + ARCHIVE_SECONDS
    while not (machine.archive / row[0]).exists():
        if time.monotonic() > deadline:
            raise PostgresFailed(f"{row[0]} was not archived within {ARCHIVE_SECONDS} s; see {machine.folder}")
        time.sleep(0.02)


def _copy(source: str, target: str) -> str:
    """A running server removes files while they are copied; the log tells it again."""
    try:
        return str(shutil.copy2(source, target))
    except FileNotFoundError:
        return target

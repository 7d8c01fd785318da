"""The database's passwords are rotated while every service runs on: rehearsed, done, refused, killed and taken up."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pytest

from database_world import ENVIRONMENT, DatabaseWorld
from killer import Killer, at_boundaries, perform_killed
from ops.runbook.rotate_database_password import RUNBOOK as KNOWN
from pipeline import catalog
from pipeline.store import logins
from runbook_world import Ended, RunbookWorld, events, journal

RUNBOOK = "rotate-database-password"
HERE = ("--env", ENVIRONMENT, "--drill")
NOW = (*HERE, "--apply", "--yes", "--confirm", ENVIRONMENT)
ANEW = (*NOW, "--max-age", "0")  # however young the passwords are
RESUME = (*HERE, "--resume", "--confirm", ENVIRONMENT)
SERVICES = [service.name for service in catalog.load()]
WAITS = ("the task ops-pipeline-migrate", "a run of every service with its new login", "the time")
STEPS, ACTS = ([step.name for step in steps] for steps in (KNOWN.steps, KNOWN.acts))


@pytest.fixture(scope="module")
def world(database_world: DatabaseWorld) -> DatabaseWorld:
    return database_world


@dataclass(frozen=True, kw_only=True)
class State:
    """What a rotation changes, and what it must leave alone."""

    addresses: dict[str, str]
    versions: dict[str, int]
    at: datetime

    @property
    def logins(self) -> dict[str, str]:
        return {service: logins.split(address)[0] for service, address in self.addresses.items()}


def state(world: DatabaseWorld) -> State:
    return State(addresses=world.addresses(), versions=world.address_versions(), at=world.at)


def assert_rotated(world: DatabaseWorld, before: State) -> None:
    """Each service has its other login, once; only that one opens; no run failed and no lock is left."""
    after = state(world)
    assert set(after.logins.items()).isdisjoint(before.logins.items())
    assert after.versions == {service: number + 1 for service, number in before.versions.items()}
    assert {service for service in SERVICES if not world.opens(service, after.addresses[service])} == set()
    assert {service for service in SERVICES if world.opens(service, before.addresses[service])} == set()
    assert world.failed_since(before.at) == []
    assert world.lock["held"] is False


# ── rehearsed and done ───────────────────────────────────────────────────────────────────────────────────────────────


def test_a_rehearsal_says_what_it_would_do_and_touches_nothing(world: DatabaseWorld, tmp_path: Path) -> None:
    before = world.touched()
    ended = world.perform(RUNBOOK, *HERE, "--max-age", "0", folder=tmp_path)
    assert ended.code == 3, ended.output
    assert world.touched() == before
    assert {ended.state(name) for name in ACTS} == {"to do"}
    assert f"asks for '{ENVIRONMENT}' to be typed first" in ended.output
    assert f"Next: runbooks/{RUNBOOK} --env {ENVIRONMENT} --drill --max-age 0 --apply" in ended.output
    assert not journal(tmp_path).exists()


@dataclass(frozen=True, kw_only=True)
class Rotation:
    """One that was done from scratch: what was before, how it ended, where its journal lies."""

    before: State
    ended: Ended
    second: Ended
    folder: Path


@pytest.fixture(scope="module")
def rotated(world: DatabaseWorld, tmp_path_factory: pytest.TempPathFactory) -> Rotation:
    """A whole rotation, while which a second one is tried."""
    folder, before = tmp_path_factory.mktemp("rotation"), state(world)
    first = world.start(RUNBOOK, *ANEW, folder=folder)
    world.until_waiting(first, "a run of every service")
    second = world.perform(RUNBOOK, *ANEW, folder=folder / "second")
    return Rotation(before=before, ended=world.follow(first), second=second, folder=folder)


def test_every_service_has_its_other_login_and_no_run_failed(world: DatabaseWorld, rotated: Rotation) -> None:
    assert rotated.ended.code == 0, rotated.ended.output
    assert_rotated(world, rotated.before)
    assert rotated.ended.report["measures"]["runs failed meanwhile"] == 0


def test_two_at_once_the_second_is_told_who_is_at_work_since_when(rotated: Rotation) -> None:
    assert rotated.second.code == 4, rotated.second.output
    assert f"with {RUNBOOK} (pid " in rotated.second.report["why"]
    assert " since 20" in rotated.second.report["why"]


def test_what_it_writes_and_prints_holds_no_password(world: DatabaseWorld, rotated: Rotation) -> None:
    written = journal(rotated.folder)
    assert written.stat().st_mode & 0o777 == 0o600
    copied = world.client("s3").get_object(Bucket=world.records, Key=f"runbooks/journals/{written.name}")
    assert copied["Body"].read() == written.read_bytes()
    told = written.read_text() + rotated.ended.output + json.dumps(dict(rotated.ended.report))
    known = world.address_history()
    assert len(known) > 2 * len(SERVICES)  # Terraform's, migration's, ours
    assert [address for address in known if address in told or _password(address) in told] == []


def _password(address: str) -> str:
    return address.partition("@")[0].rpartition(":")[2] if "@" in address else "no password at all"


def test_a_second_run_has_nothing_to_do(world: DatabaseWorld, rotated: Rotation, tmp_path: Path) -> None:
    before = world.touched()
    ended = world.perform(RUNBOOK, *NOW, folder=tmp_path)
    assert ended.code == 0, ended.output
    assert "Nothing to do" in ended.output
    assert world.touched() == before
    assert not journal(tmp_path).exists()


# ── killed and taken up ──────────────────────────────────────────────────────────────────────────────────────────────


def in_tasks_and_at_boundaries(call: str, when: str, written: Path) -> str:
    """Before and after each call that starts the account's task, and whenever a step is over."""
    if call.startswith("RunTask"):
        (*_, act) = (each["step"] for each in events(written.parent) if each["event"] == "act")
        return f"{when} RunTask in {act}"
    return at_boundaries(call, when, written)


def test_killed_anywhere_and_taken_up_it_ends_as_if_nothing_had_been(world: DatabaseWorld, tmp_path: Path) -> None:
    before, killer = state(world), Killer(tmp_path, in_tasks_and_at_boundaries, in_waits=True)
    ended = perform_killed(world, RUNBOOK, killer, first=ANEW, again=RESUME)
    assert ended.code == 0, ended.output
    assert_rotated(world, before)
    assert [each["event"] for each in events(tmp_path)].count("finished") == 1
    assert killer.over(STEPS[-1]) >= set(STEPS)
    renew, _, close = ACTS
    assert {f"{when} RunTask in {step}" for when in ("before", "after") for step in (renew, close)} <= {*killer.killed}
    waits = {label for label in killer.killed if label.startswith("waiting for")}
    assert waits == {f"waiting for {what}" for what in WAITS}


# ── refused ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def refused(world: RunbookWorld, folder: Path, *arguments: str) -> str:
    """Why; with nothing of the account changed."""
    before = world.aws.changes()
    ended = world.perform(RUNBOOK, *(arguments or ANEW), folder=folder)
    assert ended.code == 4, ended.output
    assert world.aws.changes() == before
    return " ".join(str(ended.report["why"]).split())


@contextmanager
def renamed(world: DatabaseWorld) -> Iterator[None]:
    """The instance has another name meanwhile."""
    names = ("ops-pipeline", "ops-pipeline-elsewhere")
    rename(world, *names)
    try:
        yield
    finally:
        rename(world, *reversed(names))


def rename(world: DatabaseWorld, old: str, new: str) -> None:
    """Plays minutes until the new name is taken."""
    rds = world.client("rds")
    rds.modify_db_instance(DBInstanceIdentifier=old, NewDBInstanceIdentifier=new, ApplyImmediately=True)
    for _ in range(10):
        (found,) = rds.describe_db_instances()["DBInstances"]
        if (found["DBInstanceIdentifier"], found["DBInstanceStatus"]) == (new, "available"):
            return
        world.minute(alarms=False)
    raise AssertionError(f"{old} was not renamed to {new} in time")


def test_an_environment_without_a_database_of_its_own(world: DatabaseWorld, rotated: Rotation, tmp_path: Path) -> None:
    with renamed(world):
        assert "has no database instance ops-pipeline" in refused(world, tmp_path)
        # nor is it said that there is nothing to do where all addresses are young
        assert "has no database instance ops-pipeline" in refused(world, tmp_path, *NOW)


def test_an_environment_without_the_task_that_does_it(world: DatabaseWorld, tmp_path: Path) -> None:
    ecs, family = world.client("ecs"), "ops-pipeline-migrate"
    found = ecs.describe_task_definition(taskDefinition=family)["taskDefinition"]
    ecs.deregister_task_definition(taskDefinition=found["taskDefinitionArn"])
    try:
        assert f"make plan apply ENV={ENVIRONMENT} makes it" in refused(world, tmp_path)
    finally:
        ecs.register_task_definition(**{key: found[key] for key in FIELDS if key in found})


FIELDS = (
    *("family", "taskRoleArn", "executionRoleArn", "networkMode", "requiresCompatibilities", "cpu", "memory"),
    *("runtimePlatform", "containerDefinitions"),
)


def test_what_is_wrong_already_comes_first(world: DatabaseWorld, tmp_path: Path) -> None:
    key, secret = (str(world.parameter(name)) for name in ("alpaca_key_id", "alpaca_secret_key"))
    world.exchange.keys.revoke(key)
    try:
        why = refused(world, tmp_path)
    finally:
        world.exchange.keys.issue(key, secret)
    assert "key_rejected" in why
    assert "--anyway" in why


def test_an_address_that_was_never_given(world: DatabaseWorld, tmp_path: Path) -> None:
    kept = world.addresses()[SERVICES[0]]
    world.put_parameter(f"database_url/{SERVICES[0]}", "unset")
    try:
        assert f"no address is stored for {SERVICES[0]}" in refused(world, tmp_path, *ANEW, "--anyway")
    finally:
        world.put_parameter(f"database_url/{SERVICES[0]}", kept)


def test_another_name_than_the_environments(world: DatabaseWorld, tmp_path: Path) -> None:
    assert "which of them is meant" in refused(world, tmp_path, *HERE, "--apply", "--yes", "--confirm", "production")


@pytest.mark.parametrize("hours", ["soon", "-1", "nan", "1e9"])
def test_an_age_that_is_none_is_a_matter_of_usage(world: DatabaseWorld, tmp_path: Path, hours: str) -> None:
    before = world.aws.changes()
    ended = world.perform(RUNBOOK, *NOW, "--max-age", hours, folder=tmp_path)
    assert ended.code == 2, ended.output
    assert "--max-age" in ended.output
    assert world.aws.changes() == before


def test_where_nobody_confirms_the_point_of_no_return_both_logins_stay(world: DatabaseWorld, tmp_path: Path) -> None:
    before = state(world)
    ended = world.perform(RUNBOOK, *HERE, "--apply", "--yes", "--max-age", "0", folder=tmp_path)
    assert ended.code == 3, ended.output
    assert "POINT OF NO RETURN" in ended.output
    assert f"--confirm {ENVIRONMENT} answers in advance" in ended.report["why"]
    assert all(world.opens(service, before.addresses[service]) for service in SERVICES)
    mistyped = world.perform(RUNBOOK, *HERE, "--resume", folder=tmp_path, stdin="papre\n")
    assert mistyped.code == 3, mistyped.output
    ended = world.perform(RUNBOOK, *RESUME, folder=tmp_path)
    assert ended.code == 0, ended.output
    assert_rotated(world, before)


# ── failed ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_where_the_task_fails_nobody_loses_a_login_and_it_is_said_so(world: DatabaseWorld, tmp_path: Path) -> None:
    before, odd = state(world), SERVICES[3]
    (other,) = {f"{odd}_a", f"{odd}_b"} - {before.logins[odd]}
    with world.database.connect() as connection:
        connection.execute(f"drop role if exists {other}".encode())
        connection.execute(f"create role {other} createdb".encode())
    ended = world.perform(RUNBOOK, *ANEW, folder=tmp_path)
    assert ended.code == 1, ended.output
    assert f"login {other} was given createdb" in ended.report["why"]
    assert "No service has lost a login" in ended.report["why"]
    moved = {service for service, login in state(world).logins.items() if login != before.logins[service]}
    assert moved == set(SERVICES[:3])
    assert all(world.opens(service, address) for service, address in before.addresses.items())
    with world.database.connect() as connection:
        connection.execute(f"drop role {other}".encode())
    ended = world.perform(RUNBOOK, *RESUME, folder=tmp_path)
    assert ended.code == 0, ended.output
    assert_rotated(world, before)


def test_a_service_that_is_refused_already_is_left_alone_and_named(world: DatabaseWorld, tmp_path: Path) -> None:
    before, odd = state(world), SERVICES[-1]
    with world.database.connect() as connection:
        connection.execute(f"alter role {before.logins[odd]} password 'another'".encode())
    ended = world.perform(RUNBOOK, *ANEW, folder=tmp_path)
    assert ended.code == 1, ended.output
    assert f"{odd}: {before.logins[odd]} does not open with the stored password" in ended.output
    assert state(world).logins[odd] == before.logins[odd]

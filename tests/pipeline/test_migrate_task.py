"""The task that migrates an account's database, against a PostgreSQL as RDS hands one over and a parameter store."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import sql

from ops.local.aws import LocalAws
from ops.local.postgres import SUPERUSER, Postgres
from ops.local.postgres_account import AccountDatabase, hand_over
from pipeline import catalog, migrate, rotation, store
from pipeline.catalog import Service
from pipeline.errors import DatabaseUnreachable
from pipeline.migrate import DONE, FAILED, WORK_REMAINS, Addresses
from pipeline.settings import Secret
from pipeline.store import logins

Act = Callable[..., int]
AT_ONCE, LATER = timedelta(), timedelta(minutes=30)
MASTER, MASTER_PASSWORD = "pipeline_admin", "the/master's:own@password"
SERVICES = list(catalog.load())
ONE = SERVICES[0]
REPOSITORY = Path(__file__).resolve().parents[2]


@dataclass(kw_only=True)
class World:
    """An account with its database handed over and its parameters as Terraform makes them."""

    database: AccountDatabase
    aws: LocalAws
    key: str
    said: list[str] = field(default_factory=list)

    @property
    def tls(self) -> bool:
        """Whether this machine's PostgreSQL knows TLS; the wheel's does not."""
        return self.database.authority is not None

    @property
    def environment(self) -> dict[str, str]:
        return {
            **self.database.environment,
            "MASTER_USERNAME": MASTER,
            "MASTER_PASSWORD": MASTER_PASSWORD,
            "SECRETS_KEY": self.key,
        }

    @cached_property
    def addresses(self) -> Addresses:
        return Addresses(ssm=self.aws.client("ssm"), project="ops-pipeline", key=self.key)

    def run(self, *, check: bool = False, say: Callable[[str], None] | None = None) -> int:
        self.said.clear()
        account = migrate.read(self.environment)
        return migrate.prepare(account, self.addresses, catalog.load(), say or self.said.append, check=check)

    def rotate(self, act: Act, after: timedelta) -> int:
        """Renews or closes logins, so long after now."""
        self.said.clear()
        account = migrate.read(self.environment)
        return act(account, self.addresses, catalog.load(), self.said.append, datetime.now(UTC) + after)

    def opens(self, address: str, service: Service = ONE) -> bool:
        """Whether the service gets in with it."""
        try:
            store.connect(address, role=service.name).close()
        except DatabaseUnreachable:
            return False
        return True

    @property
    def master(self) -> str:
        """The master's address."""
        return migrate.read(self.environment).master.reveal()

    def stored(self, service: Service = ONE) -> str:
        return self.addresses.find(service) or ""

    def all_stored(self) -> dict[str, str]:
        return {service.name: self.stored(service) for service in SERVICES}

    def as_superuser(self, statement: str, *names: str) -> list[tuple[object, ...]]:
        return self._execute(self.database.server.url(self.database.name), statement, names)

    def as_master(self, statement: str, *names: str) -> list[tuple[object, ...]]:
        return self._execute(self.master, statement, names)

    def _execute(self, url: str, statement: str, names: tuple[str, ...]) -> list[tuple[object, ...]]:
        with psycopg.connect(url, autocommit=True) as connection:
            done = connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))
            return done.fetchall() if done.description else []


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with Postgres(durable=False) as started:
        yield started


@pytest.fixture(scope="module")
def aws() -> Iterator[LocalAws]:
    with LocalAws(None) as started:
        yield started


@pytest.fixture
def world(server: Postgres, aws: LocalAws, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    database = hand_over(server, "pipeline", MASTER, Secret(MASTER_PASSWORD))
    if database.authority:
        monkeypatch.setenv("PGSSLROOTCERT", str(database.authority))
    made = World(database=database, aws=aws, key=aws.client("kms").create_key()["KeyMetadata"]["Arn"])
    for service in SERVICES:
        made.addresses.ssm.put_parameter(
            Name=made.addresses.name(service), Value="unset", Type="SecureString", KeyId=made.key, Overwrite=True
        )
    yield made
    server.drop_database(database.name)
    for (role,) in roles(server):
        server.execute(sql.SQL("drop role {}").format(sql.Identifier(role)))


def roles(server: Postgres) -> list[tuple[str]]:
    """Roles that were made here, members before what they are members of, the master last."""
    with psycopg.connect(server.url()) as connection:
        return connection.execute(
            "select rolname from pg_roles where rolname !~ '^pg_' and rolname <> %s"
            " order by rolname = %s, rolname !~ '_[ab]$'",
            (SUPERUSER, MASTER),
        ).fetchall()


def test_the_first_run_makes_schema_grants_and_a_login_a_service(world: World) -> None:
    assert world.run() == DONE
    assert [line for line in world.said if line.startswith("applied: ")]
    for service in SERVICES:
        with store.connect(world.stored(service), role=service.name) as connection:
            row = connection.execute("select session_user, current_user").fetchone()
            assert (row, connection.pgconn.ssl_in_use) == ((f"{service.name}_a", service.name), world.tls)


def test_what_is_stored_names_the_server_and_holds_it_to_its_certificate(world: World) -> None:
    world.run()
    assert logins.split(world.stored()) == (f"{ONE.name}_a", world.database.address)
    assert world.stored().endswith(f"/pipeline?sslmode={'verify-full' if world.tls else 'disable'}")
    told = world.addresses.ssm.describe_parameters(Filters=[{"Key": "Name", "Values": [world.addresses.name(ONE)]}])
    assert (told["Parameters"][0]["Type"], told["Parameters"][0]["KeyId"]) == ("SecureString", world.key)


def test_a_second_run_finds_nothing_to_do(world: World) -> None:
    world.run()
    before = world.all_stored()
    versions = "select xmin::text, rolname from pg_authid"
    roles_before = sorted(world.as_superuser(versions))
    assert world.run() == DONE
    assert world.said == [f"{service.name}: its login works" for service in SERVICES] + [
        "database and logins are as they should be"
    ]
    assert world.all_stored() == before
    assert sorted(world.as_superuser(versions)) == roles_before


# What may be wrong with a service's login or address: what is said of it, and how it comes about.
Break = Callable[[World, Service], object]
BROKEN: tuple[tuple[str, Break], ...] = (
    (
        "does not open with the stored password",
        lambda w, s: w.as_master("alter role {} password 'another'", f"{s.name}_a"),
    ),
    ("there is no login", lambda w, s: w.as_master("drop role {}", f"{s.name}_a")),
    ("may not connect", lambda w, s: w.as_master("alter role {} nologin", f"{s.name}_a")),
    ("may not connect", lambda w, s: w.as_master("alter role {} valid until '2020-01-01'", f"{s.name}_a")),
    ("is a member of nothing", lambda w, s: w.as_master("revoke {} from {}", s.name, f"{s.name}_a")),
    ("instead of", lambda w, s: w.as_master("grant {} to {}", SERVICES[-1].name, f"{s.name}_a")),
    ("no address is stored", lambda w, s: w.addresses.put(s, Secret("unset"))),
    ("no address is stored", lambda w, s: w.addresses.put(s, Secret("postgresql://[half-an-address"))),
    ("which is not its own", lambda w, s: w.addresses.put(s, Secret(w.stored(SERVICES[-1])))),
    (
        "leads to another database",
        lambda w, s: w.addresses.put(s, Secret(w.stored(s).replace("/pipeline?", "/elsewhere?"))),
    ),
)


@pytest.mark.parametrize("broken", [BROKEN[:5], BROKEN[5:]], ids=["logins", "addresses"])
def test_what_does_not_work_is_healed_and_the_rest_left_alone(
    world: World, broken: tuple[tuple[str, Break], ...]
) -> None:
    world.run()
    before = world.all_stored()
    cases = list(zip(SERVICES, broken, strict=False))
    for service, (_, happen) in cases:
        happen(world, service)
    assert world.run(check=True) == WORK_REMAINS
    assert world.run() == DONE
    told = {line.split(":")[0]: line for line in world.said if ": " in line}
    for service, (reason, _) in cases:
        assert reason in told[service.name]
        assert f"gave {service.name}_a a new password" in told[service.name]
        with store.connect(world.stored(service), role=service.name) as connection:
            assert connection.execute("select session_user").fetchone() == (f"{service.name}_a",)
    for service in SERVICES[len(cases) :]:
        assert world.stored(service) == before[service.name]
    assert world.run(check=True) == DONE


def test_a_service_that_was_rotated_to_its_other_login_keeps_it(world: World) -> None:
    world.run()
    with store.connect(world.master, name="test") as connection:
        other = logins.renew(connection, world.database.address, ONE, f"{ONE.name}_b")
    world.addresses.put(ONE, other)
    assert world.run() == DONE
    assert world.stored() == other.reveal()


def test_a_login_reaches_the_tables_of_its_service_and_no_other(world: World) -> None:
    world.run()
    tables = {table for service in SERVICES for table in service.writes}
    for service in SERVICES:
        foreign = tables - set(service.reads) - set(service.writes) - set(service.claims)
        with psycopg.connect(world.stored(service), autocommit=True) as connection:
            for table in sorted(foreign):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    connection.execute(sql.SQL("select 1 from {} limit 1").format(sql.Identifier(table)))
            for other in SERVICES:
                if other is not service:
                    with pytest.raises(psycopg.errors.InsufficientPrivilege):
                        connection.execute(sql.SQL("set role {}").format(sql.Identifier(other.name)))


def test_a_login_that_was_given_powers_is_not_made_use_of(world: World) -> None:
    world.run()
    world.as_superuser("alter role {} superuser", f"{ONE.name}_a")
    with pytest.raises(logins.LoginUnsafe, match=f"{ONE.name}_a was given superuser"):
        world.run()


def test_a_parameter_that_is_missing_is_said_and_the_others_are_done(world: World) -> None:
    world.addresses.ssm.delete_parameter(Name=world.addresses.name(ONE))
    assert world.run() == WORK_REMAINS
    assert (
        f"{ONE.name}: there is no parameter /ops-pipeline/database_url/{ONE.name}; make plan apply makes it"
        in world.said
    )
    assert all(world.stored(service).startswith("postgresql://") for service in SERVICES[1:])


def test_a_check_changes_nothing(world: World) -> None:
    assert world.run(check=True) == WORK_REMAINS
    assert world.as_superuser("select 1 from pg_tables where schemaname = 'public'") == []
    assert set(world.all_stored().values()) == {"unset"}


def test_no_password_is_in_the_servers_log_or_in_what_is_said(world: World) -> None:
    world.run()
    world.as_superuser("alter role {} password 'seen-by-the-log'", f"{ONE.name}_a")
    world.run()
    log = (world.database.server.data_dir / "server.log").read_text()
    assert "seen-by-the-log" in log  # statements are logged
    for address in world.all_stored().values():
        password = address.split(":")[2].split("@")[0]
        assert len(password) > 40
        assert password not in log
        assert password not in "\n".join(world.said)


def test_a_server_that_none_of_the_authorities_vouches_for_gets_no_password(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without PGSSLROOTCERT the image's own authorities count, RDS's, and this server is not theirs."""
    if not world.tls:
        pytest.skip("this build of PostgreSQL knows no TLS; the system's packages have one that does")
    world.run()
    monkeypatch.delenv("PGSSLROOTCERT")
    with pytest.raises(DatabaseUnreachable, match="certificate verify failed"):
        store.connect(world.stored())
    with pytest.raises(DatabaseUnreachable, match="certificate verify failed"):
        world.run()


def test_two_at_once_are_one_after_the_other(world: World) -> None:
    codes: list[int] = []
    said: list[list[str]] = [[], []]
    threads = [threading.Thread(target=lambda lines=lines: codes.append(world.run(say=lines.append))) for lines in said]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert codes == [DONE, DONE]
    assert sorted(sum("new password" in line for line in lines) for lines in said) == [0, len(SERVICES)]
    assert world.run(check=True) == DONE


def start(world: World, *arguments: str) -> subprocess.Popen[str]:
    """The task itself, as its container runs it."""
    folders = os.pathsep.join(str(REPOSITORY / folder) for folder in ("images/base", "images"))
    environment = {**world.aws.environment(os.environ), **world.environment, "PYTHONPATH": folders}
    command = [sys.executable, "-m", "pipeline.migrate", *arguments]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("moment", ["applied: 0003", f"{ONE.name}: ", f"{SERVICES[4].name}: "])
def test_one_that_was_killed_is_finished_by_the_next(world: World, moment: str) -> None:
    process = start(world)
    assert process.stdout
    for line in process.stdout:
        if line.startswith(moment):
            process.send_signal(signal.SIGKILL)
            break
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert world.run() == DONE
    assert world.run(check=True) == DONE


def test_one_that_dies_between_password_and_parameter_is_finished_by_the_next(world: World) -> None:
    """The new password is committed, the parameter still has the old one: the worst moment there is."""
    world.run()
    with store.connect(world.master, name="test") as connection:
        logins.renew(connection, world.database.address, ONE, f"{ONE.name}_a")
    assert world.run() == DONE
    assert sum("new password" in line for line in world.said) == 1
    assert world.run(check=True) == DONE


def test_the_lock_of_one_that_was_killed_is_free(world: World) -> None:
    with store.connect(world.master, name="test") as connection:
        connection.execute("select pg_advisory_lock(%s)", (migrate.LOCK,))
        waiting = start(world)
        assert waiting.stdout
        assert waiting.stdout.readline() == "another migration is at work; waiting for it\n"
        time.sleep(0.1)
        assert waiting.poll() is None
    out, _ = waiting.communicate(timeout=60)
    assert (waiting.returncode, out.splitlines()[-1]) == (DONE, "database and logins are as they should be")


def test_the_command_ends_with_its_code_and_one_line(world: World) -> None:
    checked = start(world, "--check")
    out, err = checked.communicate(timeout=60)
    assert (checked.returncode, out.splitlines()[-1], err) == (WORK_REMAINS, "work remains", "")
    confused = start(world, "--chek")
    _, err = confused.communicate(timeout=60)
    assert (confused.returncode, err) == (FAILED, "migrate: ConfigInvalid: unknown argument --chek; there is --check\n")


def test_a_wrong_master_password_is_told_without_the_password(world: World) -> None:
    world.as_superuser("alter role {} password 'rotated'", MASTER)
    process = start(world)
    _, err = process.communicate(timeout=60)
    assert process.returncode == FAILED
    assert "password authentication failed" in err
    assert MASTER_PASSWORD not in err


def test_a_task_without_its_environment_names_what_is_missing() -> None:
    assert migrate.run({"DATABASE_ADDRESS": "postgresql://host:5432/pipeline"}) == FAILED


def test_the_image_that_runs_it_carries_the_sdk() -> None:
    """terraform/migration.tf takes the image of the service that writes findings."""
    (watcher,) = [service.name for service in SERVICES if "findings" in service.writes]
    assert "boto3" in (REPOSITORY / "images" / watcher / "requirements.in").read_text().split()


# ── rotation ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_rotation_moves_every_service_and_both_logins_work_until_the_first_is_closed(world: World) -> None:
    world.run()
    before = world.all_stored()
    assert world.rotate(rotation.renew, LATER) == DONE
    after = world.all_stored()
    for service in SERVICES:
        assert logins.split(after[service.name])[0] == f"{service.name}_b"
        assert world.opens(before[service.name], service)
        assert world.opens(after[service.name], service)
    assert world.rotate(rotation.close, AT_ONCE) == WORK_REMAINS
    assert all(world.opens(before[service.name], service) for service in SERVICES)
    assert world.rotate(rotation.close, LATER) == DONE
    for service in SERVICES:
        assert not world.opens(before[service.name], service)
        assert world.opens(after[service.name], service)
    assert world.run() == DONE
    assert world.all_stored() == after


def test_who_was_moved_just_now_is_not_moved_back(world: World) -> None:
    """A rotation that was killed is begun again, and must not take the login of a run that is under way."""
    world.run()
    world.rotate(rotation.renew, LATER)
    after = world.all_stored()
    assert world.rotate(rotation.renew, AT_ONCE) == DONE
    assert world.all_stored() == after
    assert sum("may be in use until" in line for line in world.said) == len(SERVICES)


def test_the_next_rotation_takes_the_login_that_was_closed(world: World) -> None:
    world.run()
    first = world.stored()
    world.rotate(rotation.renew, LATER)
    world.rotate(rotation.close, LATER)
    assert world.rotate(rotation.renew, LATER) == DONE
    login, _ = logins.split(world.stored())
    assert login == f"{ONE.name}_a"
    assert world.stored() != first
    assert world.opens(world.stored())
    assert not world.opens(first)


@pytest.mark.parametrize("act", [rotation.renew, rotation.close], ids=["renew", "close"])
def test_where_the_stored_login_does_not_work_the_other_is_left_alone(world: World, act: Act) -> None:
    world.run()
    first = world.stored()
    world.rotate(rotation.renew, LATER)
    before = world.stored()
    world.as_master("alter role {} nologin", f"{ONE.name}_b")
    assert world.rotate(act, LATER) == WORK_REMAINS
    assert f"{ONE.name}: {ONE.name}_b may not connect; first let scripts/migrate heal that" in world.said
    assert world.stored() == before
    assert world.opens(first)


def test_a_rotation_that_dies_between_password_and_parameter_is_finished_by_the_next(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.run()
    before = world.all_stored()
    with monkeypatch.context() as dying, pytest.raises(KeyboardInterrupt):
        dying.setattr(Addresses, "put", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        world.rotate(rotation.renew, LATER)
    assert world.all_stored() == before
    assert all(world.opens(before[service.name], service) for service in SERVICES)
    assert world.rotate(rotation.renew, LATER) == DONE
    assert all(world.opens(world.stored(service), service) for service in SERVICES)


def test_no_password_of_a_rotation_is_said_or_in_the_servers_log(world: World) -> None:
    world.run()
    world.rotate(rotation.renew, LATER)
    said, passwords = "\n".join(world.said), [_password(address) for address in world.all_stored().values()]
    log = (world.database.server.data_dir / "server.log").read_text()
    assert not [password for password in passwords if password in said or password in log]


def test_a_rotation_wants_to_be_told_which_half_of_it(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert rotation.run(world.environment, []) == FAILED
    assert "say one of --renew, --close" in capsys.readouterr().err


def _password(address: str) -> str:
    return str(urlsplit(address).password)

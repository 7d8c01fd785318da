"""Every image, built for real: it starts, runs its service once as in production, and holds nothing unneeded."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import built_images
from built_images import Images
from ingest_world import at, session_market
from ops import images_build, images_lock, images_push, images_sbom
from ops.local.aws import LocalAws
from ops.local.exchange import Exchange
from ops.local.feeds import FeedServer, NewsItem
from ops.local.postgres import Database, Postgres
from pipeline import catalog
from service_runs import SECRETS, Record, find_record, service_environment

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "bench-results" / "images.json"
SERVICES = [service.name for service in catalog.load()]
WATCHER = next(service.name for service in catalog.load() if service.kind == "lambda")
NOW = at(200)
SYMBOLS = ("AAPL", "MSFT")


@pytest.fixture(scope="module")
def images() -> Images:
    return built_images.build()


@pytest.fixture(scope="module")
def database(postgres_server: Postgres, database_template: str) -> Iterator[Database]:
    """One for all: each service finds what the ones before it stored."""
    made = postgres_server.create_database("built_images", template=database_template)
    yield made
    made.drop()


@pytest.fixture(scope="module")
def exchange() -> Iterator[Exchange]:
    with Exchange(session_market(SYMBOLS), rate_limit=None) as served:
        served.set_now(NOW)
        yield served


@pytest.fixture(scope="module")
def feeds() -> Iterator[FeedServer]:
    items = [
        NewsItem(
            published_at=at(190), title=f"Apple beats profit forecasts, record quarter {i}", summary="", link=f"n{i}"
        )
        for i in range(3)
    ]
    with FeedServer(items, lambda: NOW) as served:
        yield served


@dataclass(frozen=True, kw_only=True)
class Ran:
    exit_code: int
    output: str
    seconds: float
    record: Record | None


@pytest.fixture(scope="module")
def environments(database: Database, exchange: Exchange, feeds: FeedServer) -> dict[str, dict[str, str]]:
    """What each service is started with."""
    there = {
        "TICKERS": ",".join(SYMBOLS),
        "RSS_FEEDS": json.dumps([feeds.url()]),
        "ALPACA_DATA_URL": exchange.url,
        "ALPACA_KEY_ID": exchange.key_id,
        "ALPACA_SECRET_KEY": exchange.secret_key,
    }
    given = {name: service_environment(name, database, now=NOW.isoformat()) for name in SERVICES}
    return {
        name: built_images.without_path(
            {k: there.get(k, v) for k, v in env.items()} | {"ALPACA_DATA_URL": exchange.url}
        )
        for name, env in given.items()
    }


@pytest.fixture(scope="module")
def runs(images: Images, database: Database, environments: dict[str, dict[str, str]]) -> dict[str, Ran]:
    """Every service once, in the order in which a row meets them."""
    return {name: _run(images, name, environments[name], database) for name in SERVICES}


@pytest.fixture(scope="module")
def probes(images: Images) -> dict[str, Any]:
    """What each image tells of itself from within."""
    return {name: images.probe(name) for name in SERVICES}


def _run(images: Images, name: str, environment: dict[str, str], database: Database) -> Ran:
    begin = time.monotonic()
    # the watcher's image serves Lambda unless told to run
    arguments = (name,) if name == WATCHER else ()
    ended = images.run(name, *arguments, **environment)
    return Ran(
        exit_code=ended.returncode,
        output=ended.stdout + ended.stderr,
        seconds=round(time.monotonic() - begin, 2),
        record=find_record(database, name, environment["EXECUTION_ID"]),
    )


def test_all_images_are_built_and_say_what_they_are(images: Images) -> None:
    assert list(images.built) == ["base", *SERVICES]
    for name, built in images.built.items():
        labels = built.image.labels
        assert labels["org.opencontainers.image.title"] == f"ops-pipeline/{name}"
        assert labels["org.opencontainers.image.revision"] == built.source.git_sha
        assert labels["org.opencontainers.image.created"] == datetime.fromtimestamp(built.source.epoch, UTC).isoformat()
        assert labels["org.opencontainers.image.source"]


def test_a_second_build_of_the_same_files_takes_seconds_and_builds_nothing(images: Images) -> None:
    begin = time.monotonic()
    again = images_build.build_all(images.engine, SERVICES)
    assert time.monotonic() - begin < 15
    assert [each.seconds for each in again.values()] == [None] * len(again)
    assert {name: each.image.id for name, each in again.items()} == {
        name: each.image.id for name, each in images.built.items()
    }


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_runs_once_from_its_image_and_is_recorded(runs: dict[str, Ran], images: Images, name: str) -> None:
    ran = runs[name]
    assert ran.exit_code == 0, ran.output
    assert ran.record is not None
    assert ran.record.outcome in ("OK", "NO_INPUT"), ran.output
    assert f'"service": "{name}"' in ran.output.replace('":"', '": "')


def test_the_run_record_tells_the_commit_that_the_image_was_built_from(
    runs: dict[str, Ran], images: Images, database: Database
) -> None:
    with database.connect() as connection:
        told = dict(connection.execute("select service, git_sha from task_runs").fetchall())
    assert told == {name: images.built[name].source.git_sha for name in SERVICES}


def test_rows_come_through_from_image_to_image(runs: dict[str, Ran]) -> None:
    rows = {name: ran.record.rows_out for name, ran in runs.items() if ran.record}
    assert all(rows[name] > 0 for name in SERVICES[:4]), rows


@pytest.mark.parametrize("name", SERVICES)
def test_an_image_is_confined_compiled_and_holds_only_what_is_locked(probes: dict[str, Any], name: str) -> None:
    found = probes[name]
    assert found["uid"] == 10001
    assert found["writable"] == []
    assert found["uncompiled"] == []
    assert found["modules"] > 50
    locked = [
        line
        for image in ("base", name)
        for line in (ROOT / "images" / image / "requirements.txt").read_text().splitlines()
    ]
    assert set(map(built_images.normal, found["packages"])) - {"pip"} == built_images.locked_packages(locked)


def test_size_and_start_of_every_image_are_recorded(
    images: Images, runs: dict[str, Ran], probes: dict[str, Any]
) -> None:
    rows = {}
    for name, found in probes.items():
        rows[name] = {
            "megabytes": round(images.built[name].image.size / 1e6),
            "load_seconds": found["load_seconds"],
            "start_seconds": found["container_seconds"],
            "run_seconds": runs[name].seconds,
        }
        print(name, rows[name])
    document = {
        "engine": str(images.engine),
        "prepare_seconds": images.prepare_seconds,
        "build_seconds": images.build_seconds,
        "images": rows,
    }
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    assert all(0 < row["megabytes"] < 400 for row in rows.values()), rows


@pytest.fixture(scope="module")
def aws() -> Iterator[LocalAws]:
    with LocalAws(None) as started:
        yield started


def test_the_watchers_image_serves_lambda(
    images: Images, runs: dict[str, Ran], aws: LocalAws, database: Database, environments: dict[str, dict[str, str]]
) -> None:
    """Twice in one process, as Lambda does: a run with parameters from the store, and one that fails."""
    environment = {
        k: v for k, v in environments[WATCHER].items() if k not in ("TICKERS", "DATABASE_URL", "EXECUTION_ID")
    }
    names = {"TICKERS": "/ops-pipeline/tickers", "DATABASE_URL": f"/ops-pipeline/database_url/{WATCHER}"}
    ssm = aws.client("ssm")
    ssm.put_parameter(Name=names["TICKERS"], Value=",".join(SYMBOLS), Type="String")
    ssm.put_parameter(Name=names["DATABASE_URL"], Value=database.url, Type="SecureString")
    environment |= {"PARAMETERS": json.dumps(names), "VIRTUAL_NOW": at(205).isoformat()} | aws.environment({})
    with (
        built_images.lambda_runtime() as runtime,
        built_images.running(images, WATCHER, **environment, AWS_LAMBDA_RUNTIME_API=runtime.address),
    ):
        fired = {"EXECUTION_ID": "by-lambda", "SCHEDULED_TIME": at(205).isoformat(), "SCHEDULE_ARN": "arn:of:schedule"}
        assert runtime.invoke(fired) == ("response", {"outcome": "OK"})
        kind, error = runtime.invoke({"EXECUTION_ID": "unreadable", "SCHEDULED_TIME": "half past nine"})
    assert (kind, error["errorType"]) == ("error", "RunFailed")
    record = find_record(database, WATCHER, "by-lambda")
    assert record is not None and record.outcome == "OK"


def test_a_pushed_image_has_the_digest_that_the_registry_tells_and_is_pushed_once(
    images: Images, aws: LocalAws, tmp_path: Path
) -> None:
    ecr = aws.client("ecr")
    name = f"ops-pipeline/{WATCHER}"
    ecr.create_repository(repositoryName=name, imageTagMutability="IMMUTABLE")
    told: list[images_push.Pushed] = []
    with images_push.local_registry(ecr, tmp_path / "registry") as registry:
        for _ in range(2):
            with images_push.logged_in(images.engine, ecr, registry.host) as (engine, host):
                entries = images_push.push_all(engine, ecr, host, [images.built[WATCHER]], told.append)
        stored = registry.blob(entries[WATCHER]["digest"]).read_bytes()
    assert images_push.digest_of(stored) == entries[WATCHER]["digest"]
    assert ecr.describe_images(repositoryName=name)["imageDetails"][0]["imageDigest"] == entries[WATCHER]["digest"]
    assert [(each.new, each.same) for each in told] == [(True, True), (False, True)]
    images_lock.write(entries, tmp_path / "images.lock.json")
    assert images_lock.load(tmp_path / "images.lock.json")[WATCHER]["git_sha"] == images.built[WATCHER].source.git_sha


def test_the_bill_of_materials_lists_python_and_debian_packages(images: Images, tmp_path: Path) -> None:
    document = json.loads(images_sbom.write(images.engine, images.built[WATCHER], tmp_path).read_text())
    found = {part["purl"].split("@")[0] for part in document["components"]}
    assert {"pkg:pypi/awslambdaric", "pkg:pypi/psycopg-binary", "pkg:deb/debian/libc6"} <= found


def test_no_secret_is_in_an_image(images: Images) -> None:
    for built in images.built.values():
        inside = images.engine.call("image", "inspect", built.reference)
        assert not any(secret in inside for secret in SECRETS.values())


def test_a_session_begins_in_containers_of_the_images(images: Images, tmp_path: Path) -> None:
    """`scripts/chaos --runtime podman`, three minutes of it: all eight fire in the first two."""
    scenario, report = tmp_path / "session.yaml", tmp_path / "report.json"
    scenario.write_text(
        "market: {synthetic: {symbols: [AAPL], seed: 7}, date: 2026-01-26, from: '09:30', to: '09:33'}\n"
        "expect: {bars_lost: 0, no_alarms: true, dead_letters: 0}\n"
    )
    command = [str(ROOT / "scripts" / "chaos"), "--scenario", str(scenario), "--report", str(report)]
    ended = subprocess.run(
        [*command, "--runtime", "podman"], env=dict(images.engine.environ), capture_output=True, text=True, timeout=400
    )
    assert ended.returncode == 0, ended.stdout[-3000:] + ended.stderr[-3000:]
    ran = json.loads(report.read_text(encoding="utf-8"))["runs"]
    assert set(ran) == set(SERVICES)
    assert {outcome for outcomes in ran.values() for outcome in outcomes} <= {"OK", "NO_INPUT"}

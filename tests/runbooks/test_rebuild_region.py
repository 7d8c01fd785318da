"""A region is lost with all in it, and everything is built again in another, killed on the way and taken up."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from applied_stack import push_images
from killer import Killer, in_acts, in_first_calls, perform_killed
from nursery import Child
from ops.local.aws.environment import REGION
from ops.local.exchange import synthetic
from ops.local.plane.containers import Containers
from ops.runbook.rebuild_region import RUNBOOK as KNOWN
from pipeline import catalog
from plane_world import Account
from region_world import ELSEWHERE, RegionWorld, region_world, services
from runbook_world import Ended, KeyPair, events, journal, new_pair

RUNBOOK = "rebuild-region"
PROJECT = "ops-pipeline"
MARKET = synthetic.market(["AAPL", "TSLA"], date(2026, 1, 26), seed=4, history_sessions=1)
HERE = ("--env", "production", "--drill")
NOW = ("--apply", "--yes", "--confirm", "production")
STEPS = [step.name for step in KNOWN.steps]
_, _, _, FOUNDATION, _, DATABASE, EVERYTHING, PARAMETERS, LOGINS, START, RUNS, PROOF = STEPS
RESUME = (*HERE, "--resume", "--confirm", "production")


@pytest.fixture(scope="module")
def world(containers: Containers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegionWorld]:
    with region_world(tmp_path_factory.mktemp("production") / "account", containers, MARKET) as made:
        for _ in range(6):
            made.minute(alarms=False)
        yield made


@pytest.fixture(scope="module")
def pair(world: RegionWorld) -> KeyPair:
    """What the provider issues for the new region."""
    made = new_pair()
    world.exchange.keys.issue(made.key_id, made.secret_key)
    return made


@pytest.fixture(scope="module")
def copied(world: RegionWorld) -> RegionWorld:
    """With a copy of the database's backup in the other region."""
    world.back_up()
    return world


def there(world: RegionWorld, *arguments: str) -> tuple[str, ...]:
    """An order for the other region."""
    return (*HERE, "--region", ELSEWHERE, "--images", world.images, *arguments)


def refused(world: RegionWorld, folder: Path, *arguments: str, pair: KeyPair | None = None) -> str:
    """Why, in words; with nothing changed."""
    before = world.aws.changes()
    ended = world.perform(RUNBOOK, *arguments, folder=folder, environment=pair.environment if pair else None)
    assert ended.code == 4, ended.output
    assert world.aws.changes() == before
    return " ".join(str(ended.report["why"]).split())


# ── refused, while the region lives ──────────────────────────────────────────────────────────────────────────────────


def test_a_region_has_to_be_named_that_is_another(world: RegionWorld, tmp_path: Path) -> None:
    ended = world.perform(RUNBOOK, *HERE, *NOW, folder=tmp_path)
    assert ended.code == 2, ended.output
    assert "--region is missing; name the one that has copies of the database" in ended.output
    assert "production has us-east-2" in ended.output
    assert f"or is {REGION}, the one to be left" in refused(world, tmp_path, *HERE, "--region", REGION, *NOW)


def test_a_region_to_which_no_backup_was_copied(world: RegionWorld, tmp_path: Path) -> None:
    why = refused(world, tmp_path, *HERE, "--region", "eu-west-1")
    assert "eu-west-1 holds no copy of the database" in why
    assert "aws rds copy-db-snapshot --region eu-west-1" in why


def test_a_region_that_lives_is_left_on_purpose_only(copied: RegionWorld, tmp_path: Path, pair: KeyPair) -> None:
    world = copied
    why = refused(world, tmp_path, *there(world), pair=pair)
    assert f"{REGION} answers, and 8 of its schedules are enabled" in why
    assert "--planned" in why
    ended = world.perform(RUNBOOK, *there(world, "--planned"), folder=tmp_path, environment=pair.environment)
    assert (ended.code, ended.state("the old region starts nothing")) == (3, "to do"), ended.output


def test_a_pair_that_the_provider_refuses(copied: RegionWorld, tmp_path: Path) -> None:
    why = refused(copied, tmp_path, *there(copied, "--planned"), pair=new_pair())
    assert "refused" in why


@pytest.mark.parametrize("said", ["tickers", "no_such=1", "alpaca_secret_key=abc"])
def test_a_parameter_that_cannot_be_said(copied: RegionWorld, tmp_path: Path, said: str) -> None:
    assert f"--set {said.partition('=')[0]}" in refused(copied, tmp_path, *there(copied, "--planned", "--set", said))


# ── left on purpose ──────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, kw_only=True)
class Left:
    """How the run ended that disabled the schedules, what each was before, and the calls around which it was killed."""

    ended: Ended
    before: dict[str, dict[str, Any]]
    calls: set[str]


@pytest.fixture(scope="module")
def left(copied: RegionWorld, pair: KeyPair, tmp_path_factory: pytest.TempPathFactory) -> Left:
    """The region lives and is left: killed before and after each schedule's update, up to the point of no return."""
    before = {name: copied.schedule(name) for name in services()}
    killer = Killer(tmp_path_factory.mktemp("planned"), in_acts)
    ended = perform_killed(
        copied,
        RUNBOOK,
        killer,
        first=(*there(copied, "--planned"), "--apply", "--yes"),
        again=(*HERE, "--resume"),
        environment=pair.environment,
    )
    assert set(killer.killed) == {f"{when} {call}" for call in killer.calls for when in ("before", "after")}
    return Left(ended=ended, before=before, calls=killer.calls)


def test_a_region_that_is_left_starts_nothing_however_often_it_is_killed_meanwhile(
    copied: RegionWorld, left: Left
) -> None:
    assert left.ended.code == 3, left.ended.output
    assert left.ended.state("the old region starts nothing") == "done before", left.ended.output
    assert "POINT OF NO RETURN" in left.ended.output
    assert "--confirm production answers in advance" in str(left.ended.report["why"])
    assert left.calls == {f"UpdateSchedule {catalog.load()[name].schedule}" for name in services()}
    now = {name: copied.schedule(name) for name in services()}
    assert now == {name: {**each, "State": "DISABLED"} for name, each in left.before.items()}


# ── lost and built again ─────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, kw_only=True)
class Lost:
    """What the copy of the database holds, and what an operator has written down of the parameters."""

    rows: dict[str, Any]
    said: tuple[str, ...]


@pytest.fixture(scope="module")
def lost(world: RegionWorld, left: Left) -> Lost:
    """The region goes minutes after its backup was copied, before it could be left as planned."""
    said = tuple(f"--set={name}={world.parameter(name)}" for name in ("tickers", "rss_feeds"))
    kept = Lost(rows=world.rows(REGION), said=said)
    world.lose()
    return kept


def test_a_rehearsal_says_what_it_would_do_and_touches_nothing(
    world: RegionWorld, tmp_path: Path, pair: KeyPair, lost: Lost
) -> None:
    before = world.aws.changes()
    ended = world.perform(RUNBOOK, *there(world), folder=tmp_path, environment=pair.environment)
    assert ended.code == 3, ended.output
    assert world.aws.changes() == before
    assert ended.state("the old region starts nothing") == "done before"
    assert "asks for 'production' to be typed first" in ended.output
    assert not journal(tmp_path).exists()


@dataclass(frozen=True, kw_only=True)
class Rebuilt:
    """The journal's folder, where it was killed, and what the schedules were when all was applied."""

    folder: Path
    killed: list[str]
    over: set[str]
    applied: dict[str, str]


@pytest.fixture(scope="module")
def rebuilt(world: RegionWorld, pair: KeyPair, lost: Lost, tmp_path_factory: pytest.TempPathFactory) -> Rebuilt:
    """Killed at every boundary, in every act and in every wait, until it is done."""
    folder, applied = tmp_path_factory.mktemp("rebuild"), dict[str, str]()

    def second(child: Child) -> None:
        """While it is told no, no minute passes: the first one stands in its wait."""
        other = world.start(RUNBOOK, *there(world), *NOW, folder=folder / "second", environment=pair.environment)
        assert other.wait() == 4, other.output.read_text()
        assert f"with {RUNBOOK} (pid {child.pid}) since 20" in other.output.read_text()

    before: dict[str, Callable[[Child], object]] = {
        f"done {EVERYTHING}": lambda child: applied.update(schedules(world)),
        "waiting for the task ops-pipeline-migrate": second,
        "waiting for those who are to be told of alarms": lambda child: world.elsewhere.confirm_subscriptions(),
        f"done {RUNS}": lambda child: touch(world),
    }
    killer = Killer(folder, in_first_calls((FOUNDATION, DATABASE, EVERYTHING, START)), in_waits=True, before=before)
    begin = (*there(world, lost.said[0]), *NOW)
    again = (*RESUME, *lost.said[1:])  # beside what the run began with
    ended = perform_killed(world, RUNBOOK, killer, first=begin, again=again, environment=pair.environment)
    assert ended.code == 4, ended.output
    assert f"AWS_REGION={ELSEWHERE} make build-images push ENV=production" in ended.report["why"]
    push_images(world.elsewhere)
    ended = perform_killed(world, RUNBOOK, killer, first=begin, again=again, environment=pair.environment)
    assert ended.code == 0, ended.output
    assert [each["event"] for each in events(folder)].count("finished") == 1
    assert set(before) <= set(killer.killed)
    return Rebuilt(folder=folder, killed=killer.killed, over=killer.over(PROOF), applied=applied)


def test_killed_at_every_boundary_and_in_every_act_it_comes_to_its_end(rebuilt: Rebuilt) -> None:
    assert rebuilt.over >= set(STEPS)
    in_calls = {label.partition(" in ")[2] for label in rebuilt.killed} - {""}
    assert in_calls == {FOUNDATION, DATABASE, EVERYTHING, PARAMETERS, LOGINS, START}
    assert {"waiting for the first run of every service", "waiting for the proof"} <= set(rebuilt.killed)


def test_all_was_applied_with_every_schedule_at_rest(rebuilt: Rebuilt) -> None:
    assert rebuilt.applied == dict.fromkeys(services(), "DISABLED")


def touch(world: RegionWorld) -> None:
    """Somebody saves a schedule as it is: of its service no run is known since, and so the proof has to wait."""
    slowest = max(catalog.load(), key=lambda each: each.period)
    Account(world.elsewhere).change(slowest.name)


def schedules(world: RegionWorld) -> dict[str, str]:
    found = world.there("scheduler").list_schedules()["Schedules"]
    return {each["GroupName"]: each["State"] for each in found}


def test_it_ends_with_validate_at_peace_an_empty_plan_and_every_job_at_work(
    world: RegionWorld, rebuilt: Rebuilt
) -> None:
    (proof,) = [each["saw"] for each in events(rebuilt.folder) if each.get("step") == PROOF and "saw" in each][-1:]
    assert proof == "scripts/validate finds nothing, and the plan is empty"
    assert schedules(world) == dict.fromkeys(services(), "ENABLED")
    assert world.lock["held"] is False


def test_the_rows_of_the_copy_are_there_and_the_minutes_since_were_fetched(
    world: RegionWorld, rebuilt: Rebuilt, lost: Lost
) -> None:
    assert world.rows() == lost.rows
    with world.connect() as connection:
        missing = connection.execute("select count(*) from gaps where backfilled_at is null").fetchone()
    assert missing == (0,)


def test_the_images_run_by_the_digests_of_before(world: RegionWorld, rebuilt: Rebuilt) -> None:
    ecs = world.there("ecs")
    for service in services():
        if service == "healthcheck":
            continue
        family = service.replace("_", "-")
        (name,) = [each for each in ecs.list_task_definition_families()["families"] if each.startswith(family)]
        found = ecs.describe_task_definition(taskDefinition=name)["taskDefinition"]["containerDefinitions"][0]
        assert f".{ELSEWHERE}." in found["image"]
        assert found["image"].partition("@")[2] == world.digests[service]


def test_a_second_run_has_nothing_to_do(world: RegionWorld, rebuilt: Rebuilt, tmp_path: Path) -> None:
    before = world.aws.changes()
    ended = world.perform(RUNBOOK, *there(world), *NOW, folder=tmp_path)
    assert (ended.code, "Nothing to do" in ended.output) == (0, True), ended.output
    assert world.aws.changes() == before

"""Schedules that vanish are made again, by a runbook that may be killed anywhere, and that proves it by runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from key_rotation import everything
from killer import Killer, at_boundaries, in_acts, perform_killed
from ops.heal_plan import differing
from pipeline import catalog
from runbook_world import RunbookWorld, events, journal

RUNBOOK = "recover-schedules"
NOW = ("--apply", "--yes", "--confirm", "local")
RESUME = ("--resume", "--confirm", "local")
LOST = tuple(service.name for service in catalog.load())[:4]


@pytest.fixture
def world(whole_world: RunbookWorld) -> RunbookWorld:
    return whole_world


def lose(world: RunbookWorld, *services: str) -> dict[str, dict[str, Any]]:
    """Deletes schedules, lets two minutes pass without them; how they were."""
    before = {name: world.schedule(name) for name in services}
    for name in services:
        world.client("scheduler").delete_schedule(Name=before[name]["Name"], GroupName=name)
    for _ in range(2):
        world.minute(alarms=False)
    return before


def schedules(world: RunbookWorld) -> dict[str, dict[str, Any]]:
    listed = world.client("scheduler").list_schedules()["Schedules"]
    return {each["GroupName"]: world.schedule(each["GroupName"]) for each in listed}


def missing_bars(world: RunbookWorld) -> int:
    """Gaps that nobody has filled."""
    with world.database.connect() as connection:
        row = connection.execute(
            "select count(*) from gaps where backfilled_at is null and class in ('our_outage', 'feed_late')"
        ).fetchone()
    assert row
    return int(row[0])


def test_a_rehearsal_says_what_it_would_do_and_touches_nothing(world: RunbookWorld, tmp_path: Path) -> None:
    lost = lose(world, *LOST)
    before = everything(world)
    ended = world.perform(RUNBOOK, folder=tmp_path)
    assert ended.code == 3, ended.output
    after = everything(world)
    assert {part: after[part] for part in ("changes", "objects", "versions")} == {
        part: before[part] for part in ("changes", "objects", "versions")
    }
    assert after["rows"] == before["rows"]
    assert all(each["Name"] in ended.output for each in lost.values())
    assert "runbooks/recover-schedules --env local --apply" in ended.output


def test_what_was_lost_is_made_again_runs_and_is_caught_up(world: RunbookWorld, tmp_path: Path) -> None:
    gone = [name for name in LOST if name not in schedules(world)]
    assert gone, "the rehearsal before left them lost"
    ended = world.perform(RUNBOOK, *NOW, folder=tmp_path)
    assert ended.code == 0, ended.output
    assert set(schedules(world)) == set(catalog.load().services)
    assert missing_bars(world) == 0
    assert ended.report["measures"]["minutes still missing"] == 0
    assert world.lock["held"] is False


def test_a_second_run_has_nothing_to_do(world: RunbookWorld, tmp_path: Path) -> None:
    before = everything(world)
    ended = world.perform(RUNBOOK, *NOW, folder=tmp_path)
    assert ended.code == 0, ended.output
    assert "Nothing to do" in ended.output
    assert everything(world)["changes"] == before["changes"]
    assert not journal(tmp_path).exists()


@pytest.mark.parametrize("labelled", [in_acts, at_boundaries], ids=["in every act", "at every boundary"])
def test_killed_and_taken_up_it_ends_as_if_nothing_had_been(
    world: RunbookWorld, tmp_path: Path, labelled: Callable[[str, str, Path], str]
) -> None:
    lost = LOST[:2] if labelled is in_acts else LOST[:1]  # each kill costs a resumption
    before = lose(world, *lost)
    killer = Killer(tmp_path, labelled)
    ended = perform_killed(world, RUNBOOK, killer, first=NOW, again=RESUME)
    assert ended.code == 0, ended.output
    assert [dict(differing(before[name], schedules(world)[name])) for name in lost] == [{} for _ in lost]
    assert missing_bars(world) == 0
    assert world.lock["held"] is False
    told = events(tmp_path)
    assert [each["event"] for each in told].count("finished") == 1
    if labelled is in_acts:
        names = {catalog.load()[name].schedule for name in lost}
        assert set(killer.killed) == {f"{when} CreateSchedule {name}" for name in names for when in ("before", "after")}
    else:
        steps = [each["step"] for each in told if "step" in each]
        assert killer.over(steps[-1]) >= set(steps)


def test_two_at_once_the_second_is_told_who_is_at_work_since_when(world: RunbookWorld, tmp_path: Path) -> None:
    lose(world, LOST[-1])
    first = world.start(RUNBOOK, *NOW, folder=tmp_path / "first")
    while not first.output.exists() or "waiting for" not in first.output.read_text():
        assert first.poll() is None, first.output.read_text()
        if world.aws.waiting():
            world.minute(alarms=False)
    lose(world, LOST[0])
    refused = world.perform(RUNBOOK, *NOW, folder=tmp_path / "second")
    assert refused.code == 4, refused.output
    assert f"with {RUNBOOK} (pid {first.pid}) since 20" in refused.report["why"]
    world.follow(first)
    ended = world.perform(RUNBOOK, *NOW, folder=tmp_path / "third")
    assert ended.code == 0, ended.output


# ── refusals ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def refused(world: RunbookWorld, folder: Path, *arguments: str) -> str:
    """Why; with nothing of the account changed."""
    before = everything(world)["changes"]
    ended = world.perform(RUNBOOK, *(arguments or NOW), folder=folder)
    assert ended.code == 4, ended.output
    assert everything(world)["changes"] == before
    return " ".join(str(ended.report["why"]).split())


def test_where_started_jobs_would_fail_the_key_comes_first(world: RunbookWorld, tmp_path: Path) -> None:
    lose(world, LOST[0])
    key, secret = (str(world.parameter(name)) for name in ("alpaca_key_id", "alpaca_secret_key"))
    world.exchange.keys.revoke(key)
    try:
        why = refused(world, tmp_path)
        assert "key_rejected" in why
        assert "--anyway" in why
    finally:
        world.exchange.keys.issue(key, secret)
    ended = world.perform(RUNBOOK, *NOW, "--anyway", folder=tmp_path / "anyway")
    assert ended.code == 0, ended.output


def test_many_triggers_that_nobody_declared_are_stopped_by_force_alone(world: RunbookWorld, tmp_path: Path) -> None:
    model, scheduler = world.schedule(LOST[0]), world.client("scheduler")
    names = [f"ops-pipeline-stray-{number}" for number in range(4)]
    for name in names:
        scheduler.create_schedule(**{**model, "Name": name})
    try:
        why = refused(world, tmp_path)
        assert "4 triggers that nobody declared" in why
        assert "--force" in why
        ended = world.perform(RUNBOOK, *NOW, "--force", folder=tmp_path / "forced")
        assert ended.code == 0, ended.output
        states = {scheduler.get_schedule(Name=name, GroupName=model["GroupName"])["State"] for name in names}
        assert states == {"DISABLED"}
    finally:
        for name in names:
            scheduler.delete_schedule(Name=name, GroupName=model["GroupName"])


def test_what_only_terraform_can_make_is_left_to_it(world: RunbookWorld, tmp_path: Path) -> None:
    arn = world.definition(LOST[0])["taskDefinitionArn"]
    world.client("ecs").deregister_task_definition(taskDefinition=arn)
    why = refused(world, tmp_path)
    assert "task definition" in why
    assert "make plan" in why

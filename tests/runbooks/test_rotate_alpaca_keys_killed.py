"""A key rotation that is killed, interrupted, meddled with or run twice at once, and taken up again."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from key_rotation import NOW, RUNBOOK
from killer import Killer, at_boundaries, in_acts, perform_killed
from killing_proxy import killing_proxy
from runbook_world import KEY_ID, SECRET_KEY, RunbookWorld, events, new_pair

RESUME = ("--resume", "--confirm", "local")


@pytest.mark.parametrize("labelled", [in_acts, at_boundaries], ids=["in every act", "at every boundary"])
def test_killed_and_taken_up_it_ends_as_if_nothing_had_been(
    world: RunbookWorld, tmp_path: Path, labelled: Callable[[str, str, Path], str]
) -> None:
    pair = new_pair()
    before = [world.version(name) or 0 for name in (KEY_ID, SECRET_KEY)]
    world.exchange.keys.replace(pair.key_id, pair.secret_key, overlap=timedelta(minutes=15))
    killer = Killer(tmp_path, labelled)
    ended = perform_killed(world, RUNBOOK, killer, first=NOW, again=RESUME, environment=pair.environment)
    assert ended.code == 0, ended.output
    assert (world.parameter(KEY_ID), world.parameter(SECRET_KEY)) == (pair.key_id, pair.secret_key)
    assert [world.version(name) for name in (KEY_ID, SECRET_KEY)] == [number + 1 for number in before]
    assert world.parameter(f"{KEY_ID}/next") is None
    assert world.parameter(f"{SECRET_KEY}/next") is None
    assert world.lock["held"] is False
    assert world.failed_runs() == []
    told = events(tmp_path)
    assert [each["event"] for each in told].count("finished") == 1
    if labelled is in_acts:
        reached = {label.split()[1] for label in killer.killed}
        assert reached == {"PutParameter", "RunTask", "DeleteParameters"}
        assert {*killer.killed} == {f"{when} {call}" for call in killer.calls for when in ("before", "after")}
    else:
        steps = [each["step"] for each in told if "step" in each]
        assert killer.over(steps[-1]) >= set(steps)


def test_two_at_once_one_is_refused_and_ctrl_c_ends_the_other_between_acts(world: RunbookWorld, tmp_path: Path) -> None:
    pair, first, second = new_pair(), tmp_path / "first", tmp_path / "second"
    world.exchange.keys.replace(pair.key_id, pair.secret_key, overlap=timedelta(hours=5))
    child = world.start(RUNBOOK, *NOW, folder=first, environment=pair.environment)
    world.until_waiting(child, "the old pair to be refused")
    other = new_pair()
    world.exchange.keys.issue(other.key_id, other.secret_key)
    refused = world.perform(RUNBOOK, *NOW, folder=second, environment=other.environment)
    assert refused.code == 4, refused.output
    assert f"with {RUNBOOK} (pid {child.pid}) since 20" in refused.report["why"]
    os.kill(child.pid, signal.SIGINT)
    stopped = world.follow(child)
    assert stopped.code == 3, stopped.output
    assert (
        "Stopped: stopped by Ctrl-C. Nothing is half done, what was done stays; 2 of 10 steps remain." in stopped.output
    )
    assert "--resume" in stopped.output
    world.exchange.keys.replace(pair.key_id, pair.secret_key)
    ended = world.perform(RUNBOOK, *RESUME, folder=first)
    assert ended.code == 0, ended.output


def test_a_parameter_that_somebody_else_wrote_meanwhile_is_not_overwritten(world: RunbookWorld, tmp_path: Path) -> None:
    pair, before = new_pair(), str(world.parameter(KEY_ID))
    world.exchange.keys.issue(pair.key_id, pair.secret_key)
    killer = Killer(
        tmp_path, lambda call, when, _: when if call.endswith(f"PutParameter /ops-pipeline/{KEY_ID}") else ""
    )
    with killing_proxy(world.port) as proxy:
        proxy.judge = killer
        surroundings = {**pair.environment, "AWS_ENDPOINT_URL": proxy.url}
        killer.child = world.start(RUNBOOK, *NOW, folder=tmp_path, environment=surroundings)
        assert world.follow(killer.child).code == -signal.SIGKILL
    stranger = new_pair()
    world.put_parameter(KEY_ID, stranger.key_id)
    ended = world.perform(RUNBOOK, *RESUME, folder=tmp_path, environment=pair.environment)
    assert ended.code == 4, ended.output
    assert "was written by somebody else" in ended.report["why"]
    assert world.parameter(KEY_ID) == stranger.key_id
    world.put_parameter(KEY_ID, before)


def test_a_run_is_not_taken_up_with_another_pair(world: RunbookWorld, tmp_path: Path) -> None:
    pair, other = new_pair(), new_pair()
    world.exchange.keys.issue(pair.key_id, pair.secret_key)
    world.exchange.keys.issue(other.key_id, other.secret_key)
    killer = Killer(tmp_path, lambda call, when, _: when if call == f"PutParameter /ops-pipeline/{KEY_ID}/next" else "")
    with killing_proxy(world.port) as proxy:
        proxy.judge = killer
        surroundings = {**pair.environment, "AWS_ENDPOINT_URL": proxy.url}
        killer.child = world.start(RUNBOOK, *NOW, folder=tmp_path, environment=surroundings)
        assert world.follow(killer.child).code == -signal.SIGKILL
    ended = world.perform(RUNBOOK, *RESUME, folder=tmp_path, environment=other.environment)
    assert ended.code == 4, ended.output
    assert "another pair" in ended.report["why"]


def test_where_the_market_is_closed_the_rest_waits_for_its_open(world: RunbookWorld, tmp_path: Path) -> None:
    world.at = world.at.replace(hour=23, minute=0)
    world.minute()
    pair = new_pair()
    world.exchange.keys.replace(pair.key_id, pair.secret_key, overlap=timedelta(days=2))
    ended = world.perform(RUNBOOK, *NOW, folder=tmp_path, environment=pair.environment)
    assert ended.code == 3, ended.output
    assert "the market is closed, so no bar can come before 2026-01-27 14:30 UTC" in ended.report["why"]
    assert world.parameter(KEY_ID) == pair.key_id

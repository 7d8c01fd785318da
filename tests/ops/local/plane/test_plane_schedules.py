"""Schedules fire: when, how often, with what."""

from __future__ import annotations

from itertools import pairwise

from plane_world import MINUTE, MORNING, World


def test_a_schedule_starts_its_task_which_finds_its_context_in_the_ledger(world: World) -> None:
    world.keep("dispatcher")
    minute = world.minute()
    (invocation,) = minute.invocations
    (task,) = minute.ended
    assert invocation.result == "started"
    assert (task.stop_code, task.exit_code) == ("EssentialContainerExited", 0), task.output
    (run,) = world.runs("dispatcher")
    assert run["execution_id"] == invocation.execution_id
    assert run["scheduled_for"] == MORNING
    assert run["trigger_arn"] == invocation.trigger
    assert run["image_digest"] == world.definition("dispatcher")["containerDefinitions"][0]["image"].partition("@")[2]


def test_a_one_time_schedule_fires_once_and_goes_where_it_says_so(world: World) -> None:
    world.keep("dispatcher")
    world.change("dispatcher", ScheduleExpression=f"at({MORNING:%Y-%m-%dT%H:%M}:00)", ActionAfterCompletion="DELETE",
                 ScheduleExpressionTimezone="UTC")  # fmt: skip
    assert [each.result for each in world.minute().invocations] == ["started"]
    assert world.client("scheduler").list_schedules()["Schedules"] == []
    assert world.minute().invocations == []


def test_one_that_does_not_say_so_stays_though_nothing_of_it_is_left(world: World) -> None:
    world.keep("dispatcher")
    world.change("dispatcher", ScheduleExpressionTimezone="UTC", EndDate=MORNING + MINUTE)
    assert [len(world.minute().invocations) for _ in range(4)] == [1, 1, 0, 0]
    [left] = world.client("scheduler").list_schedules()["Schedules"]
    assert left["State"] == "ENABLED"


def test_a_flexible_window_delays_each_invocation_within_it(world: World) -> None:
    world.keep("dispatcher")
    window = {"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 4}
    world.change("dispatcher", ScheduleExpression="rate(5 minutes)", FlexibleTimeWindow=window)
    made = [(number, each) for number in range(15) for each in world.minute().invocations]
    fires = [run["scheduled_for"] for run in world.runs("dispatcher")]
    assert len(made) == len(fires) >= 2
    assert {later - fire for fire, later in pairwise(fires)} == {5 * MINUTE}
    delays = [number * MINUTE - (fire - MORNING) for (number, _), fire in zip(made, fires, strict=True)]
    assert all(0 * MINUTE <= delay < 4 * MINUTE for delay in delays)
    assert any(delays)

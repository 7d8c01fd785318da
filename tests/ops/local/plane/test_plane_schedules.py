"""Schedules fire: when, how often, with what."""

from __future__ import annotations

from plane_world import MORNING, World


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

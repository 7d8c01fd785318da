"""Rotating the provider's keys: what is refused, what is proven, what it costs."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from runbook_world import KEY_ID, SECRET_KEY, RunbookWorld, new_pair

RUNBOOK = "rotate-alpaca-keys"
NOW = ("--apply", "--yes", "--confirm", "local", "--planned")


def test_a_planned_rotation_with_overlap_misses_no_run(world: RunbookWorld, tmp_path: Path) -> None:
    pair = new_pair()
    world.exchange.keys.replace(pair.key_id, pair.secret_key, overlap=timedelta(minutes=5))
    ended = world.perform(
        RUNBOOK, *NOW, "--journal", str(tmp_path / "j.jsonl"), folder=tmp_path, environment=pair.environment
    )
    assert ended.code == 0, ended.output
    print(ended.output)
    print(ended.report)
    assert (world.parameter(KEY_ID), world.parameter(SECRET_KEY)) == (pair.key_id, pair.secret_key)

"""Rotating the provider's keys: what is proven, what it costs, what a second run and a stranger see."""

from __future__ import annotations

import json
import stat
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from key_rotation import NOW, RUNBOOK, everything
from ops.local.exchange import faults
from runbook_world import KEY_ID, SECRET_KEY, Ended, KeyPair, RunbookWorld, journal, new_pair

# Whatever test comes first: where no rotation wrote down the account and the old pair is dead, a person would be asked.
pytestmark = pytest.mark.usefixtures("rotated")


@pytest.fixture(scope="module")
def rotated(world: RunbookWorld, tmp_path_factory: pytest.TempPathFactory) -> tuple[KeyPair, Ended, Path]:
    """A planned rotation with a provider whose old pair goes on for five minutes."""
    pair, folder = new_pair(), tmp_path_factory.mktemp("rotated")
    world.exchange.keys.replace(pair.key_id, pair.secret_key, overlap=timedelta(minutes=5))
    return pair, world.perform(RUNBOOK, *NOW, folder=folder, environment=pair.environment), folder


def test_with_overlap_no_run_is_missed(world: RunbookWorld, rotated: tuple[KeyPair, Ended, Path]) -> None:
    pair, ended, _ = rotated
    assert ended.code == 0, ended.output
    assert (world.parameter(KEY_ID), world.parameter(SECRET_KEY)) == (pair.key_id, pair.secret_key)
    assert ended.report["measures"] == {
        "runs refused in between": 0,
        "seconds without a good run": 0,
        "bars still missing from that time": 0,
    }
    assert [run["outcome"] for run in world.runs(world.ingestor) if run["outcome"] == "FAILED"] == []


def test_a_run_is_started_past_the_schedule_with_the_schedules_own_target(
    world: RunbookWorld, rotated: tuple[KeyPair, Ended, Path]
) -> None:
    _, ended, _ = rotated
    ours = [run for run in world.runs(world.ingestor) if run["execution_id"].startswith(ended.report["run"])]
    assert [(run["outcome"], run["trigger_arn"]) for run in ours] == [("OK", f"runbook/{ended.report['run']}")]
    assert world.versions(ours[0]["execution_id"]).items() >= ended.report["facts"]["new"].items()


def test_neither_journal_nor_report_nor_screen_shows_a_secret(rotated: tuple[KeyPair, Ended, Path]) -> None:
    pair, ended, folder = rotated
    written = journal(folder).read_text()
    for secret in (pair.key_id, pair.secret_key):
        for text in (written, json.dumps(ended.report), ended.output):
            assert secret not in text
    assert stat.S_IMODE(journal(folder).stat().st_mode) == 0o600


def test_the_journal_lies_in_the_records_bucket_as_well(
    world: RunbookWorld, rotated: tuple[KeyPair, Ended, Path]
) -> None:
    _, _, folder = rotated
    found = world.client("s3").get_object(Bucket=world.records, Key=f"runbooks/journals/{journal(folder).name}")
    assert found["Body"].read() == journal(folder).read_bytes()


def test_a_second_run_with_the_same_pair_has_nothing_to_do(
    world: RunbookWorld, rotated: tuple[KeyPair, Ended, Path], tmp_path: Path
) -> None:
    pair, _, _ = rotated
    before = everything(world)
    again = world.perform(RUNBOOK, *NOW, folder=tmp_path, environment=pair.environment)
    assert again.code == 0, again.output
    assert "Nothing to do" in again.output
    assert everything(world) == before
    assert not journal(tmp_path).exists()


def test_a_rehearsal_calls_nothing_that_changes_anything(world: RunbookWorld, tmp_path: Path) -> None:
    pair = new_pair()
    world.exchange.keys.replace(pair.key_id, pair.secret_key, overlap=timedelta(minutes=5))
    before = everything(world)
    ended = world.perform(RUNBOOK, "--planned", folder=tmp_path, environment=pair.environment)
    assert ended.code == 3, ended.output
    assert everything(world) == before
    assert [ended.state(name) for name in ("the new pair is good", "prove", "switch", "clear")] == [
        "passed",
        "to do",
        "to do",
        "done before",
    ]
    assert "Next: runbooks/rotate-alpaca-keys --env local --planned --apply" in ended.output
    world.exchange.keys.replace(str(world.parameter(KEY_ID)), str(world.parameter(SECRET_KEY)))


def test_where_the_old_pair_ends_at_once_all_missed_bars_are_caught_up(world: RunbookWorld, tmp_path: Path) -> None:
    pair = new_pair()
    world.exchange.keys.replace(pair.key_id, pair.secret_key)
    world.minutes(3)
    ended = world.perform(RUNBOOK, *NOW, folder=tmp_path, environment=pair.environment)
    assert ended.code == 0, ended.output
    measures: dict[str, Any] = ended.report["measures"]
    assert measures["runs refused in between"] == 3
    assert measures["bars still missing from that time"] == 0
    assert ended.state("retire") == "done before"
    assert "POINT OF NO RETURN" not in ended.output


def test_a_pair_can_come_by_stdin(world: RunbookWorld, tmp_path: Path) -> None:
    pair = new_pair()
    world.exchange.keys.replace(pair.key_id, pair.secret_key)
    text = f"{pair.key_id}\n{pair.secret_key}\n"
    ended = world.perform(RUNBOOK, *NOW, "--from-stdin", folder=tmp_path, stdin=text)
    assert ended.code == 0, ended.output
    assert world.parameter(KEY_ID) == pair.key_id


def test_a_new_pair_that_fails_in_use_is_taken_back_while_the_old_one_works(
    world: RunbookWorld, tmp_path: Path
) -> None:
    pair, old = new_pair(), world.parameter(KEY_ID)
    world.exchange.keys.issue(pair.key_id, pair.secret_key)
    ended = world.perform(
        RUNBOOK,
        *NOW,
        folder=tmp_path,
        environment=pair.environment,
        meanwhile=lambda: world.exchange.keys.revoke(pair.key_id),
    )
    assert ended.code == 1, ended.output
    assert world.parameter(KEY_ID) == old
    assert world.parameter(f"{KEY_ID}/next") is None
    assert [ended.state(name) for name in ("prove", "switch", "wait")] == ["undone", "undone", "failed"]


def test_where_the_old_pair_is_dead_it_is_said_plainly_that_nothing_can_be_taken_back(
    world: RunbookWorld, tmp_path: Path
) -> None:
    pair, old = new_pair(), str(world.parameter(KEY_ID))
    before = KeyPair(key_id=old, secret_key=str(world.parameter(SECRET_KEY)))
    world.exchange.keys.replace(pair.key_id, pair.secret_key)
    ended = world.perform(
        RUNBOOK, *NOW, folder=tmp_path, environment=pair.environment, meanwhile=world.exchange.keys.revoke
    )
    assert ended.code == 1, ended.output
    assert "does not take the old pair" in " ".join(ended.report["undone"])
    assert world.parameter(KEY_ID) == pair.key_id
    world.exchange.keys.issue(before.key_id, before.secret_key)
    back = world.perform(RUNBOOK, *NOW, folder=tmp_path / "back", environment=before.environment)
    assert back.code == 0, back.output


def test_an_order_of_one_minute_without_an_answer_does_not_end_the_wait(world: RunbookWorld, tmp_path: Path) -> None:
    """The provider is slow right after the switch: the next minute's run brings the bar."""
    pair = new_pair()
    world.exchange.keys.replace(pair.key_id, pair.secret_key)
    fault = faults.status(500, path="/v2/stocks/bars", times=40)
    ended = world.perform(
        RUNBOOK,
        *NOW,
        folder=tmp_path,
        environment=pair.environment,
        meanwhile=lambda: world.exchange.faults.add(fault) if not fault.applied else None,
    )
    world.exchange.faults.clear()
    assert ended.code == 0, ended.output
    assert fault.applied

"""When a key rotation must not begin: each reason is said, exit code 4, and nothing was touched."""

from __future__ import annotations

from pathlib import Path

import pytest

from key_rotation import NOW, RUNBOOK, everything
from ops.local.exchange import faults
from ops.local.exchange.keys import LIVE
from runbook_world import KEY_ID, SECRET_KEY, KeyPair, RunbookWorld, new_pair

UNPLANNED = tuple(word for word in NOW if word != "--planned")
GOOD = new_pair()


def refused(world: RunbookWorld, folder: Path, pair: KeyPair, *arguments: str) -> str:
    """Why; with nothing of the account, the bucket and the database changed."""
    before = everything(world)
    ended = world.perform(RUNBOOK, *(arguments or NOW), folder=folder, environment=pair.environment)
    after = everything(world)
    assert ended.code == 4, ended.output
    for part in ("changes", "versions", "rows"):
        assert after[part] == before[part]
    return " ".join(str(ended.report["why"]).split())


@pytest.fixture(autouse=True)
def good_provider(world: RunbookWorld) -> None:
    """Without faults, with one more pair that it takes."""
    world.exchange.faults.clear()
    world.exchange.keys.issue(GOOD.key_id, GOOD.secret_key)


@pytest.mark.parametrize("arguments", [NOW, UNPLANNED], ids=["planned", "not planned"])
def test_a_provider_that_refuses_good_keys_now_and_then(
    world: RunbookWorld, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    world.exchange.faults.add(faults.refuse_keys(0.5))
    assert "contradicts itself" in refused(world, tmp_path, GOOD, *arguments)


def test_a_provider_that_is_down(world: RunbookWorld, tmp_path: Path) -> None:
    world.exchange.faults.add(faults.status(503))
    assert "does not answer as it should" in refused(world, tmp_path, GOOD)


def test_a_stored_pair_that_the_provider_accepts(world: RunbookWorld, tmp_path: Path) -> None:
    why = refused(world, tmp_path, GOOD, *UNPLANNED)
    assert "accepted 16 of 16 times, so it is not the key" in why
    assert "--planned" in why


def test_a_pair_that_the_provider_does_not_know(world: RunbookWorld, tmp_path: Path) -> None:
    assert "it was refused" in refused(world, tmp_path, new_pair())


def test_a_pair_whose_two_values_are_swapped(world: RunbookWorld, tmp_path: Path) -> None:
    swapped = KeyPair(key_id=GOOD.secret_key, secret_key=GOOD.key_id)
    assert "swapped" in refused(world, tmp_path, swapped)


@pytest.mark.parametrize(
    ("pair", "told"),
    [
        (KeyPair(key_id=f"{GOOD.key_id}\n", secret_key=GOOD.secret_key), "key id has a line break"),
        (KeyPair(key_id=GOOD.key_id, secret_key=f" {GOOD.secret_key}"), "secret key has a space"),
        (KeyPair(key_id=GOOD.key_id, secret_key="   "), "secret key is empty"),
        (KeyPair(key_id="my-key", secret_key=GOOD.secret_key), "does not look like one"),
        (KeyPair(key_id=GOOD.key_id, secret_key=GOOD.secret_key[:20]), "does not look like one"),
    ],
    ids=["newline", "blank in front", "empty", "no key id", "half a secret"],
)
def test_a_pair_of_the_wrong_shape(world: RunbookWorld, tmp_path: Path, pair: KeyPair, told: str) -> None:
    assert told in refused(world, tmp_path, pair)


def test_a_pair_for_another_account(world: RunbookWorld, tmp_path: Path) -> None:
    pair = new_pair()
    world.exchange.keys.issue(pair.key_id, pair.secret_key, account="another")
    assert "is of account PA" in refused(world, tmp_path, pair)


def test_a_live_pair_where_paper_is_meant(world: RunbookWorld, tmp_path: Path) -> None:
    pair = new_pair()
    world.exchange.keys.issue(pair.key_id, pair.secret_key, account=LIVE)
    assert "another environment" in refused(world, tmp_path, pair)


def test_a_pair_without_the_data_entitlement(world: RunbookWorld, tmp_path: Path) -> None:
    pair = new_pair()
    world.exchange.keys.issue(pair.key_id, pair.secret_key, data=False)
    assert "may not do all that is needed" in refused(world, tmp_path, pair)


def test_whose_pair_it_ought_to_be_must_be_known(world: RunbookWorld, tmp_path: Path) -> None:
    """The old pair is dead, and no rotation has written the account down."""
    stored = KeyPair(key_id=str(world.parameter(KEY_ID)), secret_key=str(world.parameter(SECRET_KEY)))
    world.exchange.keys.revoke(stored.key_id)
    try:
        assert "--account" in refused(world, tmp_path, GOOD)
        again = world.perform(RUNBOOK, "--resume", folder=tmp_path, environment=GOOD.environment)
        assert again.code == 4, again.output
        following = again.output.strip().rpartition("\n")[2]
        assert following.startswith("Next: runbooks/rotate-alpaca-keys --env local")
        assert following.endswith("--account NUMBER --resume")
        mistaken = world.perform(RUNBOOK, "--resume", "--account", "PA1", folder=tmp_path, environment=GOOD.environment)
        assert mistaken.output.strip().endswith("--account PA1 --resume")
        assert "not of PA0000000000 (by --account)" in refused(
            world, tmp_path / "said", GOOD, *NOW, "--account", "PA0000000000"
        )
    finally:
        world.exchange.keys.issue(stored.key_id, stored.secret_key)


def test_tasks_that_read_their_keys_elsewhere(world: RunbookWorld, tmp_path: Path) -> None:
    """The incident's own: new keys under names that no service reads."""
    secrets = world.definition(world.ingestor)["containerDefinitions"][0]["secrets"]
    moved = [{**each, "valueFrom": each["valueFrom"].replace(KEY_ID, "alpaca/key")} for each in secrets]
    world.redefine(world.ingestor, container={"secrets": moved})
    why = refused(world, tmp_path, GOOD)
    world.redefine(world.ingestor, container={"secrets": secrets})
    assert "would not be what is read" in why


def test_another_name_than_the_environments(world: RunbookWorld, tmp_path: Path) -> None:
    assert "which of them is meant" in refused(world, tmp_path, GOOD, "--apply", "--yes", "--confirm", "production")


def test_an_account_that_holds_another_environment(world: RunbookWorld, tmp_path: Path) -> None:
    why = refused(world, tmp_path, GOOD, "--env", "paper", "--drill", "--apply", "--yes")
    assert "holds local, not paper" in why


def test_a_real_account_while_the_shell_leads_to_a_local_one(world: RunbookWorld, tmp_path: Path) -> None:
    assert "leads elsewhere" in refused(world, tmp_path, GOOD, "--env", "paper", "--apply", "--yes")


def test_nobody_there_to_say_yes_is_a_matter_of_usage(world: RunbookWorld, tmp_path: Path) -> None:
    ended = world.perform(RUNBOOK, "--apply", folder=tmp_path, environment=GOOD.environment)
    assert ended.code == 2
    assert "add --yes" in ended.output

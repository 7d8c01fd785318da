"""What is refused before anything is pushed, and what a failed push says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ops import images_push
from ops.images_build import Built
from ops.images_engine import Engine, Image
from ops.images_push import PushFailed, PushRefused
from ops.images_source import Source
from ops.local.aws import LocalAws

REPOSITORY = "ops-pipeline/some_service"


def built(*, dirty: bool = False) -> Built:
    source = Source(name="some_service", content="c" * 64, revision="a" * 40, epoch=0, dirty=dirty)
    return Built(source=source, reference="here", image=Image(id="1" * 64, labels={}, size=1), seconds=None)


@pytest.fixture(scope="module")
def aws() -> Iterator[LocalAws]:
    with LocalAws(None) as started:
        yield started


def engine(folder: Path, script: str) -> Engine:
    """podman, as far as it is asked here."""
    (folder / "podman").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "podman").chmod(0o755)
    return Engine(name="podman", version="5", environ={"PATH": f"{folder}:/usr/bin:/bin"})


def test_what_no_commit_has_is_refused() -> None:
    with pytest.raises(PushRefused, match="uncommitted changes are in some_service"):
        images_push.require_committed([built(), built(dirty=True)], allow_dirty=False)


def test_it_is_pushed_where_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ops.images_source.shallow", lambda: False)
    images_push.require_committed([built(dirty=True)], allow_dirty=True)


def test_a_shallow_clone_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ops.images_source.shallow", lambda: True)
    with pytest.raises(PushRefused, match="git fetch --unshallow"):
        images_push.require_committed([built()], allow_dirty=False)


def test_a_missing_repository_is_told_with_what_makes_it(aws: LocalAws) -> None:
    with pytest.raises(PushFailed, match=r"no repository ops-pipeline/nothing; make plan and make apply"):
        images_push.find(aws.client("ecr"), "ops-pipeline/nothing", "tag")


def test_a_push_that_the_engine_does_not_manage_is_told_in_its_words(aws: LocalAws, tmp_path: Path) -> None:
    ecr = aws.client("ecr")
    ecr.create_repository(repositoryName=REPOSITORY)
    failing = engine(tmp_path, "echo connection reset by peer >&2; exit 125")
    with pytest.raises(PushFailed, match=r"some_service:a{40} was not pushed: (.|\n)*connection reset by peer"):
        images_push.push_all(failing, ecr, "registry.example", [built()], lambda pushed: None)


def test_a_push_that_never_arrived_is_not_taken_for_one(aws: LocalAws, tmp_path: Path) -> None:
    with pytest.raises(PushFailed, match="was pushed, and ECR does not have it"):
        images_push.push_all(engine(tmp_path, "true"), aws.client("ecr"), "nowhere", [built()], lambda pushed: None)


def test_ecr_gives_user_password_and_host(aws: LocalAws) -> None:
    user, password, host = images_push.credentials(aws.client("ecr"))
    assert (user, host) == ("AWS", "123456789012.dkr.ecr.us-west-2.amazonaws.com")
    assert password

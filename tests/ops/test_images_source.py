"""From which commit an image is said to be."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from ops import images_source
from ops.images_source import BASE

AUTHOR = {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b"}


class Checkout:
    """A small repository with a base and two services, each in one commit of its own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.git("init", "--quiet")
        (root / "services.yaml").write_text("services")
        self.base = self.commit("images/base/Dockerfile")
        self.one = self.commit("images/one/Dockerfile")
        self.two = self.commit("images/two/Dockerfile")

    def git(self, *arguments: str) -> str:
        environ = {"PATH": os.environ["PATH"], "HOME": str(self.root), "GIT_CONFIG_NOSYSTEM": "1", **AUTHOR}
        done = subprocess.run(
            ["git", *arguments], cwd=self.root, env=environ, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    def write(self, path: str, text: str = "") -> None:
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(text or path)

    def commit(self, path: str, text: str = "") -> str:
        self.write(path, text)
        self.git("add", "-A")
        self.git("commit", "--quiet", "-m", path)
        return self.git("rev-parse", "HEAD")

    def read(self) -> dict[str, images_source.Source]:
        return images_source.read(["one", "two"], self.root)


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def test_an_image_is_from_the_last_commit_that_changed_its_files(checkout: Checkout) -> None:
    sources = checkout.read()
    assert list(sources) == [BASE, "one", "two"]
    assert [each.tag for each in sources.values()] == [checkout.base, checkout.one, checkout.two]
    assert [each.git_sha for each in sources.values()] == [checkout.base, checkout.one, checkout.two]


def test_a_commit_elsewhere_leaves_every_image_as_it_was(checkout: Checkout) -> None:
    before = checkout.read()
    checkout.commit("docs/page.md")
    assert checkout.read() == before


@pytest.mark.parametrize("path", ["images/base/pipeline/task.py", "services.yaml", ".dockerignore"])
def test_what_the_base_holds_is_in_every_image(checkout: Checkout, path: str) -> None:
    new = checkout.commit(path, "changed")
    assert {each.revision for each in checkout.read().values()} == {new}


def test_a_change_without_a_commit_marks_its_image_and_no_other(checkout: Checkout) -> None:
    checkout.write("images/one/new.py")
    sources = checkout.read()
    assert {name for name, each in sources.items() if each.dirty} == {"one"}
    assert sources["one"].git_sha == f"{checkout.one}-dirty"


def test_two_changes_without_a_commit_have_two_tags(checkout: Checkout) -> None:
    checkout.write("images/one/new.py", "first")
    first = checkout.read()["one"].tag
    checkout.write("images/one/new.py", "second")
    assert checkout.read()["one"].tag != first


def test_compiled_files_are_no_change(checkout: Checkout) -> None:
    before = checkout.read()["one"].content
    checkout.write("images/one/__pycache__/main.pyc")
    assert checkout.read()["one"].content == before


def test_a_shallow_clone_is_known(checkout: Checkout, tmp_path_factory: pytest.TempPathFactory) -> None:
    clone = tmp_path_factory.mktemp("clone") / "shallow"
    checkout.git("clone", "--quiet", "--depth=1", checkout.root.as_uri(), str(clone))
    assert images_source.shallow(clone)
    assert not images_source.shallow(checkout.root)


def test_an_address_loses_its_password(checkout: Checkout) -> None:
    assert images_source.address(checkout.root) == "ops-pipeline"
    checkout.git("remote", "add", "origin", "https://me:token@example.org/team/ops-pipeline.git")
    assert images_source.address(checkout.root) == "https://example.org/team/ops-pipeline.git"


def test_without_a_repository_an_image_says_so(tmp_path: Path) -> None:
    (tmp_path / "services.yaml").write_text("services")
    source = images_source.read([], tmp_path)[BASE]
    assert source.dirty
    assert source.git_sha == "unknown-dirty"

"""Which engine is taken, and what is said where there is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from ops import images_engine, images_offline
from ops.images_engine import EngineFailed, NoEngine, Order


def engine_at(folder: Path, name: str, script: str) -> None:
    """A program of that name."""
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


def test_the_first_engine_that_answers_is_taken(tmp_path: Path) -> None:
    engine_at(tmp_path, "docker", "echo Cannot connect to the daemon >&2; exit 1")
    engine_at(tmp_path, "podman", "echo podman version 5.4.2")
    engine_at(tmp_path, "buildah", "echo buildah version 1.39")
    assert str(images_engine.choose({"PATH": str(tmp_path)})) == "podman 5.4.2"


def test_an_engine_can_be_forced(tmp_path: Path) -> None:
    engine_at(tmp_path, "podman", "echo podman version 5.4.2")
    engine_at(tmp_path, "buildah", "echo buildah version 1.39 '(image-spec 1.1.0)'")
    assert str(images_engine.choose({"PATH": str(tmp_path), "OPS_IMAGE_ENGINE": "buildah"})) == "buildah 1.39"


def test_without_an_engine_every_reason_and_the_remedy_are_told(tmp_path: Path) -> None:
    engine_at(tmp_path, "docker", "echo Cannot connect to the daemon >&2; exit 1")
    with pytest.raises(NoEngine) as error:
        images_engine.choose({"PATH": str(tmp_path)})
    for part in ("docker: Cannot connect to the daemon", "podman: not on the PATH", "apt-get install -y podman"):
        assert part in str(error.value)


def test_an_unknown_engine_is_refused_with_the_choices() -> None:
    with pytest.raises(NoEngine, match="OPS_IMAGE_ENGINE=kaniko: choose one of docker, podman, buildah"):
        images_engine.choose({"PATH": "", "OPS_IMAGE_ENGINE": "kaniko"})


def test_a_failed_build_tells_what_the_engine_said(tmp_path: Path) -> None:
    engine_at(
        tmp_path, "podman", "case $1 in build) echo STEP 3/9; echo no such file >&2; exit 125;; *) echo 5.4;; esac"
    )
    engine = images_engine.choose({"PATH": str(tmp_path)})
    order = Order(dockerfile=Path("Dockerfile"), context=tmp_path, names=["x"], arguments={}, labels={}, epoch=0)
    with pytest.raises(EngineFailed, match=r"exit code 125\nSTEP 3/9\nno such file"):
        engine.build(order)


def test_a_password_goes_through_standard_input(tmp_path: Path) -> None:
    engine_at(
        tmp_path,
        "podman",
        f'case $1 in login) echo "$@" > {tmp_path}/words; read line; echo "$line" > {tmp_path}/in;; *) echo 5;; esac',
    )
    images_engine.choose({"PATH": f"{tmp_path}:/bin:/usr/bin"}).login("registry.example", "AWS", "hidden")
    assert "hidden" not in (tmp_path / "words").read_text()
    assert (tmp_path / "in").read_text().strip() == "hidden"


def test_a_ca_bundle_of_the_shell_is_seen_in_builds(tmp_path: Path) -> None:
    bundle = tmp_path / "ca.crt"
    bundle.write_text("")
    assert f'"{bundle}:{images_offline.CA_BUNDLE}:ro"' in images_offline.settings({"PIP_CERT": str(bundle)})
    assert "volumes" not in images_offline.settings({"PIP_CERT": str(tmp_path / "missing")})

"""Builds the base and every service's image on it; what is built already and would come out the same is left alone."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ops import images_source
from ops.images_engine import Engine, EngineFailed, Image, Order
from ops.images_lock import ROOT
from ops.images_source import BASE, Source
from pipeline import catalog

BASE_IMAGE = "docker.io/library/python:3.13-slim"
WORK = ROOT / ".local" / "images"
INPUTS_LABEL = "ops-pipeline.inputs"
# A build is half waiting for the network; more at a time than this only fill the disk.
PARALLEL_MOST = 4


@dataclass(frozen=True, kw_only=True)
class Built:
    """An image that is there, as `reference` in the engine's store; `seconds` is None where it was there before."""

    source: Source
    reference: str
    image: Image
    seconds: float | None


Tell = Callable[[Built], None]


def repository(name: str) -> str:
    """An image's name in any registry."""
    return f"{catalog.load().project}/{name}"


def build_all(
    engine: Engine,
    services: Sequence[str],
    *,
    base_image: str = BASE_IMAGE,
    tell: Tell = lambda built: None,
    root: Path = ROOT,
) -> dict[str, Built]:
    """Every image by name, the base first, then the services side by side. Raises EngineFailed, with the log's end."""
    with _alone():
        sources = images_source.read(services, root)
        started_from = _require(engine, base_image)
        base = _build(engine, sources[BASE], base_image, started_from, root)
        tell(base)
        with ThreadPoolExecutor(min(PARALLEL_MOST, os.cpu_count() or 1)) as pool:
            tasks = [pool.submit(_build, engine, sources[name], base.reference, base.image, root) for name in services]
            built = [base]
            for task in tasks:
                built.append(task.result())
                tell(built[-1])
    return {each.source.name: each for each in built}


def _require(engine: Engine, base_image: str) -> Image:
    """The image that all are built on, fetched where it is not there."""
    found = engine.find(base_image)
    if found is None:
        try:
            engine.pull(base_image)
        except EngineFailed as error:
            raise EngineFailed(
                f"{base_image} is neither here nor to be had; behind a mirror: --base-image MIRROR/python:3.13-slim; "
                f"without any registry, as root on Debian: scripts/build-images --base-from-debian\n{error}"
            ) from error
        found = engine.find(base_image)
    if found is None:
        raise EngineFailed(f"{base_image} was pulled by {engine}, and is not there")
    return found


def _build(engine: Engine, source: Source, on: str, on_image: Image, root: Path) -> Built:
    name = engine.local(repository(source.name))
    reference = f"{name}:{source.tag}"
    inputs = images_source.inputs(source, on_image.id)
    found = engine.find(reference)
    if found and found.labels.get(INPUTS_LABEL) == inputs:
        return Built(source=source, reference=reference, image=found, seconds=None)
    begin = time.monotonic()
    order = Order(
        dockerfile=root / "images" / source.name / "Dockerfile",
        context=root,
        names=(reference, f"{name}:latest"),
        arguments={"BASE_IMAGE": on} | ({} if source.name == BASE else {"GIT_SHA": source.git_sha}),
        labels={**_labels(source, root), INPUTS_LABEL: inputs},
        epoch=source.epoch,
    )
    said = engine.build(order)
    (WORK / f"{source.name}.log").write_text(said, encoding="utf-8")
    made = engine.find(reference)
    if made is None:
        raise EngineFailed(f"{engine} built {reference}, and it is not there; its log: {WORK / source.name}.log")
    return Built(source=source, reference=reference, image=made, seconds=time.monotonic() - begin)


def _labels(source: Source, root: Path) -> dict[str, str]:
    """The OCI's names; `created` is the commit's time, since the build's own would make every build another image."""
    prefix = "org.opencontainers.image"
    return {
        f"{prefix}.title": repository(source.name),
        f"{prefix}.revision": source.git_sha,
        f"{prefix}.source": images_source.address(root),
        f"{prefix}.created": datetime.fromtimestamp(source.epoch, UTC).isoformat(),
    }


@contextmanager
def _alone() -> Iterator[None]:
    """Two builds of one checkout take turns; the second finds everything done."""
    WORK.mkdir(parents=True, exist_ok=True)
    with (WORK / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield

"""One applied stack a worker, put back to its snapshot for every test; a plane, a database and an exchange each."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

import pytest

from applied_stack import applied, push_images
from ops.local.aws import LocalAws
from ops.local.exchange import Exchange, synthetic
from ops.local.plane.containers import Containers
from ops.local.postgres import Database
from pipeline import catalog
from plane_world import World, feeds_of

MARKET = synthetic.market(["AAPL", "TSLA"], date(2026, 1, 26), seed=4, history_sessions=1)


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAws]:
    """The applied stack with its images in the registry, saved so."""
    with applied("local", tmp_path_factory.mktemp("stack") / "account") as workspace:
        assert workspace.aws
        push_images(workspace.aws)
        workspace.aws.save()
        yield workspace.aws


@pytest.fixture(scope="session")
def containers() -> Iterator[Containers]:
    """Forked, their modules loaded once."""
    with Containers("fork", list(catalog.load().services)) as made:
        yield made


@pytest.fixture
def world(stack: LocalAws, containers: Containers, database: Database) -> Iterator[World]:
    """As it was applied."""
    stack.restore()
    with Exchange(MARKET) as exchange, feeds_of([]) as feeds:
        made = World(stack, containers, database, exchange, feeds, MARKET)
        try:
            yield made
        finally:
            made.close()

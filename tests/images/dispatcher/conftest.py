"""The world that the dispatcher's tests trade in."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dispatch_world import World
from ops.local.postgres import Database


@pytest.fixture
def world(database: Database) -> Iterator[World]:
    made = World(database=database)
    yield made
    made.close()

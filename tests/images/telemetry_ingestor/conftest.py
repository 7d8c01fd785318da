"""The exchange and database that the ingestor's tests run against."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ingest_world import World, session_market
from ops.local.exchange import Exchange
from ops.local.postgres import Database
from telemetry_ingestor import alpaca

# The real one waits for half a minute in all; refusals and waiting are the same in a hundredth of it.
IMPATIENT = alpaca.Patience(
    tries=3,
    backoff_seconds=0.01,
    backoff_most_seconds=0.02,
    connect_seconds=1,
    answer_seconds=3,
    total_seconds=10,
)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alpaca, "PATIENCE", IMPATIENT)


@pytest.fixture
def world(database: Database) -> Iterator[World]:
    """Three symbols with every session minute of one day."""
    with Exchange(session_market(), rate_limit=None) as exchange:
        made = World(database=database, exchange=exchange)
        yield made
        made.close()

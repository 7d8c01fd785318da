"""One applied stack a worker; for each test module a world of its own, in which one service runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date

import pytest

import nursery
from applied_stack import applied, push_images
from database_world import DatabaseWorld, opened_database
from ops.local.aws import LocalAws
from ops.local.exchange import Exchange, synthetic
from ops.local.plane.containers import Containers
from ops.local.postgres import Postgres
from pipeline import catalog
from plane_world import feeds_of
from runbook_world import RunbookWorld

RUNBOOKS = ("rotate_alpaca_keys", "recover_schedules", "rotate_database_password", "restore_database")
nursery.preload(*(f"ops.runbook.{name}" for name in RUNBOOKS), "ops.runbook.command", "boto3")
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


@contextmanager
def opened(stack: LocalAws, containers: Containers, server: Postgres, template: str) -> Iterator[RunbookWorld]:
    """The account as it was applied, with a database and a provider of its own."""
    stack.restore()
    database = server.create_database("runbooks", template=template)
    with Exchange(MARKET, rate_limit=None) as exchange, feeds_of([]) as feeds:
        made = RunbookWorld(stack, containers, database, exchange, feeds, MARKET)
        try:
            yield made
        finally:
            made.close()
            database.drop()


@pytest.fixture(scope="module")
def world(
    stack: LocalAws, containers: Containers, postgres_server: Postgres, database_template: str
) -> Iterator[RunbookWorld]:
    """With the service that fetches bars on its schedule and no other."""
    with opened(stack, containers, postgres_server, database_template) as made:
        made.begin()
        yield made


@pytest.fixture(scope="module")
def whole_world(
    stack: LocalAws, containers: Containers, postgres_server: Postgres, database_template: str
) -> Iterator[RunbookWorld]:
    """With every service, each of which has run."""
    with opened(stack, containers, postgres_server, database_template) as made:
        for _ in range(6):
            made.minute(alarms=False)
        yield made


@pytest.fixture(scope="module")
def database_world(containers: Containers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DatabaseWorld]:
    """An environment with a database of its own, every service of which has run with its own login."""
    with opened_database(tmp_path_factory.mktemp("paper") / "account", containers, MARKET) as made:
        for _ in range(6):
            made.minute(alarms=False)
        yield made

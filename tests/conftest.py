"""What tests share: one real PostgreSQL per worker, a migrated database per test, the real data where they are."""

from __future__ import annotations

import hashlib
import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:  # tests without a database start without these imports
    from ops.local.postgres import Database, Postgres

REPOSITORY = Path(__file__).resolve().parent.parent
numbers = itertools.count(1)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Postgres]:
    """A server of this worker's own, in memory. DATABASE_URL is ignored: a shell's may lead to production."""
    from ops.local.postgres import Postgres

    with Postgres(durable=False) as server:
        yield server


@pytest.fixture(scope="session")
def database_template(postgres_server: Postgres) -> str:
    """The name of a database with every migration and grant, to be copied; it carries a hash of the migrations."""
    from pipeline import catalog
    from pipeline.store import migrations

    checksums = "".join(migration.checksum for migration in migrations.known())
    template = postgres_server.create_database(f"template_{hashlib.sha256(checksums.encode()).hexdigest()[:12]}")
    with template.connect() as connection:
        migrations.migrate(connection, catalog.load())
    return template.name


@pytest.fixture
def database(postgres_server: Postgres, database_template: str) -> Iterator[Database]:
    """A migrated, empty database of the test's own: `.url` (superuser), `.connect(role=None)`; gone after the test."""
    made = postgres_server.create_database(f"test_{next(numbers)}", template=database_template)
    yield made
    made.drop()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of the real bars and news (OPS_SHARED_DATA, else ../shared/data); skips where it is absent."""
    folder = Path(os.environ.get("OPS_SHARED_DATA") or REPOSITORY.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"no real data in {folder}; set OPS_SHARED_DATA")
    return folder


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int | None:
    """For `-n auto` half as many again as there are processors: much of the time is Terraform, waiting for AWS."""
    if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ:
        return None  # xdist reads it
    return (os.cpu_count() or 1) * 3 // 2


LONGEST = ("tests/terraform/test_apply.py", "tests/runbooks/")  # minutes each: begun last, they keep one worker waiting


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest first, so that workers end together; within a module the order stays."""
    items.sort(key=lambda item: not item.nodeid.startswith(LONGEST))

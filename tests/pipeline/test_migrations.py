"""Migrations: each once, in order, with its checksum; grants exactly as the catalogue says."""

import threading

import pytest

from pipeline import catalog, store
from pipeline.errors import SchemaDiffers
from pipeline.store import migrations


@pytest.fixture
def empty(postgres_server):
    made = postgres_server.create_database("migrations_empty")
    yield made
    made.drop()


def write(folder, *texts):
    for number, text in enumerate(texts, start=1):
        (folder / f"{number:04d}_step.sql").write_text(text)
    migrations.known.cache_clear()


def bare():
    """The project's catalogue without services: the folders of these tests have no tables to grant."""
    whole = catalog.load()
    return catalog.Catalog(**{**vars(whole), "services": {}})


def test_migrations_run_once_and_in_order(empty, tmp_path):
    write(tmp_path, "create table a (x int)", "alter table a add y int")
    with empty.connect() as connection:
        assert [m.version for m in migrations.migrate(connection, bare(), tmp_path)] == [1, 2]
        assert migrations.migrate(connection, bare(), tmp_path) == []


def test_a_migration_that_fails_leaves_nothing_of_itself(empty, tmp_path):
    write(tmp_path, "create table a (x int)", "create table b (x int); select 1 / 0")
    with empty.connect() as connection:
        with pytest.raises(Exception, match="division by zero"):
            migrations.migrate(connection, bare(), tmp_path)
        assert connection.execute("select to_regclass('a'), to_regclass('b')").fetchone() == ("a", None)
        assert [m.version for m in migrations.pending(connection, tmp_path)] == [2]


def test_edited_history_is_refused(empty, tmp_path):
    write(tmp_path, "create table a (x int)")
    with empty.connect() as connection:
        migrations.migrate(connection, bare(), tmp_path)
        write(tmp_path, "create table a (x bigint)")
        with pytest.raises(SchemaDiffers, match="0001_step was edited"):
            migrations.migrate(connection, bare(), tmp_path)


def test_a_hole_in_the_numbers_is_refused(tmp_path):
    (tmp_path / "0002_step.sql").write_text("select 1")
    with pytest.raises(SchemaDiffers, match="expected migration number 0001"):
        migrations.known(tmp_path)


def test_two_migrators_at_once_are_one_after_the_other(empty):
    failures = []

    def migrate():
        try:
            with empty.connect() as connection:
                migrations.migrate(connection, catalog.load())
        except Exception as error:  # noqa: BLE001 (any failure of a thread fails the test)
            failures.append(error)

    threads = [threading.Thread(target=migrate) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []


GRANTS = b"""
select table_name, array_agg(privilege_type::text order by privilege_type)
from information_schema.role_table_grants where grantee = %s group by table_name"""


@pytest.mark.parametrize("service", list(catalog.load()), ids=lambda s: s.name)
def test_a_role_holds_exactly_what_its_entry_needs(database, service):
    expected = {"schema_migrations": ["SELECT"], "task_runs": ["INSERT", "SELECT", "UPDATE"]}
    expected |= {table: ["SELECT"] for table in service.reads}
    expected |= {table: ["DELETE", "INSERT", "SELECT", "UPDATE"] for table in service.writes}
    with database.connect() as connection:
        assert dict(connection.execute(GRANTS, (service.name,)).fetchall()) == expected


def test_every_table_of_the_catalogue_exists_and_is_written_by_someone(database):
    with database.connect() as connection:
        tables = {row[0] for row in connection.execute("select tablename from pg_tables where schemaname = 'public'")}
    written = {table for service in catalog.load() for table in service.writes}
    read = {table for service in catalog.load() for table in service.reads}
    assert read | written <= tables
    assert tables - written == {"schema_migrations", "task_runs"}


def test_connecting_as_a_service_takes_its_role(database):
    with store.connect(database.url, role="classifier") as connection:
        assert connection.execute("select current_user, current_setting('timezone')").fetchone() == (
            "classifier",
            "UTC",
        )

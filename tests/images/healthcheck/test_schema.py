"""The schema that the healthcheck expects is the one that the migrations make."""

from __future__ import annotations

from typing import Any

import pytest

from healthcheck import schema
from pipeline.store import sql


def lines(database: Any) -> list[str]:
    with database.connect() as connection:
        return [row[0] for row in connection.execute(sql("healthcheck/schema"))]


def test_the_expected_schema_is_what_the_migrations_make(database: Any) -> None:
    wanted = "\n".join(lines(database)) + "\n"
    if schema.FILE.read_text(encoding="utf-8") != wanted:
        pytest.fail(f"a migration changed the schema: run make schema, which writes to {schema.FILE.name}:\n{wanted}")


@pytest.mark.parametrize(
    "damage",
    [
        "alter table features drop column volume_ratio",
        "alter table dispatches drop constraint dispatches_claimed",
        "alter table bars alter column volume type double precision",
        "alter table bars disable trigger bars_inserted",
        "alter table signals drop constraint signals_symbol_ts_rule_key",
        "drop index findings_open",
        "create or replace function enforce_dispatch_state() returns trigger language plpgsql"
        " as 'begin return new; end'",
    ],
)
def test_damage_to_the_schema_is_seen(database: Any, damage: str) -> None:
    with database.connect() as connection:
        connection.execute(damage)
    missing, _ = schema.compare(lines(database))
    assert missing


def test_an_old_check_in_the_place_of_the_new_one_is_seen(database: Any) -> None:
    with database.connect() as connection:
        connection.execute("alter table signals drop constraint signals_side_check")
        connection.execute("alter table signals add constraint signals_side_check check (side in ('BUY', 'HOLD'))")
    missing, instead = schema.compare(lines(database))
    assert len(missing) == len(instead) == 1
    assert "HOLD" in instead[0]

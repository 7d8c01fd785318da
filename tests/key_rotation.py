"""What the tests of the key rotation share."""

from __future__ import annotations

from typing import Any

from runbook_world import KEY_ID, SECRET_KEY, RunbookWorld

RUNBOOK = "rotate-alpaca-keys"
NOW = ("--apply", "--yes", "--confirm", "local", "--planned")
ROWS = "select count(*), coalesce(sum(hashtext(t::text)::bigint), 0) from {} t"


def everything(world: RunbookWorld) -> dict[str, Any]:
    """All that a runbook could have touched: changes that AWS has counted, objects, parameters, rows."""
    listed = world.client("s3").list_object_versions(Bucket=world.records)
    tables = ("bars", "gaps", "task_runs", "findings")
    with world.database.connect() as connection:
        rows = {table: connection.execute(ROWS.format(table).encode()).fetchone() for table in tables}
    return {
        "changes": world.aws.changes(),
        "objects": sorted((each["Key"], each["VersionId"]) for each in listed.get("Versions", [])),
        "versions": [world.version(name) for name in (KEY_ID, SECRET_KEY, f"{KEY_ID}/next", f"{SECRET_KEY}/next")],
        "rows": rows,
    }

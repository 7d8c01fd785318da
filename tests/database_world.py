"""An applied environment whose RDS instance has a real PostgreSQL behind it, a login a service, and its runbooks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from applied_stack import applied, push_images
from key_rotation import ROWS
from ops.local.database import Managed, managed, trusting
from ops.local.exchange import Exchange, Market
from ops.local.plane import Minute
from ops.local.plane.containers import Containers
from ops.terraform_workspace import Workspace
from pipeline import catalog, store
from pipeline.errors import DatabaseUnreachable
from pipeline.store import Connection
from plane_world import feeds_of
from runbook_world import RunbookWorld

ENVIRONMENT = "paper"
TABLES = ("bars", "features", "signals", "dispatches", "gaps", "task_runs", "findings")


@dataclass(frozen=True, kw_only=True)
class Superuser:
    """The superuser's way to whatever server stands behind the instance now."""

    managed: Managed

    @property
    def url(self) -> str:
        return self.managed.url

    def connect(self) -> Connection:
        return store.connect(self.url)


class DatabaseWorld(RunbookWorld):
    """As RunbookWorld, in an environment with a database of its own. `workspace` plans and applies it, `managed` is
    what stands behind its RDS."""

    workspace: Workspace
    database: Superuser
    patience_seconds = 300  # Terraform is at work

    @property
    def managed(self) -> Managed:
        return self.database.managed

    @property
    def given_address(self) -> None:
        return None

    @property
    def trust(self) -> Mapping[str, str]:
        return self.managed.trust

    @property
    def environment(self) -> dict[str, str]:
        """As every operator's, and the images that are deployed are what the checkout says."""
        told = {f"TF_VAR_{name}": str(value) for name, value in self.workspace.variables.items()}
        return {**super().environment, **told, "OPS_RUNBOOK_WORK": str(self.workspace.work / "runbook")}

    def minute(self, *, alarms: bool = True) -> Minute:
        """Plays the next minute; what RDS was asked for goes on with its beginning."""
        self.aws.set_now(self.at)
        self.managed.tick()
        return super().minute(alarms=alarms)

    # ── the services' logins ─────────────────────────────────────────────────────────────────────────────────────────

    def addresses(self) -> dict[str, str]:
        """Service → the address that is stored for it."""
        return {service.name: str(self.parameter(f"database_url/{service.name}")) for service in catalog.load()}

    def address_versions(self) -> dict[str, int]:
        """Service → how often its address was written."""
        return {service.name: self.version(f"database_url/{service.name}") or 0 for service in catalog.load()}

    def address_history(self) -> set[str]:
        """Every address that was ever stored, of all services."""
        pages = self.client("ssm").get_paginator("get_parameter_history")
        return {
            each["Value"]
            for service in catalog.load()
            for page in pages.paginate(Name=f"/ops-pipeline/database_url/{service.name}", WithDecryption=True)
            for each in page["Parameters"]
        }

    def opens(self, service: str, address: str) -> bool:
        """Whether PostgreSQL lets the service in with it."""
        try:
            store.connect(address, role=service, name="test").close()
        except DatabaseUnreachable:
            return False
        return True

    def touched(self) -> dict[str, Any]:
        """All that a run which must not act could have touched: changing calls, objects, addresses, roles, rows."""
        listed = self.client("s3").list_object_versions(Bucket=self.records)
        with self.database.connect() as connection:
            rows = {table: connection.execute(ROWS.format(table).encode()).fetchone() for table in TABLES}
            roles = connection.execute("select rolname, rolcanlogin, rolpassword from pg_authid order by 1").fetchall()
        return {
            "changes": self.aws.changes(),
            "objects": sorted((each["Key"], each["VersionId"]) for each in listed.get("Versions", [])),
            "versions": self.address_versions(),
            "roles": roles,
            "rows": rows,
        }

    def failed_since(self, since: datetime) -> list[tuple[str, str]]:
        """(service, why) of every run that failed since then."""
        with self.database.connect() as connection:
            return connection.execute(
                "select service, error from task_runs where outcome = 'FAILED' and started_at >= %s", (since,)
            ).fetchall()


@contextmanager
def opened_database(folder: Path, containers: Containers, market: Market) -> Iterator[DatabaseWorld]:
    """The environment on an AWS of the caller's own in `folder`, with a server behind its RDS; both end with it."""
    with ExitStack() as stack:
        workspace = stack.enter_context(applied(ENVIRONMENT, folder))
        assert workspace.aws
        push_images(workspace.aws)
        database = Superuser(managed=managed(workspace, stack))
        stack.enter_context(trusting(database.managed.trust))  # the tests themselves connect as the services do
        exchange = stack.enter_context(Exchange(market, rate_limit=None))
        feeds = stack.enter_context(feeds_of([]))
        made = DatabaseWorld(workspace.aws, containers, database, exchange, feeds, market)
        made.workspace = workspace
        stack.callback(made.close)
        yield made

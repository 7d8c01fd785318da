"""A whole production account with data, whose region then is lost; another region holds a copy of its database."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from applied_stack import applied, push_images
from ops import images_lock
from ops.local.aws import LocalAws
from ops.local.aws.environment import ACCOUNT, REGION
from ops.local.cloud import first_values, machine, set_parameters
from ops.local.database import Managed, managed, trusting
from ops.local.exchange import Exchange, Market
from ops.local.feeds import FeedServer
from ops.local.plane import Minute, Plane
from ops.local.plane.containers import Containers
from ops.terraform_workspace import Workspace
from pipeline import catalog, store
from pipeline.store import Connection
from plane_world import MORNING, PROJECT, Account, feeds_of
from runbook_world import RunbookWorld

ELSEWHERE = "us-east-2"  # where production's backups are copied to
SNAPSHOT = "nightly"
TABLES = {"bars": "ingested_at", "features": "computed_at", "task_runs": "finished_at", "gaps": "detected_at"}
SUM = "select count(*), sum(hashtextextended(t::text, 0)) from {0} t where {1} <= %s"


class RegionWorld(RunbookWorld):
    """The minutes of one region at a time: first the old one's, after `lose` the new one's."""

    patience_seconds = 500

    def __init__(
        self,
        workspace: Workspace,
        database: Managed,
        containers: Containers,
        exchange: Exchange,
        feeds: FeedServer,
        market: Market,
    ) -> None:
        assert workspace.aws
        Account.__init__(self, workspace.aws)
        self.workspace, self.managed, self.containers = workspace, database, containers
        self.exchange, self.feeds = exchange, feeds
        self.elsewhere = LocalAws(workspace.aws.state_dir, region=ELSEWHERE)
        set_parameters(workspace.aws, first_values(market, exchange, feeds, None))
        self.plane = self._plane(workspace.aws)
        self.at, self.played, self._mail_before = MORNING, [], 0

    def _plane(self, aws: LocalAws) -> Plane:
        environment = {**machine(self.exchange), **self.managed.trust}
        return Plane(aws, environment=environment, containers=self.containers)

    def minute(self, *, alarms: bool = True) -> Minute:
        self.managed.tick()
        return super().minute(alarms=alarms)

    def back_up(self, region: str = ELSEWHERE) -> None:
        """What AWS Backup does at night: a snapshot, and its copy in another region."""
        self.backed_up_at = self.at - timedelta(minutes=1)  # what was played last
        taken = self.client("rds").create_db_snapshot(DBInstanceIdentifier=PROJECT, DBSnapshotIdentifier=SNAPSHOT)
        self.managed.tick()
        self.aws.client("rds", region).copy_db_snapshot(
            SourceDBSnapshotIdentifier=taken["DBSnapshot"]["DBSnapshotArn"],
            TargetDBSnapshotIdentifier=f"{SNAPSHOT}-copy",
            CopyTags=True,
            SourceRegion=REGION,
        )
        self.managed.tick()

    def lose(self) -> None:
        """The region is gone with all in it; whatever is played from now on is played elsewhere."""
        self.plane.close()
        self.managed.kill()
        self.aws.lose_regions(REGION)
        self.plane = self._plane(self.elsewhere)

    @property
    def environment(self) -> dict[str, str]:
        """An operator's shell: led to the account, in the region that it always had."""
        return {
            **self.aws.environment(os.environ),
            **machine(self.exchange),
            **self.managed.trust,
            "OPS_CLOCK_URL": self.aws.url,
            "OPS_REBUILD_WORK": str(self.workspace.work / "rebuild"),
        }

    @property
    def images(self) -> str:
        """The lock of what is deployed."""
        return str(self.workspace.work / "images.lock.json")

    @property
    def records(self) -> str:
        return f"{PROJECT}-state-{ACCOUNT}-{ELSEWHERE}"

    @property
    def digests(self) -> dict[str, str]:
        """Service → what it runs."""
        return {name: entry["digest"] for name, entry in images_lock.load(Path(self.images)).items()}

    @property
    def lock(self) -> dict[str, Any]:
        """The lock of the rebuild, in the new region's bucket."""
        body = self.there("s3").get_object(Bucket=self.records, Key="runbooks/lock.json")["Body"]
        return dict(json.loads(body.read()))

    def there(self, service: str) -> Any:
        """A client of the other region."""
        return self.elsewhere.client(service)

    def rows(self, region: str = ELSEWHERE) -> dict[str, Any]:
        """Count and checksum of each table's rows that were there when the backup was taken."""
        with self.connect(region) as connection:
            return {
                table: connection.execute(SUM.format(table, column).encode(), (self.backed_up_at,)).fetchone()
                for table, column in TABLES.items()
            }

    def connect(self, region: str = ELSEWHERE) -> Connection:
        """To the region's database, as its superuser."""
        return store.connect(self._server(region))

    def _server(self, region: str) -> str:
        (machine_,) = (each for each in self.managed.storage.machines.values() if each.name == (region, PROJECT))
        return machine_.server.url("pipeline")


@contextmanager
def region_world(folder: Path, containers: Containers, market: Market) -> Iterator[RegionWorld]:
    """Applied, with a database of its own; it ends with the `with`."""
    with ExitStack() as stack:
        workspace = stack.enter_context(applied("production", folder))
        assert workspace.aws
        push_images(workspace.aws)
        database = managed(workspace, stack)
        stack.enter_context(trusting(database.trust))  # the tests themselves connect as the services do
        exchange = stack.enter_context(Exchange(market, rate_limit=None))
        feeds = stack.enter_context(feeds_of([]))
        made = RegionWorld(workspace, database, containers, exchange, feeds, market)
        try:
            yield made
        finally:
            made.close()


def services() -> set[str]:
    """The catalogue's."""
    return {service.name for service in catalog.load()}

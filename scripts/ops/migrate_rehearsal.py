"""A migration played on this machine: a PostgreSQL in the place of RDS, a process with the rights of the task."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ops.local.aws import LocalAws
from ops.local.plane.by_hand import ByHand
from ops.local.plane.containers import Containers
from ops.local.plane.deployed import Deployed
from ops.local.plane.fargate import Fargate
from ops.local.plane.network import Network
from ops.local.plane.permissions import Permissions
from ops.local.plane.recorder import Recorder
from ops.local.plane.tasks import Tasks
from ops.local.postgres import Postgres
from ops.local.postgres_account import hand_over
from ops.terraform_workspace import Workspace
from pipeline.settings import Secret

DATABASE = "pipeline"


@dataclass(frozen=True, kw_only=True)
class Rehearsal:
    """What the task must be told beyond its definition, and what makes the local AWS run it."""

    environment: Mapping[str, str]
    aws: LocalAws

    def play(self) -> None:
        """Runs every task that waits to its end, as Fargate would: its start permitted or refused by its roles."""
        deployed = Deployed(self.aws)
        recorder, permissions, network = Recorder(deployed), Permissions(deployed), Network(deployed)
        with closing(Containers("process", [])) as containers:
            fargate = Fargate(deployed, permissions, network)
            tasks = Tasks(deployed, fargate, recorder, containers, {**self.aws.environment({}), "ENVIRONMENT": "local"})
            try:
                now = datetime.now(UTC)
                deployed.refresh(now)
                ByHand(deployed, tasks).tick(now)
                recorder.flush()
            finally:
                recorder.close()
        self.aws.save()


@contextmanager
def rehearsing(workspace: Workspace, outputs: Mapping[str, Any]) -> Iterator[Rehearsal]:
    """Within it there is a database in the place of the declared one; its data stay beside the rehearsal's plan."""
    assert workspace.aws
    kept = workspace.aws.client("secretsmanager").get_secret_value(SecretId=outputs["database"]["master_secret_arn"])
    master = json.loads(kept["SecretString"])
    address = workspace.work / "postgres.port"  # the same each time, as RDS's endpoint is
    port = int(address.read_text(encoding="utf-8")) if address.exists() else None
    with Postgres(workspace.work / "postgres", port=port) as server:
        address.write_text(str(server.port), encoding="utf-8")
        database = hand_over(server, DATABASE, master["username"], Secret(master["password"]))
        yield Rehearsal(environment=database.environment, aws=workspace.aws)

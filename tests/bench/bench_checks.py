"""The live checks over an account of eight and of two hundred services: a first look, and one that remembers."""

from __future__ import annotations

import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from applied_stack import applied, push_images
from healthcheck import aws, checks
from healthcheck.aws.clients import Clients
from healthcheck.aws.memory import Memory
from healthcheck.place import Place
from healthcheck.snapshot import Scope, Snapshot
from many_services import deploy, grown
from ops import validate_live
from ops.local.aws import LocalAws
from pipeline.catalog import Catalog
from plane_world import Account

FEW, MANY = 8, 200
ARN = "arn:aws:sts:us-west-2:123456789012:"


def look(stack: LocalAws, catalog: Catalog, memory: Memory) -> dict[str, float]:
    """Wall seconds and calls of one look; it must find nothing."""
    place = Place.of(catalog, ARN)
    scope = Scope(
        now=datetime.now(UTC), catalog=catalog, tickers=("AAPL",), service="", execution_id="this", place=place
    )
    kept = [check for check in checks.ALL if check.needs and set(check.needs) <= set(validate_live.STANDING)]
    began = time.perf_counter()
    with Clients(make=lambda service, region: stack.client(service)) as clients:
        snapshot = Snapshot(scope=scope, parts=aws.read(clients, scope, memory, seconds=120))
        found = checks.evaluate(snapshot, kept).findings
        assert found == (), found
        return {"seconds": round(time.perf_counter() - began, 2), "calls": clients.calls.total()}


def run() -> dict[str, Any]:
    """Seconds and calls by number of services."""
    measured: dict[str, Any] = {}
    with (
        tempfile.TemporaryDirectory() as folder,
        applied("local", Path(folder) / "account") as workspace,
    ):
        assert workspace.aws
        stack = workspace.aws
        push_images(stack)
        for count in (FEW, MANY):
            services = grown(count)
            if count > FEW:
                deploy(Account(stack), services, Place.of(services, ARN))
            memory = Memory()
            measured[f"{count}_services"] = {
                "first": look(stack, services, memory),
                "again": look(stack, services, memory),
            }
    return {
        "what": "all live checks of the account, read and judged, against the emulator",
        "target": "8 services ≤ 3 s, 200 services ≤ 10 s",
        **measured,
    }

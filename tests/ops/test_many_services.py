"""An account of two hundred services: valid, and read by pages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from applied_stack import applied, push_images
from healthcheck import aws, checks
from healthcheck.aws.clients import Clients
from healthcheck.aws.memory import Memory
from healthcheck.finding import Finding
from healthcheck.place import Place
from healthcheck.snapshot import Scope, Snapshot
from many_services import deploy, grown
from ops import validate_live
from ops.local.aws import LocalAws
from pipeline.catalog import Catalog
from plane_world import Account

pytestmark = pytest.mark.slow

MANY = 200
# The smallest page of all lists that are read (the emulator's of parameters).
PAGE = 10
# AWS has no list of images over repositories.
BY_REPOSITORY = "ecr:DescribeImages"
# Described once, remembered since: a schedule, a revision.
DESCRIBED = ("scheduler:GetSchedule", "ecs:DescribeTaskDefinition")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAws]:
    with applied("local", tmp_path_factory.mktemp("stack") / "account") as workspace:
        assert workspace.aws
        push_images(workspace.aws)
        yield workspace.aws


def looked(stack: LocalAws, catalog: Catalog, memory: Memory) -> tuple[Counter[str], tuple[Finding, ...]]:
    """The calls that one look takes, and what it finds."""
    place = Place.of(catalog, "arn:aws:sts:us-west-2:123456789012:")
    scope = Scope(
        now=datetime.now(UTC), catalog=catalog, tickers=("AAPL",), service="", execution_id="this", place=place
    )
    kept = [check for check in checks.ALL if check.needs and set(check.needs) <= set(validate_live.STANDING)]
    with Clients(make=lambda service, region: stack.client(service)) as clients:
        snapshot = Snapshot(scope=scope, parts=aws.read(clients, scope, memory, seconds=60))
        assert snapshot.unreadable() == {}
        return clients.calls, checks.evaluate(snapshot, kept).findings


def test_calls_grow_with_pages_and_not_with_services(stack: LocalAws) -> None:
    few_services, many_services = grown(8), grown(MANY)
    memory = Memory()
    looked(stack, few_services, memory)
    few, _ = looked(stack, few_services, memory)
    deploy(Account(stack), many_services, Place.of(many_services, "arn:aws:sts:us-west-2:123456789012:"))
    first, found = looked(stack, many_services, memory)
    many, again = looked(stack, many_services, memory)
    assert (found, again) == ((), ())
    assert many[BY_REPOSITORY] == MANY
    assert all(many[name] == 0 and first[name] <= MANY for name in DESCRIBED)
    pages = {name: count - few[name] for name, count in many.items() if name != BY_REPOSITORY}
    assert all(more <= 1.1 * MANY / PAGE for more in pages.values()), pages

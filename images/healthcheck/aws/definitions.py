"""What tasks are made of: the cluster, and the revisions of task definitions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from healthcheck.aws.clients import Clients, found, pages
from healthcheck.aws.memory import Memory
from healthcheck.place import Place
from pipeline.catalog import Catalog

DESCRIBED_PER_CALL = 100
# How many revisions of a family are looked at: the newest, and what it took the place of.
REVISIONS = 3


@dataclass(frozen=True, kw_only=True)
class Definition:
    """A revision. `secrets` is variable → parameter ARN, `digest` the image's (empty where it is named by a tag)."""

    arn: str
    family: str
    revision: int
    registered_at: datetime | None
    registered_by: str
    container: str
    image: str
    cpu: int
    memory: int
    execution_role_arn: str
    task_role_arn: str
    secrets: Mapping[str, str]
    environment: Mapping[str, str]
    log_group: str

    @property
    def digest(self) -> str:
        return self.image.partition("@")[2]

    @property
    def reference(self) -> str:
        """The digest, or the tag by which the image is named."""
        name = self.image.rpartition("/")[2]
        return self.digest or name.partition(":")[2] or "latest"

    @property
    def repository(self) -> str:
        """Its name in our registry; empty for an image from elsewhere."""
        host, _, path = self.image.partition("/")
        return path.partition("@")[0].partition(":")[0] if ".dkr.ecr." in host else ""


@dataclass(frozen=True, kw_only=True)
class Definitions:
    """`active`: the ACTIVE revisions of our families, newest first. `described`: the newest of them, and whatever
    revision a trigger names, by ARN. `clusters`: name → status."""

    active: Mapping[str, tuple[str, ...]]
    described: Mapping[str, Definition]
    clusters: Mapping[str, str]

    def newest(self, family: str) -> Definition | None:
        """The newest ACTIVE revision."""
        return next((self.described[arn] for arn in self.active.get(family, ()) if arn in self.described), None)

    def of(self, family: str, revision: int | None) -> Definition | None:
        """The revision that a target means; an INACTIVE one too, None where there is none."""
        if revision is None:
            return self.newest(family)
        wanted = (family, revision)
        return next((each for each in self.described.values() if (each.family, each.revision) == wanted), None)

    def is_active(self, definition: Definition) -> bool:
        return definition.arn in self.active.get(definition.family, ())


def read(clients: Clients, place: Place, memory: Memory, catalog: Catalog, named: Iterable[str]) -> Definitions:
    """Lists by pages; describes what is new. `named` are the definitions that triggers name."""
    ecs = clients("ecs")
    families = {service.task_definition for service in catalog if service.kind == "task"}
    active: dict[str, list[str]] = {}
    for arn in pages(ecs, "list_task_definitions", "taskDefinitionArns", status="ACTIVE", sort="DESC"):
        if (family := _family(arn)) in families:
            active.setdefault(family, []).append(arn)
    ordered = {family: tuple(sorted(arns, key=_revision, reverse=True)) for family, arns in active.items()}
    newest = [arn for arns in ordered.values() for arn in arns[:REVISIONS]]
    pinned = [_whole(name, place) for name in named if name.rpartition(":")[2].isdigit() and _family(name) in families]

    def describe(arn: str) -> Mapping[str, Any] | None:
        answer = found(lambda: ecs.describe_task_definition(taskDefinition=arn), "ClientException")
        return answer["taskDefinition"] if answer else None

    described = memory.described("definition", [*newest, *pinned], describe, clients)
    return Definitions(
        active=ordered,
        described={str(arn): _definition(each) for arn, each in described.items()},
        clusters=_clusters(ecs),
    )


def _clusters(ecs: Any) -> dict[str, str]:
    arns = list(pages(ecs, "list_clusters", "clusterArns"))
    groups = [arns[i : i + DESCRIBED_PER_CALL] for i in range(0, len(arns), DESCRIBED_PER_CALL)]
    return {
        each["clusterName"]: each.get("status", "ACTIVE")
        for group in groups
        for each in ecs.describe_clusters(clusters=group)["clusters"]
    }


def _whole(name: str, place: Place) -> str:
    return name if name.startswith("arn:") else place.arn("ecs", f"task-definition/{name}")


def _family(arn: str) -> str:
    return arn.rsplit("/", 1)[-1].split(":")[0]


def _revision(arn: str) -> int:
    return int(arn.rpartition(":")[2])


def _definition(described: Mapping[str, Any]) -> Definition:
    containers = described["containerDefinitions"]
    container = next((each for each in containers if each.get("essential", True)), containers[0])
    registered = described.get("registeredAt")
    return Definition(
        arn=described["taskDefinitionArn"],
        family=described["family"],
        revision=described["revision"],
        registered_at=registered.astimezone(UTC) if registered else None,
        registered_by=described.get("registeredBy", ""),
        container=container["name"],
        image=container["image"],
        cpu=int(described.get("cpu") or container.get("cpu") or 0),
        memory=int(described.get("memory") or container.get("memory") or 0),
        execution_role_arn=described.get("executionRoleArn", ""),
        task_role_arn=described.get("taskRoleArn", ""),
        secrets={each["name"]: each["valueFrom"] for each in container.get("secrets") or ()},
        environment={each["name"]: each["value"] for each in container.get("environment") or ()},
        log_group=((container.get("logConfiguration") or {}).get("options") or {}).get("awslogs-group", ""),
    )

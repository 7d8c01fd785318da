"""Which images the registry holds, and when each was pushed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from healthcheck.aws.clients import Clients, found, pages
from healthcheck.aws.memory import Memory
from healthcheck.place import Place
from pipeline.catalog import Catalog


@dataclass(frozen=True, kw_only=True)
class Image:
    """One image of a repository."""

    digest: str
    tags: tuple[str, ...]
    pushed_at: datetime


@dataclass(frozen=True, kw_only=True)
class Images:
    """Repository → its images, newest first; a repository that does not exist is not there."""

    repositories: Mapping[str, tuple[Image, ...]]

    def find(self, repository: str, reference: str) -> Image | None:
        """The image of that digest or tag."""
        held = self.repositories.get(repository, ())
        return next((each for each in held if reference == each.digest or reference in each.tags), None)


def read(clients: Clients, place: Place, memory: Memory, catalog: Catalog) -> Images:
    """A call a repository, all at once: AWS knows no list of images over repositories."""
    ecr = clients("ecr")
    names = [place.repository(service) for service in catalog]

    def ask(name: str) -> tuple[Image, ...] | None:
        listed = found(
            lambda: list(pages(ecr, "describe_images", "imageDetails", repositoryName=name)),
            "RepositoryNotFoundException",
        )
        return None if listed is None else tuple(sorted(map(_image, listed), key=_pushed, reverse=True))

    answers = zip(names, clients.each(ask, names), strict=True)
    return Images(repositories={name: images for name, images in answers if images is not None})


def _pushed(image: Image) -> datetime:
    return image.pushed_at


def _image(described: Mapping[str, object]) -> Image:
    pushed, tags = described.get("imagePushedAt"), described.get("imageTags") or ()
    assert isinstance(tags, list | tuple)
    return Image(
        digest=str(described["imageDigest"]),
        tags=tuple(map(str, tags)),
        pushed_at=pushed.astimezone(UTC) if isinstance(pushed, datetime) else datetime.min.replace(tzinfo=UTC),
    )

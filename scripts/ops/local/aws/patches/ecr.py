"""ECR: an image is what its manifest says, and is found by its digest."""

from __future__ import annotations

import hashlib
from typing import Any

from moto.core.exceptions import ServiceException
from moto.ecr.models import ECRBackend, Image

from ops.local.aws.patches.tools import around, method_of


class ImageDigestDoesNotMatchException(ServiceException):
    """The digest that came with a manifest is another's."""

    __module__ = "moto.ecr.exceptions"  # by which moto finds the service whose error it is
    code = "ImageDigestDoesNotMatchException"


class ImageAlreadyExistsException(ServiceException):
    """The image is there, and nothing is to be changed of it."""

    __module__ = "moto.ecr.exceptions"
    code = "ImageAlreadyExistsException"


def digests_are_those_of_the_manifests() -> None:
    """An image's digest is its manifest's SHA-256; moto's is made of its layers, or by chance."""

    @method_of(Image)
    def _create_digest(self: Any) -> None:
        self._image_digest = _digest(self.image_manifest)


def pushes_are_checked() -> None:
    """PutImage refuses an unknown repository, a digest that is not the manifest's, and what is there already.

    moto answers 500 to the first, believes the second, and takes the tag from an image that is pushed again without.
    """

    @around(ECRBackend, "put_image")
    def put_image(
        original: Any,
        self: Any,
        repository_name: str,
        image_manifest: str,
        image_tag: str | None,
        image_manifest_mediatype: str | None = None,
        digest: str | None = None,
    ) -> Any:
        repository = self._get_repository(repository_name)
        actual = _digest(image_manifest)
        if digest not in (None, actual):
            raise ImageDigestDoesNotMatchException(
                "The specified image digest does not match the digest that Amazon ECR calculated for the image."
            )
        if image_tag is None and any(image.image_digest == actual for image in repository.images):
            raise ImageAlreadyExistsException(
                f"Image with digest '{actual}' already exists in the repository with name '{repository_name}' in "
                f"registry with id '{repository.registry_id}'"
            )
        return original(self, repository_name, image_manifest, image_tag, image_manifest_mediatype, actual)


def untagged_images_are_known_by_digest() -> None:
    """BatchGetImage and BatchDeleteImage name an image without a tag by its digest; moto's answers lose it."""

    @around(ECRBackend, "batch_get_image")
    def batch_get_image(original: Any, self: Any, *args: Any, **kwargs: Any) -> Any:
        answer = original(self, *args, **kwargs)
        asked = kwargs.get("image_ids") or args[2]
        repository = self.repositories[kwargs.get("repository_name") or args[0]]
        missing = [each for each in asked if not _has(repository, each)]
        return {**answer, "failures": [{**_NOT_FOUND, "imageId": each} for each in missing]}

    @around(ECRBackend, "batch_delete_image")
    def batch_delete_image(original: Any, self: Any, repository_name: str, *args: Any, **kwargs: Any) -> Any:
        before = list(self._get_repository(repository_name).images)
        untagged = [image for image in before if not image.image_tags]
        answer = original(self, repository_name, *args, **kwargs)
        left = self.repositories[repository_name].images
        gone = [{"imageDigest": image.image_digest} for image in untagged if image not in left]
        return {**answer, "imageIds": [*answer["imageIds"], *gone]}


_NOT_FOUND = {"failureCode": "ImageNotFound", "failureReason": "Requested image not found"}


def _has(repository: Any, asked: dict[str, str]) -> bool:
    digest, tag = asked.get("imageDigest"), asked.get("imageTag")
    return any(
        (digest is None or image.image_digest == digest) and (tag is None or tag in image.image_tags)
        for image in repository.images
    )


def _digest(manifest: str) -> str:
    return f"sha256:{hashlib.sha256(manifest.encode()).hexdigest()}"

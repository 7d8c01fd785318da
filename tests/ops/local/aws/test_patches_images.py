"""Images in the registry of the local AWS."""

from __future__ import annotations

import hashlib
import json
import uuid
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from ops import images_lock
from ops.local.aws import LocalAws

MEDIA_TYPE = "application/vnd.oci.image.manifest.v1+json"


def repository(aws: LocalAws) -> str:
    """A new one's name."""
    name = f"ops-pipeline/{uuid.uuid4()}"
    aws.client("ecr").create_repository(repositoryName=name)
    return name


def manifest(config: str = "a") -> str:
    """A manifest without layers."""
    made = {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": f"sha256:{config * 64}", "size": 7}
    return json.dumps({"schemaVersion": 2, "mediaType": MEDIA_TYPE, "config": made, "layers": []})


def digest_of(text: str) -> str:
    """As any registry computes it."""
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def push(aws: LocalAws, name: str, text: str, **options: Any) -> str:
    """PutImage; the digest that it answers."""
    image = aws.client("ecr").put_image(repositoryName=name, imageManifest=text, **options)["image"]
    return str(image["imageId"]["imageDigest"])


def test_an_image_has_the_digest_of_its_manifest_and_is_found_by_it(aws: LocalAws) -> None:
    ecr, name = aws.client("ecr"), repository(aws)
    digest = push(aws, name, manifest())
    assert digest == digest_of(manifest())
    wanted = [{"imageDigest": digest}]
    (described,) = ecr.describe_images(repositoryName=name, imageIds=wanted)["imageDetails"]
    assert (described["imageDigest"], "imageTags" in described) == (digest, False)
    (got,) = ecr.batch_get_image(repositoryName=name, imageIds=wanted)["images"]
    assert got["imageManifest"] == manifest()


def test_a_digest_that_is_not_the_manifests_is_refused(aws: LocalAws) -> None:
    with pytest.raises(ClientError, match="ImageDigestDoesNotMatchException"):
        push(aws, repository(aws), manifest(), imageDigest=f"sha256:{'0' * 64}")


def test_an_image_pushed_again_without_a_tag_is_refused_and_keeps_its_tag(aws: LocalAws) -> None:
    name = repository(aws)
    digest = push(aws, name, manifest(), imageTag="1f3a")
    with pytest.raises(ClientError, match=r"ImageAlreadyExistsException.*already exists in the repository"):
        push(aws, name, manifest())
    (described,) = aws.client("ecr").describe_images(repositoryName=name)["imageDetails"]
    assert (described["imageDigest"], described["imageTags"]) == (digest, ["1f3a"])


def test_a_deleted_image_is_gone_and_named(aws: LocalAws) -> None:
    ecr, name = aws.client("ecr"), repository(aws)
    kept, gone = push(aws, name, manifest("a")), push(aws, name, manifest("b"))
    deleted = ecr.batch_delete_image(repositoryName=name, imageIds=[{"imageDigest": gone}])
    assert [each["imageDigest"] for each in deleted["imageIds"]] == [gone]
    answer = ecr.batch_get_image(repositoryName=name, imageIds=[{"imageDigest": gone}, {"imageDigest": kept}])
    assert [image["imageId"]["imageDigest"] for image in answer["images"]] == [kept]
    assert [(each["imageId"], each["failureCode"]) for each in answer["failures"]] == [
        ({"imageDigest": gone}, "ImageNotFound")
    ]


def test_what_is_not_there_is_named_in_the_words_of_aws(mended_aws: LocalAws) -> None:
    ecr, name, digest = mended_aws.client("ecr"), repository(mended_aws), f"sha256:{'0' * 64}"
    with pytest.raises(ClientError, match="ImageNotFoundException") as no_image:
        ecr.describe_images(repositoryName=name, imageIds=[{"imageDigest": digest}])
    assert (
        no_image.value.response["Error"]["Message"]
        == f"The image with imageId {{imageDigest:'{digest}', imageTag:'null'}} does not exist within the repository "
        f"with name '{name}' in the registry with id '123456789012'"
    )
    for call in (ecr.describe_images, lambda **asked: push(mended_aws, asked["repositoryName"], manifest())):
        with pytest.raises(ClientError, match="The repository with name 'nowhere' does not exist in the registry"):
            call(repositoryName="nowhere")


def a_checkout(root: Path) -> Path:
    """Two services' folders."""
    for service in ("base", "one", "two"):
        (root / "images" / service).mkdir(parents=True)
        (root / "images" / service / "__main__.py").write_text(service)
    (root / "services.yaml").write_text("")
    return root


def test_what_nobody_built_is_pushed_once_under_the_digest_of_the_lock(mended_aws: LocalAws, tmp_path: Path) -> None:
    root, ecr = a_checkout(tmp_path), mended_aws.client("ecr")
    images = {name: images_lock.by_content(name, root) for name in ("one", "two")}
    images = {name: {**entry, "repository": repository(mended_aws)} for name, entry in images.items()}
    images["built"] = {**images["one"], "digest": f"sha256:{'0' * 64}", "origin": "podman"}
    images["undeployed"] = {**images["one"], "repository": "nowhere"}
    assert images_lock.push_content(ecr, images) == ["one", "two"]
    for name in ("one", "two"):
        wanted = [{"imageDigest": images[name]["digest"]}]
        found = ecr.describe_images(repositoryName=images[name]["repository"], imageIds=wanted)["imageDetails"]
        assert len(found) == 1
    assert images_lock.push_content(ecr, images) == []
    ecr.batch_delete_image(
        repositoryName=images["two"]["repository"], imageIds=[{"imageDigest": images["two"]["digest"]}]
    )
    assert images_lock.push_content(ecr, images) == ["two"]


def test_what_was_planned_is_pushed_though_its_folder_has_changed_since(mended_aws: LocalAws, tmp_path: Path) -> None:
    root = a_checkout(tmp_path)
    entry = {**images_lock.by_content("one", root), "repository": repository(mended_aws)}
    (root / "images" / "one" / "__main__.py").write_text("changed")
    ecr = mended_aws.client("ecr")
    assert images_lock.push_content(ecr, {"one": entry}) == ["one"]
    found = ecr.batch_get_image(repositoryName=entry["repository"], imageIds=[{"imageDigest": entry["digest"]}])
    assert [image["imageManifest"] for image in found["images"]] == [entry["manifest"]]

"""The local registry, spoken to as an engine speaks to it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from ops.local.registry import Refused, Registry

MANIFEST = "application/vnd.oci.image.manifest.v1+json"


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    with Registry(tmp_path, password="pass") as served:
        yield served


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


class Client:
    def __init__(self, registry: Registry, repository: str = "ops-pipeline/some_service") -> None:
        self.base = f"http://{registry.host}"
        self.repository = repository

    def call(self, method: str, path: str, **options: object) -> requests.Response:
        options.setdefault("auth", ("AWS", "pass"))
        address = path if path.startswith("http") else f"{self.base}/v2/{self.repository}/{path}"
        return requests.request(method, address, timeout=5, **options)  # type: ignore[arg-type]

    def upload(self, *blocks: bytes, claimed: str | None = None) -> requests.Response:
        begun = self.call("POST", "blobs/uploads/")
        assert begun.status_code == 202
        place = self.base + begun.headers["Location"]
        assert self.call("PATCH", place, data=iter(blocks)).status_code == 202  # sent chunked
        return self.call("PUT", f"{place}?digest={claimed or digest(b''.join(blocks))}")

    def manifest(self, config: bytes, *layers: bytes) -> bytes:
        parts = [{"digest": digest(part)} for part in layers]
        return json.dumps({"mediaType": MANIFEST, "config": {"digest": digest(config)}, "layers": parts}).encode()

    def put(self, manifest: bytes, reference: str = "v1") -> requests.Response:
        return self.call("PUT", f"manifests/{reference}", data=manifest, headers={"Content-Type": MANIFEST})


def test_an_image_comes_back_by_tag_and_by_digest(registry: Registry) -> None:
    client = Client(registry)
    assert client.call("HEAD", f"blobs/{digest(b'a layer')}").status_code == 404
    client.upload(b"a ", b"layer")
    client.upload(b"config")
    manifest = client.manifest(b"config", b"a layer")
    assert client.put(manifest).headers["Docker-Content-Digest"] == digest(manifest)
    for reference in ("v1", digest(manifest)):
        found = client.call("GET", f"manifests/{reference}")
        assert (found.content, found.headers["Content-Type"]) == (manifest, MANIFEST)
    assert client.call("GET", f"blobs/{digest(b'a layer')}").content == b"a layer"


def test_content_with_another_digest_is_refused(registry: Registry) -> None:
    client = Client(registry)
    assert client.upload(b"spoilt", claimed=digest(b"whole")).status_code == 400
    assert client.call("HEAD", f"blobs/{digest(b'whole')}").status_code == 404


def test_a_manifest_without_its_layers_is_refused(registry: Registry) -> None:
    client = Client(registry)
    client.upload(b"config")
    refused = client.put(client.manifest(b"config", b"never sent"))
    assert refused.status_code == 400
    assert digest(b"never sent") in refused.json()["errors"][0]["message"]


def test_nothing_is_told_without_the_password(registry: Registry) -> None:
    client = Client(registry)
    for credentials in (None, ("AWS", "wrong")):
        assert client.call("GET", f"http://{registry.host}/v2/", auth=credentials).status_code == 401


def test_a_manifest_that_its_keeper_refuses_is_not_stored(tmp_path: Path) -> None:
    def refuse(*_: object) -> None:
        raise Refused("the tag is another image's")

    with Registry(tmp_path, password="pass", on_manifest=refuse) as registry:
        client = Client(registry)
        client.upload(b"config")
        refused = client.put(client.manifest(b"config"))
        assert "the tag is another image's" in refused.text
        assert client.call("GET", "manifests/v1").status_code == 404


@pytest.mark.parametrize(
    "path", ["blobs/../../../etc/passwd", "blobs/sha256:..%2f..%2f", "manifests/../x", "tags/list"]
)
def test_paths_that_it_does_not_know_are_not_found(registry: Registry, path: str) -> None:
    address = f"http://{registry.host}/v2/ops-pipeline/x/{path}"
    prepared = requests.Request("GET", address, auth=("AWS", "pass")).prepare()
    prepared.url = address
    assert requests.Session().send(prepared, timeout=5).status_code == 404

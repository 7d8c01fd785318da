"""A container registry on loopback: the half of ECR that takes layers and manifests, which the local AWS lacks.

Speaks what docker, podman and buildah need for a push and a pull by digest (OCI distribution specification 1.1), keeps
everything in one folder, and asks for a password as ECR does.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import secrets
import shutil
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BufferedIOBase
from pathlib import Path
from threading import Thread
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

BLOCK_BYTES = 1 << 20
MANIFEST_BYTES_MOST = 4 << 20  # the specification's own bound
_NAME = r"/v2/(?P<name>[a-z0-9][a-z0-9._/-]*)"
_DIGEST = r"sha256:[0-9a-f]{64}"
_BLOB = re.compile(rf"{_NAME}/blobs/(?P<digest>{_DIGEST})")
_UPLOADS = re.compile(rf"{_NAME}/blobs/uploads/?")
_UPLOAD = re.compile(rf"{_NAME}/blobs/uploads/(?P<upload>[0-9a-f]{{32}})")
_MANIFEST = re.compile(rf"{_NAME}/manifests/(?P<reference>{_DIGEST}|[A-Za-z0-9_][A-Za-z0-9._-]{{0,127}})")

# Told of every manifest that arrives: repository, tag (None: by digest alone), manifest, media type. Raises Refused.
OnManifest = Callable[[str, str | None, bytes, str], None]


class Refused(Exception):
    """The manifest is not taken: the tag is another's, the repository does not exist."""


class Registry:
    """Serves `folder` on 127.0.0.1 within `with`; `password` is that of the user AWS."""

    def __init__(self, folder: Path, *, password: str, on_manifest: OnManifest = lambda *_: None) -> None:
        self.folder = folder
        self.on_manifest = on_manifest
        self.credentials = base64.b64encode(f"AWS:{password}".encode()).decode()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.daemon_threads = True
        self._server.registry = self  # type: ignore[attr-defined]
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    @property
    def host(self) -> str:
        """What stands before the repository's name."""
        return f"127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        (self.folder / "uploads").mkdir(parents=True, exist_ok=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        shutil.rmtree(self.folder / "uploads", ignore_errors=True)

    def blob(self, digest: str) -> Path:
        """Where content of that digest lies, or would."""
        return self.folder / "blobs" / digest.replace(":", "/")

    def upload(self, name: str) -> Path:
        """Where an unfinished upload lies."""
        return self.folder / "uploads" / name

    def tag(self, repository: str, tag: str) -> Path:
        """The file that holds a tag's digest."""
        return self.folder / "tags" / repository / tag

    def keep(self, upload: Path, digest: str) -> bool:
        """Takes an upload in, if its content has that digest."""
        if file_digest(upload) != digest:
            upload.unlink()
            return False
        target = self.blob(digest)
        target.parent.mkdir(parents=True, exist_ok=True)
        upload.replace(target)
        return True

    def take_manifest(self, repository: str, reference: str, manifest: bytes, media_type: str) -> str:
        """Stores a manifest; its digest. Raises Refused."""
        digest = f"sha256:{hashlib.sha256(manifest).hexdigest()}"
        tag = None if reference.startswith("sha256:") else reference
        missing = [part for part in _parts(manifest) if not self.blob(part).is_file()]
        if missing or (tag is None and reference != digest):
            raise Refused(f"the manifest names {missing[0]}, which was not sent" if missing else "digest differs")
        self.on_manifest(repository, tag, manifest, media_type)
        self.blob(digest).parent.mkdir(parents=True, exist_ok=True)
        self.blob(digest).write_bytes(manifest)
        if tag:
            self.tag(repository, tag).parent.mkdir(parents=True, exist_ok=True)
            self.tag(repository, tag).write_text(digest, encoding="utf-8")
        return digest

    def find_manifest(self, repository: str, reference: str) -> Path | None:
        """The manifest of a tag or digest."""
        tag = self.tag(repository, reference)
        digest = tag.read_text(encoding="utf-8") if tag.is_file() else reference
        found = self.blob(digest) if re.fullmatch(_DIGEST, digest) else None
        return found if found and found.is_file() else None


def file_digest(path: Path) -> str:
    """SHA-256 of a file's content."""
    with path.open("rb") as content:
        return f"sha256:{hashlib.file_digest(content, 'sha256').hexdigest()}"


def _parts(manifest: bytes) -> list[str]:
    """The digests that a manifest or index is made of."""
    document = json.loads(manifest)
    parts = [document.get("config"), *document.get("layers", []), *document.get("manifests", [])]
    return [part["digest"] for part in parts if part]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        """A push is told by who pushes."""

    @property
    def registry(self) -> Registry:
        registry: Registry = self.server.registry  # type: ignore[attr-defined]
        return registry

    def _handle(self) -> None:
        path = urlsplit(self.path).path
        if self.headers.get("Authorization") != f"Basic {self.registry.credentials}":
            self._answer(401, {"WWW-Authenticate": 'Basic realm="local registry"'})
            return
        for pattern, methods in _ROUTES:
            match = pattern.fullmatch(path)
            if match and self.command in methods:
                methods[self.command](self, **match.groupdict())
                return
        self._answer(404)

    do_GET = do_HEAD = do_POST = do_PATCH = do_PUT = _handle  # noqa: N815 (the base class's names)

    def _version(self) -> None:
        self._answer(200, body=b"{}")

    def _show_blob(self, name: str, digest: str) -> None:
        self._file(self.registry.blob(digest), "application/octet-stream", digest)

    def _begin_upload(self, name: str) -> None:
        upload = secrets.token_hex(16)
        self.registry.upload(upload).touch()
        self._answer(202, {"Location": f"/v2/{name}/blobs/uploads/{upload}", "Range": "0-0"})

    def _append(self, name: str, upload: str) -> None:
        size = self._receive(self.registry.upload(upload))
        self._answer(202, {"Location": f"/v2/{name}/blobs/uploads/{upload}", "Range": f"0-{max(size - 1, 0)}"})

    def _end_upload(self, name: str, upload: str) -> None:
        self._receive(self.registry.upload(upload))
        digest = parse_qs(urlsplit(self.path).query).get("digest", [""])[0]
        if re.fullmatch(_DIGEST, digest) and self.registry.keep(self.registry.upload(upload), digest):
            self._answer(201, {"Location": f"/v2/{name}/blobs/{digest}", "Docker-Content-Digest": digest})
        else:
            self._refuse("DIGEST_INVALID", f"the content's digest is not {digest!r}")

    def _show_manifest(self, name: str, reference: str) -> None:
        found = self.registry.find_manifest(name, reference)
        if found is None:
            self._answer(404)
            return
        media_type = json.loads(found.read_bytes()).get("mediaType", "application/vnd.oci.image.manifest.v1+json")
        self._file(found, media_type, f"sha256:{found.name}")

    def _take_manifest(self, name: str, reference: str) -> None:
        manifest = b"".join(self._body())
        if len(manifest) > MANIFEST_BYTES_MOST:
            self._refuse("MANIFEST_INVALID", f"{len(manifest)} bytes")
            return
        try:
            digest = self.registry.take_manifest(name, reference, manifest, self.headers.get("Content-Type", ""))
        except (Refused, ValueError) as error:
            self._refuse("MANIFEST_INVALID", str(error))
            return
        self._answer(201, {"Location": f"/v2/{name}/manifests/{digest}", "Docker-Content-Digest": digest})

    def _receive(self, target: Path) -> int:
        """Appends the request's body; the file's size then."""
        with target.open("ab") as file:
            for block in self._body():
                file.write(block)
            return file.tell()

    def _body(self) -> Iterator[bytes]:
        """The body in blocks, in one piece or chunked."""
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            yield from _blocks(self.rfile, int(self.headers.get("Content-Length") or 0))
            return
        while size := int(self.rfile.readline().split(b";")[0], 16):
            yield from _blocks(self.rfile, size)
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass  # trailers

    def _file(self, path: Path, media_type: str, digest: str) -> None:
        if not path.is_file():
            self._answer(404)
            return
        self.send_response(200)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(path.stat().st_size))
        self.send_header("Docker-Content-Digest", digest)
        self.end_headers()
        if self.command == "GET":
            with path.open("rb") as content:
                shutil.copyfileobj(content, self.wfile)

    def _refuse(self, code: str, message: str) -> None:
        self._answer(400, body=json.dumps({"errors": [{"code": code, "message": message}]}).encode())

    def _answer(self, status: int, headers: dict[str, str] | None = None, body: bytes = b"") -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        if status in (400, 401):
            # the request's body may not have been read: what follows on this connection is no request
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        self.wfile.write(body)


def _blocks(stream: BufferedIOBase, size: int) -> Iterator[bytes]:
    while size > 0:
        block = stream.read(min(size, BLOCK_BYTES))
        if not block:
            raise ConnectionError(f"{size} bytes before the end the sender went away")
        size -= len(block)
        yield block


_ROUTES: list[tuple[re.Pattern[str], dict[str, Callable[..., None]]]] = [
    (re.compile(r"/v2/?"), {"GET": _Handler._version}),
    (_BLOB, {"GET": _Handler._show_blob, "HEAD": _Handler._show_blob}),
    (_UPLOADS, {"POST": _Handler._begin_upload}),
    (_UPLOAD, {"PATCH": _Handler._append, "PUT": _Handler._end_upload}),
    (
        _MANIFEST,
        {"GET": _Handler._show_manifest, "HEAD": _Handler._show_manifest, "PUT": _Handler._take_manifest},
    ),
]

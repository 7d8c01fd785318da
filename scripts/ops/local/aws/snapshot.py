"""The whole state of moto in one file, and back: only moto's own version and our own patches may read it again."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import platform
import tempfile
import threading
import types
import weakref
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import cloudpickle  # type: ignore[import-untyped]
from cryptography.hazmat.primitives import serialization
from moto.backends import get_backend
from moto.core.base_backend import AccountSpecificBackend, BackendDict, backend_lock

PACKAGE = Path(__file__).resolve().parent
LOCKS = (type(threading.Lock()), type(threading.RLock()))
SPOOL_BYTES = 5 * 2**20  # as moto's own S3 keys
UNSAVED = {"moto_api"}  # its records are a log, not a state
GLOBAL_PARTITIONS = ("aws-cn", "aws-us-gov", "aws-iso")  # moto makes one backend for each; nobody here uses them


class SnapshotUnusable(Exception):
    """There is a file, but this program cannot or may not read it; the text says why."""


@dataclass(frozen=True, kw_only=True)
class Header:
    """The first line of the file."""

    moto: str
    python: str
    patches: str
    saved_at: str
    sha256: str
    bytes: int


def save(path: Path, now: datetime) -> Header:
    """Writes moto's state to `path`, whole or not at all. The caller sees to it that no call is under way."""
    payload = io.BytesIO()
    with backend_lock:
        _Pickler(payload, protocol=5).dump(list(_backends()))
    data = payload.getvalue()
    header = Header(**_versions(), saved_at=now.isoformat(), sha256=_digest(data), bytes=len(data))
    new = path.with_name(f"{path.name}.{os.getpid()}.new")
    with new.open("wb") as file:
        file.write(json.dumps(asdict(header)).encode() + b"\n" + data)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
    return header


def load(path: Path) -> Header:
    """Puts the state of `path` in the place of moto's. Raises SnapshotUnusable and leaves moto as it was."""
    header, data = _read(path)
    for name, ours in _versions().items():
        theirs = getattr(header, name)
        if theirs != ours:
            raise SnapshotUnusable(f"it was saved with {name} {theirs}, this is {name} {ours}")
    try:
        rows = _Unpickler(io.BytesIO(data)).load()
    except (pickle.UnpicklingError, AttributeError, ImportError, EOFError, TypeError, KeyError) as error:
        raise SnapshotUnusable(f"it cannot be read again: {type(error).__name__}: {error}") from error
    for service, account, region, backend in rows:
        dict.__setitem__(get_backend(service)[account], region, backend)
    return header


def read_header(path: Path) -> Header:
    """Of a whole, readable file; raises SnapshotUnusable."""
    return _read(path)[0]


def _read(path: Path) -> tuple[Header, bytes]:
    try:
        line, _, data = path.read_bytes().partition(b"\n")
        header = Header(**json.loads(line))
    except (OSError, ValueError, TypeError) as error:
        raise SnapshotUnusable(f"it is no snapshot: {error}") from error
    if header.sha256 != _digest(data):
        raise SnapshotUnusable(f"it is damaged: {len(data)} of {header.bytes} bytes, or others than were written")
    return header, data


def _versions() -> dict[str, str]:
    return {"moto": version("moto"), "python": platform.python_version(), "patches": LOADED}


def patches_digest() -> str:
    """Changes with any line of the patches or of this file: what an older patch stored, a newer may not understand."""
    sources = [*sorted(PACKAGE.glob("patches/*.py")), PACKAGE / "snapshot.py"]
    return _digest(b"".join(source.read_bytes() for source in sources))[:12]


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


LOADED = patches_digest()  # of what this process runs, whatever is edited while it does


def _backends() -> Iterator[tuple[str, str, str, Any]]:
    for backends in list(BackendDict._instances):  # type: ignore[misc]
        for account, region, backend in list(backends.iter_backends()):
            if backends.service_name not in UNSAVED and region not in GLOBAL_PARTITIONS:
                yield backends.service_name, account, region, backend


class _Pickler(cloudpickle.Pickler):
    """Knows what moto keeps that no pickle can: its registries, locks, spooled files, weak references and keys."""

    def persistent_id(self, value: Any) -> tuple[str, ...] | None:
        if isinstance(value, BackendDict):
            return ("service", value.service_name)
        if isinstance(value, AccountSpecificBackend):
            return ("account", value.service_name, value.account_id)
        if isinstance(value, LOCKS):
            return ("lock", "reentrant" if isinstance(value, LOCKS[1]) else "plain")
        return None

    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, threading.Condition):
            return threading.Condition, ()  # it keeps methods of its lock, which would come back of different locks
        if isinstance(value, tempfile.SpooledTemporaryFile):
            return _spooled, _contents(value)
        if isinstance(value, defaultdict) and type(value) is not defaultdict:
            # a subclass whose constructor takes no factory
            return _defaults, (type(value), value.default_factory), value.__dict__, None, iter(list(value.items()))
        if isinstance(value, weakref.ref):
            return _weak, (value(),)
        if hasattr(value, "private_bytes") and type(value).__module__.startswith("cryptography"):
            return _private_key, (_der(value),)
        if isinstance(value, types.GeneratorType):
            return iter, ((),)  # the rest of a list that somebody pages through; page tokens do not outlive the server
        return super().reducer_override(value)


class _Unpickler(pickle.Unpickler):
    def persistent_load(self, pid: tuple[str, ...]) -> Any:
        match pid:
            case ("service", name):
                return get_backend(name)  # type: ignore[call-overload]
            case ("account", name, account):
                return get_backend(name)[account]  # type: ignore[call-overload]
            case ("lock", "reentrant"):
                return threading.RLock()
            case ("lock", _):
                return threading.Lock()
        raise pickle.UnpicklingError(f"unknown kind of reference: {pid!r}")


def _contents(file: Any) -> tuple[bytes, int]:
    position = file.tell()
    file.seek(0)
    data = file.read()
    file.seek(position)
    return data, position


def _spooled(data: bytes, position: int) -> Any:
    file = tempfile.SpooledTemporaryFile(max_size=SPOOL_BYTES)  # noqa: SIM115 - moto's, for as long as its key lives
    file.write(data)
    file.seek(position)
    return file


def _defaults(kind: type[defaultdict[Any, Any]], factory: Any) -> defaultdict[Any, Any]:
    made = kind.__new__(kind)
    defaultdict.__init__(made, factory)
    return made


def _weak(value: Any) -> Any:
    return weakref.ref(value) if value is not None else (lambda: None)


def _der(key: Any) -> bytes:
    return bytes(
        key.private_bytes(serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )


def _private_key(der: bytes) -> Any:
    return serialization.load_der_private_key(der, None)

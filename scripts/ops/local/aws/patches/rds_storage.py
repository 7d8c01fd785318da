"""RDS over storage that somebody outside keeps: an instance leads to a real server, and copies take their time."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from moto.rds import models
from moto.rds.exceptions import RDSClientError
from moto.rds.models import rds_backends

from ops.local.aws.environment import ACCOUNT
from ops.local.aws.patches.tools import around, kept

CREATING, RENAMING, MODIFYING = "creating", "renaming", "modifying"
# What AWS gives a restored instance only where the call says so; moto copies it from the source.
NOT_INHERITED = {"deletion_protection": False, "manage_master_user_password": False}


def copies_are_made_by_the_storage() -> None:
    """A snapshot and a restored instance are `creating` until their data are there; moto has them at once.

    Only where a storage is attached (ops.local.rds): without one there are no data to wait for."""

    @around(models.RDSBackend, "restore_db_instance_to_point_in_time")
    def to_time(original: Any, self: Any, source: str, target: str, overrides: dict[str, Any]) -> Any:
        _require_no_secret(overrides)
        wanted = overrides.get("restore_time")
        _require_restorable(self, source, wanted)
        made = original(self, source, target, overrides)
        made.source_db_instance_identifier = None  # it is no replica of it
        _born(self, made, overrides, {"source": self.databases[source].dbi_resource_id, "to": _text(wanted)})
        return made

    @around(models.RDSBackend, "restore_db_instance_from_db_snapshot")
    def from_snapshot(original: Any, self: Any, snapshot: str, overrides: dict[str, Any]) -> Any:
        _require_no_secret(overrides)
        made = original(self, snapshot, overrides)
        _born(self, made, overrides, {"snapshot": snapshot.rpartition(":snapshot:")[2]})
        return made

    @around(models.RDSBackend, "create_db_snapshot")
    def create_db_snapshot(original: Any, self: Any, *args: Any, **kwargs: Any) -> Any:
        made = original(self, *args, **kwargs)
        _waits(self, made, {"source": made.database.dbi_resource_id})
        return made

    @around(models.RDSBackend, "copy_db_snapshot")
    def copy_db_snapshot(original: Any, self: Any, *args: Any, **kwargs: Any) -> Any:
        made = original(self, *args, **kwargs)
        source = str(kwargs.get("source_db_snapshot_identifier") or args[0])
        _waits(self, made, {"copy_of": source.rpartition(":snapshot:")[2]})
        return made


def names_take_their_time() -> None:
    """A renamed instance is `renaming` until its server answers where the new name leads; moto is done at once."""

    @around(models.RDSBackend, "modify_db_instance")
    def modify_db_instance(original: Any, self: Any, identifier: str, wanted: dict[str, Any]) -> Any:
        renamed = "new_db_instance_identifier" in wanted
        made = original(self, identifier, wanted)
        if renamed and kept(made, "storage").get("address"):
            made.status = RENAMING
        return made


def secrets_stay_and_take_their_time() -> None:
    """RDS keeps the secret of a master whose password it keeps already; moto makes a new one whenever it is told. A new
    one opens the database once it is no more `modifying`."""

    @around(models.DBInstance, "update")
    def update(original: Any, self: Any, **wanted: Any) -> None:
        if wanted.get("manage_master_user_password") and hasattr(self, "master_user_secret"):
            wanted["manage_master_user_password"] = None
        original(self, **wanted)
        if wanted.get("manage_master_user_password") and kept(self, "storage").get("address"):
            self.status = MODIFYING


def endpoints_lead_to_servers() -> None:
    """An instance with storage tells its real address, and until when it can be restored."""
    address: Any = models.DBInstance.address
    latest: Any = models.DBInstance.latest_restorable_time

    def told(self: Any) -> Any:
        return kept(self, "storage").get("address") or address.fget(self)

    def restorable(self: Any) -> Any:
        known = kept(self, "storage").get("latest")
        return datetime.fromisoformat(known) if known else latest.fget(self)

    models.DBInstance.address = property(told)  # type: ignore[assignment,method-assign]
    models.DBInstance.latest_restorable_time = property(restorable)  # type: ignore[assignment,method-assign]


def _born(backend: Any, instance: Any, asked: dict[str, Any], origin: dict[str, Any]) -> None:
    changes = {name: value for name, value in NOT_INHERITED.items() if name not in asked}
    instance.update(**changes)
    _waits(backend, instance, origin)


def _waits(backend: Any, made: Any, origin: dict[str, Any]) -> None:
    kept(made, "storage").update(origin=origin)
    if any(kept(each, "storage").get("attached") for each in rds_backends[backend.account_id].values()):
        made.status = CREATING


def _require_no_secret(asked: dict[str, Any]) -> None:
    """Both calls that restore take ManageMasterUserPassword for RDS for Oracle only, as their reference says."""
    if asked.get("manage_master_user_password"):
        raise RDSClientError("InvalidParameterCombination", "ManageMasterUserPassword: only RDS for Oracle restores so")


def _text(at: Any) -> str | None:
    """A time of the API, which is UTC and which moto gives without saying so."""
    if not at:
        return None
    told = at if isinstance(at, datetime) else datetime.fromisoformat(at)
    return (told if told.tzinfo else told.replace(tzinfo=UTC)).isoformat()


def _require_restorable(backend: Any, source: str, wanted: Any) -> None:
    latest = kept(backend.databases[source], "storage").get("latest") if source in backend.databases else None
    if latest and wanted and datetime.fromisoformat(str(_text(wanted))) > datetime.fromisoformat(latest):
        raise RDSClientError("InvalidParameterValue", f"The specified restore time is after {latest}")


# ── what the storage asks and tells ──────────────────────────────────────────────────────────────────────────────────


def seen() -> Iterator[dict[str, Any]]:
    """Instances and snapshots of all regions: kind, region, identifier, resource id, status, what they come from."""
    for region, backend in rds_backends[ACCOUNT].items():
        for identifier, instance in backend.databases.items():
            yield _shown("instance", region, identifier, instance, instance.dbi_resource_id)
        for identifier, snapshot in backend.database_snapshots.items():
            yield _shown("snapshot", region, identifier, snapshot, snapshot.database.dbi_resource_id)


def _shown(kind: str, region: str, identifier: str, thing: Any, resource: str) -> dict[str, Any]:
    origin = kept(thing, "storage").get("origin", {})
    return {
        "kind": kind,
        "region": region,
        "identifier": identifier,
        "resource": resource,
        "status": thing.status,
        "origin": origin,
    }


def report(kind: str, region: str, identifier: str, told: dict[str, Any]) -> None:
    """Takes in what the storage tells of an instance (status, address, port, latest) or a snapshot (status).

    Raises KeyError where there is no such thing."""
    backend = rds_backends[ACCOUNT][region]
    kept(backend, "storage")["attached"] = True
    thing = backend.databases[identifier] if kind == "instance" else backend.database_snapshots[identifier]
    if "status" in told:
        thing.status = told["status"]
    if "port" in told:
        thing.port = told["port"]
    kept(thing, "storage").update({name: told[name] for name in ("address", "latest") if name in told})

"""The services, read from services.yaml. Nothing else knows their names."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from pipeline.errors import ConfigInvalid

FILE_NAME = "services.yaml"
# EventBridge Scheduler takes "1 minute" and "5 minutes", and refuses "1 minutes".
RATE = re.compile(r"rate\((?:(1) (minute|hour)|([2-9]|[1-9]\d+) (minute|hour)s)\)")

# libyaml's loader is ten times faster, and a task reads this file at every start.
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """A configuration value under /<project>/<name>, given to a task as the environment variable `env`."""

    name: str
    env: str
    purpose: str
    kind: str  # symbols | json | word | secret
    initial: str | None = None

    @property
    def secret(self) -> bool:
        return self.kind == "secret"


@dataclass(frozen=True, kw_only=True)
class Service:
    """One entry of the catalogue; `name` is folder, package, image repository, database role and metric dimension."""

    name: str
    purpose: str
    when_silent: str
    schedule: str
    rate: str
    task_definition: str
    kind: str
    cpu: int
    memory: int
    retries: int
    deadline_seconds: int
    market_hours_only: bool
    reads: tuple[str, ...]
    claims: tuple[str, ...]
    writes: tuple[str, ...]
    parameters: tuple[Parameter, ...]
    secrets: tuple[Parameter, ...]
    paused_until: datetime | None = None

    def is_paused(self, now: datetime) -> bool:
        """Whether the catalogue says that it rests: its schedule is DISABLED on purpose."""
        return self.paused_until is not None and now < self.paused_until

    @property
    def period(self) -> timedelta:
        """How often the schedule fires."""
        match = RATE.fullmatch(self.rate)
        assert match, self.rate  # _service refused every other form
        count, unit = (part for part in match.groups() if part)
        return timedelta(**{f"{unit}s": int(count)})

    @property
    def environment(self) -> tuple[Parameter, ...]:
        """Every parameter and secret that the service's task is given."""
        return self.parameters + self.secrets


@dataclass(frozen=True, kw_only=True)
class Catalog:
    """The whole catalogue; iterating gives the services in the order in which a row meets them."""

    project: str
    region: str
    cluster: str
    scheduler_role: str
    parameters: Mapping[str, Parameter]
    services: Mapping[str, Service]

    def __iter__(self) -> Iterator[Service]:
        return iter(self.services.values())

    def __len__(self) -> int:
        return len(self.services)

    def __getitem__(self, name: str) -> Service:
        try:
            return self.services[name]
        except KeyError:
            known = ", ".join(self.services)
            raise ConfigInvalid(f"no service {name!r} in {FILE_NAME}; there are: {known}") from None

    def writers(self, table: str) -> list[Service]:
        """The services that write a table."""
        return [service for service in self if table in service.writes]


def find_file(start: Path = Path(__file__)) -> Path:
    """The catalogue nearest above this package: the repository's in a checkout, the image's own in a container."""
    for folder in start.resolve().parents:
        if (folder / FILE_NAME).is_file():
            return folder / FILE_NAME
    raise ConfigInvalid(f"no {FILE_NAME} in any folder above {start}")


@lru_cache
def load(path: Path | None = None) -> Catalog:
    """The catalogue in `path` (default: the project's own). Raises ConfigInvalid naming the entry and key at fault."""
    source = path or find_file()
    try:
        raw = yaml.load(source.read_text(encoding="utf-8"), Loader=_Loader)
    except yaml.YAMLError as error:
        raise ConfigInvalid(f"{source}: not YAML: {' '.join(str(error).split())}") from error
    except OSError as error:
        raise ConfigInvalid(f"{source}: cannot be read: {error.strerror}") from error
    return parse(raw, str(source))


def parse(raw: Any, source: str = FILE_NAME) -> Catalog:
    """A catalogue from the parsed file; `services.schema.json` states the same shape for editors and `make check`."""
    top = _keys(raw, source, required={f.name for f in fields(Catalog)} | {"defaults", "secrets"})
    parameters = {name: _parameter(name, entry, source) for name, entry in top["parameters"].items()}
    secrets = {name: _secret(name, entry, source) for name, entry in top["secrets"].items()}
    if shared := parameters.keys() & secrets.keys():
        raise ConfigInvalid(f"{source}: both a parameter and a secret: {', '.join(sorted(shared))}")
    services = {
        name: _service(name, entry, top["defaults"], parameters, secrets, source)
        for name, entry in top["services"].items()
    }
    _refuse_twins(services, source)
    return Catalog(
        project=top["project"],
        region=top["region"],
        cluster=top["cluster"],
        scheduler_role=top["scheduler_role"],
        parameters=MappingProxyType(parameters | secrets),
        services=MappingProxyType(services),
    )


def _keys(raw: Any, where: str, *, required: set[str], optional: set[str] | None = None) -> dict[str, Any]:
    if not isinstance(raw, dict):
        raise ConfigInvalid(f"{where}: expected a mapping, found {type(raw).__name__}")
    if unknown := raw.keys() - required - (optional or set()):
        raise ConfigInvalid(f"{where}: unknown key {', '.join(sorted(map(str, unknown)))}")
    if missing := required - raw.keys():
        raise ConfigInvalid(f"{where}: missing key {', '.join(sorted(missing))}")
    return raw


def _parameter(name: str, entry: Any, source: str) -> Parameter:
    return Parameter(
        name=name, **_keys(entry, f"{source}: parameters.{name}", required={"env", "kind", "purpose", "initial"})
    )


def _secret(name: str, entry: Any, source: str) -> Parameter:
    return Parameter(name=name, kind="secret", **_keys(entry, f"{source}: secrets.{name}", required={"env", "purpose"}))


_OWN_KEYS = {"purpose", "when_silent", "schedule", "rate", "task_definition"}
_OPTIONAL_KEYS = {"paused_until"}
_DEFAULTED_KEYS = {f.name for f in fields(Service)} - _OWN_KEYS - _OPTIONAL_KEYS - {"name"}


def _service(
    name: str,
    entry: Any,
    defaults: dict[str, Any],
    parameters: Mapping[str, Parameter],
    secrets: Mapping[str, Parameter],
    source: str,
) -> Service:
    where = f"{source}: services.{name}"
    _keys(defaults, f"{source}: defaults", required=_DEFAULTED_KEYS)
    given = defaults | _keys(entry, where, required=_OWN_KEYS, optional=_DEFAULTED_KEYS | _OPTIONAL_KEYS)
    service = Service(
        name=name,
        **given
        | {
            "reads": tuple(given["reads"]),
            "claims": tuple(given["claims"]),
            "writes": tuple(given["writes"]),
            "parameters": _named(given["parameters"], parameters, f"{where}.parameters"),
            "secrets": _named(given["secrets"], secrets, f"{where}.secrets"),
            "paused_until": _instant(given.get("paused_until"), f"{where}.paused_until"),
        },
    )
    if not RATE.fullmatch(str(service.rate)):
        raise ConfigInvalid(f"{where}.rate: {service.rate!r} is not like rate(1 minute) or rate(5 minutes)")
    if service.deadline_seconds >= service.period.total_seconds():
        raise ConfigInvalid(
            f"{where}.deadline_seconds: {service.deadline_seconds} is not shorter than the period, {service.rate}"
        )
    return service


def _instant(given: Any, where: str) -> datetime | None:
    """A time with its zone, or a date, which is its first instant in UTC; YAML may have read either already."""
    try:
        found = datetime.fromisoformat(given) if isinstance(given, str) else given
    except ValueError:
        found = given
    if isinstance(found, date) and not isinstance(found, datetime):
        found = datetime.combine(found, time(), UTC)
    if isinstance(found, datetime) and found.tzinfo is None and found.time() == time() and len(str(given)) == 10:
        found = found.replace(tzinfo=UTC)
    if found is None or (isinstance(found, datetime) and found.tzinfo):
        return found and found.astimezone(UTC)
    raise ConfigInvalid(f"{where}: {given!r} is not like 2026-02-01 or 2026-02-01T15:00:00Z")


def _named(names: list[str], known: Mapping[str, Parameter], where: str) -> tuple[Parameter, ...]:
    if unknown := [name for name in names if name not in known]:
        raise ConfigInvalid(f"{where}: {', '.join(unknown)} not declared; there are: {', '.join(known)}")
    return tuple(known[name] for name in names)


def _refuse_twins(services: Mapping[str, Service], source: str) -> None:
    """Two services under one schedule or task family would hide each other."""
    for key in ("schedule", "task_definition"):
        seen: dict[str, str] = {}
        for service in services.values():
            value = getattr(service, key)
            if value in seen:
                raise ConfigInvalid(f"{source}: services.{service.name}.{key}: {value!r} is {seen[value]}'s already")
            seen[value] = service.name

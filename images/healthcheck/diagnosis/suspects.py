"""Who is suspected: what was changed lately, and what people usually blame for the faults that were found.

A change is no proof. A rotation in the minute of an outage was blamed while four schedules were missing; so each
suspect is named, and tested (healthcheck.diagnosis.acquittal).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from healthcheck.aws import trail
from healthcheck.aws.definitions import Definitions
from healthcheck.aws.functions import Functions
from healthcheck.aws.parameters import Parameter as Stored
from healthcheck.aws.parameters import Parameters
from healthcheck.aws.trail import Trail
from healthcheck.aws.triggers import Triggers
from healthcheck.diagnosis.places import readers, services_of
from healthcheck.finding import Finding
from healthcheck.snapshot import Snapshot
from pipeline.catalog import Catalog

PROVIDER, DATABASE = "provider", "database"
KEYS = ("key_rejected", "key_swapped")
NO_START = ("image_missing", "image_stale")
# Subject of a usual suspect that stands for each service that the fault hits.
EACH = ""
# Faults → what was wrongly blamed for them before, and why one would (the second column is what people said).
USUAL: tuple[tuple[tuple[str, ...], tuple[tuple[str, str], ...], str], ...] = (
    (
        ("schedule_missing", "schedule_disabled", "schedule_window", "schedule_wrong_rate"),
        (("key_rejected", PROVIDER), ("provider_error", PROVIDER), *((code, EACH) for code in NO_START)),
        "no new data comes in",
    ),
    (
        ("target_cluster", "target_task_definition", "target_network", "role_missing", "role_trust", "role_run_task",
         "role_pass_role"),
        (*((code, EACH) for code in NO_START), ("key_rejected", PROVIDER)),
        "no task starts, while a run by hand works",
    ),
    (
        ("trigger_duplicate", "target_revision_stale", "image_stale"),
        (("image_stale", EACH), ("target_revision_stale", EACH), ("image_missing", EACH)),
        "what was deployed last does not show",
    ),
    (
        ("key_rejected", "key_swapped", "not_entitled", "rate_limited", "provider_error", "feed_delayed"),
        (("provider_error", PROVIDER), ("not_entitled", PROVIDER), ("key_rejected", PROVIDER),
         ("rate_limited", PROVIDER), ("image_stale", EACH)),
        "the provider refuses, or serves nothing new",
    ),
    (
        ("parameter_unread", "parameter_missing", "parameter_denied"),
        (("provider_error", PROVIDER), ("key_rejected", PROVIDER), ("image_stale", EACH)),
        "a value that was stored does not take effect",
    ),
    (
        ("bars_gap", "features_stale", "ticker_config", "config_invalid", "backlog", "stuck_rows"),
        (("key_rejected", PROVIDER), ("not_entitled", PROVIDER), ("provider_error", PROVIDER),
         ("rate_limited", PROVIDER), ("db_connections", DATABASE), ("image_stale", EACH)),
        "rows are late or missing",
    ),
    (
        ("db_schema", "db_permission", "db_locked"),
        (("db_connections", DATABASE), ("db_unreachable", DATABASE), ("image_stale", EACH)),
        "statements fail",
    ),
    (
        ("task_crash", "task_oom", "task_hang", "task_network", "image_missing"),
        (("image_stale", EACH), ("image_missing", EACH), ("key_rejected", PROVIDER), ("provider_error", PROVIDER),
         ("db_connections", DATABASE)),
        "runs fail",
    ),
)  # fmt: skip
# Nothing new since the last session: what was blamed on a holiday.
CLOSED = (("not_entitled", PROVIDER), ("key_rejected", PROVIDER), ("feed_delayed", PROVIDER))


@dataclass(frozen=True, kw_only=True)
class Suspect:
    """A code and subject that may be to blame, and why one thinks so. `at`: when it was changed, where it was."""

    code: str
    subject: str
    because: str
    at: datetime | None = None


def suspects(snapshot: Snapshot, findings: Sequence[Finding], since: datetime, *, closed: bool) -> tuple[Suspect, ...]:
    """One for each code and subject; a change is the better reason and comes first. `closed`: no fault was found, and
    the market is closed."""
    named = [*_changed(snapshot, since), *_usual(findings, snapshot.scope.catalog)]
    if closed:
        named += [Suspect(code=code, subject=subject, because="no new bars come in") for code, subject in CLOSED]
    first: dict[tuple[str, str], Suspect] = {}
    for each in named:
        first.setdefault((each.code, each.subject), each)
    return tuple(first.values())


def _usual(findings: Iterable[Finding], catalog: Catalog) -> Iterator[Suspect]:
    for finding in findings:
        for codes, blamed, because in USUAL:
            if finding.code in codes:
                for code, subject in blamed:
                    subjects = services_of(finding, catalog) if subject == EACH else (subject,)
                    yield from (Suspect(code=code, subject=each, because=because) for each in subjects)


def _changed(snapshot: Snapshot, since: datetime) -> Iterator[Suspect]:
    yield from _stored(snapshot, since)
    yield from _deployed(snapshot, since)
    yield from _scheduled(snapshot, since)
    yield from _logged(snapshot, since)


def _stored(snapshot: Snapshot, since: datetime) -> Iterator[Suspect]:
    """Parameters that were written; the two halves of a key are one rotation."""
    store, catalog = snapshot.parts.get(Parameters), snapshot.scope.catalog
    if not isinstance(store, Parameters):
        return
    path = f"/{catalog.project}/"
    recent = {
        name.removeprefix(path): stored
        for name, stored in sorted(store.parameters.items())
        if since <= stored.modified_at <= snapshot.now
    }
    keys = {name: stored for name, stored in recent.items() if name in catalog.parameters and _is_key(name, catalog)}
    if keys:
        at = max(stored.modified_at for stored in keys.values())
        because = f"the key pair was rotated: {'; '.join(_written(name, stored) for name, stored in keys.items())}"
        yield from (Suspect(code=code, subject=PROVIDER, because=because, at=at) for code in KEYS)
    for name, stored in recent.items():
        if name in catalog.parameters and name not in keys:
            for code, subject in _codes_of(name, catalog):
                yield Suspect(code=code, subject=subject, because=_written(name, stored), at=stored.modified_at)


def _written(name: str, stored: Stored) -> str:
    return f"{name} was written at {stored.modified_at:%Y-%m-%d %H:%M} UTC (version {stored.version})" + _by(
        stored.modified_by
    )


def _by(who: str) -> str:
    """The name at the end of an ARN; AWS's N/A is nobody's."""
    name = "" if who == "N/A" else who.rsplit("/", 1)[-1]
    return f" by {name}" if name else ""


def _is_key(name: str, catalog: Catalog) -> bool:
    """Whether it is a secret of whoever asks the provider."""
    return any(parameter.name == name for service in catalog.writers("bars") for parameter in service.secrets)


def _codes_of(name: str, catalog: Catalog) -> tuple[tuple[str, str], ...]:
    """What a wrong value of the parameter would show as."""
    kind = catalog.parameters[name].kind
    if kind == "symbols":
        return (("ticker_config", name),)
    asks = {parameter.name for service in catalog.writers("bars") for parameter in service.parameters}
    return (("config_invalid", name), *((("not_entitled", PROVIDER),) if name in asks else ()))


def _deployed(snapshot: Snapshot, since: datetime) -> Iterator[Suspect]:
    """New revisions of task definitions, functions that were changed."""
    definitions, functions = snapshot.parts.get(Definitions), snapshot.parts.get(Functions)
    for service in snapshot.scope.catalog:
        at, what = None, ""
        if service.kind == "task" and isinstance(definitions, Definitions):
            newest = definitions.newest(service.task_definition)
            at = newest.registered_at if newest else None
            what = f"revision {newest.revision} of {newest.family} was registered" if newest else ""
        elif service.kind == "lambda" and isinstance(functions, Functions):
            function = functions.functions.get(service.task_definition)
            at = function.modified_at if function else None
            what = f"the function {service.task_definition} was changed"
        if at and since <= at <= snapshot.now:
            because = f"a deployment: {what} at {at:%Y-%m-%d %H:%M} UTC"
            for code in ("image_stale", "target_revision_stale", "task_crash"):
                if service.kind == "task" or code != "target_revision_stale":
                    yield Suspect(code=code, subject=service.name, because=because, at=at)


def _scheduled(snapshot: Snapshot, since: datetime) -> Iterator[Suspect]:
    """Schedules that were made or changed."""
    triggers = snapshot.parts.get(Triggers)
    if not isinstance(triggers, Triggers):
        return
    for service in snapshot.scope.catalog:
        schedule = triggers.schedule(service.name, service.schedule)
        if schedule and since <= schedule.modified_at <= snapshot.now:
            because = f"the schedule {schedule.name} was written at {schedule.modified_at:%Y-%m-%d %H:%M} UTC"
            yield Suspect(code="schedule_wrong_rate", subject=service.name, because=because, at=schedule.modified_at)


def _logged(snapshot: Snapshot, since: datetime) -> Iterator[Suspect]:
    """Changes of roles and of the network, which nothing but CloudTrail dates."""
    history = snapshot.parts.get(Trail)
    if not isinstance(history, Trail):
        return
    for event in history.of((*trail.ROLES, *trail.NETWORK)):
        if event.at < since:
            continue
        because = f"{event.name} of {', '.join(event.resources) or 'the network'} at {event.at:%Y-%m-%d %H:%M} UTC"
        because += _by(event.by)
        if event.name in trail.NETWORK:
            yield Suspect(code="task_network", subject="network", because=because, at=event.at)
            continue
        for role in (each.rsplit("/", 1)[-1] for each in event.resources):
            if role.startswith(snapshot.scope.catalog.project):
                code = "role_trust" if event.name == "UpdateAssumeRolePolicy" else _right_of(role, snapshot)
                yield Suspect(code=code, subject=role, because=because, at=event.at)


def _right_of(role: str, snapshot: Snapshot) -> str:
    return "role_run_task" if role == snapshot.scope.catalog.scheduler_role else "parameter_denied"


def concerned(suspect: Suspect, catalog: Catalog) -> Mapping[str, None]:
    """The services whose runs tell of the suspect."""
    if suspect.subject in catalog.services:
        return {suspect.subject: None}
    if suspect.subject in catalog.parameters:
        # the watcher goes on with a value that stops others, so that its runs prove nothing
        found = readers(catalog.parameters[suspect.subject], catalog)
        return dict.fromkeys(name for name in found if "findings" not in catalog[name].writes)
    if suspect.subject == PROVIDER:
        return dict.fromkeys(service.name for service in catalog.writers("bars"))
    return {}

"""Whether every parameter that a run is given is there and may be read, and whether all that are there are read."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime, timedelta
from difflib import get_close_matches

from healthcheck.aws.definitions import Definitions
from healthcheck.aws.functions import Functions
from healthcheck.aws.logs import LogGroups
from healthcheck.aws.parameters import OF_AWS, Key, Parameter, Parameters
from healthcheck.aws.roles import Role, Roles
from healthcheck.aws.triggers import Triggers
from healthcheck.checks import declared
from healthcheck.checks.check import HEAL, Check
from healthcheck.checks.rights import Troubles
from healthcheck.finding import Finding, Severity
from healthcheck.snapshot import Runs, Snapshot
from pipeline.catalog import Service
from pipeline.errors import ConfigInvalid
from pipeline.settings import require_usable

PULL = ("ecr:BatchCheckLayerAvailability", "ecr:GetDownloadUrlForLayer", "ecr:BatchGetImage")
# How alike two names must be for one to be a misspelling of the other; alpaca_api_key and alpaca_key_id are.
ALIKE = 0.6
# Where a rotation keeps a new value until it is switched to; what has waited for longer was left behind.
STAGED = "/next"
STAGED_AT_MOST = timedelta(hours=1)


def parameters_missing(snapshot: Snapshot) -> Iterator[Finding]:
    """A definition or function names a parameter that does not exist: its runs cannot start."""
    store, where, troubles = snapshot.part(Parameters).parameters, declared.place(snapshot), Troubles()
    for service in snapshot.scope.catalog:
        for name in sorted(set(declared.needed_parameters(snapshot, service).values())):
            if name.startswith(where.parameters_path) and name not in store:
                words = f"there is no parameter {name}, which runs are given"
                troubles.add("parameter_missing", name, service, words, parameter=name)
    yield from troubles.findings(f"aws ssm put-parameter --name NAME --value … ; or {declared.apply(snapshot)}")


def parameters_denied(snapshot: Snapshot) -> Iterator[Finding]:
    """The role that starts a service may not read its parameters, decrypt them, or fetch its image; or a key is off."""
    troubles = Troubles()
    for service in snapshot.scope.catalog:
        role = _starter(snapshot, service)
        if role is None:
            continue
        key = next(_dead_keys(snapshot, service), None)
        if key:
            name, state = key
            words = f"the key {name} is {state}: what it encrypts cannot be read"
            troubles.add("parameter_denied", name, service, words, key=name, state=state)
        elif refused := list(_refusals(snapshot, service, role)):
            troubles.add("parameter_denied", service.name, service, refused[0], role=role.arn, refused=refused[:5])
    yield from troubles.findings(HEAL)


def _starter(snapshot: Snapshot, service: Service) -> Role | None:
    """The role that fetches what a start takes: the execution role, or the function's own."""
    roles = snapshot.part(Roles).roles
    if service.kind == "lambda":
        function = snapshot.part(Functions).functions.get(service.task_definition)
        return roles.get(function.role_arn) if function else None
    definition = declared.definition(snapshot, service)
    return roles.get(definition.execution_role_arn) if definition else None


def _stored(snapshot: Snapshot, service: Service) -> list[Parameter]:
    store = snapshot.part(Parameters).parameters
    names = sorted(set(declared.needed_parameters(snapshot, service).values()))
    return [store[name] for name in names if name in store]


def _dead_keys(snapshot: Snapshot, service: Service) -> Iterator[tuple[str, str]]:
    """(key, state) of each that cannot be used."""
    for name in sorted({each.key for each in _stored(snapshot, service)} - {"", OF_AWS}):
        key = snapshot.part(Parameters).keys.get(name)
        if key is None or key.state != "Enabled":
            yield name, key.state if key else "gone"


def _refusals(snapshot: Snapshot, service: Service, role: Role) -> Iterator[str]:
    """IAM's own words for each thing that is refused."""
    keys = snapshot.part(Parameters).keys
    for parameter in _stored(snapshot, service):
        decision = role.may("ssm:GetParameters", parameter.arn)
        if not decision:
            yield decision.message
        key = keys.get(parameter.key)
        if isinstance(key, Key):
            context = {"kms:EncryptionContext:PARAMETER_ARN": parameter.arn}
            decision = role.may("kms:Decrypt", key.arn, context, policy=key.policy)
            if not decision:
                yield decision.message
    if service.kind == "task":
        yield from _start_refusals(snapshot, service, role)


def _start_refusals(snapshot: Snapshot, service: Service, role: Role) -> Iterator[str]:
    where, definition = declared.place(snapshot), declared.definition(snapshot, service)
    assert definition  # it named the role
    asked = [("ecr:GetAuthorizationToken", "*")]
    if definition.repository:
        asked += [(action, where.arn("ecr", f"repository/{definition.repository}")) for action in PULL]
    if definition.log_group:
        stream = where.arn("logs", f"log-group:{definition.log_group}:log-stream:{service.name}/{service.name}/id")
        asked.append(("logs:CreateLogStream", stream))
    for action, resource in asked:
        decision = role.may(action, resource)
        if not decision:
            yield decision.message


def parameters_unread(snapshot: Snapshot) -> Iterator[Finding]:
    """A parameter under our path that nothing is given: perhaps a new value stored under a misspelt name."""
    where, catalog = declared.place(snapshot), snapshot.scope.catalog
    path = where.parameters_path
    known = {f"{path}{name}" for name in catalog.parameters} | {
        f"{path}database_url/{name}" for name in catalog.services
    }
    for service in catalog:
        known |= set(declared.needed_parameters(snapshot, service).values())
    for name, parameter in sorted(snapshot.part(Parameters).parameters.items()):
        if name in known or _is_staged(name, parameter, known, snapshot.now):
            continue
        alike = get_close_matches(name.lower(), known, n=1, cutoff=ALIKE)
        readers = [s.name for s in catalog if alike and alike[0] in declared.needed_parameters(snapshot, s).values()]
        yield Finding(
            code="parameter_unread",
            subject=name,
            severity=Severity.WARNING,
            summary=f"{name} was stored at {parameter.modified_at:%Y-%m-%d %H:%M} UTC, and nothing reads it"
            + (f"; {alike[0]} is what is read" if alike else ""),
            evidence={
                "parameter": name,
                "resembles": alike[0] if alike else None,
                "version": parameter.version,
                "modified_at": parameter.modified_at,
                "modified_by": parameter.modified_by,
                "services": readers,
            },
            since=parameter.modified_at,
            repair=(f"store its value as {alike[0]}, then " if alike else "")
            + f"aws ssm delete-parameter --name {name}",
        )


def _is_staged(name: str, parameter: Parameter, known: Collection[str], now: datetime) -> bool:
    """Whether it waits beside a parameter that is read, for a rotation that may still be under way."""
    beside = name.removesuffix(STAGED)
    return beside != name and beside in known and now - parameter.modified_at < STAGED_AT_MOST


def values_unusable(snapshot: Snapshot) -> Iterator[Finding]:
    """A setting cannot be what it is for, and a service that would be given it has not run since to say so itself."""
    found, ran = snapshot.part(Parameters), snapshot.part(Runs).recent
    path = declared.place(snapshot).parameters_path
    for service in snapshot.scope.catalog:
        for parameter in service.parameters:
            stored, value = found.parameters.get(f"{path}{parameter.name}"), found.values.get(f"{path}{parameter.name}")
            newest = ran.get(service.name)
            if stored is None or value is None or service.kind == "lambda":
                continue
            if newest and newest[0].started_at >= stored.modified_at:
                continue  # the run's own record tells, with what the service itself demands
            try:
                require_usable(parameter, value)
            except ConfigInvalid as error:
                yield Finding(
                    code=error.code,
                    subject=service.name,
                    severity=Severity.WARNING,
                    summary=f"its next run will refuse {error}",
                    evidence={
                        "parameter": stored.name,
                        "version": stored.version,
                        "modified_at": stored.modified_at,
                        "modified_by": stored.modified_by,
                        "error": str(error),
                    },
                    since=stored.modified_at,
                    repair=f"correct the parameter, then python -m {service.name}",
                )
                break


def logs_missing(snapshot: Snapshot) -> Iterator[Finding]:
    """A task whose log group is gone is not started."""
    groups = snapshot.part(LogGroups).names
    for service in snapshot.scope.catalog:
        definition = declared.definition(snapshot, service) if service.kind == "task" else None
        if definition and definition.log_group and definition.log_group not in groups:
            yield Finding(
                code="task_crash",
                subject=service.name,
                severity=Severity.CRITICAL,
                summary=f"the log group {definition.log_group} is gone; without it no task of {service.name} starts",
                evidence={"log_group": definition.log_group, "services": [service.name]},
                repair=declared.apply(snapshot),
            )


CHECKS = (
    Check(
        name="parameters_stored",
        question="Does every parameter exist that runs are given?",
        codes=("parameter_missing",),
        needs=(Parameters, Definitions, Functions),
        find=parameters_missing,
    ),
    Check(
        name="parameters_readable",
        question="May every service fetch what its start takes?",
        codes=("parameter_denied",),
        needs=(Parameters, Roles, Definitions, Functions),
        find=parameters_denied,
    ),
    Check(
        name="parameters_used",
        question="Is every parameter read by something?",
        codes=("parameter_unread",),
        needs=(Parameters, Definitions, Functions),
        find=parameters_unread,
    ),
    Check(
        name="settings_usable",
        question="Can every setting be what it is for?",
        codes=("config_invalid", "ticker_config", "parameter_missing"),
        needs=(Parameters, Runs),
        find=values_unusable,
    ),
    Check(
        name="logs_exist",
        question="Has every task its log group?",
        codes=("task_crash",),
        needs=(LogGroups, Definitions, Triggers),
        find=logs_missing,
    ),
)

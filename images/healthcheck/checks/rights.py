"""Whether each role is there, can be taken by whom it is for, and may do what a start takes: asked before AWS is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from healthcheck.aws.definitions import Definitions
from healthcheck.aws.functions import Functions
from healthcheck.aws.roles import LAMBDA, SCHEDULER, TASKS, Role, Roles
from healthcheck.aws.triggers import Schedule, Triggers
from healthcheck.checks import declared
from healthcheck.checks.check import HEAL, Check
from healthcheck.finding import Finding, Severity
from healthcheck.iam import Decision
from healthcheck.snapshot import Snapshot
from pipeline.catalog import Service


@dataclass(kw_only=True)
class Trouble:
    """What is wrong with one role, for how many services; the first one's words stand for all."""

    code: str
    words: str
    services: list[str] = field(default_factory=list)
    evidence: dict[str, Any] = field(default_factory=dict)
    severity: Severity = Severity.CRITICAL


class Troubles:
    """Gathered by what is broken, so that one broken role is one finding however many services it hits."""

    def __init__(self) -> None:
        self.found: dict[tuple[str, str], Trouble] = {}

    def add(self, code: str, subject: str, service: Service, words: str, **evidence: Any) -> None:
        trouble = self.found.setdefault((code, subject), Trouble(code=code, words=words, evidence=evidence))
        trouble.services.append(service.name)

    def findings(self, repair: str) -> Iterator[Finding]:
        for (code, subject), trouble in self.found.items():
            yield Finding(
                code=code,
                subject=subject,
                severity=trouble.severity,
                summary=f"{trouble.words} ({declared.named(trouble.services)})",
                evidence={**trouble.evidence, "services": trouble.services},
                repair=repair,
            )


def roles_missing(snapshot: Snapshot) -> Iterator[Finding]:
    """A role that a schedule, a task definition or a function names does not exist."""
    roles, troubles = snapshot.part(Roles).roles, Troubles()
    for service, use, arn, _ in _uses(snapshot):
        if arn not in roles:
            troubles.add(
                "role_missing", _subject(snapshot, service, arn), service, _absent(arn, use), role=arn, use=use
            )
    yield from troubles.findings(HEAL)


def _absent(arn: str, use: str) -> str:
    return f"the role {arn.rsplit('/', 1)[-1]}, {use}, does not exist" if arn else f"there is no role {use}"


def roles_distrusted(snapshot: Snapshot) -> Iterator[Finding]:
    """A role whose trust policy does not let its user take it."""
    roles, troubles = snapshot.part(Roles).roles, Troubles()
    for service, use, arn, (taker, source) in _uses(snapshot):
        role = roles.get(arn)
        decision = role.assumed_by(taker, source) if role else None
        if role and not decision:
            assert decision is not None
            words = f"{taker} may not take the role {role.name}, {use}: its trust policy does not let it"
            troubles.add("role_trust", role.name, service, words, role=arn, taker=taker, **_near(decision))
    yield from troubles.findings(HEAL)


Use = tuple[Service, str, str, tuple[str, str]]


def _uses(snapshot: Snapshot) -> Iterator[Use]:
    """(service, what for, role, (who takes it, for which resource)), each role of each service."""
    where = declared.place(snapshot)
    for service, schedule in declared.schedules(snapshot):
        group = where.schedule_group_arn(schedule.group)
        yield service, "which starts it", schedule.target.role_arn, (SCHEDULER, group)
    for service in snapshot.scope.catalog:
        yield from ((service, *rest) for rest in _own_roles(snapshot, service))


def _own_roles(snapshot: Snapshot, service: Service) -> Iterator[tuple[str, str, tuple[str, str]]]:
    where = declared.place(snapshot)
    if service.kind == "lambda":
        function = snapshot.part(Functions).functions.get(service.task_definition)
        if function:
            yield "which it runs with", function.role_arn, (LAMBDA, function.arn)
        return
    definition = declared.definition(snapshot, service)
    if definition:
        source = where.arn("ecs", f"task/{where.cluster}/*")
        for use, arn in (("which fetches its image and parameters", definition.execution_role_arn),
                         ("which its code has", definition.task_role_arn)):  # fmt: skip
            if arn:
                yield use, arn, (TASKS, source)


def starts_refused(snapshot: Snapshot) -> Iterator[Finding]:
    """The scheduler's role may not do what starting takes; judged by what is declared, so that a wrong target is not
    blamed on the role."""
    roles, troubles = snapshot.part(Roles).roles, Troubles()
    for service, schedule in declared.schedules(snapshot):
        role = roles.get(schedule.target.role_arn)
        if role is None:
            continue
        denied = [(code, decision) for code, decision in _asked(snapshot, service, schedule, role) if not decision]
        if denied:
            code, first = denied[0]
            troubles.add(
                code,
                role.name,
                service,
                first.message,
                role=role.arn,
                refused=[decision.message for _, decision in denied],
                **_near(first),
            )
    yield from _gravest(troubles)


def _gravest(troubles: Troubles) -> Iterator[Finding]:
    """A role that may start nothing anyway is not blamed for its dead letters too."""
    for finding in troubles.findings(HEAL):
        letters_only = "sqs:SendMessage" in finding.summary
        graver = any(code != finding.code and subject == finding.subject for code, subject in troubles.found)
        if not (letters_only and graver):
            yield finding


def _asked(snapshot: Snapshot, service: Service, schedule: Schedule, role: Role) -> Iterator[tuple[str, Decision]]:
    """Each permission in the order in which AWS asks for it, with the code that its lack has."""
    where = declared.place(snapshot)
    if service.kind == "lambda":
        yield "role_run_task", role.may("lambda:InvokeFunction", where.function_arn(service))
    else:
        definition = declared.definition(snapshot, service)
        family = where.arn("ecs", f"task-definition/{service.task_definition}")
        revision = definition.arn if definition else f"{family}:1"
        yield "role_run_task", role.may("ecs:RunTask", revision, {"ecs:cluster": where.cluster_arn})
        passed = (
            [definition.execution_role_arn, definition.task_role_arn]
            if definition
            else [where.execution_role_arn(service), where.task_role_arn(service)]
        )
        for arn in dict.fromkeys(filter(None, passed)):
            yield "role_pass_role", role.may("iam:PassRole", arn, {"iam:PassedToService": TASKS})
        if schedule.target.tags_propagated:
            tasks = where.arn("ecs", f"task/{where.cluster}/*")
            yield "role_run_task", role.may("ecs:TagResource", tasks, {"ecs:CreateAction": "RunTask"})
    if schedule.target.dead_letter_arn == where.queue_arn:
        yield "role_pass_role", role.may("sqs:SendMessage", where.queue_arn)


def _near(decision: Decision) -> Mapping[str, Any]:
    """The statement that nearly allowed it, and what kept it from doing so."""
    return {"nearly": [f"{each.policy}/{each.sid}: {each.element}: {each.detail}"[:300] for each in decision.near[:3]]}


def _subject(snapshot: Snapshot, service: Service, arn: str) -> str:
    """A role that is declared for all is the broken thing itself; one that only this service names is its own."""
    where = declared.place(snapshot)
    shared = arn in (where.scheduler_role_arn, where.execution_role_arn(service), where.task_role_arn(service))
    return arn.rsplit("/", 1)[-1] if shared else service.name


CHECKS = (
    Check(
        name="roles_exist",
        question="Does every role exist that something names?",
        codes=("role_missing",),
        needs=(Roles, Triggers, Definitions, Functions),
        find=roles_missing,
    ),
    Check(
        name="roles_trusted",
        question="Can every role be taken by whom it is for?",
        codes=("role_trust",),
        needs=(Roles, Triggers, Definitions, Functions),
        find=roles_distrusted,
    ),
    Check(
        name="starts_permitted",
        question="May the scheduler start every service?",
        codes=("role_run_task", "role_pass_role"),
        needs=(Roles, Triggers, Definitions),
        find=starts_refused,
    ),
)

"""Whether somebody would be told: every alarm there, set to sound, speaking to a topic that someone listens to."""

from __future__ import annotations

from collections.abc import Iterator

from healthcheck.aws.alarms import Alarm, Alarms
from healthcheck.aws.intent import Intent
from healthcheck.aws.topics import Topics
from healthcheck.checks import declared
from healthcheck.checks.check import Check
from healthcheck.finding import Finding, Severity
from healthcheck.snapshot import Snapshot

OF_WRITERS = {"no-bars": "bars", "blind": "findings"}  # an alarm for each service that writes the table
OF_DATABASE = ("storage", "cpu", "connections")


def expected(snapshot: Snapshot) -> dict[str, list[str]]:
    """Name of each alarm that must be there → the services that it watches."""
    catalog, project = snapshot.scope.catalog, snapshot.scope.catalog.project
    where = declared.place(snapshot)
    alarms = {name: [service.name] for service in catalog for name in where.service_alarms(service)}
    for what, table in OF_WRITERS.items():
        writers = [service.name for service in catalog.writers(table)]
        for writer in writers:
            alarms[f"{project}-{what}" + ("" if len(writers) == 1 else f"-{writer.replace('_', '-')}")] = [writer]
    if snapshot.part(Intent).database:
        alarms |= {f"{project}-database-{what}": [] for what in OF_DATABASE}
    return alarms | {f"{project}-dead-letters": [], f"{project}-down": list(catalog.services)}


def alarms_missing(snapshot: Snapshot) -> Iterator[Finding]:
    """An alarm that should be there is not."""
    alarms = snapshot.part(Alarms).alarms
    for name, services in expected(snapshot).items():
        if name not in alarms:
            yield Finding(
                code="alarm_missing",
                subject=name,
                severity=Severity.WARNING,
                summary=f"there is no alarm {name}"
                + (f": nobody would be told of {declared.named(services)}" if services else ""),
                evidence={"alarm": name, "services": services},
                repair=declared.apply(snapshot),
            )


def alarms_mute(snapshot: Snapshot) -> Iterator[Finding]:
    """An alarm that tells nobody, whose actions are off, or that takes silence for no news."""
    alarms, topics = snapshot.part(Alarms).alarms, snapshot.part(Topics)
    if topics.subscriptions is None:
        return  # then no alarm tells anybody, and that is one finding
    for name, services in expected(snapshot).items():
        alarm = alarms.get(name)
        told = _mute(alarm, topics) if alarm else None
        if alarm and told:
            code, words = told
            yield Finding(
                code=code,
                subject=name,
                severity=Severity.WARNING,
                summary=f"the alarm {name} {words}",
                evidence={
                    "alarm": name,
                    "actions": list(alarm.actions),
                    "actions_enabled": alarm.actions_enabled,
                    "missing_data": alarm.missing_data,
                    "state": alarm.state,
                    "services": services,
                },
                since=alarm.changed_at,
                repair=f"aws cloudwatch enable-alarm-actions --alarm-names {name}"
                if code == "alarm_disabled"
                else declared.apply(snapshot),
            )


def _mute(alarm: Alarm, topics: Topics) -> tuple[str, str] | None:
    if not alarm.actions:
        return "alarm_no_action", "has no action: it tells nobody"
    if topics.topic_arn not in alarm.actions:
        return "alarm_no_action", f"speaks to {', '.join(alarm.actions)} and not to {topics.topic_arn}"
    if not alarm.actions_enabled:
        return "alarm_disabled", "has its actions switched off"
    if alarm.name.endswith("-silent") and alarm.missing_data != "breaching":
        # a service that never ran once has no data at all
        return "alarm_no_action", f"treats missing data as {alarm.missing_data}: it tells of no service that never ran"
    return None


def nobody_listens(snapshot: Snapshot) -> Iterator[Finding]:
    """The topic is gone, nobody has subscribed, or nobody has confirmed it."""
    topics = snapshot.part(Topics)
    if topics.subscriptions is None:
        yield Finding(
            code="alarm_no_action",
            subject=topics.topic_arn.rsplit(":", 1)[-1],
            severity=Severity.CRITICAL,
            summary=f"the topic {topics.topic_arn}, to which all alarms speak, does not exist",
            evidence={"topic": topics.topic_arn, "services": []},
            repair=declared.apply(snapshot),
        )
        return
    pending = [f"{each.protocol} {each.endpoint}" for each in topics.subscriptions if not each.confirmed]
    confirmed = len(topics.subscriptions) - len(pending)
    if confirmed and not pending:
        return
    yield Finding(
        code="subscription_unconfirmed",
        subject=topics.topic_arn.rsplit(":", 1)[-1],
        severity=Severity.WARNING if confirmed else Severity.CRITICAL,
        summary=f"{declared.named(pending)} {'has' if len(pending) == 1 else 'have'} not confirmed the subscription"
        if pending
        else "nobody has subscribed to the alarms",
        evidence={"topic": topics.topic_arn, "pending": pending, "confirmed": confirmed, "services": []},
        repair="click on the link in the mail that AWS sent; where it has expired, "
        f"aws sns subscribe --topic-arn {topics.topic_arn} --protocol … --notification-endpoint …"
        if pending
        else declared.apply(snapshot),
    )


CHECKS = (
    Check(
        name="alarms_exist",
        question="Is every alarm there?",
        codes=("alarm_missing",),
        needs=(Alarms, Intent),
        find=alarms_missing,
    ),
    Check(
        name="alarms_sound",
        question="Would every alarm tell somebody?",
        codes=("alarm_no_action", "alarm_disabled"),
        needs=(Alarms, Topics, Intent),
        find=alarms_mute,
    ),
    Check(
        name="alarms_heard",
        question="Does anybody listen?",
        codes=("subscription_unconfirmed", "alarm_no_action"),
        needs=(Topics,),
        find=nobody_listens,
    ),
)

"""Which invocations could not be delivered lately. What lies in the queue from an older fault is not one of today's."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from healthcheck.aws.letters import Letter, Letters
from healthcheck.checks import declared
from healthcheck.checks.check import DIAGNOSE, Check
from healthcheck.finding import Finding, Severity
from healthcheck.snapshot import Snapshot

# Letters of a fault that lasts come at least every five minutes, after their retries.
RECENT = timedelta(minutes=15)


def letters_recent(snapshot: Snapshot) -> Iterator[Finding]:
    """One finding for each service with dead letters of the last quarter of an hour, in the words of the newest."""
    letters = snapshot.part(Letters)
    recent: dict[str, list[Letter]] = {}
    for letter in letters.seen:
        if snapshot.now - letter.sent_at <= RECENT:
            recent.setdefault(_owner(letter, snapshot) or letters.queue, []).append(letter)
    for owner in sorted({*recent, *(name for name, count in letters.lately.items() if count)}):
        newest = next(iter(recent.get(owner, ())), None)
        count = letters.lately.get(owner) or len(recent.get(owner, ()))
        yield Finding(
            code="dead_letters",
            subject=owner,
            severity=Severity.CRITICAL,
            summary=f"{count} invocations of {owner} were given up within {RECENT.seconds // 60} minutes"
            + (f": {newest.error_code}: {newest.error_message}" if newest else ""),
            evidence={
                "queue": letters.queue,
                "in_queue": letters.count,
                "schedule": newest.schedule_arn if newest else None,
                "error_code": newest.error_code if newest else None,
                "error_message": newest.error_message if newest else None,
                "newest": newest.sent_at if newest else None,
                "services": [owner] if owner in snapshot.scope.catalog.services else [],
            },
            since=min((letter.sent_at for letter in recent.get(owner, ())), default=None),
            repair=f"{DIAGNOSE}; once its cause is mended: aws sqs purge-queue --queue-url {letters.address}",
        )


def _owner(letter: Letter, snapshot: Snapshot) -> str | None:
    """The service whose schedule or function it was: by the schedule's group, else by the target."""
    group = letter.schedule_arn.partition(":schedule/")[2].partition("/")[0]
    if group in snapshot.scope.catalog.services:
        return group
    where = declared.place(snapshot)
    functions = {where.function_arn(each): each.name for each in snapshot.scope.catalog if each.kind == "lambda"}
    if not letter.schedule_arn and len(functions) == 1:
        return next(iter(functions.values()))  # a Lambda's own letter names nobody
    return functions.get(letter.target_arn)


CHECKS = (
    Check(
        name="letters_delivered",
        question="Is every invocation delivered?",
        codes=("dead_letters",),
        needs=(Letters,),
        find=letters_recent,
    ),
)

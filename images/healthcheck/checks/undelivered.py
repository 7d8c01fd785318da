"""Which invocations cannot be delivered. What lies in the queue from a fault that is over is not one of today's."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from healthcheck.aws.letters import GivenUp, Letter, Letters
from healthcheck.checks import declared
from healthcheck.checks.check import DIAGNOSE, Check
from healthcheck.finding import Finding, Severity
from healthcheck.snapshot import Runs, Snapshot

# Letters of a fault that lasts come at least every five minutes, after their retries.
RECENT = timedelta(minutes=15)
# The scheduler counts what it gave up by the minute.
COUNTED_BY = timedelta(minutes=1)
NONE = GivenUp(count=0, newest=None)


def letters_recent(snapshot: Snapshot) -> Iterator[Finding]:
    """One finding for each service with dead letters of the last quarter of an hour, in the words of the newest.

    None for a service that has completed a run since: it is delivered again, whatever still lies in the queue."""
    letters = snapshot.part(Letters)
    recent: dict[str, list[Letter]] = {}
    for letter in letters.seen:
        if snapshot.now - letter.sent_at <= RECENT:
            recent.setdefault(_owner(letter, snapshot) or letters.queue, []).append(letter)
    for owner in sorted({*recent, *(name for name, given_up in letters.lately.items() if given_up.count)}):
        newest, lately = next(iter(recent.get(owner, ())), None), letters.lately.get(owner, NONE)
        count = lately.count or len(recent.get(owner, ()))
        if _delivered_since(owner, newest, lately, snapshot):
            continue
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


def _delivered_since(owner: str, newest: Letter | None, lately: GivenUp, snapshot: Snapshot) -> bool:
    """Whether the service has completed a run that began after its last letter."""
    runs = snapshot.parts.get(Runs)
    if not isinstance(runs, Runs) or owner not in runs.completed:
        return False
    written = [at for at in (newest.sent_at if newest else None, _end(lately)) if at]
    return bool(written) and max(written) <= runs.completed[owner]


def _end(lately: GivenUp) -> datetime | None:
    """The end of the minute in which the last one was counted."""
    return lately.newest + COUNTED_BY if lately.newest else None


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

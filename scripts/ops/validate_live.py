"""A deployed pipeline validated: every check, and the first run of every service since its last change."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass

from healthcheck import checks
from healthcheck.aws import Alarms, Functions, Images, Intent, LogGroups, Network, Parameters, Roles, Topics
from healthcheck.aws.definitions import Definitions
from healthcheck.aws.triggers import Triggers
from healthcheck.checks.check import Check
from healthcheck.finding import Finding, Severity
from healthcheck.snapshot import Snapshot
from ops import diagnose_read, heal_declared, inventories, state_bucket, validate_wait
from ops.surroundings import Surroundings
from ops.validate_result import Result
from ops.validate_wait import Say, Waiting

ENDPOINT = "AWS_ENDPOINT_URL"
ANSWER_SECONDS = 5
# What there is of an account in which nothing runs: no ledger, no provider, no task, nobody who confirms a mail.
STANDING = (Intent, Triggers, Definitions, Roles, Functions, Images, Parameters, Network, Alarms, Topics, LogGroups)
NEEDS_SOMEBODY = ("alarms_heard",)
UNPLAYED = (
    "not looked at: runs, rows, the provider and who is told; not waited for: anybody. Nothing plays this local AWS, "
    "so no schedule fires there (make demo and scripts/chaos play one)"
)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is looked at, and why the rest is not."""

    checks: tuple[Check, ...]
    unplayed: str | None


def validate(surroundings: Surroundings, say: Say, *, waits: bool = True) -> Result:
    """Looks, waits where somebody is waited for, and looks again where time has passed."""
    began = time.monotonic()
    plan = _plan(surroundings.environ)
    take = diagnose_read.take_account if plan.unplayed else diagnose_read.take
    taken = take(surroundings)
    report = checks.evaluate(taken.snapshot, plan.checks)
    waiting = _skipping_all(taken.snapshot, plan) or validate_wait.expected(taken.snapshot, report)
    if taken.clients and waiting.since:
        cloudwatch = taken.clients("cloudwatch")
        validate_wait.wait(waiting, cloudwatch, say, surroundings.environ, look_only=not waits)
    if waiting.waited_seconds:
        taken = take(surroundings)
        report = checks.evaluate(taken.snapshot, plan.checks)
    found = (*report.findings, *_silent(waiting, taken.snapshot))
    known = _inventories(surroundings, taken.snapshot)
    return Result(
        now=taken.snapshot.now,
        environment=_environment(taken.snapshot),
        report=report,
        findings=(*found, *inventories.findings(known, taken.snapshot, found)),
        inventories=known,
        beaten=waiting.beaten,
        unheard=tuple(waiting.left),
        skipped=waiting.skipped,
        left_out=plan.unplayed or waiting.broken_off,
        seconds=time.monotonic() - began,
    )


def _plan(environ: Mapping[str, str]) -> Plan:
    if not _is_unplayed(environ):
        return Plan(checks=checks.ALL, unplayed=None)
    kept = tuple(
        check
        for check in checks.ALL
        if check.needs and set(check.needs) <= set(STANDING) and check.name not in NEEDS_SOMEBODY
    )
    return Plan(checks=kept, unplayed=UNPLAYED)


def _is_unplayed(environ: Mapping[str, str]) -> bool:
    """Whether it is our local AWS and nobody has begun to keep a time in it: whoever plays schedules does."""
    endpoint = environ.get(ENDPOINT)
    if not endpoint:
        return False
    past_proxies = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with past_proxies.open(f"{endpoint.rstrip('/')}/local-aws/clock", None, ANSWER_SECONDS) as answer:
            return json.loads(answer.read())["set"] is None
    except (urllib.error.URLError, TimeoutError, ValueError, KeyError, TypeError):
        return False  # some other AWS


def _skipping_all(snapshot: Snapshot, plan: Plan) -> Waiting | None:
    if plan.unplayed is None:
        return None
    return Waiting(since={}, by={}, skipped=dict.fromkeys(snapshot.scope.catalog.services, "nothing starts it here"))


def _silent(waiting: Waiting, snapshot: Snapshot) -> tuple[Finding, ...]:
    """Those that had time enough to run and did not."""
    catalog = snapshot.scope.catalog
    return tuple(
        Finding(
            code="watcher_silent" if "findings" in catalog[name].writes else "backlog",
            subject=name,
            severity=Severity.CRITICAL,
            summary=f"it has completed no run since {waiting.since[name]:%Y-%m-%d %H:%M} UTC, "
            f"though its time was up at {waiting.by[name]:%H:%M}. {catalog[name].when_silent}",
            repair="scripts/diagnose",
            since=waiting.since[name],
        )
        for name in waiting.silent
    )


def _inventories(surroundings: Surroundings, snapshot: Snapshot) -> dict[str, frozenset[str]]:
    """All that can be read; without Terraform's state by what else there is."""
    found = inventories.here(frozenset(snapshot.scope.catalog.services))
    where = snapshot.scope.place
    try:
        if where:
            bucket = state_bucket.name(surroundings.catalog, where.account, where.region)
            state = heal_declared.read(surroundings.clients, bucket)
            found[inventories.TERRAFORM] = frozenset(str(each["GroupName"]) for each in state.schedules.values())
    except heal_declared.StateUnreadable:
        pass
    return found | inventories.live(snapshot)


def _environment(snapshot: Snapshot) -> str:
    intent = snapshot.parts.get(Intent)
    return intent.environment if isinstance(intent, Intent) else "unknown"

"""The one library of checks, and what they find in a snapshot.

Code ↔ what the database can prove of it (the account's and the provider's codes speak for themselves):

| code | said when |
|---|---|
| `bars_gap` | session minutes have no bar: nothing new is stored, or the gap ledger holds lost minutes |
| `feed_delayed` | the same, though the writer of bars has completed runs since: the provider serves nothing newer |
| `features_stale` | session bars wait for their features |
| `feed_broken` | a feed has failed three times in a row, or no news at all is being published |
| `provider_error` | bars were refused because they break a constraint |
| `ticker_config` | a followed symbol never had a bar, or bars come in for one that is not followed |
| `config_invalid` | an undeclared service has run; two services run with different values of one parameter |
| | (`ticker_config` for symbols); a stored value that the next run will refuse; the sessions table ends |
| `backlog` | work waits: a service is not being started (why cannot be seen from here), news, watchlist, dispatches |
| `stuck_rows` | a dispatch is claimed and its lease is over |
| `task_hang`, `task_crash` | a run has no end; runs end without a record, or fail without naming a cause |
| any other | the code that the failing run itself recorded in the ledger |
| `watcher_silent` | the healthcheck itself had stopped |
| `db_schema`, `db_permission`, `db_locked` | the schema differs; a part of the evidence could not be read, and why |
| `db_unreachable`, `db_connections` | there is no way to the database |
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from healthcheck.aws.intent import Intent
from healthcheck.checks import (
    database,
    ended,
    freshness,
    gaps,
    images,
    ledger,
    monitors,
    provider,
    rights,
    schedules,
    stored,
    stuck,
    targets,
    undelivered,
)
from healthcheck.checks.check import DIAGNOSE, Check
from healthcheck.finding import Finding, Severity, merge
from healthcheck.snapshot import Snapshot, Unreadable
from pipeline.errors import PipelineError

OF_DATABASE: tuple[Check, ...] = (*database.CHECKS, *ledger.CHECKS, *gaps.CHECKS, *freshness.CHECKS, *stuck.CHECKS)
OF_ACCOUNT: tuple[Check, ...] = (
    *schedules.CHECKS,
    *targets.CHECKS,
    *rights.CHECKS,
    *images.CHECKS,
    *stored.CHECKS,
    *ended.CHECKS,
    *undelivered.CHECKS,
    *monitors.CHECKS,
)
OF_PROVIDER: tuple[Check, ...] = provider.CHECKS
ALL = (*OF_ACCOUNT, *OF_PROVIDER, *OF_DATABASE)


@dataclass(frozen=True, kw_only=True)
class Report:
    """All findings; the checks that could be judged and those that could not."""

    findings: tuple[Finding, ...]
    judged: tuple[Check, ...]
    unjudged: tuple[Check, ...]

    @property
    def unjudged_codes(self) -> frozenset[str]:
        """Codes of which an absent finding proves nothing this time."""
        return frozenset(code for check in self.unjudged for code in check.codes)


def due(snapshot: Snapshot) -> tuple[Check, ...]:
    """The checks that make sense there: of the account where one is expected, of the provider where it is in reach."""
    if snapshot.scope.place is None:
        return OF_DATABASE
    intent = snapshot.parts.get(Intent)
    out_of_reach = isinstance(intent, Intent) and not intent.provider
    return (*OF_ACCOUNT, *OF_DATABASE) if out_of_reach else ALL


def evaluate(snapshot: Snapshot, checks: Sequence[Check] | None = None) -> Report:
    """Every check over the snapshot [those that are due]. One that lacks a part, or that its data take out of the
    calendar, is `unknown`, never clean."""
    found: list[Finding] = []
    judged: list[Check] = []
    unjudged: list[Check] = []
    for check in due(snapshot) if checks is None else checks:
        reasons = _lacking(check, snapshot)
        try:
            answers = [] if reasons else list(check.find(snapshot))
        except PipelineError as error:
            reasons, answers = {"data": str(error)}, []
        found.extend([_unknown(check, reasons)] if reasons else answers)
        (unjudged if reasons else judged).append(check)
    return Report(findings=tuple(merge(found).values()), judged=tuple(judged), unjudged=tuple(unjudged))


def _lacking(check: Check, snapshot: Snapshot) -> dict[str, str]:
    """Name of each part that the check needs and the snapshot lacks → why."""
    found = {kind: snapshot.parts.get(kind) for kind in check.needs}
    return {kind.__name__: _reason(part) for kind, part in found.items() if not isinstance(part, kind)}


def _reason(part: object) -> str:
    return part.reason if isinstance(part, Unreadable) else "not read"


def _unknown(check: Check, reasons: Mapping[str, str]) -> Finding:
    return Finding(
        code=check.codes[0],
        subject=check.name,
        severity=Severity.UNKNOWN,
        summary=f"{check.question} Unknown: {'; '.join(f'{name}: {reason}' for name, reason in reasons.items())}",
        evidence=reasons,
        repair=DIAGNOSE,
    )


def codes(checks: Iterable[Check] = ALL) -> frozenset[str]:
    """Every code that the checks may use."""
    return frozenset(code for check in checks for code in check.codes)

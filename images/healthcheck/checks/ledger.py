"""Whether every service of the catalogue runs, ends and succeeds, by its own record in the run ledger."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from healthcheck.aws.triggers import Triggers
from healthcheck.checks.check import DIAGNOSE, MIGRATE, Check
from healthcheck.checks.resting import is_paused
from healthcheck.finding import Finding, Severity
from healthcheck.snapshot import Market, PastRun, Runs, Snapshot
from pipeline.catalog import Parameter, Service
from pipeline.ledger import Outcome

# A schedule may be late once and a run fail once; three periods without a completed run are neither.
PERIODS_MAX = 3
# What the harness takes to end a run after its deadline, and the platform to start one.
GRACE = timedelta(seconds=60)
DEGRADED_MAX = 3
# A setting does not mend itself: the first run that refuses it is enough.
CERTAIN = ("config_invalid", "ticker_config")
# Codes that a failing run may have recorded itself (SPEC §6).
RECORDED = (
    "config_invalid",
    "db_unreachable",
    "db_schema",
    "db_permission",
    "db_locked",
    "db_connections",
    "key_rejected",
    "key_swapped",
    "not_entitled",
    "rate_limited",
    "provider_error",
    "feed_delayed",
    "feed_broken",
    "ticker_config",
    "task_network",
    "task_oom",
    "task_hang",
    "task_crash",
    "bars_gap",
    "features_stale",
    "backlog",
    "stuck_rows",
)


def services_progress(snapshot: Snapshot) -> Iterator[Finding]:
    """One finding at most a service: it hangs, it dies, it fails, nobody starts it, or it keeps leaving work undone."""
    runs = snapshot.part(Runs)
    for service in snapshot.scope.catalog:
        if (service.market_hours_only and not _market_open(snapshot)) or is_paused(service, snapshot):
            continue
        if service.name == snapshot.scope.service:
            finding = _watcher(service, runs, snapshot.now)
        else:
            finding = progress(service, _since_scheduled(service, runs, snapshot), snapshot.now)
        if finding and finding.code == "backlog" and "findings" in service.writes:
            finding = replace(finding, code="watcher_silent")
        if finding:
            yield finding


def _since_scheduled(service: Service, runs: Runs, snapshot: Snapshot) -> Runs:
    """A service that never ran is due from when its schedule was made, where that is known."""
    triggers = snapshot.parts.get(Triggers)
    if runs.recent.get(service.name) or service.name in runs.completed or not isinstance(triggers, Triggers):
        return runs
    schedule = triggers.schedule(service.name, service.schedule)
    made = schedule.created_at if schedule else None
    return replace(runs, since=max(runs.since, made)) if made and runs.since else runs


def _market_open(snapshot: Snapshot) -> bool:
    market = snapshot.parts.get(Market)
    return not isinstance(market, Market) or market.open  # unknown is not closed


def allowed_silence(service: Service) -> timedelta:
    """How long a service may go without completing a run."""
    return PERIODS_MAX * service.period + timedelta(seconds=service.deadline_seconds)


def progress(service: Service, runs: Runs, now: datetime) -> Finding | None:
    """What is wrong with a service's runs.

    1. A newest run without an end, past its deadline: it hangs; if others died before it, it dies.
    2. Nothing started for three periods: nobody starts it.
    3. Two failures in a row, or one for a setting or without a completed run for three periods: it fails, for its own
       recorded reason.
    4. Two runs that a later one replaced without an end: it dies.
    5. Three degraded runs in a row: it leaves work undone.
    """
    recent = [run for run in runs.recent.get(service.name, ()) if not run.stood_back]
    completed = runs.completed.get(service.name)
    trouble = [run for run in recent if completed is None or run.started_at > completed]
    trouble = [run for run in trouble if run.outcome in (None, Outcome.FAILED)]
    base = completed or runs.since
    overdue = base is None or now - base > allowed_silence(service)
    severity = Severity.CRITICAL if overdue else Severity.WARNING
    died = [run for run in trouble if run.outcome is None and run is not recent[0]]
    failed = [run for run in trouble if run.outcome == Outcome.FAILED]
    if trouble and trouble[0].outcome is None and trouble[0] is recent[0] and _past_deadline(service, trouble[0], now):
        return _died(service, died, severity) if died else _hangs(service, trouble[0], severity, now)
    if overdue and _not_started(service, runs, now):
        return _silent(service, runs, base, now)
    if failed and (len(failed) >= 2 or overdue or failed[0].error_code in CERTAIN):
        return _fails(service, failed, severity, completed)
    if len(died) >= 2 or (died and overdue):
        return _died(service, died, severity)
    return _degraded(service, recent)


def _past_deadline(service: Service, run: PastRun, now: datetime) -> bool:
    return now - run.started_at > timedelta(seconds=service.deadline_seconds) + GRACE


def _not_started(service: Service, runs: Runs, now: datetime) -> bool:
    recent = runs.recent.get(service.name, ())
    return not recent or now - recent[0].started_at > allowed_silence(service)


def _hangs(service: Service, run: PastRun, severity: Severity, now: datetime) -> Finding:
    age = now - run.started_at
    return Finding(
        code="task_hang",
        subject=service.name,
        severity=severity,
        summary=f"the run started at {run.started_at:%H:%M:%S} UTC has not ended after {age.total_seconds():.0f} s, "
        f"its deadline is {service.deadline_seconds} s",
        evidence={"execution_id": run.execution_id, "started_at": run.started_at, "deadline": service.deadline_seconds},
        since=run.started_at,
        repair=f"{DIAGNOSE}; stop the task, the next run takes over its work",
    )


def _died(service: Service, died: Sequence[PastRun], severity: Severity) -> Finding:
    return Finding(
        code="task_crash",
        subject=service.name,
        severity=severity,
        summary=f"{len(died)} runs in a row ended without a record: killed, out of memory, or exited in mid-run",
        evidence={"started_at": [run.started_at for run in died[:5]], "execution_id": died[0].execution_id},
        since=died[-1].started_at,
        repair=f"{DIAGNOSE}; read the log of execution {died[0].execution_id}",
    )


def _fails(service: Service, failed: Sequence[PastRun], severity: Severity, completed: datetime | None) -> Finding:
    code = failed[0].error_code if failed[0].error_code in RECORDED else "task_crash"
    repairs = {"config_invalid": f"correct the parameter, then python -m {service.name}", "db_schema": MIGRATE}
    return Finding(
        code=code or "task_crash",
        subject=service.name,
        severity=severity,
        summary=f"{len(failed)} failed runs in a row, the last at {failed[0].started_at:%H:%M} UTC: {failed[0].error}",
        evidence={
            "execution_id": failed[0].execution_id,
            "error": failed[0].error,
            "error_code": failed[0].error_code,
            "last_completed": completed,
        },
        since=failed[-1].started_at,
        repair=repairs.get(code or "", MIGRATE if code == "db_permission" else DIAGNOSE),
    )


def _silent(service: Service, runs: Runs, base: datetime | None, now: datetime) -> Finding:
    recent = runs.recent.get(service.name, ())
    last = recent[0].started_at if recent else runs.remembered.get(service.name)
    return Finding(
        code="backlog",
        subject=service.name,
        # an empty ledger tells nothing, not even that it is late
        severity=Severity.UNKNOWN if base is None else Severity.CRITICAL,
        summary=f"no run has started {f'since {last:%Y-%m-%d %H:%M} UTC' if last else 'ever'}, "
        f"{service.rate} is due. {service.when_silent}",
        evidence={"last_started": last, "rate": service.rate, "last_error": recent[0].error if recent else None},
        since=last,
        repair=f"{DIAGNOSE}; by hand: python -m {service.name}",
    )


def _degraded(service: Service, recent: Sequence[PastRun]) -> Finding | None:
    settled = [run for run in recent if run.outcome is not None][:DEGRADED_MAX]
    if len(settled) < DEGRADED_MAX or any(run.outcome != Outcome.DEGRADED for run in settled):
        return None
    code = settled[0].error_code
    return Finding(
        code=code if code in RECORDED and code else "backlog",
        subject=service.name,
        severity=Severity.WARNING,
        summary=f"{DEGRADED_MAX} runs in a row left part of their work undone: {settled[0].error}",
        evidence={"execution_id": settled[0].execution_id, "error": settled[0].error, "error_code": code},
        repair=DIAGNOSE,
    )


def _watcher(service: Service, runs: Runs, now: datetime) -> Finding | None:
    """The watcher runs, or this would not be asked; but it may have been away."""
    completed = runs.completed.get(service.name)
    if completed is None or now - completed <= allowed_silence(service):
        return None
    return Finding(
        code="watcher_silent",
        subject=service.name,
        severity=Severity.WARNING,
        summary=f"the check before this one was at {completed:%Y-%m-%d %H:%M} UTC, {service.rate} is due",
        evidence={"last_completed": completed, "rate": service.rate},
        repair=DIAGNOSE,
    )


def services_undeclared(snapshot: Snapshot) -> Iterator[Finding]:
    """A service that ran within the last week and is not in the catalogue: its alarm went with its entry."""
    runs = snapshot.part(Runs)
    for name in sorted(runs.remembered.keys() - snapshot.scope.catalog.services.keys()):
        yield Finding(
            code="config_invalid",
            subject=name,
            severity=Severity.WARNING,
            summary=f"{name} last ran at {runs.remembered[name]:%Y-%m-%d %H:%M} UTC and is not in the catalogue",
            evidence={"last_started": runs.remembered[name], "declared": list(snapshot.scope.catalog.services)},
            repair="put it back into services.yaml, or wait a week if it was removed on purpose",
        )


def parameters_differ(snapshot: Snapshot) -> Iterator[Finding]:
    """Two services have run with different values of one parameter, longer than a change takes to reach both."""
    runs = snapshot.part(Runs)
    for name, parameter in snapshot.scope.catalog.parameters.items():
        readers = [s.name for s in snapshot.scope.catalog if parameter in s.environment]
        versions = _lasting_difference(name, readers, runs)
        if versions:
            yield Finding(
                code=_differing(parameter, versions, runs),
                subject=name,
                severity=Severity.CRITICAL,
                summary=f"{len(set(versions.values()))} different values of {name} are in use at once: "
                + ", ".join(f"{service} {version}" for service, version in sorted(versions.items())),
                evidence=versions,
                repair=f"store {name} once, where every service's task reads it, and start one run of each",
            )


def _differing(parameter: Parameter, versions: Mapping[str, str], runs: Runs) -> str:
    """The code of a difference: a secret of which one value is refused is the refusal, seen from its other side."""
    if parameter.kind == "symbols":
        return "ticker_config"
    newest = [runs.recent[name][0].error_code for name in versions if runs.recent.get(name)]
    return "key_rejected" if parameter.secret and "key_rejected" in newest else "config_invalid"


def _lasting_difference(parameter: str, readers: Sequence[str], runs: Runs) -> Mapping[str, str]:
    """Service → version, where readers differ at the newest instant at which each has run since; else nothing."""
    newest = {name: _version(runs, name, parameter, None) for name in readers}
    known = {name: found for name, found in newest.items() if found}
    if len({version for _, version in known.values()}) < 2:
        return {}
    # the one that ran longest ago had no chance yet to see a newer value: compare as of then
    then = min(at for at, _ in known.values())
    before = {name: _version(runs, name, parameter, then) for name in known}
    versions = {name: found[1] for name, found in before.items() if found}
    return versions if len(set(versions.values())) > 1 else {}


def _version(runs: Runs, service: str, parameter: str, by: datetime | None) -> tuple[datetime, str] | None:
    for run in runs.recent.get(service, ()):
        if parameter in run.parameter_versions and (by is None or run.started_at <= by):
            return run.started_at, run.parameter_versions[parameter]
    return None


CHECKS = (
    Check(
        name="services_progress",
        question="Does every service run, end and succeed?",
        codes=("backlog", "watcher_silent", *(code for code in RECORDED if code != "backlog")),
        needs=(Runs,),
        find=services_progress,
    ),
    Check(
        name="services_declared",
        question="Is every service that runs in the catalogue?",
        codes=("config_invalid",),
        needs=(Runs,),
        find=services_undeclared,
    ),
    Check(
        name="parameters_agree",
        question="Do all services run with the same parameters?",
        codes=("config_invalid", "ticker_config", "key_rejected"),
        needs=(Runs,),
        find=parameters_differ,
    ),
)

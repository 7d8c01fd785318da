"""The steps of a recovery of the schedules: each as a look and an act."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from rich.console import Console
from rich.text import Text

from ops import backfill, heal, heal_declared
from ops.heal_declared import StateUnreadable
from ops.heal_plan import Healer, Item
from ops.runbook import diagnosis, running
from ops.runbook.acting import Hands
from ops.runbook.diagnosis import Diagnosis
from ops.runbook.errors import Failed, Refused, Remains
from ops.runbook.finding import Blast, Finding
from ops.runbook.reading import Look
from ops.surroundings import Surroundings
from pipeline import sessions
from pipeline.catalog import Service
from pipeline.store import Connection
from telemetry_ingestor.backfill import SETTLED_AFTER, Share

# What the repair mends: whether, when and how a job is started.
STARTING = frozenset(
    (
        *("schedule_missing", "schedule_disabled", "schedule_wrong_rate", "schedule_window", "schedule_extra"),
        *("trigger_duplicate", "target_cluster", "target_task_definition", "target_revision_stale", "target_network"),
        *("role_missing", "role_trust", "role_run_task", "role_pass_role", "dead_letters"),
    )
)
# They keep no started job from working.
BESIDE = frozenset(
    (
        *("bars_gap", "features_stale", "backlog", "stuck_rows", "feed_delayed", "feed_broken", "rate_limited"),
        *("alarm_missing", "alarm_no_action", "alarm_disabled", "subscription_unconfirmed", "watcher_silent"),
        *("image_stale", "parameter_unread"),
    )
)
EVERY_SECONDS = 60.0
PROOF_SECONDS = 600.0
# Making again what was declared harms nobody; stopping what somebody else has made may.
STRANGERS_MOST = 3


# ── before anything is touched ───────────────────────────────────────────────────────────────────────────────────────


def is_mendable(look: Look) -> Finding:
    """Whether all that differs can be mended by calls. Raises Refused where Terraform has to make something."""
    items = plan(look)
    beyond = [item for item in items if item.act is None]
    if beyond:
        told = "; ".join(f"{item.kind} {item.name} {item.what}" for item in beyond)
        raise Refused(f"{told}; first run: {beyond[0].remedy}")
    return Finding.yes(f"Terraform's state is there, and {len(items)} things differ from it: {_told(items)}")


def _told(items: list[Item]) -> str:
    return ", ".join(f"{item.kind} {item.name}" for item in items) or "none"


def plan(look: Look, clients: Any = None) -> list[Item]:
    """What differs from what was applied last. With a look's clients its acts cannot be done. Raises Refused."""
    try:
        declared = heal_declared.read(look.client, heal.state_bucket(look.client), look.environment)  # type: ignore[arg-type]
        return Healer(clients=clients or look.client, declared=declared).plan()
    except StateUnreadable as error:
        raise Refused(str(error)) from error


def nothing_else_is_wrong(look: Look) -> Finding:
    """Whether the jobs, once started, can work: the diagnosis names nothing that this runbook does not mend."""
    if look.options["anyway"]:
        return Finding.yes("not asked, since --anyway was given")
    found = diagnosis.ask(look)
    others = [each for each in _named(found) if each not in _named(found, STARTING | BESIDE)]
    if others:
        raise Refused(
            f"jobs that are started again would fail: {', '.join(others)}; repair that first (scripts/diagnose says "
            "how), or add --anyway"
        )
    told = ", ".join(_named(found, STARTING)) or "no cause by which a job is not started"
    return Finding.yes(f"the diagnosis names {told}, and nothing that would keep a started job from working")


def _named(found: Diagnosis, codes: frozenset[str] | None = None) -> list[str]:
    return [f"{code} ({subject})" for code, subject in found.causes if codes is None or code in codes]


# ── started as declared ──────────────────────────────────────────────────────────────────────────────────────────────


def is_as_applied(look: Look) -> Finding:
    """Whether every trigger, and what it needs, is as Terraform applied it."""
    items = plan(look)
    if items:
        return Finding.no(f"{len(items)} things differ from what was applied: {_told(items)}")
    return Finding.yes("every schedule, role and rule is as it was applied")


def strangers(look: Look) -> Blast:
    """How many triggers that nobody declared would be disabled."""
    found = [item for item in plan(look) if item.kind.startswith("undeclared")]
    return Blast(what="triggers that nobody declared", count=len(found), limit=STRANGERS_MOST)


def repair(hands: Hands) -> None:
    """Mends each thing by itself and reads it again. Raises Failed with those that could not be."""
    look = hands.look
    if "repaired_at" not in look.facts:
        hands.note(repaired_at=look.now().isoformat())
    outcome = heal.repair(plan(look, hands.client), lambda text: hands.say(Text.from_markup(text).plain))
    if outcome.failed:
        told = "; ".join(f"{item.kind} {item.name}: {why}" for item, why in outcome.failed)
        raise Failed(f"{len(outcome.failed)} things could not be mended: {told}")


# ── first runs ───────────────────────────────────────────────────────────────────────────────────────────────────────


def due(look: Look) -> list[Service]:
    """The services that are to run now."""
    now = look.now()
    open_now = sessions.at(now) is not None
    return [each for each in look.catalog if (open_now or not each.market_hours_only) and not each.is_paused(now)]


def have_run(look: Look) -> Finding:
    """Whether each due service has completed a run that its own schedule started, since the repair or lately."""
    runs, now = _first_runs(look), look.now()
    services = due(look)
    owing = [each for each in services if not _ran(each, runs, look, now)]
    if not owing:
        return Finding.yes(f"all {len(services)} due services have completed a run that their schedule started")
    failed = {name: run for name, run in _last_failures(look).items() if name in {each.name for each in owing}}
    told = ", ".join(_owing(each.name, failed) for each in owing)
    return Finding.no(f"{len(services) - len(owing)} of {len(services)} services have run; not yet: {told}")


def _owing(name: str, failed: Mapping[str, tuple[datetime, str]]) -> str:
    if name not in failed:
        return name
    at, why = failed[name]
    return f"{name} (its run of {at:%H:%M:%S} UTC failed: {why})"


def _ran(service: Service, runs: Mapping[str, datetime], look: Look, now: datetime) -> bool:
    since = _repaired_at(look) or now - heal.patience(service)
    return service.name in runs and runs[service.name] >= since


def _repaired_at(look: Look) -> datetime | None:
    told = look.facts.get("repaired_at")
    return datetime.fromisoformat(told) if told else None


def _first_runs(look: Look) -> dict[str, datetime]:
    """Service → when its newest good run began that its schedule had started."""
    with look.database() as connection:
        rows = connection.execute(running.statement("runbook_scheduled_runs")).fetchall()
    schedules = {each.name: f"/{each.name}/{each.schedule}" for each in look.catalog}
    return {name: at for name, at, trigger in rows if name in schedules and trigger.endswith(schedules[name])}


def _last_failures(look: Look) -> dict[str, tuple[datetime, str]]:
    since = _repaired_at(look) or look.now() - timedelta(hours=1)
    with look.database() as connection:
        rows = connection.execute(running.statement("runbook_failed_runs"), {"since": since}).fetchall()
    return {name: (at, f"{code}: {error}"[:120]) for name, at, code, error in rows}


def wait_for_runs(hands: Hands) -> None:
    """Waits as long as the slowest of them may take."""
    hands.wait(
        "the first run of every service",
        lambda: have_run(hands.look),
        every_seconds=EVERY_SECONDS,
        most_seconds=patience_seconds(hands.look),
        else_="run scripts/diagnose",
    )


def patience_seconds(look: Look) -> float:
    """How long the slowest service that is due may take until it has run."""
    return max((heal.patience(each) for each in due(look)), default=timedelta()).total_seconds()


# ── what the outage cost ─────────────────────────────────────────────────────────────────────────────────────────────


def is_filled(look: Look) -> Finding:
    """Whether the ledger lacks no minute, and all features have followed."""
    with look.database() as connection:
        minutes, waiting = sum(share.minutes for share in _owed(look, connection)), _waiting(connection)
    if minutes or waiting:
        return Finding.no(f"{minutes} minutes lack their bar, {waiting} stretches wait for their features")
    return Finding.yes("no minute of the last year lacks its bar, and all features have followed")


def _owed(look: Look, connection: Connection) -> list[Share]:
    options = {"start": None, "end": None, "symbols": None, "whole": False}
    return backfill.shares(connection, (), options, look.now())


def _waiting(connection: Connection) -> int:
    """Stretches whose features wait; those of the last minutes are the features' own next run."""
    row = connection.execute(running.statement("runbook_features_waiting"), (SETTLED_AFTER,)).fetchone()
    return int(row[0]) if row else 0


def fill(hands: Hands) -> None:
    """Fetches what is missing, and waits for the features. Raises Remains where the provider has not got all of it."""
    look = hands.look
    service = look.catalog.writers("bars")[0].name
    with hands.database(role=service) as connection:
        owed = _owed(look, connection)
        done = backfill.fill_all(Surroundings(environ=look.environ), connection, owed, Console(quiet=True))
    hands.say(f"{done.asked} minutes asked for, {done.inserted} bars stored, {done.missing} still missing")
    if done.missing or done.errors:
        told = f": {done.errors[0]}" if done.errors else ""
        raise Remains(f"{done.missing} minutes are still missing{told}; the jobs run, and --resume asks again")
    hands.wait(
        "the features to follow",
        lambda: is_filled(look),
        every_seconds=EVERY_SECONDS,
        most_seconds=backfill.FEATURES_PATIENCE.total_seconds(),
        else_="run scripts/diagnose",
    )


# ── the proof ────────────────────────────────────────────────────────────────────────────────────────────────────────


def is_proven(look: Look) -> Finding:
    """Whether the diagnosis names no cause any more by which a job is not started."""
    found = diagnosis.ask(look)
    if mine := _named(found, STARTING):
        return Finding.no(f"the diagnosis still names {', '.join(mine)}")
    others = _named(found)
    return Finding.yes(
        f"the diagnosis finds every job started as declared (verdict: {found.verdict}"
        + (f"; besides: {', '.join(others)})" if others else ")")
    )


def wait_for_proof(hands: Hands) -> None:
    """Waits until the newest evidence of the outage is old enough not to count."""
    hands.wait(
        "a diagnosis that finds every job started",
        lambda: is_proven(hands.look),
        every_seconds=EVERY_SECONDS,
        most_seconds=PROOF_SECONDS,
        else_="run scripts/diagnose",
    )


def measures(look: Look) -> Mapping[str, Any]:
    """How long the services had stood still, and what is still missing."""
    repaired = _repaired_at(look)
    if repaired is None:
        return {}
    with look.database() as connection:
        rows = connection.execute(running.statement("runbook_pauses"), {"at": repaired}).fetchall()
        missing = sum(share.minutes for share in _owed(look, connection))
    return {**dict(_longest(rows, repaired)), "minutes still missing": missing}


def _longest(rows: list[tuple[Any, ...]], repaired: datetime) -> Iterator[tuple[str, Any]]:
    """The longest pause, and how long after the repair the last service ran again."""
    pauses = {name: after - before for name, before, after in rows if before}
    if pauses:
        name = max(pauses, key=lambda each: pauses[each])
        yield "longest without a run", f"{name}, {pauses[name].total_seconds():.0f} s"
    if rows:
        yield (
            "seconds from the repair to every service's run",
            round(max((r[2] - repaired).total_seconds() for r in rows)),
        )

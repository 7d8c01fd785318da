"""The steps of a rotation of the database's passwords: each as a look and an act."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from ops import heal
from ops.runbook import account_database, diagnosis, running, schedules_recovery, stored
from ops.runbook.acting import Hands
from ops.runbook.errors import Failed, Refused
from ops.runbook.finding import Finding
from ops.runbook.reading import Look
from ops.runbook.stored import Stored
from pipeline import rotation
from pipeline.catalog import Service
from pipeline.migrate import Stored as StoredAddress
from pipeline.store import Connection, logins
from pipeline.task import ADDRESS

EVERY_SECONDS = 30.0
# What the wait for a run adds to the longest period: a run under way keeps its old login to its end.
SLACK_SECONDS = 120.0


def has_task(look: Look) -> Finding:
    """Whether there is a database to rotate passwords of, and who does it. Raises Refused."""
    instance = account_database.load(look)
    definition = account_database.definition(look)
    account_database.network(look)
    if unset := [service.name for service in look.catalog if _stored(look, service).unset]:
        raise Refused(f"no address is stored for {', '.join(unset)}; first: {_heal(look)}")
    status, family = instance["DBInstanceStatus"], definition["family"]
    if status != "available":
        raise Refused(f"the database is {status}; wait until it is available, or restore it: runbooks/restore-database")
    return Finding.yes(f"the database is available, {family} is there, and so are {len(list(look.catalog))} addresses")


def nothing_is_wrong(look: Look) -> Finding:
    """Whether started jobs work now. Raises Refused where something is named that keeps one from it."""
    if look.options["anyway"]:
        return Finding.yes("not asked, since --anyway was given")
    others = [
        f"{code} ({subject})" for code, subject in diagnosis.ask(look).causes if code not in schedules_recovery.BESIDE
    ]
    if others:
        raise Refused(f"something is wrong already: {', '.join(others)}; repair that first, or add --anyway")
    return Finding.yes("the diagnosis names nothing that keeps a job from working")


# ── renewed ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _stored(look: Look, service: Service) -> Stored:
    return stored.load(look, f"{ADDRESS}/{service.name}")


def _young(look: Look, service: Service) -> bool:
    """Whether the service's address is one of this run, or young enough to be left alone."""
    at = _stored(look, service).at
    if begun := look.facts.get("renewed_from"):
        return at >= datetime.fromisoformat(begun)
    return at > look.now() - timedelta(hours=float(look.options["max_age"]))


def _old(look: Look) -> list[Service]:
    return [each for each in look.catalog if not _young(look, each)]


def is_renewed(look: Look) -> Finding:
    """Whether every service has a new address. Raises Refused where there is no database that could be rotated."""
    account_database.load(look)
    if old := _old(look):
        names = ", ".join(each.name for each in old)
        return Finding.no(f"{len(old)} of {len(list(look.catalog))} addresses are old: {names}")
    newest = max(_stored(look, each).at for each in look.catalog)
    return Finding.yes(f"every service was given a new password, the last at {newest:%Y-%m-%d %H:%M} UTC")


def renew(hands: Hands) -> None:
    """Runs the task that does it; what a run of it that was killed has done already, it leaves alone."""
    look = hands.look
    if "renewed_from" not in look.facts:
        at = look.now() - timedelta(hours=float(look.options["max_age"]))
        # one that is younger than the time asked for counts as renewed, as it would in a run that begins now
        hands.note(renewed_from=at.isoformat(), began_at=look.now().isoformat())
    # the task leaves alone whom it moved so lately that a run may have the other login still
    _wait_settled(hands, _old(look), "the logins that are to be renewed")
    _run_task(hands, "--renew", "not every service could be moved to its other login")


def _run_task(hands: Hands, what: str, failed: str) -> None:
    """Runs the rotation's task; a failure is told with what it means for the services."""
    harm = f"No service has lost a login that it uses, stored addresses go on working. First: {_heal(hands.look)}"
    try:
        code = account_database.run_task(hands, "pipeline.rotation", what)
    except Failed as error:
        raise Failed(f"{error}. {harm}") from error
    if code:
        raise Failed(f"{failed}; the task's lines above say why. {harm}")


def _heal(look: Look) -> str:
    return f"scripts/migrate --env {look.environment}"


# ── used ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def is_used(look: Look) -> Finding:
    """Whether each service that runs now has worked with its new address."""
    if not is_renewed(look).holds:
        return Finding.no("the new logins are not there yet")
    services = schedules_recovery.due(look)
    owing = [each.name for each in services if not _has_run(look, each)]
    if owing:
        return Finding.no(
            f"{len(services) - len(owing)} of {len(services)} services have run with the new login; not yet: "
            + ", ".join(owing)
        )
    return Finding.yes(f"all {len(services)} services that run now have worked with their present login")


def _has_run(look: Look, service: Service) -> bool:
    address = _stored(look, service)
    versions = {ADDRESS: address.fingerprint}
    runs = running.runs_with(look, service, versions, address.at - timedelta(minutes=1))
    return any(run.outcome != "FAILED" for run in runs)


def wait_for_runs(hands: Hands) -> None:
    """Waits as long as the slowest of them may take."""
    look = hands.look
    most = max((heal.patience(each) for each in schedules_recovery.due(look)), default=timedelta())
    hands.wait(
        "a run of every service with its new login",
        lambda: is_used(look),
        every_seconds=EVERY_SECONDS,
        most_seconds=most.total_seconds() + SLACK_SECONDS,
        else_="run scripts/diagnose; both logins work, so there is no hurry",
    )


# ── closed ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def is_closed(look: Look) -> Finding:
    """Whether no service's other login opens any more, once it has left it."""
    if not is_renewed(look).holds:
        return Finding.no("the logins in use are old ones, to be closed once nobody uses them")
    with look.database() as connection:
        still = list(_open(look, connection))
    if still:
        return Finding.no(f"{len(still)} old logins still open: {', '.join(still)}")
    return Finding.yes("every login that is not in use is closed")


def _open(look: Look, connection: Connection) -> Iterator[str]:
    for service in look.catalog:
        login = logins.other(_stored(look, service).value.reveal(), service)
        known = logins.find(connection, login)
        if known and known.may_connect:
            yield login


def close(hands: Hands) -> None:
    """Waits until nobody can come with an old login, then runs the task that closes them."""
    _wait_settled(hands, list(hands.look.catalog), "the logins that are to be closed")
    _run_task(hands, "--close", "not every old login could be closed")


def _wait_settled(hands: Hands, services: list[Service], which: str) -> None:
    """Waits until no run can have the login that each of the services has left."""
    look = hands.look
    free = max((_settled(look, each) for each in services), default=look.now())
    left = (free - look.now()).total_seconds()
    hands.wait(
        f"{free:%H:%M:%S} UTC, from when on no run can have {which}",
        lambda: Finding(holds=look.now() >= free, saw="both logins of a service work meanwhile"),
        every_seconds=EVERY_SECONDS,
        most_seconds=max(left, 0) + SLACK_SECONDS,
    )


def _settled(look: Look, service: Service) -> datetime:
    found = _stored(look, service)
    return rotation.settled(service, StoredAddress(value=found.value.reveal(), at=found.at))


def measures(look: Look) -> Mapping[str, Any]:
    """Runs that failed meanwhile, and how long it took."""
    began = look.facts.get("began_at")
    if not began:
        return {}
    since = datetime.fromisoformat(began)
    with look.database() as connection:
        rows = connection.execute(running.statement("runbook_failed_count"), {"since": since}).fetchone()
    return {
        "runs failed meanwhile": rows[0] if rows else "unknown",
        "seconds from the first new password to the last old one": round((look.now() - since).total_seconds()),
    }

"""The steps of a restore around the instance itself: what writes, what was counted, logins, trades, catching up."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from ops.runbook import (
    account,
    account_database,
    broker_orders,
    database_proof,
    database_state,
    restore_request,
    running,
    schedules_recovery,
    writers,
)
from ops.runbook.acting import Hands
from ops.runbook.errors import CannotUndo, Failed, Refused
from ops.runbook.finding import Finding
from ops.runbook.reading import Look
from ops.runbook.restore_request import OVER, asked, is_over
from ops.runbook.restored_instance import is_in_place, load_new

# A dispatch is decided, sent and stored within a run; what the broker had before that the database has too.
BROKER_MARGIN = timedelta(hours=1)


# ── writers ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def is_stopped(look: Look) -> Finding:
    """Whether nobody writes; once they were started again they are not stopped any more."""
    if is_over(look):
        return OVER
    if "repaired_at" in look.facts:
        return Finding.yes("they were stopped, and started again")
    return writers.are_stopped(look)


def stop_writers(hands: Hands) -> None:
    """Notes what this is about, and stops what writes."""
    look = hands.look
    if "new" not in look.facts:
        instance, stamp = account_database.find(look), f"{look.now():%Y%m%d%H%M%S}"
        hands.note(
            asked=asked(look),
            declared=database_state.declared(look),
            old_resource=instance["DbiResourceId"] if instance else None,
            new=f"{look.catalog.project}-restored-{stamp}",
            old=f"{look.catalog.project}-before-{stamp}" if instance else None,
            stopped_at=look.now().isoformat(),
        )
    writers.stop(hands)


def start_again(hands: Hands) -> str:
    """Nothing was moved yet: the writers go on with the database that they had. Raises CannotUndo where it was."""
    look = hands.look
    present = account_database.find(look)
    if look.facts["old_resource"] is None:
        raise CannotUndo("there is no database to go on with, so the services stay stopped; go on: --resume")
    renaming = present is not None and present["DBInstanceStatus"] == account_database.RENAMING
    if present is None or present["DbiResourceId"] != look.facts["old_resource"] or renaming:
        raise CannotUndo("the old database has lost its name already, so the services stay stopped; go on: --resume")
    writers.start(hands)
    return "the services run again, with the database that they had"


# ── held against what was counted ─────────────────────────────────────────────────────────────────────────────────────


def is_compared(look: Look) -> Finding:
    """Whether the restored rows were held against the censuses."""
    if is_over(look):
        return OVER
    if "compared" in look.facts:
        return Finding.yes(str(look.facts["compared"]))
    return Finding.no("what comes back is counted and compared before anything uses it")


def compare(hands: Hands) -> None:
    """Counts. Raises Failed where rows are missing that were there before the point: the services run on meanwhile."""
    look = hands.look
    try:
        found = database_proof.compare(look, load_new(look), datetime.fromisoformat(look.facts["point"]))
    except Refused as error:  # nobody is to stay stopped for it
        raise Failed(
            f"what came back cannot be counted from here: {error}; from where both can be reached (CloudShell in the "
            "VPC): --resume"
        ) from error
    if not found.holds and not look.options["accept_loss"]:
        raise Failed(f"{found.saw}; try another point (a new run, --to), or go on with less: --resume --accept-loss")
    hands.note(compared=found.saw)


# ── the state, and who gets in ────────────────────────────────────────────────────────────────────────────────────────


def is_reconciled(look: Look) -> Finding:
    """Whether Terraform takes the restored instance for the database."""
    if is_over(look):
        return OVER
    if not is_in_place(look).holds:
        return Finding.no("Terraform's state has the old instance")
    return database_state.is_reconciled(look, account_database.load(look))


def are_logins_right(look: Look) -> Finding:
    """Whether every service can work with the restored database."""
    if is_over(look):
        return OVER
    if not (is_in_place(look).holds and is_reconciled(look).holds):
        return Finding.no("the task that migrates gives each service its grants and a login that opens")
    return database_proof.logins_work(look, account_database.load(look))


def give_logins(hands: Hands) -> None:
    """Runs the task that migrates."""
    if account_database.run_task(hands):
        raise Failed(f"the task says that work remains; see: scripts/migrate --env {hands.look.environment} --check")


# ── trades ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def are_orders_known(look: Look) -> Finding:
    """Whether the ledger knows every order of ours that the broker has."""
    if is_over(look):
        return OVER
    if not broker_orders.at_a_broker(look):
        return Finding.yes("trades are simulated: nothing was bought that the database does not know")
    if not is_in_place(look).holds:
        return Finding.no("the broker is asked what was traded after the point")
    orders = _orders(look)
    with look.database(_place(look)) as connection:
        missing = broker_orders.missing(connection, orders)
    if missing:
        return Finding.no(f"the ledger lacks {len(missing)} of {len(orders)} orders that the broker has")
    return Finding.yes(f"the ledger knows all {len(orders)} orders that the broker was sent since the point")


def _orders(look: Look) -> list[broker_orders.Order]:
    return broker_orders.since(look, datetime.fromisoformat(look.facts["point"]) - BROKER_MARGIN)


def _place(look: Look) -> Any:
    return account_database.master_url(look, account_database.load(look))


def write_orders(hands: Hands) -> None:
    """Writes them into the ledger, each in one transaction."""
    look = hands.look
    orders = _orders(look)
    with hands.database(_place(look)) as connection:
        missing = broker_orders.missing(connection, orders)
        for order in missing:
            broker_orders.write(connection, order, look.run)
            hands.say(f"{order.side} {order.quantity:g} {order.symbol} of {order.submitted_at:%H:%M:%S} UTC")
    hands.note(orders_written=len(missing))


# ── running again ─────────────────────────────────────────────────────────────────────────────────────────────────────


def are_started(look: Look) -> Finding:
    """Whether the services are started as they were applied."""
    if is_over(look):
        return OVER
    if "repaired_at" not in look.facts:
        return Finding.no("the services are stopped until then")
    return writers.are_started(look)


def start_writers(hands: Hands) -> None:
    """From here on nothing is stopped again."""
    if "repaired_at" not in hands.look.facts:
        hands.note(repaired_at=hands.look.now().isoformat())
    writers.start(hands)


def is_caught_up(look: Look) -> Finding:
    """Whether every service has run since, no bar is missing, and it is written down."""
    if is_over(look):
        return OVER
    if "repaired_at" not in look.facts:
        return Finding.no("what was missed since the point is fetched from the provider again")
    for found in (schedules_recovery.have_run(look), schedules_recovery.is_filled(look)):
        if not found.holds:
            return found
    if restore_request.record(look).get("resource") != account_database.load(look)["DbiResourceId"]:
        return Finding.no("the restore is not written down yet")
    return Finding.yes("every service has run, and no minute lacks its bar or its features")


def catch_up(hands: Hands) -> None:
    """Waits for the runs, fetches what they do not fetch themselves, and writes the restore down."""
    look = hands.look
    schedules_recovery.wait_for_runs(hands)
    schedules_recovery.fill(hands)
    body = {
        "resource": account_database.load(look)["DbiResourceId"],
        "asked": asked(look),
        "old": look.facts["old"],
        "by": look.run,
        "at": look.now().isoformat(),
    }
    hands.client("s3").put_object(
        Bucket=account.records_bucket(look), Key=restore_request.RECORD, Body=json.dumps(body, sort_keys=True).encode()
    )


def measures(look: Look) -> Mapping[str, Any]:
    """What it cost in time and rows."""
    if "point" not in look.facts or "repaired_at" not in look.facts:
        return {}
    stopped, started = (datetime.fromisoformat(look.facts[name]) for name in ("stopped_at", "repaired_at"))
    point = datetime.fromisoformat(look.facts["point"])
    with look.database(_place(look)) as connection:
        row = connection.execute(running.statement("runbook_fetched_again"), {"since": started, "point": point})
        again = row.fetchone()
    return {
        "restored to": f"{point:%Y-%m-%d %H:%M:%S} UTC",
        "seconds that the services were stopped": round((started - stopped).total_seconds()),
        "bars fetched again": again[0] if again else "unknown",
        "orders written back from the broker": look.facts.get("orders_written", 0),
    }

"""The runbook recover-schedules: which steps in which order, and why."""

from __future__ import annotations

import click

from ops.runbook import command, schedules_recovery
from ops.runbook.step import Runbook, Step

OPTIONS = (
    click.Option(["--anyway"], is_flag=True, help="Do not ask the diagnosis whether started jobs could work at all."),
)

STEPS = (
    Step(
        name="all that differs can be mended by calls",
        why="Schedules, groups, roles and rules are made again from Terraform's last state. A task definition that is "
        "gone is not: Terraform has to make a new one first.",
        done=schedules_recovery.is_mendable,
    ),
    Step(
        name="a started job could work",
        why="The diagnosis is asked for other causes, a refused key or an unreachable database. To start jobs that "
        "then fail buries the cause under alarms. Not asked with --anyway.",
        done=schedules_recovery.nothing_else_is_wrong,
    ),
    Step(
        name="put every trigger right",
        why="Roles first, then groups, schedules and rules, each by itself and read again; one that fails keeps no "
        "other from its turn. Triggers on our jobs that nobody declared are disabled, not deleted.",
        done=schedules_recovery.is_as_applied,
        act=schedules_recovery.repair,
        blast=schedules_recovery.strangers,
    ),
    Step(
        name="wait for the first run of every service",
        why="A schedule that looks right may still start nothing. What counts is a run in the ledger that did not fail "
        "and that the service's own schedule started.",
        done=schedules_recovery.have_run,
        act=schedules_recovery.wait_for_runs,
    ),
    Step(
        name="fill what the outage cost",
        why="The ingestor catches up by itself as far as it may; the gap ledger knows the rest. Features are computed "
        "again by their own runs. Nothing is traded for the past.",
        done=schedules_recovery.is_filled,
        act=schedules_recovery.fill,
    ),
    Step(
        name="see the diagnosis agree",
        why="It looks from outside at what was repaired from inside, at rights and targets as well.",
        done=schedules_recovery.is_proven,
        act=schedules_recovery.wait_for_proof,
    ),
)

RUNBOOK = Runbook(
    name="recover-schedules",
    title="Make every job start as declared again, fill what was missed, and prove it by runs.",
    when="the diagnosis names a schedule, a target, a trigger or a role: jobs are not started, started twice, or "
    "not as declared. For a look alone there is scripts/fix-missing-schedulers.",
    after="there is nothing to take back: all is as Terraform applied it. A disabled trigger of somebody else's is "
    "enabled again with: aws scheduler update-schedule, or aws events enable-rule.",
    options=OPTIONS,
    steps=STEPS,
    measures=schedules_recovery.measures,
)

if __name__ == "__main__":
    command.main(RUNBOOK)

"""The runbook restore-database: which steps in which order, and why."""

from __future__ import annotations

import click

from ops.runbook import command, database_restore, database_state, restore_request, restored_instance
from ops.runbook.step import Runbook, Step

OPTIONS = (
    click.Option(
        ["--to"],
        metavar="TIME",
        default="",
        callback=restore_request.check_moment,
        help="UTC, 2026-01-26T15:12:00Z [default: the latest there is]",
    ),
    click.Option(
        ["--snapshot"],
        metavar="NAME",
        default="",
        callback=restore_request.check_snapshot,
        help="Instead: as it was when this was taken.",
    ),
    click.Option(["--accept-loss"], is_flag=True, help="Go on though rows are missing that were counted before."),
    click.Option(["--retire"], metavar="NAME", default="", help="Delete the instance that an earlier restore left."),
)

STEPS = (
    Step(
        name="there is a backup that reaches there",
        why="The log is saved every 5 minutes: any second up to then can be restored.",
        done=restore_request.can_be_restored,
    ),
    Step(
        name="it is the database",
        why="A network that is down looks alike, so run this inside the VPC. One that answers is restored to a named "
        "point only.",
        done=restore_request.is_needed,
    ),
    Step(
        name="stop the services that write",
        why="Nothing may be written into the old one that the new one never sees. Said to the watcher first.",
        done=database_restore.is_stopped,
        act=database_restore.stop_writers,
        undo=database_restore.start_again,
    ),
    Step(
        name="restore into a new instance",
        why="Beside the old one, with groups, parameters, backups, tags and protection as Terraform applied them.",
        told="wait; RDS takes from ten minutes to an hour or more, by the size.",
        done=restored_instance.is_restored,
        act=restored_instance.restore,
    ),
    Step(
        name="hold it against what was counted",
        why="Once a day each table's rows are counted outside the database. Fewer now: it ends here.",
        done=database_restore.is_compared,
        act=database_restore.compare,
    ),
    Step(
        name="put it in the old one's place",
        why="The two swap names, and with them addresses: alarms, backups and tasks go by the name.",
        irreversible="what was written after the point is in the old instance alone from here on",
        done=restored_instance.is_in_place,
        act=restored_instance.put_in_place,
        settles=True,
    ),
    Step(
        name="bring Terraform's state along",
        why="The new instance is imported in the old one's place; what is told of its secret follows, nothing else.",
        done=database_restore.is_reconciled,
        act=database_state.reconcile,
    ),
    Step(
        name="migrations, grants and logins",
        why="At an earlier point there were other passwords, perhaps an older schema. The migration's task heals both.",
        done=database_restore.are_logins_right,
        act=database_restore.give_logins,
    ),
    Step(
        name="write the broker's orders into the ledger",
        why="What was traded after the point is unknown to the database, and must not be traded again.",
        done=database_restore.are_orders_known,
        act=database_restore.write_orders,
    ),
    Step(
        name="start the services",
        why="As they were applied. They catch up by themselves.",
        done=database_restore.are_started,
        act=database_restore.start_writers,
    ),
    Step(
        name="see every service run, and every minute filled",
        why="A run of each in the ledger; what is still missing is fetched from the provider.",
        done=database_restore.is_caught_up,
        act=database_restore.catch_up,
    ),
    Step(
        name="delete the old instance, if --retire names it",
        why="Otherwise it is kept, and costs. Days later: --env ENV --retire NAME --apply.",
        irreversible="the old instance is deleted; its last snapshot stays, where it could still give one",
        done=restored_instance.is_retired,
        act=restored_instance.retire,
    ),
)

RUNBOOK = Runbook(
    name="restore-database",
    title="Restore the account's database to a point in time or a snapshot, and lead every service there.",
    when="the instance or its storage failed: --env alone. It was deleted: --snapshot. Rows were destroyed: --to the "
    "second before, or --snapshot.",
    after="a failure before the swap starts the services with the old database. After it no command does: copy what "
    "is lacking out of …-before-…, which is kept.",
    options=OPTIONS,
    steps=STEPS,
    measures=database_restore.measures,
)

if __name__ == "__main__":
    command.main(RUNBOOK)

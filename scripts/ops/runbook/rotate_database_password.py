"""The runbook rotate-database-password: which steps in which order, and why."""

from __future__ import annotations

import click

from ops.runbook import command, database_rotation
from ops.runbook.step import Runbook, Step

OPTIONS = (
    click.Option(["--anyway"], is_flag=True, help="Even though the diagnosis names something else."),
    click.Option(
        ["--max-age"],
        type=click.IntRange(0, 365 * 24),
        metavar="HOURS",
        default=24,
        show_default=True,
        help="Leave younger passwords alone; after a leak: 0.",
    ),
)

STEPS = (
    Step(
        name="the environment has a database, and the task that renews its logins",
        why="The database is out of reach from outside. A task in its network does the work; it alone has the master's "
        "password, and it alone may store the services' addresses.",
        done=database_rotation.has_task,
    ),
    Step(
        name="a started job can work",
        why="What fails already would fail with a new password too, and would look like the rotation's doing. Not "
        "asked with --anyway.",
        done=database_rotation.nothing_is_wrong,
    ),
    Step(
        name="give every service's other login a new password, and store its address",
        why="Each service has two logins and uses one. From here on every run that starts gets the other; a run that "
        "is under way goes on with its own, so that none fails. A password that does not open is never stored.",
        done=database_rotation.is_renewed,
        act=database_rotation.renew,
    ),
    Step(
        name="wait for a run of every service with its new login",
        why="The only proof that counts: a run in the ledger with the new address's fingerprint that did not fail. "
        "Services that rest now are proven by the next step's task, which tries each address.",
        done=database_rotation.is_used,
        act=database_rotation.wait_for_runs,
        settles=True,
    ),
    Step(
        name="close the logins that were left",
        why="An old password that still opens is one that can leak. Closed once no run can come with it any more: five "
        "minutes to start and the service's deadline after the new address was stored.",
        told="whoever borrowed a service's login for a notebook loses it now; tell them.",
        irreversible="an old password opens nothing any more, and nobody can bring it back",
        done=database_rotation.is_closed,
        act=database_rotation.close,
    ),
)

RUNBOOK = Runbook(
    name="rotate-database-password",
    title="Give every service a new password for the database, without one run that fails.",
    when="a password may have leaked (add --max-age 0), or the calendar says so. Not for a service that is refused: "
    "scripts/migrate --env ENV heals that. The master's own password RDS rotates by itself, every week.",
    after="nothing has to be taken back: until the last step both logins of a service work. After it a service that "
    "is refused gets a new password by scripts/migrate --env NAME.",
    options=OPTIONS,
    steps=STEPS,
    measures=database_rotation.measures,
)

if __name__ == "__main__":
    command.main(RUNBOOK)

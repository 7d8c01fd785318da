"""The runbook rotate-alpaca-keys: which steps in which order, and why."""

from __future__ import annotations

import click

from ops.runbook import alpaca_gates, alpaca_rotation, command
from ops.runbook.step import Runbook, Step

OPTIONS = (
    click.Option(["--planned"], is_flag=True, help="After a leak or by the calendar: no symptom is asked for."),
    click.Option(["--account"], metavar="NUMBER", default="", help="The account that the new pair must belong to."),
    click.Option(
        ["--from-stdin"], is_flag=True, help="Read key id and secret from stdin, a line each, instead of asking."
    ),
    click.Option(
        ["--patience"], metavar="SECONDS", default=900.0, help="How long to wait for the old pair to be retired."
    ),
)

STEPS = (
    Step(
        name="every task reads the parameters that are written here",
        why="In the incident the new keys were stored under names that no service read.",
        done=alpaca_gates.names_are_read,
    ),
    Step(
        name="the provider says the same each time",
        why="A provider that is down, or refuses good keys now and then, is not mended by a new pair, and could not "
        "prove one. Asked about the stored pair 8 times by either API.",
        done=alpaca_gates.provider_is_clear,
    ),
    Step(
        name="the diagnosis blames the key and nothing else",
        why="Was it really the key? A rotation for the wrong reason costs an outage and mends nothing. Not asked when "
        "--planned.",
        done=alpaca_gates.nothing_else_explains_it,
    ),
    Step(
        name="the new pair is good, where it was given already",
        why="Shape, account API, data API, and whose account it is: before anything is stored. A pair that is typed "
        "later is proven then.",
        done=alpaca_rotation.is_good,
    ),
    Step(
        name="prove the new pair and store it beside the old one",
        why="It then waits under …/next, which no task reads. Where the provider refuses the pair, nothing is stored.",
        told="make the new pair on the provider's page, then type it here (or set ALPACA_NEW_KEY_ID and "
        "ALPACA_NEW_SECRET_KEY). Alpaca ends the old pair at that moment: be quick, what is missed is caught up.",
        done=alpaca_rotation.is_staged,
        act=alpaca_rotation.stage,
        undo=alpaca_rotation.unstage,
    ),
    Step(
        name="switch both parameters",
        why="From here on every run that starts gets the new pair. The store keeps the old version. Refused where "
        "somebody else has written meanwhile.",
        done=alpaca_rotation.is_switched,
        act=alpaca_rotation.switch,
        blast=alpaca_rotation.both,
        undo=alpaca_rotation.switch_back,
    ),
    Step(
        name="start one run",
        why="Not to wait for the schedule: the task, network and role of the schedule's own target.",
        done=alpaca_rotation.is_started,
        act=alpaca_rotation.start,
    ),
    Step(
        name="wait for a bar fetched with the new pair",
        why="The only proof that counts: a bar in the database from a run whose record has the new pair's fingerprint.",
        done=alpaca_rotation.has_bar,
        act=alpaca_rotation.wait_for_bar,
        settles=True,
    ),
    Step(
        name="retire the old pair and see it refused",
        why="A pair that still works is a pair that can leak.",
        told="delete the old pair on the provider's page if it is still listed there. I look every 15 s.",
        irreversible="the provider gives a deleted pair never back",
        done=alpaca_rotation.is_retired,
        act=alpaca_rotation.wait_until_retired,
    ),
    Step(
        name="clear what waited beside",
        why="No copy of a secret stays where nobody looks. The account's number is written down for the next rotation.",
        done=alpaca_rotation.is_cleared,
        act=alpaca_rotation.clear,
    ),
)

RUNBOOK = Runbook(
    name="rotate-alpaca-keys",
    title="Put a new Alpaca key pair in the place of the old one, and prove it by a bar.",
    when="the diagnosis says key_rejected, key_swapped or not_entitled; with --planned: a key may have leaked, or the "
    "calendar says so. Not for anything else: bars that are missing have many causes.",
    after="until a bar came, a failure puts the old pair back by itself if the provider still takes it. Later: run "
    "this again with the pair that is to be; the parameter's history has the versions.",
    options=OPTIONS,
    steps=STEPS,
    measures=alpaca_rotation.measures,
)

if __name__ == "__main__":
    command.main(RUNBOOK)

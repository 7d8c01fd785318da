"""Runbooks that run: the engine under everything in runbooks/. A runbook is a list of steps; the engine does the rest.

How to write one, `runbooks/do-it`:

1. `scripts/ops/runbook/do_it.py` with a module constant `RUNBOOK = Runbook(name="do-it", title=…, when=…, steps=(…))`
   and at its end `if __name__ == "__main__": command.main(RUNBOOK)`.
2. `runbooks/do-it`, executable, two lines: `exec "$(dirname …)/../scripts/ops/run" runbook.do_it "$@"`.
3. `make docs` writes runbooks/README.md anew from its steps; `make check` sees to it.

    Step(
        name="move the services over",             # an order, unique: the journal knows the step by it
        why="…",                                   # one or two sentences for a tired person; part of --explain
        done=moved,                                # (Look) -> Finding: looks, never touches
        act=move,                                  # (Hands) -> None; None makes the step a gate: it holds or refuses
        told="…",                                  # what the person does meanwhile, if anything
        irreversible="…",                          # in words, what can never be taken back: the name is typed first
        blast=lambda look: Blast(what="services", count=3, limit=4),  # more than the limit needs --force
        undo=move_back,                            # (Hands) -> str: takes the act back when a later step fails
        settles=True,                              # once it is done, nothing before it is undone any more
    )

The engine takes the steps in their order: `done` (holds: skipped), blast radius, confirmation, journal, `act`, journal,
`done` again (does not hold: failed). If every act is done before, there is nothing to do and not even a gate is asked.
After a crash `--resume` goes the same way through all steps; where journal and check disagree the check wins and the
difference is shown. So: write `done` from the world and not from facts, and every act so that it can be begun again
after any half of it. A gate that was passed is not asked again once something has been acted.

`Look` is all that a check, and so a rehearsal, ever gets: `client(service, region=None)` raises MutatingCall before any
call that is no read, `database(url=None)` is a read-only transaction, and `options`, `facts`, `secrets`, `environ`,
`environment`, `account`, `region`, `catalog`, `now()`. Rehearsals make no Hands, and a Hands cannot be made without the
Permit that only the environment's lock gives: by type, a check cannot act.

`Hands` is what acts get: `look`, `client`, `database` (autocommit), `note(**facts)` (journalled, for later steps and
for whoever resumes; before what depends on them), `say`, `ask`, `ask_secret`, `wait(what, check, every_seconds=,
most_seconds=, else_=)` (in the environment's time, interruptible). A secret goes through `look.veil.secret(text)` as
soon as it is read: no line on screen, in the journal or in the report then shows it.

To end early raise Refused (4: unsafe, nothing done by this step), Failed (1: undoes what can be), Remains (3: the rest
has to wait); an `undo` that cannot raises CannotUndo. `Runbook.options` are click options, their values `look.options`,
journalled (never a secret) and taken up by --resume. `Runbook.measures(look)` returns {label: value} for the last lines
and the report. `stands=False`: the environment need not be deployed yet; `records` then names the bucket for the lock,
which `prepare` makes. `region(look)` leads everything to another region than the shell's.

Time: `look.now()` and `Hands.wait` go by the local cloud's clock where OPS_CLOCK_URL leads to one, else by the wall's.
"""

from ops.runbook.acting import Hands
from ops.runbook.errors import CannotUndo, Failed, Interrupted, Refused, Remains
from ops.runbook.finding import Blast, Finding
from ops.runbook.reading import Look
from ops.runbook.step import Runbook, Step

__all__ = [
    "Blast",
    "CannotUndo",
    "Failed",
    "Finding",
    "Hands",
    "Interrupted",
    "Look",
    "Refused",
    "Remains",
    "Runbook",
    "Step",
]

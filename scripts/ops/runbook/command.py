"""A runbook as a command: its options, its first and last lines, its exit code."""

from __future__ import annotations

import os
import secrets
import shlex
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import click
from botocore.exceptions import BotoCoreError, ClientError
from click.core import ParameterSource

from ops.runbook import account, explain, journal, lease
from ops.runbook.acting import Hands
from ops.runbook.engine import Consent, Engine, nothing_to_do, rehearse, understood
from ops.runbook.errors import DONE, Ended, Interrupted, Refused
from ops.runbook.interrupts import Interrupts
from ops.runbook.journal import Journal
from ops.runbook.lease import Lease
from ops.runbook.reading import Look, make_client
from ops.runbook.records import Records
from ops.runbook.report import Report, StepReport
from ops.runbook.step import Runbook
from ops.runbook.voice import Voice
from ops.terraform_workspace import ROOT, environments
from pipeline.errors import PipelineError

JOURNALS = ROOT / ".local" / "journals"


@dataclass(kw_only=True)
class Order:
    """What was asked for on the command line. `own` are the runbook's own options, `said` those really given."""

    environment: str
    applied: bool
    resumed: bool
    drill: bool
    journal: Path | None
    report: Path | None
    consent: Consent
    own: dict[str, Any] = field(default_factory=dict)
    said: frozenset[str] = frozenset()

    @property
    def acts(self) -> bool:
        return self.applied or self.resumed


def options() -> list[click.Option]:
    """The options of every runbook."""
    file = click.Path(dir_okay=False, path_type=Path)
    return [
        click.Option(
            ["--env", "environment"],
            default="local",
            show_default=True,
            callback=_known,
            help="local, paper, production.",
        ),
        click.Option(["--apply", "applied"], is_flag=True, help="Act; without it this is a rehearsal."),
        click.Option(["--resume", "resumed"], is_flag=True, help="Act on from where the last run ended."),
        click.Option(["--explain", "explained"], is_flag=True, help="Say what it does, for people, and end."),
        click.Option(["--yes"], is_flag=True, help="Begin without asking; points of no return ask all the same."),
        click.Option(["--confirm"], metavar="NAME", default="", help="The environment's name, typed in advance."),
        click.Option(["--force"], is_flag=True, help="Touch more than a step's limit."),
        click.Option(["--journal"], type=file, metavar="FILE", help="[default: .local/journals/…, one a run]"),
        click.Option(
            ["--report"],
            type=file,
            metavar="FILE",
            callback=_writable,
            help="Also write what came of it there, as JSON.",
        ),
        click.Option(["--drill"], is_flag=True, help="The local AWS of AWS_ENDPOINT_URL plays the account."),
    ]


def _known(context: click.Context, parameter: click.Parameter, name: str) -> str:
    """Option `--env`: an environment of terraform/environments."""
    if name not in environments():
        raise click.BadParameter(f"{name}: there is {', '.join(environments())}")
    return name


def _writable(context: click.Context, parameter: click.Parameter, path: Path | None) -> Path | None:
    """Option `--report`: a file that can be written, which is better known before than after. None is left of it: an
    empty report would be taken for one."""
    try:
        if path:
            was_there = path.exists()
            path.open("a", encoding="utf-8").close()
            if not was_there:
                path.unlink()
    except OSError as error:
        raise click.BadParameter(f"{path} cannot be written ({error.strerror})") from error
    return path


def command(runbook: Runbook) -> click.Command:
    """The command of a runbook; called without standalone mode it returns the exit code."""

    def run(environment: str, applied: bool, resumed: bool, explained: bool, **given: Any) -> int:
        if explained:
            click.echo("\n".join(explain.lines(runbook)))
            return DONE
        if runbook.check and not resumed:
            runbook.check(given)
        consent = Consent(yes=given.pop("yes"), force=given.pop("force"), confirmed=given.pop("confirm"))
        order = Order(
            environment=environment,
            applied=applied,
            resumed=resumed,
            drill=given.pop("drill"),
            journal=given.pop("journal"),
            report=given.pop("report"),
            consent=consent,
            own=given,
            said=_said(runbook),
        )
        return perform(runbook, order, os.environ)

    text = f"{runbook.title}\n\n{explain.EXITS}"
    return click.Command(runbook.name, params=[*runbook.options, *options()], callback=run, help=text)


def _said(runbook: Runbook) -> frozenset[str]:
    context = click.get_current_context()
    names = [option.name for option in runbook.options if option.name]
    return frozenset(name for name in names if context.get_parameter_source(name) is ParameterSource.COMMANDLINE)


def main(runbook: Runbook) -> NoReturn:
    """Runs it and maps its result to the exit code; an error is one line."""
    try:
        sys.exit(command(runbook).main(prog_name=f"runbooks/{runbook.name}", standalone_mode=False) or DONE)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)


def perform(runbook: Runbook, order: Order, environ: Mapping[str, str]) -> int:
    """Rehearses or acts; says how it ended and what is next. Returns the exit code. Raises click.UsageError."""
    if order.acts and not (order.consent.yes or order.resumed or sys.stdin.isatty()):
        raise click.UsageError("nobody is there to be asked whether to begin; add --yes")
    look = Look(environment=order.environment, environ=environ, options=order.own)
    voice = Voice(look.veil)
    report = _new_report(runbook, order, look)
    look.run = report.run
    with Interrupts() as interrupts:
        try:
            _perform(runbook, order, look, voice, report, interrupts)
        except (PipelineError, ClientError, BotoCoreError, OSError) as error:
            meant = understood(error) if not isinstance(error, Ended) else error
            report.exit_code, report.why, report.needs = meant.exit_code, str(meant), meant.needs
    _last_words(runbook, order, voice, report)
    report.seconds = round(voice.seconds, 3)
    if order.report:
        report.write(order.report, look.veil.over(report.as_json()))
    return report.exit_code


def _new_report(runbook: Runbook, order: Order, look: Look) -> Report:
    now = look.now()
    return Report(
        runbook=runbook.name,
        environment=order.environment,
        mode="apply" if order.acts else "rehearsal",
        run=f"{runbook.name}-{order.environment}-{now:%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}",
        began=now,
        steps=[StepReport(name=step.name) for step in runbook.steps],
    )


def _perform(runbook: Runbook, order: Order, look: Look, voice: Voice, report: Report, interrupts: Interrupts) -> None:
    if order.consent.confirmed not in ("", order.environment):
        raise Refused(f"--confirm {order.consent.confirmed} is not --env {order.environment}; which of them is meant?")
    look.environ = account.led(look.environ, order.environment, drill=order.drill)
    if not order.resumed:  # whose options are taken up first
        _place(runbook, look)
    _header(runbook, order, look, voice)
    account.require_login(look)
    if runbook.stands:
        account.require_environment(look)
    if order.acts:
        _apply(runbook, order, look, voice, report, interrupts)
    else:
        with interrupts.breakable():
            rehearse(runbook, look, voice, report)
    if runbook.measures and report.exit_code == DONE:
        report.measures = dict(runbook.measures(look))


def _place(runbook: Runbook, look: Look) -> None:
    """Leads everything to the region that the runbook works in."""
    if runbook.region:
        region = runbook.region(look)
        look.environ = {**look.environ, "AWS_REGION": region, "AWS_DEFAULT_REGION": region}


def _header(runbook: Runbook, order: Order, look: Look, voice: Voice) -> None:
    mode = "this acts" if order.acts else "rehearsal: nothing is changed"
    voice.line(f"{runbook.name} · {order.environment} · {mode}")
    if account.played(look.environ):
        voice.line(f"The account is played on this machine ({look.environ[account.ENDPOINT]}).")


def _apply(runbook: Runbook, order: Order, look: Look, voice: Voice, report: Report, interrupts: Interrupts) -> None:
    written = Journal(_journal_path(runbook, order, report), look.veil, look.now)
    with ExitStack() as stack:
        stack.callback(written.close)
        if order.resumed:
            _take_up(runbook, order, look, written, report)
            _place(runbook, look)
        report.journal, report.facts = str(written.path), written.past.facts
        look.facts = written.past.facts
        if nothing_to_do(runbook, look):
            _nothing(runbook, order, look, written, report, voice)
            return
        if not (order.consent.yes or order.resumed):
            _ask_to_begin(runbook, look, voice, interrupts)
        if runbook.prepare:
            runbook.prepare(look)
        bucket = runbook.records(look)
        s3 = make_client(look.environ, "s3", look.region)
        permit = stack.enter_context(Lease(s3, bucket, run=report.run, runbook=runbook.name, say=voice.line))
        _open(runbook, order, look, written, report)
        hands = Hands(permit=permit, look=look, voice=voice, notes=written, interrupts=interrupts)
        records = Records(s3, bucket)
        Engine(
            runbook=runbook, hands=hands, journal=written, records=records, consent=order.consent, report=report
        ).apply()
        written.write("finished", seconds=round(voice.seconds, 3))
        records.copy(written.path, voice)


def _journal_path(runbook: Runbook, order: Order, report: Report) -> Path:
    if order.journal:
        return order.journal
    if order.resumed:
        found = journal.newest_unfinished(JOURNALS, runbook.name, order.environment)
        if found is None:
            raise Refused(
                f"no unfinished run of {runbook.name} on {order.environment} in {_shown(JOURNALS)}: "
                "--apply begins one. If it was begun on another machine, fetch its journal (runbooks/journals/ in the "
                "bucket with the lock) and add --journal FILE"
            )
        return found
    return JOURNALS / f"{report.run}.jsonl"


def _take_up(runbook: Runbook, order: Order, look: Look, written: Journal, report: Report) -> None:
    """The run that the journal tells of becomes this one; options that are given now stand over its own."""
    if not written.path.is_file():
        raise Refused(f"{written.path}: there is no such journal; --apply begins a run")
    past = written.open()
    if (past.runbook, past.environment) != (runbook.name, order.environment):
        raise Refused(f"{written.path} tells of {past.runbook or 'nothing'} on {past.environment or 'no environment'}")
    report.run = look.run = past.run
    look.options = past.options | {name: _with(past.options.get(name), order.own[name]) for name in order.said}


def _with(before: Any, said: Any) -> Any:
    """An option that may be given several times says more each time; what is said later stands over it."""
    return (*(before or ()), *said) if isinstance(said, tuple) else said


def _open(runbook: Runbook, order: Order, look: Look, written: Journal, report: Report) -> None:
    if order.resumed:
        written.write("resumed", lines=written.past.lines)
        return
    if written.path.exists() and written.path.stat().st_size:
        raise Refused(f"{written.path} is there already; --resume goes on with it")
    written.open()
    written.write("run", run=report.run, runbook=runbook.name, env=order.environment, options=dict(look.options))
    look.facts = report.facts = written.past.facts


def _nothing(runbook: Runbook, order: Order, look: Look, written: Journal, report: Report, voice: Voice) -> None:
    voice.line("Nothing to do: every step is done already.")
    for step in runbook.acts:
        report.of(step.name).state = "done before"
    if order.resumed:
        _tidy_up(runbook, look, written, voice)
    else:
        report.journal = ""


def _tidy_up(runbook: Runbook, look: Look, written: Journal, voice: Voice) -> None:
    """What a run that was killed after its last act had still to do: its last line, its copy, its lock."""
    if not written.past.finished:
        written.write("finished", seconds=0)
    bucket = runbook.records(look)
    s3 = make_client(look.environ, "s3", look.region)
    Records(s3, bucket).copy(written.path, voice)
    lease.give_back_of_the_dead(s3, bucket, written.past.run)


def _ask_to_begin(runbook: Runbook, look: Look, voice: Voice, interrupts: Interrupts) -> None:
    with interrupts.breakable():
        typed = voice.ask(f"Begin on {look.environment}? It has {len(runbook.steps)} steps. [y/N]")
    if typed.lower() not in ("y", "yes"):
        raise Interrupted("not begun")


# ── the last lines ───────────────────────────────────────────────────────────────────────────────────────────────────


def _last_words(runbook: Runbook, order: Order, voice: Voice, report: Report) -> None:
    voice.line()
    if not order.acts and report.exit_code == DONE:
        _judge_rehearsal(report)
    for label, value in report.measures.items():
        voice.line(f"  {label}: {value}")
    voice.line({0: _well, 1: _failed, 3: _remains, 4: _refused}[report.exit_code](order, report))
    if report.journal and Path(report.journal).exists():
        voice.line(f"Journal: {_shown(Path(report.journal))}")
    following = _next(runbook, order, report)
    if following:
        voice.line(f"Next: {following}")


def _judge_rehearsal(report: Report) -> None:
    """A rehearsal's exit code comes from what its steps saw."""
    unwell = [step for step in report.steps if step.state in ("refused", "failed")]
    if unwell:
        report.exit_code = 1 if unwell[0].state == "failed" else 4
        report.why = unwell[0].saw
    elif report.left:
        report.exit_code = 3


def _well(order: Order, report: Report) -> str:
    return "Done." if order.acts else "Nothing to do."


def _failed(order: Order, report: Report) -> str:
    at = next((f" at “{step.name}”" for step in report.steps if step.state == "failed"), "")
    return "\n".join([f"FAILED{at}: {report.why}", *report.undone])


def _remains(order: Order, report: Report) -> str:
    left = f"{len(report.left)} of {len(report.steps)} steps remain."
    if not order.acts:
        return f"{left} Nothing was changed."
    return f"Stopped: {report.why}. Nothing is half done, what was done stays; {left}{_standing(report)}"


def _refused(order: Order, report: Report) -> str:
    return f"REFUSED: {report.why}{_standing(report)}"


def _standing(report: Report) -> str:
    return "".join(f"\nStays so until --resume: {name}" for name in report.standing)


def _next(runbook: Runbook, order: Order, report: Report) -> str:
    """The command that goes on, where one does."""
    line = ["runbooks/" + runbook.name, "--env", order.environment, *(["--drill"] if order.drill else [])]
    if report.exit_code == 3 and not order.acts:
        return shlex.join([*line, *_repeated(runbook, order), "--apply"])
    if order.acts and report.exit_code != DONE and report.journal and Path(report.journal).exists():
        chosen = ["--journal", str(order.journal)] if order.journal else []
        # the journal has the options of the run's beginning; those of this command, and what it lacked, are said anew
        said = _repeated(runbook, order) if order.resumed else []
        return shlex.join([*line, *chosen, *said, *report.needs, "--resume"])
    return ""


def _repeated(runbook: Runbook, order: Order) -> list[str]:
    """The runbook's own options as they were given."""
    words: list[str] = []
    for option in runbook.options:
        value = order.own.get(option.name or "")
        if option.name in order.said:
            for each in value if isinstance(value, tuple) else (value,):
                words += [option.opts[0]] if option.is_flag else [option.opts[0], str(each)]
    return words


def _shown(path: Path) -> str:
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)

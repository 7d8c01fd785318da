"""Replays bars through the eight services at their own rates, on a virtual clock, and reports what came of it."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, NoReturn

import click
import psycopg
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from ops import replay_plan, replay_table
from ops.local import exchange as local_exchange
from ops.local.exchange import Market, synthetic
from ops.local.news_file import NewsFile, NewsFileUnusable, read_news
from ops.local.postgres import Postgres
from ops.replay_engine import Plan, Replay, Tally
from ops.replay_plan import MINUTE, BadPlan, Window
from ops.replay_report import Report
from pipeline import catalog, sessions, settings
from pipeline.errors import PipelineError

HISTORY_SESSIONS = 2  # so that a made-up market's long windows are full from the first minute
SECONDS_A_DAY = 86_400
INTERRUPTED, TERMINATED = 130, 143  # as a shell says it


def sessions_of(market: Market) -> list[sessions.Session]:
    """The sessions that have at least one bar in the file, oldest first. Raises BadPlan where there is none.

    Days beyond the sessions table count as closed as long as the file has one that is not; else CalendarEnds."""
    first, last = (_midnight(day) for day in sessions.covered())
    known = (market.ts >= first) & (market.ts < last + SECONDS_A_DAY)
    days = {
        datetime.fromtimestamp(int(day) * SECONDS_A_DAY, UTC).date() for day in set(market.ts[known] // SECONDS_A_DAY)
    }
    found = []
    for day in sorted(days):
        session = sessions.find(day)
        opens, closes = (int(t.timestamp()) for t in (session.open, session.close)) if session else (0, 0)
        if session and ((market.ts >= opens) & (market.ts < closes)).any():
            found.append(session)
    if not found:
        raise BadPlan(_why_nothing(market, beyond=int((~known).sum())))
    return found


def _midnight(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())


def _why_nothing(market: Market, *, beyond: int) -> str:
    why = ["no bar of the file lies in a regular session (weekend, holiday, or timestamps not in UTC?)"]
    if beyond:
        first, last = sessions.covered()
        why.append(
            f"{beyond} bars lie outside the sessions table ({first} to {last}); scripts/make-sessions extends it"
        )
    if market.rejected:
        row = market.rejected[0]
        why.append(f"{len(market.rejected)} rows cannot be read, the first in line {row.line}: {row.reason}")
    return "; ".join(why)


@contextlib.contextmanager
def database(url: str | None) -> Iterator[str]:
    """The address of the database given, or of a new one on a server of its own that goes with the replay."""
    if url:
        yield url
        return
    with Postgres(durable=False) as server:
        yield server.create_database("replay").url


def synthetic_session(symbols: str, day: date, seed: int) -> tuple[Market, list[sessions.Session]]:
    """A made-up market after some quiet sessions, and the session to replay. Raises PipelineError on a closed day."""
    market = synthetic.market(settings.parse_symbols(symbols), day, seed=seed, history_sessions=HISTORY_SESSIONS)
    session = sessions.find(day)
    assert session is not None  # the market would not have been made
    return market, [session]


def plan_for(
    market: Market,
    replayed: Sequence[sessions.Session],
    *,
    news: Path | None = None,
    start: str | None = None,
    end: str | None = None,
    outages: Sequence[str] = (),
    kills: Sequence[str] = (),
    runtime: str = "fork",
    speed: str = "max",
) -> Plan:
    """The plan that the options ask for. Raises BadPlan or NewsFileUnusable, naming what is wrong."""
    services = catalog.load()
    first, last = (replay_plan.parse_time(text) if text else None for text in (start, end))
    windows = replay_plan.windows(replayed, first, last)
    parsed_outages = tuple(replay_plan.parse_outage(text, services) for text in outages)
    parsed_kills = tuple(replay_plan.parse_kill(text, services) for text in kills)
    replay_plan.check_within(services, windows, parsed_outages, parsed_kills)
    read = read_news(news) if news else NewsFile(items=(), rejected=())
    return Plan(
        market=market,
        windows=windows,
        news=(*market.news, *read.items),
        news_rejected=read.rejected,
        outages=parsed_outages,
        kills=parsed_kills,
        runtime=runtime,
        speed=parse_speed(speed),
    )


def parse_speed(text: str) -> float | None:
    """None for 'max', else virtual seconds a wall second. Raises BadPlan."""
    if text == "max":
        return None
    try:
        speed = float(text)
    except ValueError:
        raise BadPlan(f"speed {text!r} is neither max nor a number") from None
    if not 0 < speed < float("inf"):
        raise BadPlan(f"speed {text} is not above 0")
    return speed


@click.command()
@click.option(
    "--bars",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Bars: timestamp,symbol,open,high,low,close,volume.",
)
@click.option(
    "--synthetic", metavar="SYMBOLS", help="Instead of --bars: a made-up market for these symbols, comma-separated."
)
@click.option("--date", "day", type=click.DateTime(["%Y-%m-%d"]), help="The session of the made-up market.")
@click.option(
    "--news",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="News: CSV published_at,title,summary,link, or RSS/Atom.",
)
@click.option("--from", "start", metavar="HH:MM", help="First minute, New York time [default: the open].")
@click.option("--to", "end", metavar="HH:MM", help="End, New York time [default: the close].")
@click.option(
    "--outage",
    "outages",
    multiple=True,
    metavar="SERVICE=HH:MM-HH:MM",
    help="The service does not fire in this time; may be repeated.",
)
@click.option(
    "--kill",
    "kills",
    multiple=True,
    metavar="SERVICE@HH:MM",
    help="SIGKILL in the middle of that run's write; may be repeated.",
)
@click.option(
    "--runtime",
    type=click.Choice(["fork", "process"]),
    default="fork",
    show_default=True,
    help="fork: preloaded and forked; process: a fresh python -m each.",
)
@click.option("--speed", default="max", show_default=True, metavar="max|N", help="Virtual seconds a second.")
@click.option("--seed", type=int, default=1, show_default=True, help="Seed of the made-up market.")
@click.option(
    "--database",
    "url",
    metavar="URL",
    envvar="DATABASE_URL",
    help="Database to use and keep [default: DATABASE_URL, else one made for this replay].",
)
@click.option(
    "--report", "report_file", type=click.Path(dir_okay=False, path_type=Path), help="Write the report as JSON."
)
def main(**options: Any) -> None:
    """Replay bars through the eight services on a virtual clock.

    Of each session in the file the part between --from and --to is replayed.
    Exit codes: 0 nothing lost, duplicated or wrong; 3 something is; 1 the replay itself failed; 2 usage.
    """
    signal.signal(signal.SIGTERM, _terminate)  # the server and the runs of a replay must not outlive it
    try:
        plan = _plan(options)
        if options["report_file"]:
            require_writable(options["report_file"])
    except (BadPlan, NewsFileUnusable, PipelineError) as error:
        raise click.UsageError(str(error)) from error
    try:
        with database(options["url"]) as url:
            report = run_with_progress(Replay(plan, url))
    except (PipelineError, psycopg.Error, OSError, TimeoutError) as error:
        _end(1, " ".join(str(error).split()))
    except KeyboardInterrupt:
        _end(INTERRUPTED, "stopped; nothing that it started runs on")
    replay_table.show(report, Console())
    if options["report_file"]:
        _write(options["report_file"], report)
    sys.exit(0 if report.clean else 3)


def _write(path: Path, report: Report) -> None:
    try:
        path.write_text(report.as_text(), encoding="utf-8")
    except OSError as error:
        _end(1, f"--report {path}: {error.strerror}")


def _end(code: int, text: str) -> NoReturn:
    click.echo(f"replay: {text}", err=True)
    sys.exit(code)


def _terminate(signum: int, frame: object) -> NoReturn:
    sys.exit(TERMINATED)


def require_writable(path: Path) -> None:
    """Raises BadPlan where the report cannot be written: better now than after the replay."""
    there_before = path.exists()
    try:
        path.open("a").close()
    except OSError as error:
        raise BadPlan(f"--report {path}: {error.strerror}") from error
    if not there_before:
        path.unlink()


def _plan(options: Mapping[str, Any]) -> Plan:
    if bool(options["bars"]) == bool(options["synthetic"]):
        raise BadPlan("give either --bars FILE or --synthetic SYMBOLS with --date")
    if options["bars"]:
        market = local_exchange.load_csv(options["bars"])
        replayed = sessions_of(market)
    else:
        if not options["day"]:
            raise BadPlan("--synthetic needs --date YYYY-MM-DD")
        market, replayed = synthetic_session(options["synthetic"], options["day"].date(), options["seed"])
    return plan_for(
        market,
        replayed,
        **{name: options[name] for name in ("news", "start", "end", "outages", "kills", "runtime", "speed")},
    )


def run_with_progress(replay: Replay, console: Console | None = None) -> Report:
    """Runs a replay behind a progress bar on standard error."""
    total = sum(int((w.end - w.start) / MINUTE) for w in replay.plan.windows)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total} min"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console or Console(stderr=True), transient=True) as bar:
        task = bar.add_task("starting", total=total)

        def show(window: Window, at: datetime, tally: Tally) -> None:
            local = at.astimezone(replay_plan.NEW_YORK)
            bar.update(task, advance=1, description=f"{window.session.date} {local:%H:%M} New York, {tally.fired} runs")

        return replay.run(show)


if __name__ == "__main__":
    main()

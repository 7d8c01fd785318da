"""Replays bars through the eight services at their own rates, on a virtual clock, and reports what came of it."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import subprocess
import sys
import time as wall_time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any

import click
import psycopg
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from ops import replay_plan, replay_report, replay_table
from ops.local import exchange as local_exchange
from ops.local.exchange import Exchange, Market, synthetic
from ops.local.feeds import FeedServer
from ops.local.news_file import DEFAULT_FEED, NewsFileUnusable, NewsItem, read_news
from ops.local.postgres import Postgres
from ops.local.runtime import ForkRuntime, ProcessRuntime, Run
from ops.replay_kill import kill_in_write
from ops.replay_plan import MINUTE, BadPlan, Kill, Outage, Window
from ops.replay_report import Report
from pipeline import catalog, sessions, settings, store
from pipeline.catalog import Catalog, Service
from pipeline.errors import PipelineError
from pipeline.store import migrations

ROOT = Path(__file__).resolve().parents[2]
ACCOUNT = "000000000000"  # no account: what runs here is local
RUN_TIMEOUT_SECONDS = 300
HISTORY_SESSIONS = 2  # so that a made-up market's long windows are full from the first minute


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All that decides what a replay does."""

    market: Market
    windows: tuple[Window, ...]
    news: tuple[NewsItem, ...] = ()
    outages: tuple[Outage, ...] = ()
    kills: tuple[Kill, ...] = ()
    runtime: str = "fork"
    speed: float | None = None  # virtual seconds a wall second; None: as fast as it goes

    @property
    def symbols(self) -> tuple[str, ...]:
        return self.market.symbols


@dataclass(kw_only=True)
class Tally:
    """What happened to the runs themselves, beside what the ledger in the database says."""

    peak_rss_mb: float = 0.0
    fired: int = 0
    held_back: dict[str, int] = field(default_factory=dict)
    killed: list[str] = field(default_factory=list)
    not_killed: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)


Progressing = Callable[[Window, datetime, Tally], None]


class Replay:
    """One replay over one database: its exchange, its feeds, its runtime, and the loop over the virtual minutes."""

    def __init__(self, plan: Plan, database_url: str, services: Catalog | None = None) -> None:
        self.plan = plan
        self.url = database_url
        self.catalog = services or catalog.load()
        self.id = secrets.token_hex(4)
        self.tally = Tally()
        self.last_run: Run | None = None
        self._pending_kills = list(plan.kills)
        self._owing: set[str] = set()
        self._arn_prefix = f"arn:aws:scheduler:{self.catalog.region}:{ACCOUNT}:schedule"

    def run(self, progress: Progressing = lambda *_: None) -> Report:
        """Migrates, replays every window, then verifies; returns the report."""
        started = wall_time.monotonic()
        with store.connect(self.url, name="replay") as connection:
            migrations.migrate(connection, self.catalog)
        self._play(progress)
        with store.connect(self.url, name="replay") as connection:
            return replay_report.build(
                connection,
                plan=self.plan,
                tally=self.tally,
                replay_id=self.id,
                started=started,
                progress=progress,
            )

    def _play(self, progress: Progressing) -> None:
        runtime = _RUNTIMES[self.plan.runtime](self.catalog)
        with contextlib.ExitStack() as stack:
            stack.callback(runtime.close)
            self._runtime = runtime
            self._exchange = stack.enter_context(Exchange(self.plan.market))
            self._feeds = stack.enter_context(FeedServer(self.plan.news))
            self._locker = stack.enter_context(store.connect(self.url, name="replay"))
            self._watcher = stack.enter_context(store.connect(self.url, name="replay"))
            for window in self.plan.windows:
                self._play_window(window, progress)

    def _play_window(self, window: Window, progress: Progressing) -> None:
        for at in replay_plan.ticks(window):
            began = wall_time.monotonic()
            self._tick(at)
            progress(window, at, self.tally)
            if self.plan.speed:
                wall_time.sleep(max(0.0, 60 / self.plan.speed - (wall_time.monotonic() - began)))
        self._settle(window)

    def _settle(self, window: Window) -> None:
        """Real time goes on after the close: services that were kept from their last work get to fire again."""
        at = window.end + MINUTE
        while self._owing and at <= window.end + replay_plan.SETTLING:
            self._tick(at)
            at += MINUTE

    def _tick(self, at: datetime) -> None:
        self._exchange.set_now(at)
        self._feeds.set_now(at)
        for service in replay_plan.due(self.catalog, at):
            if replay_plan.is_out(service, at, self.plan.outages):
                self.tally.held_back[service.name] = self.tally.held_back.get(service.name, 0) + 1
                self._owe_from(service)
            else:
                self._fire(service, at)

    def _fire(self, service: Service, at: datetime) -> None:
        execution_id = f"replay-{self.id}-{at:%Y%m%dT%H%M}"
        environment = self._environment(service, at, execution_id)
        kill = replay_plan.kill_due(service, at, self._pending_kills)
        if kill:
            self._pending_kills.remove(kill)
            run, killed = kill_in_write(
                self._locker,
                self._watcher,
                service,
                execution_id,
                lambda: self._runtime.start(service.name, environment),
            )
            (self.tally.killed if killed else self.tally.not_killed).append(f"{service.name}@{at:%H:%M}Z")
        else:
            run = self._runtime.start(service.name, environment)
        self._account(service, at, run)

    def _account(self, service: Service, at: datetime, run: Run) -> None:
        code = run.wait(timeout=RUN_TIMEOUT_SECONDS)
        self.last_run = run
        self.tally.fired += 1
        self.tally.peak_rss_mb = max(self.tally.peak_rss_mb, run.peak_rss_mb or 0.0)
        if code not in (0, 3):
            self._owe_from(service)
            self.tally.outputs.append(f"{at:%H:%M}Z {service.name} exited with {code}: {run.output[-2000:]}")
        else:
            self._owing.discard(service.name)

    def _owe_from(self, service: Service) -> None:
        """A service that missed its work owes it, and so does all that comes after it in a row's way."""
        names = list(self.catalog.services)
        self._owing.update(names[names.index(service.name) :])

    def _environment(self, service: Service, at: datetime, execution_id: str) -> dict[str, str]:
        given = {
            "tickers": ",".join(self.plan.symbols),
            "rss_feeds": json.dumps([self._feeds.url(name) for name in self._feeds.names or [DEFAULT_FEED]]),
            "alpaca_key_id": self._exchange.key_id,
            "alpaca_secret_key": self._exchange.secret_key,
        }
        return {
            "PATH": os.environ.get("PATH", ""),
            "ENVIRONMENT": "local",
            "DATABASE_URL": self.url,
            "VIRTUAL_NOW": at.isoformat(),
            "SCHEDULED_TIME": at.isoformat(),
            "EXECUTION_ID": execution_id,
            "SCHEDULE_ARN": f"{self._arn_prefix}/{service.name}/{service.schedule}",
            "GIT_SHA": _git_sha(),
            "ALPACA_DATA_URL": self._exchange.url,
            "ALPACA_TRADING_URL": self._exchange.url,
        } | {p.env: given.get(p.name) or p.initial or "" for p in service.environment}


_RUNTIMES: dict[str, Callable[[Catalog], ForkRuntime | ProcessRuntime]] = {
    "fork": lambda services: ForkRuntime(services.services),
    "process": lambda services: ProcessRuntime(),
}


def _git_sha() -> str:
    found = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return found.stdout.strip() or "unknown"


def sessions_of(market: Market) -> list[sessions.Session]:
    """The sessions that have at least one bar in the file, oldest first. Raises BadPlan where there is none."""
    days = sorted({date.fromordinal(719163 + int(day)) for day in set((market.ts // 86400).tolist())})
    found = []
    for day in days:
        session = sessions.find(day)
        opens, closes = (int(t.timestamp()) for t in (session.open, session.close)) if session else (0, 0)
        if session and ((market.ts >= opens) & (market.ts < closes)).any():
            found.append(session)
    if not found:
        raise BadPlan("no bar of the file lies in a regular session (weekend, holiday, or timestamps not in UTC?)")
    return found


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
    windows = tuple(replay_plan.window(session, first, last) for session in replayed)
    parsed_outages = tuple(replay_plan.parse_outage(text, services) for text in outages)
    parsed_kills = tuple(replay_plan.parse_kill(text, services) for text in kills)
    replay_plan.check_within(windows, parsed_outages, parsed_kills)
    return Plan(
        market=market,
        windows=windows,
        news=(*market.news, *(read_news(news).items if news else ())),
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

    Exit codes: 0 nothing lost, duplicated or wrong; 3 something is; 1 the replay itself failed; 2 usage.
    """
    try:
        plan = _plan(options)
    except (BadPlan, NewsFileUnusable, PipelineError) as error:
        raise click.UsageError(str(error)) from error
    try:
        with database(options["url"]) as url:
            report = run_with_progress(Replay(plan, url))
    except (PipelineError, psycopg.Error, OSError, TimeoutError) as error:
        click.echo(f"replay: {' '.join(str(error).split())}", err=True)
        sys.exit(1)
    if options["report_file"]:
        options["report_file"].write_text(json.dumps(report.as_json(), indent=2, default=str) + "\n", encoding="utf-8")
    replay_table.show(report, Console())
    sys.exit(0 if report.clean else 3)


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

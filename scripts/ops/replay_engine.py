"""The replay itself: exchange, feeds, runtime and the loop over the virtual minutes of a plan, over one database."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import subprocess
import time as wall_time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from pathlib import Path

import psycopg

from ops import replay_plan, replay_report
from ops.local.exchange import Exchange, Market
from ops.local.feeds import FeedServer
from ops.local.news_file import DEFAULT_FEED, NewsItem
from ops.local.news_file import Rejected as RejectedNews
from ops.local.runtime import LATE_IMPORTS, READ_ONCE, ForkRuntime, ProcessRuntime, Run
from ops.replay_kill import kill_in_write
from ops.replay_news import ITEMS_A_FEED, spread
from ops.replay_plan import MINUTE, Kill, Outage, Window
from ops.replay_report import Report, sql
from pipeline import catalog, store
from pipeline.catalog import Catalog, Service
from pipeline.errors import DatabaseUnreachable
from pipeline.store import Connection, migrations

ROOT = Path(__file__).resolve().parents[2]
ACCOUNT = "000000000000"  # no account: what runs here is local
RUN_TIMEOUT_SECONDS = 300
# A server that restarts is back by then, one that is gone is not.
DATABASE_PATIENCE_SECONDS = 10
# So often, and so far apart, a run that stood back for another replay's is fired again.
TURNS, TURN_SECONDS = 6, 0.3


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All that decides what a replay does."""

    market: Market
    windows: tuple[Window, ...]
    news: tuple[NewsItem, ...] = ()
    news_rejected: tuple[RejectedNews, ...] = ()
    outages: tuple[Outage, ...] = ()
    kills: tuple[Kill, ...] = ()
    runtime: str = "fork"
    speed: float | None = None  # virtual seconds a wall second; None: as fast as it goes
    parameters: Mapping[str, str] = field(default_factory=dict)  # in the place of what a replay sets, or of `initial`

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
    failed: int = 0
    outputs: list[str] = field(default_factory=list)
    unfinished: list[str] = field(default_factory=list)


Progressing = Callable[[Window, datetime, Tally], None]
OUTPUTS_KEPT = 20


class Replay:
    """One replay over one database: its exchange, its feeds, its runtime, and the loop over the virtual minutes."""

    def __init__(self, plan: Plan, database_url: str, services: Catalog | None = None) -> None:
        self.plan = plan
        self.url = database_url
        self.catalog = services or catalog.load()
        self.id = secrets.token_hex(4)
        self.tally = Tally()
        self._undone: set[str] = set()  # whose newest run did not do its work
        self._owing: set[str] = set()  # those, and what comes after them in a row's way
        self._pending_kills: list[Kill] = []
        self._connections: tuple[Connection, ...] = ()
        self._arn_prefix = f"arn:aws:scheduler:{self.catalog.region}:{ACCOUNT}:schedule"

    def run(self, progress: Progressing = lambda *_: None) -> Report:
        """Migrates, replays every window, then verifies; returns the report.

        Raises DatabaseUnreachable where the database goes away for good, RuntimeFailed where runs cannot be started."""
        started = wall_time.monotonic()
        with store.connect(self.url, name="replay") as connection:
            migrations.migrate(connection, self.catalog)
        self._play(progress)
        with store.connect(self.url, name="replay") as connection:
            return replay_report.build(connection, plan=self.plan, tally=self.tally, replay_id=self.id, started=started)

    def _play(self, progress: Progressing) -> None:
        runtime = _RUNTIMES[self.plan.runtime](self.catalog)
        with contextlib.ExitStack() as stack:
            stack.callback(runtime.close)
            stack.callback(self._disconnect)
            self._runtime = runtime
            self._exchange = stack.enter_context(Exchange(self.plan.market))
            self._feeds = stack.enter_context(FeedServer(spread(self.plan.news), newest=ITEMS_A_FEED))
            self._connect()
            for window in self.plan.windows:
                self._play_window(window, progress)

    def _play_window(self, window: Window, progress: Progressing) -> None:
        self._pending_kills = list(self.plan.kills)
        for at in replay_plan.ticks(window):
            began = wall_time.monotonic()
            self._tick(at)
            progress(window, at, self.tally)
            if self.plan.speed:
                wall_time.sleep(max(0.0, 60 / self.plan.speed - (wall_time.monotonic() - began)))
        self._settle(window)

    def _settle(self, window: Window) -> None:
        """Real time goes on after the end: services that were kept from their last work get to fire again.

        Outages end with the window: what is to be seen is whether all is made up for after them. The feeds' clock
        stands still, so that a replay with troubles has the same news as one without."""
        at = window.end
        self._take_turns(at)
        while self._owing and at < window.end + replay_plan.SETTLING:
            at += MINUTE
            self._tick(at, settling=True)
            self._take_turns(at)
        left = (name for name in self.catalog.services if name in (self._undone or self._owing))
        self.tally.unfinished += [f"{window.session.date} {name}" for name in left]

    def _take_turns(self, at: datetime) -> None:
        """Fires again what stood back for a run of another replay's, and then all that owes, which may be what comes
        after it: a virtual minute is too short to wait for it."""
        for attempt in range(2, TURNS + 2):
            self._require_database(at)
            rows = self._connections[0].execute(sql("stood_back"), {"prefix": self._prefix}).fetchall()
            behind = [self.catalog[name] for (name,) in rows]
            for service in behind:
                self._owe_from(service)
            if not behind or attempt > TURNS:
                return
            wall_time.sleep(TURN_SECONDS)
            for name in [name for name in self.catalog.services if name in self._owing]:
                self._fire(self.catalog[name], at, attempt=attempt)

    def _tick(self, at: datetime, *, settling: bool = False) -> None:
        self._require_database(at)
        self._exchange.set_now(at)
        if not settling:
            self._feeds.set_now(at)
        for service in replay_plan.due(self.catalog, at):
            if not settling and replay_plan.is_out(service, at, self.plan.outages):
                self.tally.held_back[service.name] = self.tally.held_back.get(service.name, 0) + 1
                self._owe_from(service)
            else:
                self._fire(service, at)

    def _fire(self, service: Service, at: datetime, *, attempt: int = 1) -> None:
        execution_id = f"{self._prefix}{at:%Y%m%dT%H%M}" + (f"-{attempt}" if attempt > 1 else "")
        environment = self._environment(service, at, execution_id)
        kill = replay_plan.kill_due(service, at, self._pending_kills)
        if kill:
            self._pending_kills.remove(kill)
            watcher, locker = self._connections
            run, killed = kill_in_write(
                locker, watcher, service, lambda: self._runtime.start(service.name, environment)
            )
            (self.tally.killed if killed else self.tally.not_killed).append(f"{service.name}@{at:%H:%M}Z")
        else:
            run, killed = self._runtime.start(service.name, environment), False
        self._account(service, at, run, killed=killed)

    def _account(self, service: Service, at: datetime, run: Run, *, killed: bool) -> None:
        code = run.wait(timeout=RUN_TIMEOUT_SECONDS)
        self.tally.fired += 1
        self.tally.peak_rss_mb = max(self.tally.peak_rss_mb, run.peak_rss_mb or 0.0)
        if code in (0, 3):
            self._undone.discard(service.name)
            self._owing.discard(service.name)
            return
        self._owe_from(service)
        if not killed:
            self.tally.failed += 1
            if len(self.tally.outputs) < OUTPUTS_KEPT:
                self.tally.outputs.append(f"{at:%H:%M}Z {service.name} exited with {code}: {run.output[-2000:]}")

    def _owe_from(self, service: Service) -> None:
        """A service that missed its work owes it, and so does all that comes after it in a row's way."""
        self._undone.add(service.name)
        names = list(self.catalog.services)
        self._owing.update(names[names.index(service.name) :])

    # ── the replay's own connections: one to watch, one to hold locks ────────────────────────────────────────────────

    def _connect(self) -> None:
        self._disconnect()
        self._connections = tuple(store.connect(self.url, name="replay") for _ in range(2))

    def _disconnect(self) -> None:
        for connection in self._connections:
            connection.close()
        self._connections = ()

    def _require_database(self, at: datetime) -> None:
        """Waits for a server that restarts; without this a replay would go through all its minutes without one."""
        deadline = wall_time.monotonic() + DATABASE_PATIENCE_SECONDS
        while not self._connected():
            try:
                self._connect()
            except DatabaseUnreachable as error:
                if wall_time.monotonic() > deadline:
                    text = f"the database went away in mid-replay, at {at:%H:%M}Z: {error}"
                    raise DatabaseUnreachable(text) from error
                wall_time.sleep(0.2)

    def _connected(self) -> bool:
        try:
            for connection in self._connections:
                connection.execute("select 1")
        except psycopg.OperationalError:
            return False
        return bool(self._connections)

    # ── what a run is given ──────────────────────────────────────────────────────────────────────────────────────────

    @property
    def _prefix(self) -> str:
        return f"replay-{self.id}-"

    def _environment(self, service: Service, at: datetime, execution_id: str) -> dict[str, str]:
        given = self._parameters()
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

    def _parameters(self) -> Mapping[str, str]:
        """The parameters that a replay sets; the others have the value that a new environment starts with."""
        return {
            "tickers": ",".join(self.plan.symbols),
            "rss_feeds": json.dumps([self._feeds.url(name) for name in self._feeds.names or [DEFAULT_FEED]]),
            "alpaca_key_id": self._exchange.key_id,
            "alpaca_secret_key": self._exchange.secret_key,
            **self.plan.parameters,
        }


_RUNTIMES: dict[str, Callable[[Catalog], ForkRuntime | ProcessRuntime]] = {
    "fork": lambda services: ForkRuntime(services.services, modules=(*LATE_IMPORTS, *READ_ONCE)),
    "process": lambda services: ProcessRuntime(),
}


@cache
def _git_sha() -> str:
    command = ["git", "rev-parse", "--short", "HEAD"]
    try:
        found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    except OSError:
        return "unknown"
    return found.stdout.strip() or "unknown"

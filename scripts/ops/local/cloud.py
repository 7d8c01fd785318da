"""The deployed system on one machine: emulator, plane, PostgreSQL, exchange and feeds under one virtual clock."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from psycopg.conninfo import conninfo_to_dict

from ops.local import applied
from ops.local.aws import LocalAws
from ops.local.database import CloudDatabase, Managed, beside, managed
from ops.local.exchange import Exchange, Market
from ops.local.feeds import FeedServer
from ops.local.news_file import DEFAULT_FEED, NewsItem
from ops.local.plane import Minute, Plane
from ops.local.plane.containers import Containers
from ops.replay_news import ITEMS_A_FEED, spread
from ops.terraform_workspace import LOCAL, Workspace
from pipeline import catalog
from pipeline.errors import DatabaseUnreachable, PipelineError

MINUTE = timedelta(minutes=1)
# What goes on before the first minute: no silence alarm looks back further, so that a cloud begins as one that runs.
WARM_UP = timedelta(minutes=15)


class CloudFailed(PipelineError):
    """A part of the local cloud did not start, or the time went backwards."""


@dataclass(kw_only=True)
class Cloud:
    """All parts, running. `environment` is what a shell command needs to find them."""

    aws: LocalAws
    workspace: Workspace
    database: CloudDatabase
    exchange: Exchange
    feeds: FeedServer
    plane: Plane
    make_plane: Callable[[LocalAws], Plane]
    symbols: tuple[str, ...]
    now: datetime
    minutes: list[Minute] = field(default_factory=list)
    moved: bool = False

    @property
    def database_url(self) -> str:
        """A superuser's way to the database; after a restore it may be another. Raises DatabaseUnreachable while the
        region that the cloud has moved to has none."""
        return self.database.url

    @property
    def environment(self) -> dict[str, str]:
        """For a command beside the cloud: where AWS, the database, the exchange and the clock are."""
        return {
            **self.aws.environment(os.environ),
            **machine(self.exchange),
            **self._database_address(),
            **self.database.trust,
            **{f"TF_VAR_{name}": _as_variable(value) for name, value in self.workspace.variables.items()},
            "OPS_CLOCK_URL": self.aws.url,
            "OPS_REBUILD_WORK": str(self.aws.state_dir.parent / "rebuild"),
        }

    def _database_address(self) -> dict[str, str]:
        try:
            return {"DATABASE_URL": self.database_url}
        except DatabaseUnreachable:
            return {}

    def tick(self, at: datetime, *, alarms: bool = True) -> Minute:
        """Plays the virtual minute that begins at `at`. Raises CloudFailed where that is not later than the last."""
        if self.minutes and at <= self.minutes[-1].at:
            raise CloudFailed(f"{at:%H:%M}Z was played already; the clock stands at {self.minutes[-1].at:%H:%M}Z")
        self.now = at
        self.aws.set_now(at)
        self.exchange.set_now(at)
        self.feeds.set_now(at)
        self.database.tick()
        if self.moved:
            self.aws.confirm_subscriptions()
        played = self.plane.tick(at, alarms=alarms)
        self.minutes.append(played)
        return played

    def kill(self, name: str) -> None:
        """Ends a part as SIGKILL does."""
        self._part(name, {"postgres": self.database.kill, "aws": self.aws.down} | self._servers("stop"))()

    def lose_region(self, following: str) -> None:
        """The region is gone with all in it; what is played from now on is played in the other, and whoever is to hear
        of alarms there follows the links in AWS's mails. Raises CloudFailed without a database of the account's own."""
        if not isinstance(self.database, Managed):
            raise CloudFailed(
                f"environment {self.workspace.environment} has no database that another region could have"
            )
        self.plane.close()
        self.database.kill()
        self.aws.lose_regions(self.aws.region)
        self.aws = LocalAws(self.aws.state_dir, region=following)
        self.database.follow(self.aws)
        work = self.workspace.work / following
        self.workspace = replace(self.workspace, aws=self.aws, region=following, work=work)
        self.plane = self.make_plane(self.aws)
        self.moved = True

    def stop(self, name: str) -> None:
        """Ends a part in an orderly way."""
        self._part(name, {"postgres": self.database.stop, "aws": self._save_and_stop} | self._servers("stop"))()

    def start(self, name: str) -> None:
        """Starts a part that was stopped or killed, at its old address."""
        self._part(name, {"postgres": self.database.start, "aws": self._start_aws} | self._servers("start"))()

    @contextmanager
    def published(self) -> Iterator[None]:
        """Within it, `scripts/local-aws env` leads a shell to all parts (if this is the checkout's own local AWS)."""
        found = {name: value for name, value in self.environment.items() if name not in os.environ}
        target = conninfo_to_dict(self.database_url)
        given = {"PGHOST": "host", "PGPORT": "port", "PGUSER": "user", "PGDATABASE": "dbname"}
        found |= {name: str(target[key]) for name, key in given.items() if target.get(key)}
        path = self.aws.beside_path
        path.write_text(json.dumps(found), encoding="utf-8")
        try:
            yield
        finally:
            path.unlink(missing_ok=True)

    def _servers(self, verb: str) -> dict[str, Callable[[], object]]:
        return {"exchange": getattr(self.exchange, verb), "feeds": getattr(self.feeds, verb)}

    def _part(self, name: str, known: Mapping[str, Callable[[], object]]) -> Callable[[], object]:
        if name not in known:
            raise CloudFailed(f"no part {name!r} of the cloud; there are: {', '.join(known)}")
        return known[name]

    def _save_and_stop(self) -> None:
        self.aws.save()
        self.aws.down()

    def _start_aws(self) -> None:
        self.aws.up(detached=False)
        self.aws.set_now(self.now)
        self.plane.deployed.reconnect()


@contextmanager
def open_cloud(
    market: Market,
    news: Sequence[NewsItem],
    *,
    start: datetime,
    runtime: str = "fork",
    seed: int = 1,
    parameters: Mapping[str, str] | None = None,
    variables: Mapping[str, Any] | None = None,
    folder: Path | None = None,
    workspace: Workspace | None = None,
    environment: str = LOCAL,
) -> Iterator[Cloud]:
    """A cloud whose first minute will be `start` (whole, aware), as if it had run before; it ends with the `with`.

    `environment` is the one that is applied for it; one that declares a database gets a server behind its RDS.
    `workspace` is an applied environment to use in the place of one of its own. `parameters` take the place of what is
    set at first (by name, as in the catalogue), `variables` that of Terraform's where it is applied for this. Raises
    CloudFailed, and what the parts raise.
    """
    with ExitStack() as stack:
        place = folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ops-cloud-")))
        images = applied.images_of_checkout()
        account = workspace or stack.enter_context(
            applied.applied(environment, place / "account", images, dict(variables or {}))
        )
        aws = account.aws
        assert aws
        own = account.environment != LOCAL
        database = managed(account, stack) if own else beside(stack)
        exchange = stack.enter_context(Exchange(market))
        feeds = stack.enter_context(FeedServer(spread(news), newest=ITEMS_A_FEED))
        address = None if own else database.url
        set_parameters(aws, first_values(market, exchange, feeds, address) | dict(parameters or {}))
        containers = stack.enter_context(_containers(runtime))
        surroundings = {**machine(exchange), **database.trust}

        def make_plane(aws: LocalAws) -> Plane:
            return Plane(aws, environment=surroundings, containers=containers, seed=seed)

        cloud = Cloud(
            aws=aws,
            workspace=account,
            database=database,
            exchange=exchange,
            feeds=feeds,
            plane=make_plane(aws),
            make_plane=make_plane,
            symbols=market.symbols,
            now=start,
        )
        stack.callback(lambda: cloud.plane.close())
        _warm_up(cloud, start)
        yield cloud


def _warm_up(cloud: Cloud, start: datetime) -> None:
    at = start - WARM_UP
    while at < start:
        cloud.tick(at, alarms=at + MINUTE == start)  # so that all alarms have left INSUFFICIENT_DATA by then
        at += MINUTE


def _containers(runtime: str) -> Containers:
    services = list(catalog.load().services)
    if runtime == "podman":
        from ops.local.plane.podman import PodmanContainers  # loads what only engines need

        return PodmanContainers(services)
    return Containers(runtime, services)


def machine(exchange: Exchange) -> dict[str, str]:
    """What stands in for the network: where the provider is, and that all this is local."""
    return {"ENVIRONMENT": "local", "ALPACA_DATA_URL": exchange.url, "ALPACA_TRADING_URL": exchange.url}


def _as_variable(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def first_values(market: Market, exchange: Exchange, feeds: FeedServer, database_url: str | None) -> dict[str, str]:
    """What an operator would have set: symbols, feeds, keys, and each service's way to a database of ours."""
    addresses = {f"database_url/{service.name}": database_url for service in catalog.load()} if database_url else {}
    return {
        "tickers": ",".join(market.symbols),
        "rss_feeds": json.dumps([feeds.url(name) for name in feeds.names or [DEFAULT_FEED]]),
        "alpaca_key_id": exchange.key_id,
        "alpaca_secret_key": exchange.secret_key,
        **addresses,
    }


def set_parameters(aws: LocalAws, values: Mapping[str, str]) -> None:
    """At the time when everything was made: what a session begins with was not changed lately."""
    aws.set_now(applied.BORN + timedelta(hours=1))
    ssm = aws.client("ssm", plane=True)
    for name, value in values.items():
        ssm.put_parameter(Name=f"/{catalog.load().project}/{name}", Value=value, Overwrite=True)

"""Runs the exchange as a process of its own: prints one JSON line (url, admin token, keys), serves until told to stop.

python -m ops.local.exchange --bars FILE.csv[.gz] [--port 0] [--now 2013-10-07T13:30:00Z]
python -m ops.local.exchange --synthetic AAPL,MSFT --date 2026-01-26 --seed 7
"""

from __future__ import annotations

import signal
import sys
from datetime import UTC, date, datetime
from pathlib import Path
from threading import Event

import click

from ops.local.exchange.market import Market, load_csv
from ops.local.exchange.server import Exchange, describe
from ops.local.exchange.synthetic import market as synthetic_market
from pipeline.errors import PipelineError


@click.command()
@click.option("--bars", type=click.Path(path_type=Path), help="Replay this bars CSV.")
@click.option("--synthetic", "symbols", help="Make a market for these symbols, with commas.")
@click.option("--date", "day", type=click.DateTime(["%Y-%m-%d"]), help="Session of the synthetic market.")
@click.option("--history", default=1, show_default=True, help="Synthetic sessions before it.")
@click.option("--seed", default=0, show_default=True)
@click.option("--port", default=0, show_default=True)
@click.option("--now", type=click.DateTime(["%Y-%m-%dT%H:%M:%SZ"]), help="Stand still at this UTC time.")
@click.option("--rate-limit", default=200, show_default=True, help="Requests a minute; 0: no limit.")
def main(
    bars: Path | None,
    symbols: str | None,
    day: datetime | None,
    history: int,
    seed: int,
    port: int,
    now: datetime | None,
    rate_limit: int,
) -> None:
    """Serve a private Alpaca on 127.0.0.1."""
    if (bars is None) == (symbols is None):
        raise click.UsageError("give either --bars FILE or --synthetic SYMBOLS")
    try:
        market = load_csv(bars) if bars else _made(symbols or "", day, history, seed)
    except PipelineError as error:
        raise click.ClickException(str(error)) from error
    with Exchange(market, port=port, seed=seed, rate_limit=rate_limit or None) as exchange:
        exchange.set_now(now.replace(tzinfo=UTC) if now else None)
        print(describe(exchange), flush=True)
        stop = Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        stop.wait()


def _made(symbols: str, day: datetime | None, history: int, seed: int) -> Market:
    wanted: date = day.date() if day else datetime.now(UTC).date()
    return synthetic_market(symbols.split(","), wanted, seed=seed, history_sessions=history)


if __name__ == "__main__":
    sys.exit(main())

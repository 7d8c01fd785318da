"""Every real day replayed plain, and with an outage and a kill of each service in turn; and the table of it."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from datetime import timedelta
from itertools import cycle
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from ops.local import exchange
from ops.local.exchange import Market
from ops.replay import sessions_of
from pipeline import catalog

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "bench-results" / "matrix.json"
DOCUMENT = ROOT / "docs" / "matrix.md"
# Half an hour holds several runs of every service; the kill comes when windows are full and news has come in.
OUTAGE = "11:00-11:30"
KILL = "13:37"
TOLD = (
    "session_bars_in_file",
    "session_bars_stored",
    "bars_lost",
    "bars_duplicated",
    "features",
    "features_wrong",
    "features_missing",
    "lookahead_violations",
    "news",
    "news_unclassified",
    "sentiments",
    "signals",
    "dispatches",
    "dispatches_duplicated",
    "gaps",
    "runs_killed",
    "kills_missed",
    "unfinished",
    "wall_seconds",
    "peak_rss_mb",
)
SAMPLED = "This is the sample: every day plain, each trouble of each service once, spread over the days."
NEWS_EVERY = timedelta(minutes=4)
LOOK_BACK = timedelta(minutes=30)


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One replay of the matrix: a day's file, and what happens to which service ("plain": nothing)."""

    bars: Path
    trouble: str
    service: str = ""

    @property
    def key(self) -> str:
        return f"{self.bars.stem} {self.name}"

    @property
    def name(self) -> str:
        return f"{self.trouble} {self.service}".strip()

    @property
    def options(self) -> list[str]:
        happens = {"outage": ["--outage", f"{self.service}={OUTAGE}"], "kill": ["--kill", f"{self.service}@{KILL}"]}
        return happens.get(self.trouble, [])


def cells(days: Sequence[Path], services: Sequence[str], *, sample: bool) -> list[Cell]:
    """All cells; as a sample every day plain, and each trouble of each service once, spread over the days."""
    plain = [Cell(bars=day, trouble="plain") for day in days]
    troubles = [(trouble, service) for trouble in ("outage", "kill") for service in services]
    if sample:
        chosen = zip(cycle(days), troubles, strict=False)
        return plain + [Cell(bars=day, trouble=trouble, service=service) for day, (trouble, service) in chosen]
    return plain + [Cell(bars=day, trouble=t, service=service) for day in days for t, service in troubles]


@click.command()
@click.option("--sample", is_flag=True, help="Only every day plain, and each trouble of each service once.")
@click.option("--workers", default=2, show_default=True, help="Replays at a time.")
@click.option("--afresh", is_flag=True, help="Run again what has a result already.")
def main(sample: bool, workers: int, afresh: bool) -> None:
    """Replay the matrix; done cells are kept in bench-results/matrix.json, so an interrupted matrix goes on.

    Exit codes: 0 every cell is clean; 3 one is not; 2 no data.
    """
    folder = Path(os.environ.get("OPS_SHARED_DATA") or ROOT.parent / "shared" / "data")
    days = sorted((folder / "bars").glob("*.csv"))
    if not days:
        raise click.UsageError(f"no bars in {folder / 'bars'}; set OPS_SHARED_DATA to the folder of the real data")
    wanted = cells(days, list(catalog.load().services), sample=sample)
    results = {} if afresh else _results()
    waiting = [cell for cell in wanted if results.get(cell.key, {}).get("exit") != 0]
    console = Console()
    console.print(f"{len(wanted)} replays, {len(wanted) - len(waiting)} of them done before")
    with tempfile.TemporaryDirectory() as scratch, ThreadPoolExecutor(workers) as pool:
        news = {day: write_news(day, folder / "news" / "train.csv", Path(scratch)) for day in days}
        running = {pool.submit(_replay, cell, news[cell.bars], Path(scratch)): cell for cell in waiting}
        for future in as_completed(running):
            results[running[future].key] = future.result()
            _keep(results)
            console.print(_line(running[future], future.result()), highlight=False)
    DOCUMENT.write_text(document(wanted, results, sample=sample), encoding="utf-8")
    sys.exit(0 if all(results[cell.key]["exit"] == 0 for cell in wanted) else 3)


def _results() -> dict[str, Any]:
    return dict(json.loads(RESULTS.read_text(encoding="utf-8"))) if RESULTS.is_file() else {}


def _keep(results: Mapping[str, Any]) -> None:
    RESULTS.parent.mkdir(exist_ok=True)
    new = RESULTS.with_suffix(".new")
    new.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    new.replace(RESULTS)


def _replay(cell: Cell, news: Path, scratch: Path) -> dict[str, Any]:
    """Runs one cell in a process and a database of its own; its exit code, what it counted, its words if it failed."""
    report = scratch / f"{cell.key}.json"
    command = [sys.executable, "-m", "ops.replay", "--bars", str(cell.bars), "--news", str(news)]
    environment = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    ended = subprocess.run(
        [*command, "--report", str(report), *cell.options], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    found = json.loads(report.read_text(encoding="utf-8")) if report.is_file() else {}
    told = {name: found[name] for name in TOLD if name in found}
    if ended.returncode != 0:
        told |= {"said": (ended.stderr or ended.stdout)[-2000:], "failures": found.get("failures", [])[:3]}
    return {"exit": ended.returncode, **told}


def _line(cell: Cell, result: Mapping[str, Any]) -> str:
    verdict = "clean" if result["exit"] == 0 else f"exit {result['exit']}"
    return f"{cell.key}: {verdict}, {result.get('session_bars_stored')} bars, {result.get('wall_seconds')} s"


# ── news for days that have none: real headlines, told of the symbols when they would agree with the tape ───────────


def write_news(bars: Path, headlines: Path, folder: Path) -> Path:
    """A news file for a day: every few minutes a real headline about one of its symbols, of the sign that the symbol's
    last half hour has, so that the watchlist, signals and dispatches have something to do."""
    market = exchange.load_csv(bars)
    texts = {sign: cycle(_texts(headlines, label)) for sign, label in ((True, "positive"), (False, "negative"))}
    path = folder / f"{bars.stem}-news.csv"
    with path.open("w", newline="", encoding="utf-8") as out:
        rows = csv.writer(out)
        rows.writerow(("published_at", "title", "summary", "link"))
        for number, (at, symbol, rising) in enumerate(_moments(market)):
            rows.writerow((at, f"${symbol} - {next(texts[rising])}", "", f"https://news.invalid/{number}"))
    return path


def _texts(path: Path, label: str) -> list[str]:
    with path.open(newline="", encoding="utf-8") as lines:
        kept = [row["text"] for row in csv.DictReader(lines) if row["sentiment"] == label]
    return [" ".join(word for word in text.split() if not word.startswith(("$", "http"))) for text in kept]


def _moments(market: Market) -> Iterator[tuple[str, str, bool]]:
    session = sessions_of(market)[0]
    at, symbols = session.open + LOOK_BACK, cycle(market.symbols)
    while at < session.close:
        symbol = next(symbols)
        now, before = (_close(market, symbol, int(t.timestamp())) for t in (at, at - LOOK_BACK))
        yield at.isoformat(), symbol, now >= before
        at += NEWS_EVERY / len(market.symbols)


def _close(market: Market, symbol: str, at: int) -> float:
    """The symbol's last close before `at`, epoch seconds."""
    rows = market.rows(symbol)
    before = int((market.ts[rows] < at).sum())
    return float(market.close[rows][max(before - 1, 0)])


# ── the table ────────────────────────────────────────────────────────────────────────────────────────────────────────

COLUMNS = {
    "bars stored / in file": lambda r: f"{r['session_bars_stored']} / {r['session_bars_in_file']}",
    "lost": lambda r: r["bars_lost"],
    "features wrong / missing": lambda r: f"{r['features_wrong']} / {r['features_missing']}",
    "look-ahead": lambda r: r["lookahead_violations"],
    "news / classified": lambda r: f"{r['news']} / {r['sentiments']}",
    "signals": lambda r: r["signals"],
    "dispatches": lambda r: r["dispatches"],
    "doubled": lambda r: r["bars_duplicated"] + r["dispatches_duplicated"],
    "left undone": lambda r: len(r["unfinished"]),
    "seconds": lambda r: round(r["wall_seconds"]),
}


def document(wanted: Sequence[Cell], results: Mapping[str, Any], *, sample: bool) -> str:
    """docs/matrix.md."""
    head = ["day", "trouble", *COLUMNS, "exit"]
    lines = [
        "# The replay matrix",
        "",
        "Written by `make matrix`. Each line is one session of the real bars, replayed from open to close through all"
        f" services, with an outage of a service ({OUTAGE} New York) or SIGKILL in the middle of one of its writes"
        f" ({KILL}, or its next run). News are real headlines, told of the symbols every few minutes.",
        "Exit 0: nothing lost, duplicated, wrong, ahead of its time or left undone.",
        *(["", SAMPLED] if sample else []),
        "",
        f"| {' | '.join(head)} |",
        f"|{'---|' * len(head)}",
    ]
    for cell in wanted:
        result = results[cell.key]
        values = [shown(result) if "wall_seconds" in result else "" for shown in COLUMNS.values()]
        lines.append(f"| {' | '.join(map(str, [cell.bars.stem, cell.name, *values, result['exit']]))} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()

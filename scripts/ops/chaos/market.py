"""The market section of a scenario: which bars and news there are, which day is played, from when to when."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from ops.chaos import moments
from ops.document import Complaints, Document, Mistake, remedy
from ops.local.exchange import Market, load_csv, synthetic
from ops.local.exchange.headlines import chatter
from ops.local.news_file import NewsFileUnusable, NewsItem, read_news
from ops.replay import HISTORY_SESSIONS, sessions_of
from ops.replay_plan import BadPlan
from pipeline import catalog, sessions, settings
from pipeline.errors import ConfigInvalid
from pipeline.sessions import Session

ROOT = Path(__file__).resolve().parents[3]
SHARED = "shared"
# What a closed day is played from and to where the scenario does not say.
CLOSED_FROM, CLOSED_TO = "09:30", "16:00"
SEED = 1
# News from before the first minute, so that the first look at the feeds finds some.
EARLIER = timedelta(hours=1)


@dataclass(frozen=True, kw_only=True)
class Day:
    """What is played: the market, its news, and the stretch of one day in [start, end] (UTC).

    `session` is None where the exchange is closed all day.
    """

    market: Market
    news: tuple[NewsItem, ...]
    date: date
    session: Session | None
    start: datetime
    end: datetime

    @property
    def expected(self) -> tuple[datetime, datetime] | None:
        """The part of the regular session that lies in the window, or None."""
        if self.session is None:
            return None
        first, last = max(self.start, self.session.open), min(self.end, self.session.close)
        return (first, last) if first < last else None


def read(document: Document, complaints: Complaints, seed: int | None) -> Day | None:
    """The day that the scenario plays; None where complaints were found. `seed` overrules the scenario's."""
    raw: Mapping[str, Any] = document.content["market"]
    if ("bars" in raw) == ("synthetic" in raw):
        complaints.add("write either bars: FILE or synthetic: {} with a date", "market")
        return None
    before = len(complaints.found)
    day = _date(raw, complaints)
    market = _bars(document, complaints) if "bars" in raw else _synthetic(raw, day, complaints, seed)
    if market is None or len(complaints.found) > before:
        return None
    if day is None:
        with complaints.collecting("market", "bars", also=(BadPlan,)):
            day = sessions_of(market)[-1].date
    if day is None or not _window_fits(raw, market, day, complaints):
        return None
    start, end = _window(raw, day)
    played = Day(market=market, news=(), date=day, session=sessions.find(day), start=start, end=end)
    return _with_news(document, complaints, played, SEED if seed is None else seed)


def _date(raw: Mapping[str, Any], complaints: Complaints) -> date | None:
    if "date" not in raw:
        if "synthetic" in raw:
            complaints.add("a synthetic market needs a date; add date: 2026-01-26, say", "market", "synthetic")
        return None
    with complaints.collecting("market", "date", also=(ValueError,)):
        day = date.fromisoformat(raw["date"])
        sessions.find(day)
        return day
    return None


def find_file(document: Document, name: str) -> Path:
    """A file named in a scenario: beside it, in the shared data, or in the project. Raises Mistake."""
    candidates = list(_candidates(document.path.parent, Path(name)))
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    near = remedy(Path(name).name, _siblings(candidates))
    looked = ", ".join(dict.fromkeys(str(candidate.parent) for candidate in candidates))
    raise Mistake(f"there is no file {name!r} (looked in {looked}); {near}")


def _candidates(folder: Path, path: Path) -> Iterator[Path]:
    yield folder / path
    parts = [part for part in path.parts if part not in ("..", ".")]
    if parts and parts[0] == SHARED and not path.is_absolute():
        shared = Path(os.environ.get("OPS_SHARED_DATA") or ROOT.parent / SHARED / "data")
        rest = parts[2:] if parts[1:2] == ["data"] else parts[1:]
        yield shared.joinpath(*rest)
    yield ROOT / path


def _siblings(candidates: list[Path]) -> list[str]:
    """The files that lie where one was looked for."""
    folders = [candidate.parent for candidate in candidates if candidate.parent.is_dir()]
    return sorted({found.name for folder in folders for found in folder.iterdir() if found.suffix in (".csv", ".gz")})


def _bars(document: Document, complaints: Complaints) -> Market | None:
    with complaints.collecting("market", "bars"):
        market = load_csv(find_file(document, document.content["market"]["bars"]))
        market.span()
        return market
    return None


def _synthetic(raw: Mapping[str, Any], day: date | None, complaints: Complaints, seed: int | None) -> Market | None:
    given = raw["synthetic"]
    symbols = thin = None
    with complaints.collecting("market", "synthetic", "symbols"):
        symbols = parse_symbols(given["symbols"]) if "symbols" in given else default_symbols()
    with complaints.collecting("market", "synthetic", "thin"):
        thin = parse_symbols(given["thin"]) if "thin" in given else ()
        if symbols and (strange := sorted(set(thin) - set(symbols))):
            raise Mistake(f"{strange[0]} is not one of the symbols; {remedy(strange[0], symbols)}")
    if symbols is None or thin is None or day is None:
        return None
    with complaints.collecting("market", "date"):
        return synthetic.market(
            symbols,
            _last_session(day),
            seed=given.get("seed", SEED) if seed is None else seed,
            history_sessions=HISTORY_SESSIONS,
            events=given.get("events"),
            thin=thin,
        )
    return None


def _last_session(day: date) -> date:
    """The day itself where it has a session, else the last day before that has one."""
    found = sessions.find(day) or sessions.latest(datetime(day.year, day.month, day.day, tzinfo=UTC))[-1]
    return found.date


def parse_symbols(given: str | list[str]) -> tuple[str, ...]:
    """Symbols as a scenario writes them. Raises ConfigInvalid."""
    return settings.parse_symbols(given if isinstance(given, str) else ",".join(given), where="symbols")


def default_symbols() -> tuple[str, ...]:
    """The symbols that the catalogue starts an environment with."""
    for parameter in catalog.load().parameters.values():
        if parameter.kind == "symbols" and parameter.initial:
            return settings.parse_symbols(parameter.initial)
    raise ConfigInvalid("the catalogue has no symbols; name some")


def _window_fits(raw: Mapping[str, Any], market: Market, day: date, complaints: Complaints) -> bool:
    """Whether there is anything to play; else says so."""
    start, end = _window(raw, day)
    if start >= end:
        first, last = moments.clock(start), moments.clock(end)
        key = "to" if "to" in raw else "from"
        complaints.add(f"from {first} to {last} is no stretch of time; from must lie before to", "market", key)
        return False
    begins, ends = market.span()
    if begins >= end:
        told = f"its bars begin only after the window, on {begins:%Y-%m-%d}, and end on {ends:%Y-%m-%d}"
        complaints.add(f"{told}; choose a date among them, or a later one", "market", "date" if "date" in raw else "to")
        return False
    return True


def _window(raw: Mapping[str, Any], day: date) -> tuple[datetime, datetime]:
    session = sessions.find(day)
    opens = session.open if session else moments.on(day, CLOSED_FROM)
    closes = session.close if session else moments.on(day, CLOSED_TO)
    start = moments.on(day, raw["from"]) if "from" in raw else opens
    end = moments.on(day, raw["to"]) if "to" in raw else closes
    return start, end


def _with_news(document: Document, complaints: Complaints, day: Day, seed: int) -> Day | None:
    """The day with the news that the scenario asks for."""
    wanted = document.content["market"].get("news", "synthetic")
    if wanted == "none":
        return day
    if wanted == "synthetic":
        return replace(day, news=(*day.market.news, *_chatter(day, seed)))
    with complaints.collecting("market", "news", also=(NewsFileUnusable,)):
        return replace(day, news=(*day.market.news, *read_news(find_file(document, wanted)).items))
    return None


def _chatter(day: Day, seed: int) -> Iterator[NewsItem]:
    """Quiet news for the stretches of which the market itself tells none."""
    dice = np.random.default_rng([seed, day.date.toordinal()])
    stretches = [(day.start - EARLIER, day.end)]
    if day.market.news and day.session:
        stretches = [
            (day.start - EARLIER, min(day.session.open, day.end)),
            (max(day.session.close, day.start), day.end),
        ]
    for start, end in stretches:
        yield from chatter(day.market.symbols, start, max(0, int((end - start) / timedelta(minutes=1))), dice)

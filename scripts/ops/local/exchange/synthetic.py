"""A made-up market that behaves: real session hours, U-shaped volume, and news after which prices drift.

Seeded and vectorised: every array is symbols × minutes, so that 8,000 symbols × 390 minutes take about two seconds.
Shapes: volume and volatility are high at the open, low at noon, higher at the close. A news event lifts volatility and
spreads a drift of about 0.03 % a minute over 30–60 minutes (so a price stays within 1 % of its 20-bar mean) with bursts
of 1.5–4 times the usual volume.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from datetime import date, timedelta

import numpy as np

from ops.local.exchange.headlines import Event, burst, chatter
from ops.local.exchange.market import Floats, Headline, Ints, Market, seconds
from pipeline import sessions
from pipeline.errors import PipelineError

# Price (USD), shares a day and daily volatility (per cent): orders of magnitude of early 2026, not quotes.
LEVELS = {
    "AAPL": (255.0, 45e6, 1.4),
    "MSFT": (465.0, 22e6, 1.3),
    "TSLA": (440.0, 75e6, 2.6),
    "GOOGL": (330.0, 30e6, 1.6),
    "AMZN": (240.0, 40e6, 1.6),
    "META": (660.0, 13e6, 1.7),
    "NVDA": (186.0, 150e6, 2.0),
}
DRIFT_A_MINUTE = 0.0003
OVERNIGHT = 0.003


class NoSession(PipelineError):
    """A synthetic market was asked for a date on which the exchange is closed."""


def market(
    symbols: Iterable[str],
    dates: date | Sequence[date],
    *,
    seed: int = 0,
    history_sessions: int = 0,
    events: int | Sequence[Event] | None = None,
    thin: Iterable[str] = (),
) -> Market:
    """One-minute bars and news of the given session dates, after `history_sessions` quiet sessions before the first.

    `events`: how many news events each date has (default: one for two symbols of three, at most 12), or exactly which
    (on every date). `thin` symbols skip about six minutes of ten; every other has a bar each minute. Same arguments,
    same market. Raises NoSession on a date without a session, CalendarEnds outside the sessions table.
    """
    names = tuple(sorted(set(symbols)))
    days = [dates] if isinstance(dates, date) else sorted(dates)
    quiet = _history(days[0], history_sessions)
    made = _Maker(names, seed)
    parts = [made.session(session, (), news=False) for session in quiet]
    for day in days:
        session = sessions.find(day)
        if session is None:
            raise NoSession(f"{day} has no session; the exchange is closed that day, choose another date")
        chosen = made.choose(session, events) if events is None or isinstance(events, int) else tuple(events)
        parts.append(made.session(session, chosen, news=True))
    return _joined(names, parts, made.news, _skipped(names, frozenset(thin), len(quiet) + len(days), seed))


def _history(first: date, count: int) -> list[sessions.Session]:
    opening = sessions.find(first)
    if opening is None:
        raise NoSession(f"{first} has no session; the exchange is closed that day, choose another date")
    return sessions.latest(opening.open - timedelta(minutes=1), count) if count else []


class _Maker:
    """The state that runs from session to session: last prices, and the dice."""

    def __init__(self, names: tuple[str, ...], seed: int) -> None:
        self.names = names
        self.dice = np.random.default_rng(seed)
        levels = [_level(name) for name in names]
        self.price = np.array([level[0] for level in levels])
        self.daily_volume = np.array([level[1] for level in levels])
        self.daily_volatility = np.array([level[2] for level in levels]) / 100
        self.news: list[Headline] = []

    def choose(self, session: sessions.Session, count: int | None) -> tuple[Event, ...]:
        """Events on different symbols, spread over the day, up and down by turns."""
        wanted = min(12, -(-2 * len(self.names) // 3)) if count is None else min(count, len(self.names))
        picked = self.dice.permutation(len(self.names))[:wanted].tolist()
        room = max(1, session.minutes - 90)
        return tuple(
            Event(
                symbol=self.names[symbol],
                start=30 + int((number + self.dice.random()) * room / max(1, wanted)) if room > 30 else 10,
                minutes=int(self.dice.integers(30, 61)),
                direction=1 if number % 2 == 0 else -1,
            )
            for number, symbol in enumerate(picked)
        )

    def session(self, session: sessions.Session, events: Sequence[Event], *, news: bool) -> tuple[Ints, list[Floats]]:
        """Times of the session's minutes, and open, high, low, close, volume as symbols × minutes."""
        count = session.minutes
        shape = (len(self.names), count)
        sigma = self.daily_volatility[:, None] / np.sqrt(count) * _curve(count, 2.0, 0.75, 1.3)
        drift, excited, busy = self._effects(events, shape)
        returns = self.dice.standard_normal(shape) * sigma * excited + drift
        start = self.price * np.exp(self.dice.standard_normal(shape[0]) * OVERNIGHT)
        close = np.maximum(np.round(start[:, None] * np.exp(np.cumsum(returns, axis=1)), 2), 0.01)
        opened = np.concatenate([np.round(start, 2)[:, None], close[:, :-1]], axis=1)
        reach = np.abs(self.dice.standard_normal((2, *shape))) * sigma * excited * 0.5
        high = np.maximum(np.round(np.maximum(opened, close) * (1 + reach[0]), 2), np.maximum(opened, close))
        low = np.minimum(np.round(np.minimum(opened, close) * (1 - reach[1]), 2), np.minimum(opened, close))
        noise = np.exp(self.dice.standard_normal(shape) * 0.25)
        volume = self.daily_volume[:, None] / count * _curve(count, 2.6, 0.7, 2.2) * noise * busy
        if news:
            self._write(session, events, close)
        self.price = close[:, -1]
        times = seconds(session.open) + 60 * np.arange(count, dtype=np.int64)
        return times, [opened, high, np.maximum(low, 0.01), close, np.maximum(np.floor(volume), 1)]

    def _effects(self, events: Sequence[Event], shape: tuple[int, int]) -> tuple[Floats, Floats, Floats]:
        """Drift a minute, and factors on volatility and volume, as symbols × minutes."""
        drift, excited, busy = np.zeros(shape), np.ones(shape), np.ones(shape)
        position = {name: i for i, name in enumerate(self.names)}
        for event in events:
            at = position[event.symbol]
            moved = slice(min(event.start + 1, shape[1]), min(event.start + event.minutes, shape[1]))
            length = moved.stop - moved.start
            drift[at, moved] += event.direction * DRIFT_A_MINUTE
            excited[at, moved] = 1.5
            surges = np.where(self.dice.random(length) < 0.35, self.dice.uniform(2.2, 4.0, length), 1.2)
            surges[:1] = 3.5
            busy[at, moved] = surges
        return drift, excited, busy

    def _write(self, session: sessions.Session, events: Sequence[Event], close: Floats) -> None:
        position = {name: i for i, name in enumerate(self.names)}
        for event in events:
            if event.start < session.minutes:
                price = float(close[position[event.symbol], event.start])
                self.news += burst(event, session.open, price, self.dice)
        self.news += chatter(self.names, session.open, session.minutes, self.dice)


def _level(symbol: str) -> tuple[float, float, float]:
    """Price, shares a day, daily volatility in per cent; from a hash of the name outside the seven."""
    if symbol in LEVELS:
        return LEVELS[symbol]
    mixed = zlib.crc32(symbol.encode())
    price, volume, wild = mixed % 997 / 997, mixed // 997 % 991 / 991, mixed // 988027 % 97 / 97
    return round(8 * 50**price, 2), 2e5 * 150**volume, 1.0 + 2.5 * wild


def _curve(count: int, opening: float, noon: float, closing: float) -> Floats:
    """A U over the session with mean 1: exponential fall from the open, rise into the close."""
    x = np.linspace(0, 1, count)
    u = noon + (opening - noon) * np.exp(-x / 0.08) + (closing - noon) * np.exp((x - 1) / 0.08)
    return np.asarray(u / u.mean(), dtype=np.float64)


def _skipped(names: tuple[str, ...], thin: frozenset[str], days: int, seed: int) -> tuple[Ints, np.random.Generator]:
    at = np.array([i for i, name in enumerate(names) if name in thin], dtype=np.int64)
    return at, np.random.default_rng([seed, days])


def _joined(
    names: tuple[str, ...],
    parts: list[tuple[Ints, list[Floats]]],
    news: list[Headline],
    thin: tuple[Ints, np.random.Generator],
) -> Market:
    """All sessions as one market, thinned where asked."""
    ts = np.concatenate([times for times, _ in parts])
    grids = [np.concatenate([columns[i] for _, columns in parts], axis=1) for i in range(5)]
    kept = np.ones(grids[0].shape, dtype=bool)
    at, dice = thin
    kept[at] = dice.random((len(at), len(ts))) < 0.4
    o, h, low, c, volume = (grid[kept] for grid in grids)
    owner, minute = np.nonzero(kept)
    return Market.of_columns(
        names,
        owner.astype(np.int64),
        ts[minute],
        (o, h, low, c),
        volume,
        news=tuple(sorted(news, key=lambda item: item.published_at)),
    )

"""A symbol's session as it is drawn: its bars, and every missing minute with the reason that is known."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from healthcheck.checks import freshness
from healthcheck.page.recent import Bars, SessionBars
from healthcheck.page.states import State
from healthcheck.snapshot import Market, Snapshot, Symbols
from pipeline.sessions import MINUTE

# A minute that is just over may still be on its way.
GRACE_MINUTES = 3
# So that the first bars of a session are no wall of one.
LEAST_MINUTES = 60
UNEXPLAINED = "unexplained"
LOST = ("our_outage", "feed_late", "rejected")


@dataclass(frozen=True, kw_only=True)
class Missing:
    """Minutes `first` to `last`, both missing, counted from the open; `cause` is the ledger's class."""

    first: int
    last: int
    cause: str

    @property
    def minutes(self) -> int:
        return self.last - self.first + 1


@dataclass(frozen=True, kw_only=True)
class Chart:
    """A symbol's session from its open on, `minutes` wide. `late`: session minutes since its newest bar."""

    symbol: str
    opens: datetime
    until: datetime
    minutes: int
    bars: Bars
    missing: tuple[Missing, ...]
    newest: datetime | None
    late: int | None
    newest_features: datetime | None

    @property
    def lost(self) -> int:
        """Minutes that a later answer may bring back."""
        return sum(each.minutes for each in self.missing if each.cause in LOST)

    @property
    def state(self) -> State:
        """By what is missing. A symbol without any bar is not green."""
        if self.newest is None:
            return State.UNKNOWN
        causes = {each.cause for each in self.missing}
        return State.WARNING if causes & {*LOST, UNEXPLAINED} else State.OK


def of(part: SessionBars, snapshot: Snapshot) -> tuple[Chart, ...]:
    """A chart a symbol."""
    return tuple(_chart(bars, part, snapshot) for bars in part.bars)


def _chart(bars: Bars, part: SessionBars, snapshot: Snapshot) -> Chart:
    session, symbols = part.session, snapshot.parts.get(Symbols)
    until = min(snapshot.now, session.close)
    passed = int((until - session.open) / MINUTE)
    states = symbols.states if isinstance(symbols, Symbols) else ()
    state = next((each for each in states if each.symbol == bars.symbol), None)
    newest = session.open + bars.minutes[-1] * MINUTE if bars.minutes else (state.newest_bar if state else None)
    judged = isinstance(snapshot.parts.get(Market), Market)
    return Chart(
        symbol=bars.symbol,
        opens=session.open,
        until=until,
        minutes=min(max(passed, LEAST_MINUTES), session.minutes),
        bars=bars,
        missing=tuple(_missing(bars, session.open, passed, snapshot.now - session.close)),
        newest=newest,
        late=freshness.stale_minutes(newest, snapshot.now) if judged else None,
        newest_features=state.newest_features if state else None,
    )


def _missing(bars: Bars, opens: datetime, passed: int, after_close: timedelta) -> Iterator[Missing]:
    """Stretches of missing minutes of one class. The newest ones may yet come, unless the ledger has them already."""
    causes = _causes(bars, opens)
    there = set(bars.minutes)
    due = passed if after_close > GRACE_MINUTES * MINUTE else passed - GRACE_MINUTES
    found: Missing | None = None
    for minute in range(passed):
        cause = None if minute in there else causes.get(minute, UNEXPLAINED if minute < due else None)
        if found and (cause != found.cause):
            yield found
            found = None
        if cause:
            found = Missing(first=found.first if found else minute, last=minute, cause=cause)
    if found:
        yield found


def _causes(bars: Bars, opens: datetime) -> dict[int, str]:
    causes: dict[int, str] = {}
    for gap in bars.gaps:
        first, last = int((gap.first_minute - opens) / MINUTE), int((gap.last_minute - opens) / MINUTE)
        causes |= dict.fromkeys(range(max(0, first), last + 1), gap.cause)
    return causes

"""Ends the simulated positions whose stop, target or session end the bars have shown."""

from __future__ import annotations

from collections import Counter
from datetime import datetime

from dispatcher import fills, queue
from pipeline import sessions
from pipeline.store import Connection


def settle_simulated(connection: Connection, now: datetime) -> Counter[str]:
    """Writes the end of each open simulated position that has ended by `now`; how many, by reason.

    Positions of earlier sessions are settled too: a dispatcher that was down at the close must not hold them for ever.
    """
    ended: Counter[str] = Counter()
    for position in queue.open_positions(connection, now):
        session = sessions.at(position.filled_at)
        if session is None:
            continue  # no gate lets a fill happen while closed
        bars = queue.bars_of(connection, position, session=session, now=now)
        found = fills.exit_of(position, bars, session, now)
        if found and queue.settle(connection, position, found):
            ended[found.reason] += 1
    return ended

"""Parts of a run's work done side by side on two connections: one part is computed while the other's is read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TypeVar

from pipeline.store import Connection

Part = TypeVar("Part")
Done = TypeVar("Done")

# A statement that is told to end may only just have ended; then the next one is told.
CANCEL_AGAIN_SECONDS = 0.2
CANCEL_TIMEOUT_SECONDS = 5.0


def side_by_side(
    parts: Sequence[Part], work: Callable[[Connection, Part], Done], mine: Connection, helper: Connection | None
) -> list[Done]:
    """What `work` returned for each part, in no order; each is done whole on one of the connections.

    Without a helper all are done on `mine`. What stops this thread stops the helper's too; what stops the helper alone
    is raised when this thread has done the parts that were left."""
    waiting = iter(list(parts))  # of a list, so that taking the next one is a single step and no part is taken twice
    if helper is None:
        return _lane(mine, waiting, work)
    with ThreadPoolExecutor(1) as pool:
        helped = pool.submit(_lane, helper, waiting, work)
        try:
            return _lane(mine, waiting, work) + helped.result()
        except BaseException:
            _stop(helper, waiting, helped)
            raise


def _lane(connection: Connection, waiting: Iterator[Part], work: Callable[[Connection, Part], Done]) -> list[Done]:
    return [work(connection, part) for part in waiting]


def _stop(helper: Connection, waiting: Iterator[Part], helped: Future[list[Done]]) -> None:
    """Leaves the helper no part to begin and ends the one that it is at, which rolls back."""
    for _ in waiting:
        pass
    while not helped.done():
        helper.cancel_safe(timeout=CANCEL_TIMEOUT_SECONDS)
        wait([helped], CANCEL_AGAIN_SECONDS)

"""All requests of a run, several at once: what came, and up to which minute each symbol has been answered."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock, Thread
from typing import Any

import numpy as np

from pipeline.errors import PipelineError
from telemetry_ingestor import alpaca, bars
from telemetry_ingestor.alpaca import Client
from telemetry_ingestor.bars import Bars, Ints, Rejected
from telemetry_ingestor.fetch_plan import Ask

# Parsing holds the interpreter's lock; more threads would only queue there.
THREADS = 4
# What a run can store within its deadline; 100 symbols that are seven sessions behind are 273,000. Without this, an
# outage too long for one run would be too long for every later run as well.
RUN_BARS = 400_000

JsonPage = Mapping[str, Sequence[Any]]


@dataclass(kw_only=True)
class Answer:
    """What came of one request; with an error, its earlier pages are here all the same."""

    ask: Ask
    parts: list[Bars] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    running: int = 0
    complete: bool = False
    errors: list[PipelineError] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Fetched:
    """What came of all requests. `answered_until[i]` is the first minute for which symbol i was not answered."""

    bars: Bars
    rejected: tuple[Rejected, ...]
    running: int
    answered_until: Ints
    errors: tuple[PipelineError, ...]

    @property
    def received(self) -> int:
        """Bars that came, good and bad."""
        return len(self.bars) + len(self.rejected)


class Room:
    """How many more bars this run may fetch, all its requests together."""

    def __init__(self, bars: int) -> None:
        self._all = self._left = bars
        self._lock = Lock()

    def require(self) -> None:
        """Raises OutOfTime where nothing is left."""
        if self._left <= 0:
            raise alpaca.OutOfTime(
                f"{self._all} bars are as much as one run can store; the next run goes on from there"
            )

    def take(self, bars: int) -> None:
        with self._lock:
            self._left -= bars


def fetch(client: Client, asks: Sequence[Ask], positions: Mapping[str, int]) -> Fetched:
    """Sends the requests and parses their pages. Failed requests are in `errors`; it raises nothing of Alpaca's."""
    room = Room(RUN_BARS)
    if len(asks) == 1:  # without a thread, so that a signal interrupts it
        return _joined([_answer(client, asks[0], positions, room)], positions)
    answers = _at_once(client, asks, positions, room)
    return _joined(answers, positions)


def _at_once(client: Client, asks: Sequence[Ask], positions: Mapping[str, int], room: Room) -> list[Answer]:
    """Daemon threads, unlike an executor's, do not keep a stopped run from ending while a provider hangs."""
    answers: dict[int, Answer] = {}
    waiting = deque(enumerate(asks))

    def work() -> None:
        while waiting:
            try:
                number, ask = waiting.popleft()
            except IndexError:  # another thread took the last one
                return
            answers[number] = _answer(client, ask, positions, room)

    threads = [Thread(target=work, name=f"fetch-{i}", daemon=True) for i in range(min(THREADS, len(asks)))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if len(answers) < len(asks):
        raise RuntimeError(f"{len(asks) - len(answers)} of {len(asks)} requests ended without an answer or an error")
    return [answers[number] for number in range(len(asks))]


def _answer(client: Client, ask: Ask, positions: Mapping[str, int], room: Room) -> Answer:
    answer = Answer(ask=ask)
    window = bars.Window(first=ask.first, last=ask.last)
    asked: Ask | None = ask
    while asked is not None and not answer.complete:
        mine = {symbol: positions[symbol] for symbol in asked.symbols}
        try:
            for page in _within(room, client.pages(asked)):
                parsed = bars.parse(page, mine, window)
                room.take(len(parsed.bars))
                answer.parts.append(parsed.bars)
                answer.rejected += parsed.rejected
                answer.running += parsed.running
            answer.complete = True
            answer.ask = asked
        except alpaca.SymbolRefused as error:
            answer.errors.append(error)
            asked = alpaca.without(asked, error.symbol)
        except PipelineError as error:
            answer.errors.append(error)
            break
    return answer


def _within(room: Room, pages: Iterator[JsonPage]) -> Iterator[JsonPage]:
    """The pages, as long as there is room for one more before each is asked for."""
    while True:
        room.require()
        try:
            yield next(pages)
        except StopIteration:
            return


def _joined(answers: Sequence[Answer], positions: Mapping[str, int]) -> Fetched:
    merged = bars.merge([part for answer in answers for part in answer.parts])
    return Fetched(
        bars=merged,
        rejected=tuple(row for answer in answers for row in answer.rejected),
        running=sum(answer.running for answer in answers),
        answered_until=_answered_until(answers, positions),
        errors=tuple(error for answer in answers for error in answer.errors),
    )


def _answered_until(answers: Sequence[Answer], positions: Mapping[str, int]) -> Ints:
    """A complete request answers for all its symbols; a broken one for what came, as each comes in time order."""
    until = np.zeros(len(positions), dtype=np.int64)
    for answer in answers:
        if answer.complete:
            until[[positions[symbol] for symbol in answer.ask.symbols]] = answer.ask.last + 1
            continue
        for part in answer.parts:
            np.maximum.at(until, part.symbol, part.minute + 1)
    return until

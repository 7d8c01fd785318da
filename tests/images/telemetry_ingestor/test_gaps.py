"""The reconciliation of the ledger against a minute-by-minute model of its rules."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from telemetry_ingestor import gaps
from telemetry_ingestor.gaps import FEED_LATE, NEVER, NO_TRADE, OUR_OUTAGE, REJECTED, Changes, Gaps, Seen

# Two sessions of eight minutes with a night between them.
SESSIONS = (range(100, 108), range(120, 128))
GRID = np.array([m for session in SESSIONS for m in session], dtype=np.int64)
MINUTES = st.integers(min_value=98, max_value=130)
State = tuple[int, int, int]  # class, detected, backfilled


@dataclass(frozen=True)
class Run:
    """One run's sight of one symbol, in the model's words."""

    first: int
    asked: int
    answered_until: int
    last: int
    present: frozenset[int]
    refused: frozenset[int]
    newest: int
    missed_from: int
    missed_to: int
    claim_to: int
    now: int

    def seen(self) -> Seen:
        def array(value: int) -> gaps.Ints:
            return np.array([value], dtype=np.int64)

        return Seen(
            first=array(self.first),
            asked=array(self.asked),
            answered_until=array(self.answered_until),
            last=self.last,
            present=np.array(sorted(self.present), dtype=np.int64),
            refused=np.array(sorted(self.refused), dtype=np.int64),
            newest=self.newest,
            missed_from=self.missed_from,
            missed_to=self.missed_to,
            claim_to=self.claim_to,
            now=self.now,
        )


@st.composite
def runs(draw: st.DrawFn, now: int | None = None) -> Run:
    first = draw(MINUTES)
    minutes = st.frozensets(st.sampled_from(GRID.tolist()))
    return Run(
        first=first,
        asked=draw(st.integers(first, 130)) if draw(st.booleans()) else first,
        answered_until=draw(st.sampled_from([0, 104, 124, 140])),
        last=draw(MINUTES),
        present=draw(minutes),
        refused=draw(minutes),
        newest=draw(MINUTES),
        missed_from=draw(MINUTES),
        missed_to=draw(MINUTES),
        claim_to=draw(MINUTES),
        now=draw(st.integers(1, 9)) if now is None else now,
    )


def judge(minute: int, state: State | None, run: Run) -> State | None:
    """The rules, a minute at a time."""
    if not run.first <= minute <= run.last:
        return state
    if state and (state[2] != NEVER or state[1] > run.now):
        return state
    if minute in run.present:
        if state is None:
            missed = run.missed_from <= minute < run.missed_to
            return (OUR_OUTAGE, run.now, run.now) if missed else None
        kind = FEED_LATE if state[0] == NO_TRADE else state[0]
        return kind, state[1], run.now
    detected = state[1] if state else run.now
    if minute < run.asked:
        return state or (OUR_OUTAGE, run.now, NEVER)
    if minute >= run.answered_until:
        return state or ((OUR_OUTAGE, run.now, NEVER) if minute < run.claim_to else None)
    if minute in run.refused:
        return REJECTED, detected, NEVER
    if state and state[0] == REJECTED:
        return state
    if minute <= run.newest:
        return NO_TRADE, detected, NEVER
    return state or (FEED_LATE, run.now, NEVER)


def minutes_of(ledger: Gaps) -> dict[int, State]:
    return {
        minute: (kind, detected, backfilled)
        for _, first, last, kind, detected, backfilled in tuples(ledger)
        for minute in range(first, last + 1)
    }


def tuples(ledger: Gaps) -> list[tuple[int, ...]]:
    columns = (ledger.symbol, ledger.first, ledger.last, ledger.kind, ledger.detected, ledger.backfilled)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def applied(ledger: Gaps, changes: Changes) -> Gaps:
    rows = {row[:2]: row for row in tuples(ledger)}
    for row in tuples(changes.delete):
        del rows[row[:2]]
    rows |= {row[:2]: row for row in tuples(changes.write)}
    return gaps.rows_of(sorted(rows.values()))


def test_nothing_missing_and_nothing_known_changes_nothing() -> None:
    run = Run(100, 100, 128, 127, frozenset(GRID.tolist()), frozenset(), 127, 0, 0, 0, 1)
    assert not gaps.reconcile(gaps.rows_of([]), run.seen(), GRID)


@settings(max_examples=300, deadline=None)
@given(st.lists(runs(), min_size=1, max_size=5))
def test_the_ledger_says_what_the_rules_say_minute_by_minute(history: list[Run]) -> None:
    ledger, model = gaps.rows_of([]), dict[int, State]()
    for run in history:
        ledger = applied(ledger, gaps.reconcile(ledger, run.seen(), GRID))
        # a row keeps one detected time, that of its first noted minute: the model is told it
        judged = {minute: judge(minute, model.get(minute), run) for minute in GRID.tolist()}
        found = minutes_of(ledger)
        assert {m: (s[0], s[2]) for m, s in found.items()} == {m: (s[0], s[2]) for m, s in judged.items() if s}
        model = found


@settings(max_examples=150, deadline=None)
@given(st.lists(runs(), min_size=1, max_size=4))
def test_rows_are_as_few_as_can_be_and_never_cross_a_night(history: list[Run]) -> None:
    ledger = gaps.rows_of([])
    for run in sorted(history, key=lambda run: run.now):
        ledger = applied(ledger, gaps.reconcile(ledger, run.seen(), GRID))
    rows = tuples(ledger)
    assert all(any(first in s and last in s for s in SESSIONS) for _, first, last, *_ in rows)
    for before, after in pairwise(rows):
        assert before[2] < after[1]
        assert before[2] + 1 < after[1] or (before[3], before[5]) != (after[3], after[5])


@settings(max_examples=150, deadline=None)
@given(st.lists(runs(), min_size=0, max_size=3), runs())
def test_the_same_run_twice_changes_nothing_the_second_time(history: list[Run], run: Run) -> None:
    ledger = gaps.rows_of([])
    for earlier in (*history, run):
        ledger = applied(ledger, gaps.reconcile(ledger, earlier.seen(), GRID))
    assert not gaps.reconcile(ledger, run.seen(), GRID)


@settings(max_examples=100, deadline=None)
@given(runs(), runs())
def test_symbols_do_not_disturb_each_other(one: Run, other: Run) -> None:
    alone = tuples(gaps.reconcile(gaps.rows_of([]), one.seen(), GRID).write)
    a, b = one.seen(), other.seen()
    both = Seen(
        first=np.concatenate([b.first, a.first]),
        asked=np.concatenate([b.asked, a.asked]),
        answered_until=np.concatenate([b.answered_until, a.answered_until]),
        last=a.last,
        present=np.concatenate([b.present, gaps.key(np.ones_like(a.present), a.present)]),
        refused=np.concatenate([b.refused, gaps.key(np.ones_like(a.refused), a.refused)]),
        newest=a.newest,
        missed_from=a.missed_from,
        missed_to=a.missed_to,
        claim_to=a.claim_to,
        now=a.now,
    )
    together = tuples(gaps.reconcile(gaps.rows_of([]), both, GRID).write)
    assert [(0, *row[1:]) for row in together if row[0] == 1] == alone


def test_a_row_of_another_hand_is_left_as_it_is() -> None:
    foreign = gaps.rows_of([(0, 104, 121, gaps.CLOSED, 1, NEVER)])
    run = Run(100, 100, 128, 127, frozenset(), frozenset(), 127, 0, 0, 0, 2)
    changes = gaps.reconcile(foreign, run.seen(), GRID)
    assert tuples(changes.delete) == []
    assert [row[1:4] for row in tuples(changes.write)] == [(100, 103, NO_TRADE), (122, 127, NO_TRADE)]


def test_only_minutes_without_a_row_are_looked_up() -> None:
    known = gaps.rows_of([(0, 101, 102, NO_TRADE, 1, NEVER)])
    run = Run(100, 100, 128, 105, frozenset({100, 104}), frozenset(), 105, 0, 0, 0, 2)
    assert gaps.unexplained(known, run.seen(), GRID).tolist() == [103, 105]

"""Which symbols are asked for from when, and that no request is longer or wider than it must be."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from telemetry_ingestor import fetch_plan
from telemetry_ingestor.fetch_plan import AGAIN_BARS, NO_BAR, SYMBOLS_BYTES

REACH, LAST = 10_000, 20_000
minutes = st.integers(REACH - 5000, LAST) | st.just(NO_BAR)


def bars_from(minute: int) -> int:
    return LAST - minute + 1


def test_a_symbol_starts_an_overlap_before_its_newest_bar_within_reach() -> None:
    newest = np.array([LAST - 1, REACH + 3, 17, NO_BAR])
    assert fetch_plan.starts(newest, reach=REACH, last=LAST).tolist() == [LAST - 16, REACH, REACH, REACH]


@given(st.lists(minutes, min_size=1, max_size=40))
def test_every_symbol_is_asked_for_once_from_its_start_or_before(newest: list[int]) -> None:
    symbols = [f"S{i}" for i in range(len(newest))]
    first = fetch_plan.starts(np.array(newest), reach=REACH, last=LAST)
    asks = fetch_plan.plan(symbols, first, last=LAST, bars_from=bars_from)
    asked = {symbol: ask.first for ask in asks for symbol in ask.symbols}
    assert sorted(symbol for ask in asks for symbol in ask.symbols) == sorted(symbols)
    for symbol, start in zip(symbols, first.tolist(), strict=True):
        assert asked[symbol] <= start
        # nobody waits for a laggard: what is fetched is at most twice what is needed, or 40 minutes
        assert LAST - asked[symbol] <= max(2 * (LAST - start) + 1, 40)


def test_the_whole_market_fits_into_few_short_addresses() -> None:
    symbols = sorted((f"S{i}" for i in range(8000)), key=len)
    asks = fetch_plan.plan(symbols, np.full(8000, LAST - 16), last=LAST, bars_from=bars_from)
    assert max(len(",".join(ask.symbols)) for ask in asks) <= SYMBOLS_BYTES
    assert len(asks) <= 10


def test_one_thin_symbol_does_not_make_all_be_fetched_again() -> None:
    first = np.array([LAST - 16, LAST - 17, LAST - 3000, LAST - 16])
    asks = fetch_plan.plan(["A", "B", "THIN", "C"], first, last=LAST, bars_from=bars_from)
    assert {ask.symbols: ask.first for ask in asks} == {("A", "B", "C"): LAST - 17, ("THIN",): LAST - 3000}


def test_symbols_take_turns_when_more_is_unfilled_than_one_run_may_ask_again() -> None:
    first = np.full(4000, LAST - 16)
    unfilled = np.full(4000, LAST - 299)
    seen = np.zeros(4000, dtype=int)
    rounds = -(-4000 * 300 // AGAIN_BARS)
    for turn in range(rounds):
        moved = fetch_plan.ask_again(first, unfilled, turn=turn, bars_from=bars_from) < first
        assert moved.sum() * 300 <= AGAIN_BARS
        seen += moved
    assert seen.tolist() == [1] * 4000

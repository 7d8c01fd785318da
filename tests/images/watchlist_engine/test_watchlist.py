"""The watch score follows its formula, and the list is calm, small and the same whatever the order of its input."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market_rows import MINUTE, NOW, features, sentiment
from pipeline.rows import WatchlistEntry
from watchlist_engine import watchlist
from watchlist_engine.watchlist import CAPACITY, Components


def scoring_at(score: float) -> Components:
    return Components(sentiment_pressure=score, setup_quality=score, volatility=score, trend_alignment=score)


def replay(runs: list[dict[str, float]]) -> list[dict[str, WatchlistEntry]]:
    """The list after each run, five minutes apart, from symbol → score of each run."""
    states: list[dict[str, WatchlistEntry]] = []
    before: dict[str, WatchlistEntry] = {}
    for number, run in enumerate(runs):
        scored = {symbol: scoring_at(score) for symbol, score in run.items()}
        change = watchlist.update(scored, before, NOW + number * 5 * MINUTE)
        before = {entry.symbol: entry for entry in change.entries}
        states.append(before)
    return states


def members(state: dict[str, WatchlistEntry]) -> set[str]:
    return {symbol for symbol, entry in state.items() if entry.in_watchlist}


def test_the_score_is_the_weighted_sum_of_its_components() -> None:
    parts = Components(sentiment_pressure=1, setup_quality=0.5, volatility=0.25, trend_alignment=0)
    assert parts.score == pytest.approx(0.35 + 0.125 + 0.05)


def test_sentiment_pressure_weighs_strength_attention_and_recency() -> None:
    items = [sentiment(0.8, minutes_old=15), sentiment(0.4, minutes_old=50, news_id=2)]
    assert watchlist.sentiment_pressure(items, NOW) == pytest.approx(0.5 * 0.6 + 0.3 * 2 / 5 + 0.2 * 0.75)


def test_no_news_is_no_pressure() -> None:
    assert watchlist.sentiment_pressure([], NOW) == 0


def test_more_than_five_items_add_no_attention() -> None:
    five, nine = ([sentiment(0.5, news_id=i) for i in range(n)] for n in (5, 9))
    assert watchlist.sentiment_pressure(five, NOW) == pytest.approx(watchlist.sentiment_pressure(nine, NOW))


@pytest.mark.parametrize(
    ("trend", "mean", "alignment"),
    [(1, 0.4, 1), (-1, -0.4, 1), (1, -0.4, 0), (-1, 0.4, 0), (0, 0.4, 0.5), (1, 0, 0.5), (None, -0.4, 0.5)],
)
def test_trend_alignment(trend: int | None, mean: float, alignment: float) -> None:
    assert watchlist.trend_alignment(trend, mean) == alignment


def test_absent_features_leave_only_the_news() -> None:
    parts = watchlist.components(None, [sentiment()], NOW)
    assert parts.sentiment_pressure > 0
    assert (parts.setup_quality, parts.volatility, parts.trend_alignment) == (0, 0, 0)


@given(st.lists(st.floats(-1, 1), max_size=12), st.none() | st.floats(), st.none() | st.floats())
def test_every_component_is_between_0_and_1(scores: list[float], distance: float | None, ratio: float | None) -> None:
    items = [sentiment(score, minutes_old=i, news_id=i) for i, score in enumerate(scores)]
    parts = watchlist.components(features(distance_sma20=distance, vol_ratio=ratio), items, NOW)
    assert all(0 <= value <= 1 for value in vars(parts).values())
    assert 0 <= parts.score <= 1


def test_features_are_fresh_for_fifteen_session_minutes() -> None:
    assert watchlist.fresh(features(ts=NOW - 16 * MINUTE), NOW)
    assert not watchlist.fresh(features(ts=NOW - 17 * MINUTE), NOW)
    assert not watchlist.fresh(None, NOW)


def test_a_closed_market_does_not_age_features() -> None:
    friday_last_minute = datetime(2026, 1, 23, 20, 59, tzinfo=UTC)
    monday_open = datetime(2026, 1, 26, 14, 30, tzinfo=UTC)
    assert watchlist.fresh(features(ts=friday_last_minute), monday_open + 15 * MINUTE)
    assert not watchlist.fresh(features(ts=friday_last_minute), monday_open + 16 * MINUTE)


def test_a_symbol_enters_at_sixty_hundredths() -> None:
    (state,) = replay([{"AAPL": 0.61, "MSFT": 0.59}])
    assert members(state) == {"AAPL"}
    assert state["AAPL"].entered_at == NOW
    assert state["MSFT"].entered_at is None


def test_a_member_leaves_after_fifteen_minutes_below_thirty_hundredths() -> None:
    states = replay([{"AAPL": 0.7}, *[{"AAPL": 0.29}] * 4])
    assert [bool(members(state)) for state in states] == [True, True, True, True, False]
    assert states[3]["AAPL"].below_since == NOW + 5 * MINUTE
    assert states[4]["AAPL"].below_since is None


def test_one_good_reading_starts_the_fifteen_minutes_again() -> None:
    runs = [0.7, 0.29, 0.29, 0.31, 0.29, 0.29, 0.29]
    assert members(replay([{"AAPL": score} for score in runs])[-1]) == {"AAPL"}


@given(st.booleans(), st.lists(st.floats(0.31, 0.59), min_size=1, max_size=40))
def test_a_score_between_the_thresholds_never_changes_membership(member: bool, scores: list[float]) -> None:
    first = 0.7 if member else 0.1
    states = replay([{"AAPL": score} for score in [first, *scores]])
    assert {bool(members(state)) for state in states} == {member}
    assert len({state["AAPL"].entered_at for state in states}) == 1


def full_list(score: float) -> dict[str, float]:
    return {f"S{i:02}": score + i / 10_000 for i in range(CAPACITY)}


def test_the_last_place_is_lost_only_to_a_score_ten_percent_better() -> None:
    full = full_list(0.62)
    assert "NEW" not in members(replay([full, full | {"NEW": 0.62 * 1.09}])[-1])
    after = replay([full, full | {"NEW": 0.62 * 1.11}])[-1]
    assert "NEW" in members(after)
    assert "S00" not in members(after)
    assert len(members(after)) == CAPACITY


def test_several_newcomers_displace_the_weakest_each_in_turn() -> None:
    full = full_list(0.62)
    after = replay([full, full | {"NEWA": 0.9, "NEWB": 0.8}])[-1]
    assert full.keys() - members(after) == {"S00", "S01"}


def test_two_rivals_for_the_last_place_do_not_take_turns() -> None:
    rest = {f"S{i:02}": 0.9 for i in range(CAPACITY - 1)}
    runs = [rest | {"RIVALA": 0.66, "RIVALB": 0.0}]
    runs += [rest | {"RIVALA": 0.62 + 0.04 * (i % 2), "RIVALB": 0.66 - 0.04 * (i % 2)} for i in range(20)]
    assert all("RIVALA" in members(state) for state in replay(runs))


def test_ranks_run_over_all_symbols_and_ties_go_to_the_alphabet() -> None:
    (state,) = replay([{"TSLA": 0.4, "AAPL": 0.4, "NVDA": 0.9, "META": 0.1}])
    assert sorted(state, key=lambda symbol: state[symbol].rank) == ["NVDA", "AAPL", "TSLA", "META"]
    assert sorted(entry.rank for entry in state.values()) == [1, 2, 3, 4]


SYMBOLS = [f"S{i:02}" for i in range(40)]
RUNS = st.lists(st.lists(st.sampled_from([0.0, 0.29, 0.3, 0.5, 0.6, 0.65, 0.7, 0.72, 1.0]), min_size=40, max_size=40))


@given(RUNS)
def test_the_list_never_holds_more_than_thirty_and_a_place_once_taken_has_a_time(runs: list[list[float]]) -> None:
    for state in replay([dict(zip(SYMBOLS, scores, strict=True)) for scores in runs[:6]]):
        assert len(members(state)) <= CAPACITY
        assert all(entry.in_watchlist == (entry.entered_at is not None) for entry in state.values())


def test_a_list_from_a_larger_capacity_shrinks_to_its_best() -> None:
    (before,) = replay([dict.fromkeys(SYMBOLS[:CAPACITY], 0.7)])
    extra = {f"X{i}": replace(before["S00"], symbol=f"X{i}") for i in range(5)}
    scored = {s: scoring_at(0.5) for s in before} | {s: scoring_at(0.4) for s in extra}
    change = watchlist.update(scored, before | extra, NOW + timedelta(minutes=5))
    assert {e.symbol for e in change.entries if e.in_watchlist} == set(before)
    assert change.displaced == set(extra)


@given(RUNS, st.integers())
def test_the_order_of_the_input_is_nothing(runs: list[list[float]], seed: int) -> None:
    ordered = [dict(zip(SYMBOLS, scores, strict=True)) for scores in runs[:4]]
    shuffled = []
    for run in ordered:
        items = list(run.items())
        random.Random(seed).shuffle(items)
        shuffled.append(dict(items))
    assert replay(ordered) == replay(shuffled)

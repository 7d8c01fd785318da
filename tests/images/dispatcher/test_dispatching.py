"""Simulated dispatching over a real database: each signal once, whatever runs at once and whatever came before."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from dispatch_world import CLOSE, MINUTE, NOW, OPEN, ROLE, World, values
from dispatcher import gates, queue
from dispatcher.deciding import decide
from pipeline.ledger import Outcome

SECOND = timedelta(seconds=1)


def test_a_good_signal_is_filled_sized_and_explained(world: World) -> None:
    world.tradable("AAPL", close=100.0, atr=0.5)
    signal = world.signal("AAPL")
    result = world.run()
    row = world.only()
    assert (result.outcome, result.rows_in, result.rows_out) == (Outcome.OK, 1, 1)
    assert result.counts == {"simulated": 1}
    assert result.metrics["Dispatched"] == 1
    assert (row["signal_id"], row["state"], row["mode"], row["attempts"]) == (signal, "SIMULATED", "SIMULATED", 1)
    assert row["fill_price"] == pytest.approx(100.05)
    assert row["stop_price"] == pytest.approx(99.05)
    assert row["target_price"] == pytest.approx(102.05)
    assert row["quantity"] == 249  # a quarter of 100,000 at 100.05
    assert row["filled_at"] == row["decided_at"] == NOW
    assert row["gates"]["bar_age"] == {"value": 0, "threshold": 120, "passed": True}
    assert all(gate["passed"] for gate in row["gates"].values())


def test_a_sale_is_the_mirror_of_a_buy(world: World) -> None:
    world.tradable("AAPL", close=100.0, atr=0.5)
    world.signal("AAPL", side="SELL")
    world.run()
    row = world.only()
    assert (row["fill_price"], row["stop_price"], row["target_price"]) == pytest.approx((99.95, 100.95, 97.95))


def test_a_second_run_changes_nothing(world: World) -> None:
    world.tradable()
    world.signal()
    world.signal(confidence=0.1)
    world.run()
    before = world.dispatches()
    for now in (NOW, NOW - MINUTE, NOW - timedelta(days=1)):
        result = world.run(now)
        assert result.outcome in (Outcome.NO_INPUT, Outcome.SKIPPED)
        assert world.dispatches() == before


def test_a_run_before_the_signal_was_raised_does_not_see_it(world: World) -> None:
    world.tradable()
    world.signal(created_at=NOW)
    world.run(NOW - SECOND)
    assert world.dispatches() == []


def test_a_hundred_old_signals_do_not_keep_the_fresh_one_waiting(world: World) -> None:
    for i in range(100):
        world.signal("MSFT", created_at=NOW - timedelta(seconds=301 + i))
    world.tradable("AAPL")
    world.signal("AAPL", created_at=NOW)
    result = world.run()
    assert result.outcome is Outcome.OK
    assert world.states() == ["EXPIRED"] * 100 + ["SIMULATED"]
    assert (result.counts["expired"], result.metrics["DispatchesExpired"]) == (100, 100)
    assert result.metrics["OldestPendingSeconds"] == 0
    assert all(row["decided_at"] == NOW for row in world.dispatches())


def test_a_signal_expires_after_exactly_300_seconds(world: World) -> None:
    world.tradable("AAPL")
    world.tradable("MSFT")
    world.signal("AAPL", created_at=NOW - 300 * SECOND)
    world.signal("MSFT", created_at=NOW - 301 * SECOND)
    world.run()
    assert world.states() == ["SIMULATED", "EXPIRED"]


def test_the_freshest_of_many_signals_on_a_symbol_is_the_one_that_trades(world: World) -> None:
    world.tradable()
    for age in (200, 10, 120):
        world.signal(created_at=NOW - age * SECOND)
    world.run()
    assert world.states() == ["SKIPPED", "SIMULATED", "SKIPPED"]
    assert world.dispatches()[0]["gates"]["no_open_position"] == {"value": 1, "threshold": 0, "passed": False}


@pytest.mark.parametrize(
    ("gate", "arrange"),
    [
        ("bar_age", lambda w: w.admin.execute("delete from bars")),
        ("bar_age", lambda w: w.admin.execute("update bars set ts = ts - interval '3 minutes'")),
        ("features_age", lambda w: w.admin.execute("delete from features")),
        (
            "features_age",
            lambda w: w.admin.execute("update features set computed_at = computed_at + interval '2 hours'"),
        ),
        ("atr_known", lambda w: w.admin.execute("update features set atr14 = null")),
        ("atr_known", lambda w: w.admin.execute("update features set atr14 = 'NaN'")),
        ("exits_possible", lambda w: w.admin.execute("update features set atr14 = 60")),
        ("quantity", lambda w: w.admin.execute("update bars set open=30000, high=30000, low=30000, close=30000")),
        ("confidence", lambda w: w.admin.execute("update signals set confidence = 0.69")),
    ],
)
def test_what_is_missing_or_wrong_skips_the_signal_and_tells_the_gate(world: World, gate: str, arrange: Any) -> None:
    world.tradable()
    world.signal()
    arrange(world)
    result = world.run()
    assert world.states() == ["SKIPPED"]
    assert result.counts[f"skipped_{gate}"] == 1
    assert world.only()["gates"][gate]["passed"] is False


def test_the_minute_that_still_runs_is_no_bar(world: World) -> None:
    world.tradable(now=NOW)
    world.bar(ts=NOW, close=500.0)
    world.features(ts=NOW, atr=50)
    world.signal(created_at=NOW + 30 * SECOND)
    world.run(NOW + 59 * SECOND)
    assert world.only()["fill_price"] == pytest.approx(100.05)


@pytest.mark.parametrize(
    ("now", "market"), [(CLOSE - SECOND, True), (CLOSE, False), (OPEN, True), (OPEN - SECOND, False)]
)
def test_a_tick_exactly_at_the_close_is_closed(world: World, now: Any, market: bool) -> None:
    world.tradable(now=now.replace(second=0))
    world.signal(created_at=now)
    world.run(now)
    assert world.only()["gates"]["market_open"]["value"] is market
    assert world.only()["state"] == ("SIMULATED" if market else "SKIPPED")


def test_a_run_without_signals_says_whether_the_market_is_open(world: World) -> None:
    assert world.run(NOW).outcome is Outcome.NO_INPUT
    assert world.run(CLOSE).outcome is Outcome.SKIPPED
    assert world.run(NOW - timedelta(days=1)).outcome is Outcome.SKIPPED  # a Sunday


def test_a_symbol_trades_twice_a_session_and_again_in_the_next(world: World) -> None:
    for i in range(3):
        now = NOW + i * 10 * MINUTE
        world.tradable(now=now)
        world.signal(created_at=now)
        world.run(now)
        world.bar(ts=now, low=50, high=101)  # stopped out at once
    assert world.states() == ["SIMULATED", "SIMULATED", "SKIPPED"]
    assert [n for n, g in world.dispatches()[2]["gates"].items() if not g["passed"]] == ["trades_per_symbol"]
    tomorrow = NOW + timedelta(days=1)
    world.tradable(now=tomorrow)
    world.signal(created_at=tomorrow)
    world.run(tomorrow)
    assert world.states()[-1] == "SIMULATED"


# ── positions ────────────────────────────────────────────────────────────────────────────────────────────────────────


def bought(world: World) -> None:
    """249 AAPL at 100.05, stop 99.05, target 102.05."""
    world.tradable()
    world.signal()
    world.run()


def test_a_position_is_settled_by_the_bars_that_follow(world: World) -> None:
    bought(world)
    assert world.run(NOW).counts == {}
    world.bar(ts=NOW, high=101, low=99.5)
    world.bar(ts=NOW + MINUTE, close=102, high=102.5)
    assert world.run(NOW + MINUTE).counts == {}
    result = world.run(NOW + 2 * MINUTE)
    row = world.only()
    assert (result.outcome, result.counts) == (Outcome.OK, {"exits_target": 1})
    assert (row["state"], row["exit_reason"], row["exit_at"]) == ("SIMULATED", "target", NOW + 2 * MINUTE)
    assert (row["exit_price"], row["profit"]) == pytest.approx((102.05, 249 * 2.0))
    assert world.run(NOW + 3 * MINUTE).counts == {}
    assert world.only() == row


def test_a_position_left_by_a_dispatcher_that_was_down_at_the_close_ends_with_its_own_session(world: World) -> None:
    bought(world)
    world.bar(ts=CLOSE - MINUTE, close=100.5)
    world.bar(ts=CLOSE + 17 * 60 * MINUTE, close=50)  # the next day
    world.run(NOW + timedelta(days=1))
    row = world.only()
    assert (row["exit_reason"], row["exit_price"], row["exit_at"]) == ("session_end", 100.5, CLOSE)


def test_an_ended_position_frees_its_symbol_in_the_same_run(world: World) -> None:
    bought(world)
    later = NOW + 5 * MINUTE
    world.bar(ts=NOW, low=50, high=101)
    world.tradable(now=later)
    world.signal(created_at=later)
    world.run(later)
    assert world.states() == ["SIMULATED", "SIMULATED"]


def test_the_days_losses_realised_and_open_stop_trading(world: World) -> None:
    bought(world)
    later = NOW + 5 * MINUTE
    world.tradable("AAPL", now=later, close=99.5)  # 249 × −0.55 open
    world.tradable("MSFT", now=later)
    world.signal("MSFT", created_at=later)
    world.run(later, limits={"daily_loss_max": 100})
    row = world.dispatches()[1]
    assert row["state"] == "SKIPPED"
    assert row["gates"]["daily_loss"]["value"] == pytest.approx(-249 * 0.55)
    world.bar("AAPL", ts=later, low=99, close=99.2)  # stopped: 249 × −1.00 realised
    after = later + MINUTE
    world.tradable("MSFT", now=after)
    world.signal("MSFT", created_at=after)
    world.run(after, limits={"daily_loss_max": 249.01})
    assert world.dispatches()[2]["gates"]["daily_loss"]["value"] == pytest.approx(-249)
    assert world.states()[2] == "SIMULATED"


def test_yesterdays_loss_is_not_todays(world: World) -> None:
    bought(world)
    world.bar(ts=NOW, low=50, high=101)
    tomorrow = NOW + timedelta(days=1)
    world.run(NOW + MINUTE)
    world.tradable(now=tomorrow)
    world.signal(created_at=tomorrow)
    world.run(tomorrow, limits={"daily_loss_max": 1})
    assert world.dispatches()[1]["gates"]["daily_loss"]["value"] == 0


# ── at once, and after a death ───────────────────────────────────────────────────────────────────────────────────────


def test_two_dispatchers_at_once_dispatch_each_signal_once_and_keep_the_limits(world: World) -> None:
    symbols = [f"S{chr(65 + i)}" for i in range(8)]
    for symbol in symbols:
        world.tradable(symbol)
        for age in range(5):
            world.signal(symbol, created_at=NOW - age * SECOND)
    connections = [world.database.connect(ROLE) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda connection: world.run(connection=connection), connections))
    for connection in connections:
        connection.close()
    rows = world.dispatches()
    assert sorted({row["state"] for row in rows}) == ["SIMULATED", "SKIPPED"]
    assert sorted(row["symbol"] for row in rows if row["state"] == "SIMULATED") == symbols
    assert sum(result.rows_in for result in results) == len(rows) == 40


def test_decisions_interleaved_signal_by_signal_keep_the_limits(world: World) -> None:
    """Two runs hold a claim on the same symbol each, and decide in the same moment: a lock, not luck, orders them."""
    world.tradable()
    limits = gates.limits(values())
    for round_ in range(10):
        world.admin.execute("truncate dispatches, signals cascade")
        connections = [world.database.connect(ROLE) for _ in range(2)]
        claims = []
        for i, connection in enumerate(connections):
            world.signal(created_at=NOW, rule=f"{round_}-{i}")
            queue.enrol(connection, NOW)
            claims += queue.claim(connection, NOW, f"run-{i}")
        with ThreadPoolExecutor(2) as pool:
            made = list(pool.map(partial(decide, limits=limits, now=NOW), connections, claims))
        for connection in connections:
            connection.close()
        assert sorted(decision.outcome for decision in made) == ["simulated", "skipped"]


def test_a_claim_whose_holder_died_is_taken_over_when_its_lease_ends(world: World) -> None:
    world.tradable()
    world.signal()
    queue.enrol(world.connection, NOW)
    (dead,) = queue.claim(world.connection, NOW, "killed")
    assert world.run(NOW + 59 * SECOND).counts == {}
    assert world.run(NOW + 59 * SECOND).metrics["OldestPendingSeconds"] == 59
    world.run(NOW + 60 * SECOND)
    row = world.only()
    assert (row["state"], row["attempts"], dead.attempts) == ("SIMULATED", 2, 1)


def test_a_holder_that_was_thought_dead_decides_nothing(world: World) -> None:
    world.tradable()
    world.signal()
    queue.enrol(world.connection, NOW)
    (slow,) = queue.claim(world.connection, NOW, "slow")
    world.run(NOW + MINUTE)
    before = world.only()
    decision = decide(world.connection, slow, limits=gates.limits(values()), now=NOW)
    assert decision.outcome == "lost"
    assert world.only() == before


def test_the_same_execution_delivered_twice_is_told_apart_by_its_attempt(world: World) -> None:
    world.tradable()
    world.signal()
    queue.enrol(world.connection, NOW)
    (first,) = queue.claim(world.connection, NOW, "same")
    (second,) = queue.claim(world.connection, NOW + MINUTE, "same")
    limits = gates.limits(values())
    assert decide(world.connection, first, limits=limits, now=NOW).outcome == "lost"
    assert decide(world.connection, second, limits=limits, now=NOW + MINUTE).outcome == "simulated"


def test_a_claim_left_too_long_expires(world: World) -> None:
    world.tradable()
    world.signal()
    queue.enrol(world.connection, NOW)
    queue.claim(world.connection, NOW, "killed")
    result = world.run(NOW + 301 * SECOND)
    assert (world.states(), result.counts) == (["EXPIRED"], {"expired": 1})


def test_the_name_of_an_order_follows_from_its_signal_alone() -> None:
    name = queue.client_order_id("AAPL", NOW, "news-and-trend")
    assert name == queue.client_order_id("AAPL", NOW, "news-and-trend")
    assert len(name) <= 48
    others = [("MSFT", NOW, "news-and-trend"), ("AAPL", NOW + MINUTE, "news-and-trend"), ("AAPL", NOW, "other")]
    assert name not in [queue.client_order_id(*other) for other in others]

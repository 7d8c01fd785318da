"""The synthetic market: the same for the same seed, within real hours, with news that moves prices."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest

from ops.local.exchange import Headline, Market, synthetic
from ops.local.exchange.headlines import Event
from ops.local.exchange.synthetic import NoSession
from pipeline import sessions

DEFAULTS = ("AAPL", "MSFT", "TSLA", "GOOGL", "AMZN", "META", "NVDA")
DAY = date(2026, 1, 26)


@pytest.fixture(scope="module")
def market() -> Market:
    return synthetic.market(DEFAULTS, DAY, seed=7, history_sessions=1)


def test_the_same_seed_makes_the_same_market_and_another_seed_another(market: Market) -> None:
    again = synthetic.market(reversed(DEFAULTS), DAY, seed=7, history_sessions=1)
    assert again.close.tolist() == market.close.tolist()
    assert again.news == market.news
    assert synthetic.market(DEFAULTS, DAY, seed=8, history_sessions=1).close.tolist() != market.close.tolist()


def test_every_minute_of_every_session_has_a_possible_bar(market: Market) -> None:
    expected = sessions.minutes(datetime(2026, 1, 23, tzinfo=UTC), datetime(2026, 1, 27, tzinfo=UTC))
    for symbol in DEFAULTS:
        assert market.ts[market.rows(symbol)].tolist() == [int(ts.timestamp()) for ts in expected]
    assert (market.low <= np.minimum(market.open, market.close)).all()
    assert (market.high >= np.maximum(market.open, market.close)).all()
    assert (market.low > 0).all()
    assert (market.volume >= 1).all()


def test_a_half_day_has_its_own_length_and_a_holiday_is_refused() -> None:
    assert len(synthetic.market(["AAPL"], date(2025, 11, 28))) == 210
    with pytest.raises(NoSession, match="2026-01-19 has no session"):
        synthetic.market(["AAPL"], date(2026, 1, 19))


def test_volume_is_u_shaped_and_prices_start_at_their_level(market: Market) -> None:
    first_day = market.volume.reshape(len(DEFAULTS), 2, 390)[:, 0].mean(axis=0)
    assert first_day[:15].mean() > 1.5 * first_day[180:220].mean() < first_day[-15:].mean()
    assert market.open[market.rows("NVDA")][0] == pytest.approx(186, rel=0.02)


def test_thin_symbols_skip_minutes_and_the_others_do_not() -> None:
    market = synthetic.market(["AAPL", "THIN"], DAY, thin=["THIN"])
    assert len(market.close[market.rows("AAPL")]) == 390
    assert 100 < len(market.close[market.rows("THIN")]) < 220


def test_news_comes_in_bursts_and_prices_drift_after_it_within_one_percent_of_their_mean() -> None:
    events = [
        Event(symbol="AAPL", start=120, minutes=45, direction=1),
        Event(symbol="MSFT", start=60, minutes=60, direction=-1),
    ]
    market = synthetic.market(["AAPL", "MSFT", "TSLA"], DAY, seed=3, history_sessions=1, events=events)
    opens = datetime(2026, 1, 26, 14, 30, tzinfo=UTC)
    for event in events:
        about = [n for n in market.news if isinstance(n, Headline) and n.symbol == event.symbol]
        began = opens + timedelta(minutes=event.start)
        strong = [n for n in about if began <= n.published_at <= began + timedelta(minutes=9)]
        assert len({n.title.removesuffix(" - report") for n in strong if not n.title.endswith("- report")}) >= 3
        assert {n.feeds for n in strong} == {("wire",), ("desk",)}
        at = market.rows(event.symbol).start + 390 + event.start
        close, volume = market.close, market.volume
        moved = close[at + event.minutes] / close[at] - 1
        assert event.direction * moved > 0.005
        surge = max(volume[i] / volume[i - 20 : i].mean() for i in range(at + 1, at + event.minutes))
        assert surge >= 2
        means = np.convolve(close[at - 19 : at + event.minutes], np.ones(20) / 20, "valid")
        assert np.abs(close[at : at + event.minutes] / means - 1).max() < 0.012
    assert {n.symbol for n in market.news if isinstance(n, Headline)} >= {"AAPL", "MSFT"}
    assert list(market.news) == sorted(market.news, key=lambda n: n.published_at)


def test_a_whole_market_has_a_bar_for_every_minute() -> None:
    market = synthetic.market([f"S{i}" for i in range(2000)], DAY)
    assert len(market) == 780_000

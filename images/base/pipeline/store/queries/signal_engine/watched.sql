-- The symbols on the watchlist as known at :now, best first.
select symbol, score, rank, sentiment_pressure, setup_quality, volatility, trend_alignment,
    in_watchlist, entered_at, below_since, computed_at
from watchlist where in_watchlist and computed_at <= %(now)s
order by rank, symbol

-- The watchlist as it stands, removed symbols and rows of a later instant included.
select symbol, score, rank, sentiment_pressure, setup_quality, volatility, trend_alignment,
    in_watchlist, entered_at, below_since, computed_at
from watchlist

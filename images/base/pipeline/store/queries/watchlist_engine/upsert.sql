-- One symbol's row; a row of the same or a later instant is left alone, so time only moves forward.
insert into watchlist (symbol, score, rank, sentiment_pressure, setup_quality, volatility, trend_alignment,
    in_watchlist, entered_at, below_since, computed_at)
values (%(symbol)s, %(score)s, %(rank)s, %(sentiment_pressure)s, %(setup_quality)s, %(volatility)s, %(trend_alignment)s,
    %(in_watchlist)s, %(entered_at)s, %(below_since)s, %(computed_at)s)
on conflict (symbol) do update
set score = excluded.score, rank = excluded.rank, sentiment_pressure = excluded.sentiment_pressure,
    setup_quality = excluded.setup_quality, volatility = excluded.volatility, trend_alignment = excluded.trend_alignment,
    in_watchlist = excluded.in_watchlist, entered_at = excluded.entered_at, below_since = excluded.below_since,
    computed_at = excluded.computed_at
where watchlist.computed_at < excluded.computed_at

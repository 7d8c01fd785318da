-- The newest features of each symbol that were known at :now; symbols without any give no row.
select f.symbol, f.ts, f.session, f.distance_sma20, f.vol_ratio, f.trend_state, f.atr14, f.volume_ratio
from unnest(%(symbols)s::text[]) as wanted (symbol)
cross join lateral (
    select * from features
    where features.symbol = wanted.symbol and ts < %(now)s and computed_at <= %(now)s
    order by ts desc limit 1
) as f

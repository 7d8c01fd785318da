-- Stores features; a row that would not change is left alone, so that its computed_at tells when its numbers came to be.
insert into features (
    symbol, ts, session, sma20, sma50, distance_sma20, distance_sma50, recent_vol, baseline_vol, vol_ratio,
    trend_state, rsi14, atr14, bollinger_b, macd_hist, vwap_distance, volume, volume_avg_20, volume_ratio,
    volume_surge, gap_minutes, bars_used, window_start, nulls, computed_at
)
select
    s.symbol, f.ts, f.session, nullif(f.sma20, 'NaN'), nullif(f.sma50, 'NaN'), nullif(f.distance_sma20, 'NaN'),
    nullif(f.distance_sma50, 'NaN'), nullif(f.recent_vol, 'NaN'), nullif(f.baseline_vol, 'NaN'),
    nullif(f.vol_ratio, 'NaN'), nullif(f.trend_state, 'NaN')::smallint, nullif(f.rsi14, 'NaN'), nullif(f.atr14,
    'NaN'), nullif(f.bollinger_b, 'NaN'), nullif(f.macd_hist, 'NaN'), nullif(f.vwap_distance, 'NaN'),
    nullif(f.volume, 'NaN'), nullif(f.volume_avg_20, 'NaN'), nullif(f.volume_ratio, 'NaN'),
    nullif(f.volume_surge, 'NaN') = 1, f.gap_minutes, f.bars_used, f.window_start, n.nulls, %(now)s
from incoming f
join unnest(%(symbols)s::text[]) with ordinality as s (symbol, i) on s.i = f.place + 1
left join unnest(%(nulls)s::jsonb[]) with ordinality as n (nulls, i) on n.i = f.reason + 1
on conflict (symbol, ts) do update set
    session = excluded.session, sma20 = excluded.sma20, sma50 = excluded.sma50, distance_sma20 =
    excluded.distance_sma20, distance_sma50 = excluded.distance_sma50, recent_vol = excluded.recent_vol,
    baseline_vol = excluded.baseline_vol, vol_ratio = excluded.vol_ratio, trend_state = excluded.trend_state,
    rsi14 = excluded.rsi14, atr14 = excluded.atr14, bollinger_b = excluded.bollinger_b, macd_hist =
    excluded.macd_hist, vwap_distance = excluded.vwap_distance, volume = excluded.volume, volume_avg_20 =
    excluded.volume_avg_20, volume_ratio = excluded.volume_ratio, volume_surge = excluded.volume_surge,
    gap_minutes = excluded.gap_minutes, bars_used = excluded.bars_used, window_start = excluded.window_start,
    nulls = excluded.nulls, computed_at = excluded.computed_at
where (
    features.session, features.sma20, features.sma50, features.distance_sma20, features.distance_sma50,
    features.recent_vol, features.baseline_vol, features.vol_ratio, features.trend_state, features.rsi14,
    features.atr14, features.bollinger_b, features.macd_hist, features.vwap_distance, features.volume,
    features.volume_avg_20, features.volume_ratio, features.volume_surge, features.gap_minutes,
    features.bars_used, features.window_start, features.nulls
) is distinct from (
    excluded.session, excluded.sma20, excluded.sma50, excluded.distance_sma20, excluded.distance_sma50,
    excluded.recent_vol, excluded.baseline_vol, excluded.vol_ratio, excluded.trend_state, excluded.rsi14,
    excluded.atr14, excluded.bollinger_b, excluded.macd_hist, excluded.vwap_distance, excluded.volume,
    excluded.volume_avg_20, excluded.volume_ratio, excluded.volume_surge, excluded.gap_minutes,
    excluded.bars_used, excluded.window_start, excluded.nulls
)

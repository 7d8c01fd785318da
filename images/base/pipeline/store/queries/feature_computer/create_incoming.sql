-- Where a binary COPY puts features before they are stored: null as NaN, symbol and reasons as places in lists.
create temporary table incoming (
    place bigint not null, ts timestamptz not null, session date not null,
    sma20 double precision not null, sma50 double precision not null, distance_sma20 double precision not null,
    distance_sma50 double precision not null, recent_vol double precision not null, baseline_vol double
    precision not null, vol_ratio double precision not null, trend_state double precision not null, rsi14 double
    precision not null, atr14 double precision not null, bollinger_b double precision not null, macd_hist double
    precision not null, vwap_distance double precision not null, volume double precision not null, volume_avg_20
    double precision not null, volume_ratio double precision not null, volume_surge double precision not null,
    gap_minutes integer not null, bars_used integer not null, window_start timestamptz not null,
    reason integer not null
) on commit drop

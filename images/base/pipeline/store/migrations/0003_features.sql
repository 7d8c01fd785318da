-- What the bars say at each minute (SPEC §4.2). A null has its reason in nulls.
create table features (
    symbol text not null,
    ts timestamptz not null,
    session date not null,
    sma20 double precision,
    sma50 double precision,
    distance_sma20 double precision,
    distance_sma50 double precision,
    recent_vol double precision,
    baseline_vol double precision,
    vol_ratio double precision,
    trend_state smallint check (trend_state in (-1, 0, 1)),
    rsi14 double precision,
    atr14 double precision,
    bollinger_b double precision,
    macd_hist double precision,
    vwap_distance double precision,
    volume double precision,
    volume_avg_20 double precision,
    volume_ratio double precision,
    volume_surge boolean,
    gap_minutes integer not null,
    bars_used integer not null,
    window_start timestamptz not null,
    nulls jsonb,
    computed_at timestamptz not null,
    primary key (symbol, ts),
    -- no look-ahead: a bar is known only when its minute is over
    constraint features_no_look_ahead check (computed_at >= ts + interval '1 minute')
);
create index features_by_time on features (ts);

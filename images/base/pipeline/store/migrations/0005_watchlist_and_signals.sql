-- The watchlist as it stands, and every signal ever raised.
create table watchlist (
    symbol text primary key,
    score double precision not null,
    rank integer not null,
    sentiment_pressure double precision not null,
    setup_quality double precision not null,
    volatility double precision not null,
    trend_alignment double precision not null,
    in_watchlist boolean not null,
    entered_at timestamptz,
    below_since timestamptz,
    computed_at timestamptz not null,
    check (in_watchlist = (entered_at is not null))
);

-- ts is the event time of the features that raised it; created_at the run's now.
create table signals (
    id bigint generated always as identity primary key,
    symbol text not null,
    ts timestamptz not null,
    rule text not null,
    side text not null check (side in ('BUY', 'SELL')),
    confidence double precision not null check (confidence between 0 and 1),
    volume_multiplier double precision not null,
    reason jsonb not null,
    created_at timestamptz not null,
    unique (symbol, ts, rule)
);
create index signals_by_symbol on signals (symbol, created_at desc);
create index signals_by_time on signals (created_at);

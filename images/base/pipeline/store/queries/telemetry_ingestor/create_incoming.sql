-- Where a run's bars land before they are compared; gone with the transaction. Symbols come padded, nulls as stand-ins.
create temporary table incoming (
    symbol text not null,
    ts timestamptz not null,
    open double precision not null,
    high double precision not null,
    low double precision not null,
    close double precision not null,
    volume bigint not null,
    trade_count bigint not null,
    vwap double precision not null
) on commit drop

-- Inserts new bars and overwrites those that differ and were not stored later than :now; equal rows drop out first,
-- untouched: a conflict would lock and log each. Rows are sorted as they come, so two writers lock them in one order.
with offered as (
    select rtrim(symbol) as symbol, ts, open, high, low, close, volume,
        case when trade_count >= -2147483648 then trade_count::integer end as trade_count,
        nullif(vwap, 'nan') as vwap
    from incoming
), stored as (
    insert into bars as b (symbol, ts, open, high, low, close, volume, trade_count, vwap, feed, ingested_at)
    select o.symbol, o.ts, o.open, o.high, o.low, o.close, o.volume, o.trade_count, o.vwap, %(feed)s, %(now)s
    from offered o
    left join bars k on k.symbol = o.symbol and k.ts = o.ts and k.ts between %(first)s and %(last)s
    where k.symbol is null
        or (k.open, k.high, k.low, k.close, k.volume, k.trade_count, k.vwap, k.feed) is distinct from
        (o.open, o.high, o.low, o.close, o.volume, o.trade_count, o.vwap, %(feed)s)
    on conflict (symbol, ts) do update
    set open = excluded.open, high = excluded.high, low = excluded.low, close = excluded.close,
        volume = excluded.volume, trade_count = excluded.trade_count, vwap = excluded.vwap,
        feed = excluded.feed, ingested_at = excluded.ingested_at
    where b.ingested_at <= excluded.ingested_at
    returning (b.xmax = 0) as inserted
)
select count(*) filter (where inserted), count(*) filter (where not inserted) from stored

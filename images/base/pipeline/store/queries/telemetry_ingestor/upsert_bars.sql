-- Inserts new bars and overwrites those that differ and were not stored later than :now; equal rows are left untouched.
-- The rows are sorted as they come, so two writers lock them in one order.
with offered as (
    select rtrim(symbol) as symbol, ts, open, high, low, close, volume,
        case when trade_count >= -2147483648 then trade_count::integer end as trade_count,
        nullif(vwap, 'nan') as vwap
    from incoming
), stored as (
    insert into bars as b (symbol, ts, open, high, low, close, volume, trade_count, vwap, feed, ingested_at)
    select symbol, ts, open, high, low, close, volume, trade_count, vwap, %(feed)s, %(now)s from offered
    on conflict (symbol, ts) do update
    set open = excluded.open, high = excluded.high, low = excluded.low, close = excluded.close,
        volume = excluded.volume, trade_count = excluded.trade_count, vwap = excluded.vwap,
        feed = excluded.feed, ingested_at = excluded.ingested_at
    where b.ingested_at <= excluded.ingested_at
        and (b.open, b.high, b.low, b.close, b.volume, b.trade_count, b.vwap, b.feed) is distinct from
        (excluded.open, excluded.high, excluded.low, excluded.close, excluded.volume, excluded.trade_count,
            excluded.vwap, excluded.feed)
    returning (b.xmax = 0) as inserted
)
select count(*) filter (where inserted), count(*) filter (where not inserted) from stored

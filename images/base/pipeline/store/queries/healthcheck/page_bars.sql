-- The bars of some symbols between :opens and :closes as known at :now, one row a symbol, arrays in order of time.
select wanted.symbol, stored.minutes, stored.lows, stored.highs, stored.closes
from unnest(%(symbols)s::text[]) as wanted (symbol)
cross join lateral (
    select coalesce(array_agg((extract(epoch from ts - %(opens)s) / 60)::integer order by ts), '{}') as minutes,
        coalesce(array_agg(low order by ts), '{}') as lows, coalesce(array_agg(high order by ts), '{}') as highs,
        coalesce(array_agg(close order by ts), '{}') as closes
    from bars
    where bars.symbol = wanted.symbol and ts >= %(opens)s and ts < %(closes)s and ingested_at <= %(now)s
) as stored
order by wanted.symbol

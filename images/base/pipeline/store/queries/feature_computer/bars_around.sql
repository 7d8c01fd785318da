-- Bars of each changed span, with at most so many rows before and after it: one row a symbol (as its place in the list),
-- its columns as arrays in one common order. Row by row, a whole market's million bars take the client seconds.
select c.i, array_agg(b.ts), array_agg(b.high), array_agg(b.low), array_agg(b.close), array_agg(b.volume::double precision)
from unnest(%(symbols)s::text[], %(firsts)s::timestamptz[], %(lasts)s::timestamptz[])
    with ordinality as c (symbol, first_ts, last_ts, i)
cross join lateral (
    (
        select ts, high, low, close, volume from bars
        where symbol = c.symbol and ts < c.first_ts order by ts desc limit %(back)s
    )
    union all
    (
        select ts, high, low, close, volume from bars
        where symbol = c.symbol and ts >= c.first_ts and ts <= least(c.last_ts, %(horizon)s)
    )
    union all
    (
        select ts, high, low, close, volume from bars
        where symbol = c.symbol and ts > c.last_ts and ts <= %(horizon)s order by ts limit %(ahead)s
    )
) b
group by c.i

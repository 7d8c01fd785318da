-- Bars of each changed span, with at most so many rows before and after it: one row a symbol (as its place in the list),
-- its columns as arrays in one common order. Row by row, a whole market's million bars take the client seconds.
select n.i, columns.*
from unnest(%(symbols)s::text[], %(firsts)s::bigint[], %(lasts)s::bigint[])
    with ordinality as n (symbol, first, last, i)
cross join lateral (
    select n.symbol, to_timestamp(n.first) as first_ts, least(to_timestamp(n.last), %(horizon)s) as last_ts
) c
cross join lateral (
    select array_agg(ts), array_agg(high), array_agg(low), array_agg(close), array_agg(volume)
    from (
        (
            select ts, high, low, close, volume from bars
            where symbol = c.symbol and ts < c.first_ts order by ts desc limit %(limit)s
        )
        union all
        (
            select ts, high, low, close, volume from bars
            where symbol = c.symbol and ts >= c.first_ts and ts <= c.last_ts
        )
        union all
        (
            select ts, high, low, close, volume from bars
            where symbol = c.symbol and ts > c.last_ts and ts <= %(horizon)s and c.last_ts < %(horizon)s
            order by ts limit %(limit)s
        )
    ) b
    having count(*) > 0
) columns

-- Bars of each changed span, with at most so many rows before and after it (binary; symbol as its place in the list).
copy (
    select c.i, b.ts, b.high, b.low, b.close, b.volume
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
) to stdout (format binary)

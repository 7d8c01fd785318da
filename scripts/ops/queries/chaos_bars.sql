-- Bars of the window, with the time at which each came in.
select symbol, extract(epoch from ts)::bigint, ingested_at from bars
where ts >= %(start)s and ts < %(end)s and symbol = any (%(symbols)s)

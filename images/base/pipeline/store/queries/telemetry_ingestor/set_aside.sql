-- Keeps bars that the table would refuse, once a reason; counts those that were not known before.
with kept as (
    insert into bars_rejected as r (symbol, ts, reason, bar, feed, first_seen, last_seen)
    select w.symbol, w.ts, w.reason, w.bar, %(feed)s, %(now)s, %(now)s
    from unnest(%(symbols)s::text[], %(ts)s::timestamptz[], %(reasons)s::text[], %(bars)s::jsonb[])
        as w (symbol, ts, reason, bar)
    order by w.symbol, w.ts, w.reason
    on conflict (symbol, ts, reason) do update
    set last_seen = excluded.last_seen, bar = excluded.bar where r.last_seen < excluded.last_seen
    returning (r.xmax = 0) as fresh
)
select count(*) filter (where fresh) from kept

-- Session minutes per symbol and New York day: those stored, and the ledger's missing ones by class, filled ones apart.
with followed as (
    select unnest(%(symbols)s::text[]) as symbol
),
windows as (
    select * from unnest(%(dates)s::date[], %(opens)s::timestamptz[], %(closes)s::timestamptz[]) as w (day, open, close)
),
stored as (
    select w.day, b.symbol, count(*) as bars
    from windows w
    join bars b on b.ts >= w.open and b.ts < w.close and b.symbol = any(%(symbols)s)
    group by w.day, b.symbol
),
missing as (
    select w.day, g.symbol, g.class, g.backfilled_at is not null as filled,
        sum(extract(epoch from least(g.last_minute + interval '1 minute', w.close) - greatest(g.first_minute, w.open))
            / 60)::bigint as minutes
    from windows w
    join gaps g on g.last_minute >= w.open and g.first_minute < w.close and g.symbol = any(%(symbols)s)
    group by w.day, g.symbol, g.class, filled
)
select w.day, f.symbol, extract(epoch from w.close - w.open)::bigint / 60 as expected, coalesce(s.bars, 0) as bars,
    coalesce((select jsonb_object_agg(m.class || case when m.filled then ' (filled)' else '' end, m.minutes)
        from missing m where m.day = w.day and m.symbol = f.symbol), '{}') as why
from windows w
cross join followed f
left join stored s on s.day = w.day and s.symbol = f.symbol
order by w.day, f.symbol

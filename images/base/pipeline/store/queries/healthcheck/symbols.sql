-- How far each symbol has come as known at :now: those followed and those with bars. Bars of the sessions :opens..:closes
-- count as recent. The symbols are found by hopping along the key, not by reading every bar.
with recursive stored (symbol) as (
    (select symbol from bars order by symbol limit 1)
    union all
    select (select bars.symbol from bars where bars.symbol > stored.symbol order by bars.symbol limit 1)
    from stored where stored.symbol is not null
),
wanted as (
    select symbol from stored where symbol is not null
    union
    select unnest(%(tickers)s::text[])
),
hours as (
    select * from unnest(%(opens)s::timestamptz[], %(closes)s::timestamptz[]) as hours (opens, closes)
)
select wanted.symbol, newest.ts as newest_bar, recent.bars as recent_bars, recent.since as recent_since,
    served.ts as newest_features, unserved.since as unserved_since
from wanted
left join lateral (
    select ts from bars
    where symbol = wanted.symbol and ts < %(now)s and ingested_at <= %(now)s
    order by ts desc limit 1
) as newest on true
left join lateral (
    select count(*) as bars, min(ts) as since from bars
    join hours on ts >= opens and ts < closes
    where symbol = wanted.symbol and ts < %(now)s and ingested_at <= %(now)s
) as recent on true
left join lateral (
    select ts from features
    where symbol = wanted.symbol and ts < %(now)s and computed_at <= %(now)s
    order by ts desc limit 1
) as served on true
left join lateral (
    select min(greatest(ts + interval '1 minute', ingested_at)) as since from bars
    join hours on ts >= opens and ts < closes
    where symbol = wanted.symbol and ts > coalesce(served.ts, '-infinity') and ts < %(now)s and ingested_at <= %(now)s
) as unserved on true
order by wanted.symbol

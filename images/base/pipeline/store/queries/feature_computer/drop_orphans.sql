-- Features whose bar is gone, within the changed spans.
delete from features f
using unnest(%(symbols)s::text[], %(firsts)s::timestamptz[], %(lasts)s::timestamptz[]) as c (symbol, first_ts, last_ts)
where f.symbol = c.symbol and f.ts between c.first_ts and c.last_ts
and not exists (select from bars b where b.symbol = f.symbol and b.ts = f.ts)

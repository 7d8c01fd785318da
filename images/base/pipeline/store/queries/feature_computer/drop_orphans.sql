-- Features whose bar is gone, within the changed spans.
delete from features f
using unnest(%(symbols)s::text[], %(firsts)s::bigint[], %(lasts)s::bigint[]) as c (symbol, first, last)
where f.symbol = c.symbol and f.ts between to_timestamp(c.first) and to_timestamp(c.last)
and not exists (select from bars b where b.symbol = f.symbol and b.ts = f.ts)

-- Features of the replayed windows and symbols.
select count(*)
from unnest(%(starts)s::timestamptz[], %(ends)s::timestamptz[]) as w (start, stop)
join features f on f.ts >= w.start and f.ts < w.stop
where f.symbol = any (%(symbols)s)

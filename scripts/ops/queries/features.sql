-- Features of the replayed windows and symbols.
select count(*)
from unnest(%(opens)s::timestamptz[], %(ends)s::timestamptz[]) as w (open, stop)
join features f on f.ts >= w.open and f.ts < w.stop
where f.symbol = any (%(symbols)s)

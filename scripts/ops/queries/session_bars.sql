-- Regular-session bars of the replayed windows and symbols.
select b.symbol, b.ts, b.open, b.high, b.low, b.close, b.volume
from unnest(%(opens)s::timestamptz[], %(ends)s::timestamptz[]) as w (open, stop)
join bars b on b.ts >= w.open and b.ts < w.stop
where b.symbol = any (%(symbols)s)

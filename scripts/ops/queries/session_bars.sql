-- Regular-session bars of the replayed windows and symbols.
select b.symbol, b.ts, b.open, b.high, b.low, b.close, b.volume
from unnest(%(starts)s::timestamptz[], %(ends)s::timestamptz[]) as w (start, stop)
join bars b on b.ts >= w.start and b.ts < w.stop
where b.symbol = any (%(symbols)s)

-- When each of the symbols last raised a signal, as known at :now; those that never did give no row.
select last.symbol, last.created_at
from unnest(%(symbols)s::text[]) as wanted (symbol)
cross join lateral (
    select signals.symbol, signals.created_at from signals
    where signals.symbol = wanted.symbol and signals.created_at <= %(now)s
    order by signals.created_at desc limit 1
) as last

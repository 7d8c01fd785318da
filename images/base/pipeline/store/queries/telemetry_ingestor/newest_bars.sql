-- Each symbol's newest bar before :now; one look at the end of the key's index per symbol, however many bars there are.
select s.symbol, newest.ts
from unnest(%(symbols)s::text[]) as s (symbol)
cross join lateral (
    select b.ts from bars b where b.symbol = s.symbol and b.ts < %(now)s order by b.ts desc limit 1
) as newest

-- Each symbol's earliest minute from :since on, and before :before, that still lacks its bar.
select g.symbol, min(greatest(g.first_minute, %(since)s))
from gaps g
where g.last_minute >= %(since)s and g.first_minute < %(before)s and g.backfilled_at is null and g.class <> 'closed'
    and g.symbol = any(%(symbols)s)
group by g.symbol

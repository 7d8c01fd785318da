-- Minutes that lack their bar, by session day (New York) and symbol: those of the ledger that a later answer may fill.
select g.symbol, g.first_minute, g.last_minute, g.class
from gaps g
where g.backfilled_at is null and g.class in ('our_outage', 'feed_late', 'rejected')
    and g.last_minute >= %(first)s and g.first_minute < %(last)s
    and (%(symbols)s::text[] is null or g.symbol = any(%(symbols)s))
order by g.first_minute, g.symbol

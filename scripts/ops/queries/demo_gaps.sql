-- The gap ledger, one line a stretch of time and class.
select first_minute, last_minute, class, count(*) as symbols, max(backfilled_at) as backfilled_at
from gaps group by first_minute, last_minute, class order by first_minute, class

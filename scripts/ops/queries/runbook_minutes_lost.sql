-- Symbol minutes in (:first, :last] that an outage cost and nobody has filled since.
select coalesce(sum(
    extract(epoch from least(last_minute, %(last)s) - greatest(first_minute, %(first)s)) / 60 + 1
), 0)::integer
from gaps
where class in ('our_outage', 'feed_late', 'rejected') and backfilled_at is null
  and last_minute >= %(first)s and first_minute <= %(last)s

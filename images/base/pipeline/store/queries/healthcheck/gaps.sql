-- Minutes known at :now to be lost and not backfilled, by symbol and class; closed markets and quiet minutes are no loss.
select symbol, class as cause,
    sum(extract(epoch from last_minute - first_minute) / 60 + 1)::integer as minutes,
    min(first_minute) as first_minute, max(last_minute) as last_minute, min(detected_at) as detected_at
from gaps
where class in ('our_outage', 'feed_late', 'rejected') and detected_at <= %(now)s
    and (backfilled_at is null or backfilled_at > %(now)s)
group by symbol, class
order by symbol, class

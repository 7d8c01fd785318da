-- Stretches of minutes that were lost and not filled since.
select symbol, first_minute, last_minute from gaps
where symbol = any (%(symbols)s) and first_minute < %(last)s
and backfilled_at is null and class in ('our_outage', 'feed_late', 'rejected')

-- Those of them that have been filled since, by class.
select g.class, sum(extract(epoch from least(g.last_minute, w.stop - interval '1 minute') - greatest(g.first_minute, w.start)) / 60 + 1)
from unnest(%(starts)s::timestamptz[], %(ends)s::timestamptz[]) as w (start, stop)
join gaps g on g.last_minute >= w.start and g.first_minute < w.stop
where g.symbol = any (%(symbols)s) and g.backfilled_at is not null group by g.class order by g.class

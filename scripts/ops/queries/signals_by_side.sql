-- Signals raised in the replayed time, by side.
select side, count(*) from signals where created_at > %(first)s and created_at <= %(settled)s group by side order by side

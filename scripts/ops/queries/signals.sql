-- Signals raised in the replayed time.
select count(*) from signals where created_at > %(first)s and created_at <= %(settled)s

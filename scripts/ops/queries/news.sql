-- News fetched in the replayed time.
select count(*) from news where fetched_at > %(first)s and fetched_at <= %(settled)s

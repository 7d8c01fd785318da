-- All features of the replayed symbols and time.
select * from features where symbol = any (%(symbols)s) and ts >= %(first)s and ts < %(last)s
